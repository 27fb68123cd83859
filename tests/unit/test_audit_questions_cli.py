"""The subcommands that ask one question of a RIB: what they tell of a small table, and how they end."""

import json

import pytest

from rov import Prefix, Snapshot, Vrp, cli, slurm

VRPS = [
    Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496),
    Vrp(Prefix.parse("198.51.100.0/23"), 24, 64497),
    Vrp(Prefix.parse("203.0.113.0/24"), 24, 0),
]

ROUTES = """prefix,origin,peers
192.0.2.0/24,64496,9
192.0.2.0/25,64496,1
198.51.100.0/24,64498,3
203.0.113.0/24,64499,1
2001:db8::/32,64496,9
2001:db8::/33,64497,2
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
    change = ("--add", "AS64496,2001:db8::/32", "--remove", "64496,192.0.2.0/24,24")
    code, out, err = run(capsys, "whatif", *files, *change, "--json")
    found = json.loads(out)
    assert (code, err, found["schema"]) == (0, "", "rov.audit.whatif/1")
    assert found["min_peers"] == 1
    steps = {(row["prefix"], row["origin"]): (row["before"], row["after"]) for row in found["rows"]}
    assert steps == {
        ("192.0.2.0/24", 64496): ("valid", "not_found"),
        ("192.0.2.0/25", 64496): ("invalid", "not_found"),
        ("2001:db8::/32", 64496): ("not_found", "valid"),
        ("2001:db8::/33", 64497): ("not_found", "invalid"),
    }
    assert found["rows"][-1]["class"] == "diverted_other_origin_valid"
    assert found["rows"][-1]["causes"] == ["2001:db8::/32-32 AS64496"]
    assert found["summary"]["not_found -> invalid"] == 1


@pytest.mark.parametrize(
    ("fail_on", "code"), [("route", 1), ("to-invalid", 1), ("valid-to-invalid", 0), ("unreachable", 0)]
)
def test_whatif_fail_on(files, capsys, fail_on, code):
    add = ("--add", "AS64496,2001:db8::/32")
    assert run(capsys, "whatif", *files, *add, "--fail-on", fail_on)[0] == code


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ((), "expected --add, --remove or --slurm"),
        (("--remove", "1,192.0.2.0/24"), "there is no such VRP"),
        (("--add", "192.0.2.0/24"), "expected AS,PREFIX"),
        (("--add", "1,192.0.2.1/24"), "host bits"),
        (("--add", "1,192.0.2.0/24,33"), "expected a max length of 24 to 32"),
        (("--add", "1,192.0.2.0/24,²"), "expected a max length of 24 to 32"),
    ],
)
def test_whatif_refuses(files, capsys, option, message):
    code, out, err = run(capsys, "whatif", *files, *option)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_suggestion_and_what_it_would_break(files, capsys):
    code, out, _ = run(capsys, "suggest", *files, "--asn", 64496, "--json", "--fail-on", "unsafe")
    found = json.loads(out)
    assert code == 1
    assert [(row["prefix"], row["why"], row["safe"], row["would_invalidate"]) for row in found["rows"]] == [
        ("192.0.2.0/25", "length", True, []),
        ("2001:db8::/32", "not_covered", False, ["2001:db8::/33 AS64497"]),
    ]


def test_suggestions_for_krill_and_slurm(files, capsys, tmp_path):
    within = ("--prefix", "::/0", "--prefix", "192.0.2.0/24")
    code, out, err = run(capsys, "suggest", *files, *within, "--format", "krill")
    assert (code, err) == (0, "rov: 0 of 3 suggestions are not safe and left out\n")
    assert out.splitlines() == [
        "A: 192.0.2.0/25 => 64496",
        "A: 2001:db8::/32 => 64496",
        "A: 2001:db8::/33 => 64497",
    ]
    code, out, err = run(capsys, "suggest", *files, "--asn", 64496, "--format", "krill")
    assert out.splitlines()[-1].startswith("# not safe, would make 1 routes invalid: A: 2001:db8::/32")
    _, out, _ = run(capsys, "suggest", *files, "--asn", 64496, "--format", "slurm")
    path = tmp_path / "local.json"
    path.write_text(out)
    assert [str(entry) for entry in slurm.read(path).assertions] == ["192.0.2.0/25-25 AS64496"]
    code, out, _ = run(capsys, "whatif", *files, "--slurm", path, "--json")
    assert [(row["prefix"], row["after"]) for row in json.loads(out)["rows"]] == [("192.0.2.0/25", "valid")]


def test_suggest_wants_to_know_whose(files, capsys):
    code, out, err = run(capsys, "suggest", *files)
    assert (code, out) == (2, "")
    assert "expected --asn or --prefix" in err
