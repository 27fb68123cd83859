"""The subcommands that ask one question of a RIB: what they tell of a small table, and how they end."""

import json
from collections import defaultdict

import pytest

from rov import Prefix, Snapshot, Vrp, VrpIndex, cli, rib, slurm

VRPS = [
    Vrp(Prefix.parse("12.0.2.0/24"), 24, 1496),
    Vrp(Prefix.parse("18.51.100.0/23"), 24, 1497),
    Vrp(Prefix.parse("23.0.113.0/24"), 24, 0),
]

ROUTES = """prefix,origin,peers
12.0.2.0/24,1496,9
12.0.2.0/25,1496,1
18.51.100.0/24,1498,3
23.0.113.0/24,1499,1
2a00:db8::/32,1496,9
2a00:db8::/33,1497,2
"""


def run(capsys, *arguments):
    code = cli.main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def files(tmp_path):
    """The paths of a small RIB and of VRPs."""
    rib, vrps = tmp_path / "rib.csv", tmp_path / "vrps.snapshot"
    rib.write_text(ROUTES)
    Snapshot.from_vrps(VRPS).save(vrps)
    return rib, "--vrps", vrps


def test_whatif_adds_and_removes(files, capsys):
    change = ("--add", "AS1496,2a00:db8::/32", "--remove", "1496,12.0.2.0/24,24")
    code, out, err = run(capsys, "whatif", *files, *change, "--json")
    found = json.loads(out)
    assert (code, err, found["schema"]) == (0, "", "rov.audit.whatif/1")
    assert found["min_peers"] == 1
    steps = {(row["prefix"], row["origin"]): (row["before"], row["after"]) for row in found["rows"]}
    assert steps == {
        ("12.0.2.0/24", 1496): ("valid", "not_found"),
        ("12.0.2.0/25", 1496): ("invalid", "not_found"),
        ("2a00:db8::/32", 1496): ("not_found", "valid"),
        ("2a00:db8::/33", 1497): ("not_found", "invalid"),
    }
    assert found["rows"][-1]["class"] == "diverted_other_origin_valid"
    assert found["rows"][-1]["causes"] == ["2a00:db8::/32-32 AS1496"]
    assert found["summary"]["not_found -> invalid"] == 1


@pytest.mark.parametrize(
    ("fail_on", "code"), [("route", 1), ("to-invalid", 1), ("valid-to-invalid", 0), ("unreachable", 0)]
)
def test_whatif_fail_on(files, capsys, fail_on, code):
    add = ("--add", "AS1496,2a00:db8::/32")
    assert run(capsys, "whatif", *files, *add, "--fail-on", fail_on)[0] == code


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ((), "expected --add, --remove or --slurm"),
        (("--remove", "1,12.0.2.0/24"), "there is no such VRP"),
        (("--add", "12.0.2.0/24"), "expected AS,PREFIX"),
        (("--add", "1,12.0.2.1/24"), "host bits"),
        (("--add", "1,12.0.2.0/24,33"), "expected a max length of 24 to 32"),
        (("--add", "1,12.0.2.0/24,²"), "expected a max length of 24 to 32"),
    ],
)
def test_whatif_refuses(files, capsys, option, message):
    code, out, err = run(capsys, "whatif", *files, *option)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_suggestion_and_what_it_would_break(files, capsys):
    code, out, _ = run(capsys, "suggest", *files, "--asn", 1496, "--json", "--fail-on", "unsafe")
    found = json.loads(out)
    assert code == 1
    assert [(row["prefix"], row["why"], row["safe"], row["would_invalidate"]) for row in found["rows"]] == [
        ("12.0.2.0/25", "length", True, []),
        ("2a00:db8::/32", "not_covered", False, ["2a00:db8::/33 AS1497"]),
    ]


def test_no_roa_for_what_nobody_may_announce(tmp_path, capsys):
    rib_file, vrps = tmp_path / "rib.csv", tmp_path / "vrps.snapshot"
    rib_file.write_text("prefix,origin\n10.0.0.0/8,13335\n1.1.1.0/24,64512\n1.0.0.0/24,13335\n")
    Snapshot.empty().save(vrps)
    within = ("--prefix", "0.0.0.0/0", "--format", "krill")
    code, out, _ = run(capsys, "suggest", rib_file, "--vrps", vrps, *within)
    assert (code, out) == (0, "A: 1.0.0.0/24 => 13335\n")


def test_suggestions_for_krill_and_slurm(files, capsys, tmp_path):
    within = ("--prefix", "::/0", "--prefix", "12.0.2.0/24")
    code, out, err = run(capsys, "suggest", *files, *within, "--format", "krill")
    assert (code, err) == (0, "rov: 0 of 3 suggestions are not safe and left out\n")
    assert out.splitlines() == [
        "A: 12.0.2.0/25 => 1496",
        "A: 2a00:db8::/32 => 1496",
        "A: 2a00:db8::/33 => 1497",
    ]
    delta = tmp_path / "delta.txt"
    assert run(capsys, "suggest", *files, *within, "--format", "krill", "--output", delta)[:2] == (0, "")
    assert delta.read_text() == out
    code, out, err = run(capsys, "suggest", *files, "--asn", 1496, "--format", "krill")
    assert out.splitlines()[-1].startswith("# not safe, would make 1 route invalid: A: 2a00:db8::/32")
    _, out, _ = run(capsys, "suggest", *files, "--asn", 1496, "--format", "slurm")
    path = tmp_path / "local.json"
    path.write_text(out)
    assert [str(entry) for entry in slurm.read(path).assertions] == ["12.0.2.0/25-25 AS1496"]
    code, out, _ = run(capsys, "whatif", *files, "--slurm", path, "--json")
    assert [(row["prefix"], row["after"]) for row in json.loads(out)["rows"]] == [("12.0.2.0/25", "valid")]


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_suggestions_are_a_vrp_file(files, capsys, tmp_path, suffix):
    path = tmp_path / f"roas.{suffix}"
    run(capsys, "suggest", *files, "--prefix", "::/0", "--output", path)
    code, out, _ = run(capsys, "info", path, "--json")
    assert (code, json.loads(out)["vrps"]["rows"]) == (0, 2)


def test_suggest_wants_to_know_whose(files, capsys):
    code, out, err = run(capsys, "suggest", *files)
    assert (code, out) == (2, "")
    assert "expected --asn or --prefix" in err


@pytest.fixture
def real(data, first_snapshot, tmp_path):
    """Ten thousand prefixes of 35 peers of RouteViews in 2014, and the VRPs of 2025, read once."""
    first_snapshot.save(tmp_path / "vrps")
    return data("mrt/pyasn_rib.20140523.0600_firstMB.bz2"), "--vrps", str(tmp_path / "vrps")


@pytest.mark.realdata
def test_who_passed_invalid_routes_on(real, first_snapshot, capsys):
    """Counted once more from the rows of the dump, peer by peer, with its paths."""
    code, out, _ = run(capsys, "leaks", *real, "--json")
    peers = json.loads(out)["rows"]
    assert code == 0
    code, out, _ = run(capsys, "leaks", *real, "--by", "as", "--json")
    found = {row["asn"]: row for row in json.loads(out)["rows"]}
    index = VrpIndex(first_snapshot)
    routes, passed, first = defaultdict(set), defaultdict(set), defaultdict(set)
    with rib.open(real[0], paths=True) as dump:
        for batch in dump:
            states = index.validate_batch(batch.routes)
            columns = (batch.routes.addresses, batch.routes.lengths, batch.routes.origins, batch.peers)
            rows = zip(*(column.tolist() for column in (*columns, batch.attribute_rows, states)), strict=True)
            for address, length, origin, peer, attribute, state in rows:
                route = address, length, origin
                routes[peer].add((route, state))
                if state == 2:
                    offsets = batch.attributes.paths.offsets
                    path = batch.attributes.paths.asns[offsets[attribute] : offsets[attribute + 1]].tolist()
                    for asn in {*path} - {path[-1]}:
                        passed[asn].add(route)
                    before = [asn for asn in path if asn != path[-1]]
                    if before:
                        first[before[-1]].add(route)
        names = [(str(peer.address).partition("/")[0], peer.asn) for peer in dump.peers]
    expected = {names[peer]: (len(own), sum(state == 2 for _, state in own)) for peer, own in routes.items()}
    assert {(row["peer"], row["asn"]): (row["routes"], row["invalid"]) for row in peers} == expected
    assert {asn: row["propagated"] for asn, row in found.items()} == {
        a: len(own) for a, own in passed.items()
    }
    assert {asn: row["first_hop"] for asn, row in found.items() if row["first_hop"]} == {
        asn: len(own) for asn, own in first.items()
    }


def test_paths_are_asked_of_mrt_only(files, capsys):
    for arguments in (("leaks", *files), ("leaks", *files, "--by", "as"), ("hijacks", *files, "--paths")):
        code, out, err = run(capsys, *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "expected" in err
        assert "MRT" in err


def test_hijacks_and_what_clears_them(tmp_path, capsys):
    rib_file, vrps = tmp_path / "rib.csv", tmp_path / "vrps.snapshot"
    rows = [
        "12.0.2.0/24,64400,90",
        "12.0.2.0/25,64401,1",
        "12.0.2.0/24,64402,50",
        "12.0.2.128/25,64512,1",
    ]
    rib_file.write_text("\n".join(["prefix,origin,peers", *rows]) + "\n")
    Snapshot.from_vrps([Vrp(Prefix.parse("12.0.2.0/24"), 24, 64400)]).save(vrps)
    relations, irr = tmp_path / "as-rel.txt", tmp_path / "irr.db"
    relations.write_text("# relations\n64400|64402|-1\n")
    irr.write_text("% a dump\n\nroute: 12.0.2.0/25\ndescr: x\norigin:\n+ AS64401 # why\nsource: TEST\n")
    base = ("hijacks", rib_file, "--vrps", vrps)
    code, out, _ = run(capsys, *base, "--json", "--fail-on", 100)
    scores = {row["origin"]: (row["kind"], row["score"]) for row in json.loads(out)["rows"]}
    assert code == 1
    assert scores == {64401: ("sub_moas", 100), 64402: ("moas", 60), 64512: ("sub_moas", 0)}
    code, out, _ = run(capsys, *base, "--as-rel", relations, "--irr", irr, "--json", "--fail-on", 1)
    assert code == 0
    assert {row["origin"]: row["cleared"] for row in json.loads(out)["rows"]} == {
        64401: ["irr"],
        64402: ["related"],
        64512: ["special_asn"],
    }


@pytest.mark.parametrize("content", ["64400|64402\n", "a|b|0\n", "1|2|7\n", "\n"])
def test_bad_relations(files, tmp_path, capsys, content):
    path = tmp_path / "as-rel.txt"
    path.write_text(content)
    code, _, err = run(capsys, "hijacks", *files, "--as-rel", path)
    assert code == 2
    assert f"{path}" in err
    assert "expected" in err
