"""Route servers: what was passed on, marked or not, by whom; members and letters; NAMEX by bgpdump."""

import ipaddress
import json
import re
import subprocess
from pathlib import Path

import pytest

from rov import Prefix, Snapshot, Vrp, VrpIndex, cli, load
from rov.audit import ixp, judge
from rov.audit.ixp import VERIFY, as_community, passed_on, verify_table
from rov.audit.ixp_members import MEMBERS, members_table
from rov.errors import ArgumentError
from rov.rib import RouteColumns, RouteTable, read_table
from rov.rib import open as open_dump
from tests import mrt_writer as mrt

VRPS = [
    Vrp(Prefix.parse("12.0.2.0/24"), 24, 501),
    Vrp(Prefix.parse("18.51.100.0/24"), 24, 502),
    Vrp(Prefix.parse("2a00:db8::/32"), 48, 501),
]

EXPORT = {
    "version": "1.0",
    "ixp_list": [{"ixp_id": 1, "vlan": [{"ipv4": {"prefix": "23.0.113.0", "mask_length": 24}}]}],
    "member_list": [
        {
            "asnum": 501,
            "name": "One",
            "contact_email": ["noc@one.example"],
            "connection_list": [{"ixp_id": 1, "vlan_list": [{"ipv4": {"address": "23.0.113.1"}}]}],
        },
        {
            "asnum": 70000,
            "name": "Two",
            "connection_list": [
                {"vlan_list": [{"ipv4": {"address": "23.0.113.2"}, "ipv6": {"address": "dynamic"}}]}
            ],
        },
        {"asnum": 503, "name": "Three", "connection_list": []},
    ],
}

LETTER = """Subject: AS501: 1 route that RPKI origin validation finds invalid

Dear colleagues of One,

AS501 announces 1 route to the route servers of the exchange that the published ROAs forbid. Networks that
validate route origins (RFC 6811) drop them. Please have them mended:

  12.0.2.0/25 from AS501
    ROA 12.0.2.0/24-24 AS501 allows no longer prefix. Make the ROA 12.0.2.0/25 AS501, or withdraw the route.
"""


def marked(path, *communities):
    """Path attributes with communities, and large ones if they have three numbers."""
    plain = b"".join(part.to_bytes(2, "big") for row in communities if len(row) == 2 for part in row)
    large = b"".join(part.to_bytes(4, "big") for row in communities if len(row) == 3 for part in row)
    more = [mrt.attribute(8, plain, 0xC0)] if plain else []
    more += [mrt.attribute(32, large, 0xC0)] if large else []
    return mrt.attributes(mrt.segment(mrt.SEQUENCE, *path), *more)


def dump(*more):
    """Two members: 501 has one valid route and one that is too long; 70000 one of another's prefix."""
    return b"".join(
        [
            mrt.peer_table(("23.0.113.1", 501), ("23.0.113.2", 23456)),
            mrt.rib(2, "12.0.2.0/24", mrt.entry(0, marked([501]))),
            mrt.rib(2, "12.0.2.0/25", mrt.entry(0, marked([501], (500, 1), (500, 1, 13)))),
            mrt.rib(2, "18.51.100.0/24", mrt.entry(1, marked([70000, 501], (500, 1101, 14)))),
            mrt.rib(2, "99.0.0.0/16", mrt.entry(1, marked([70000]))),
            *more,
        ]
    )


@pytest.fixture
def files(tmp_path):
    (tmp_path / "rs.mrt").write_bytes(dump())
    (tmp_path / "ixf.json").write_text(json.dumps(EXPORT))
    Snapshot.from_vrps(VRPS).save(tmp_path / "vrps")
    return tmp_path


def run(files, capsys, command, *more, rib="rs.mrt"):
    base = ["ixp", command, files / rib, "--vrps", files / "vrps"]
    code = cli.main([*map(str, base), *map(str, more)])
    return code, *capsys.readouterr()


def test_the_exit_code_is_evidence(files, capsys):
    both = ("--expected-invalid-community", "500:1101:14", "--expected-invalid-community", "500:1")
    assert run(files, capsys, "verify")[0] == 1
    assert run(files, capsys, "verify", *both[:2])[0] == 1
    code, out, _ = run(files, capsys, "verify", *both)
    assert (code, "verified: no invalid route unmarked" in out) == (0, True)
    assert run(files, capsys, "verify", *both, "--fail-on", "expected")[0] == 1
    assert run(files, capsys, "verify", "--fail-on", "nothing")[0] == 0
    for other in ("expected", "lan"):
        assert run(files, capsys, "verify", "--fail-on", other)[0] == 1, "what is unmarked counts always"
    assert run(files, capsys, "verify", *both, "--fail-on", "lan")[0] == 0


def test_entries_that_are_not_listed_are_counted(files, capsys, monkeypatch):
    for most, left, told in ((2, 0, 0), (1, 1, 1)):
        monkeypatch.setattr(ixp, "MAX_LISTED", most)
        _, out, _ = run(files, capsys, "verify", "--json")
        found = json.loads(out)
        assert (len(found["rows"]), found["summary"]["not_listed"]) == (most, left)
        _, out, _ = run(files, capsys, "verify")
        assert out.count("counted by route only, as too many to list: 1 entry") == told
        assert out.count("counted by route only") == told


def test_rows_and_members(files, capsys):
    option = ("--expected-invalid-community", "500:1101:14", "--members", files / "ixf.json")
    code, out, _ = run(files, capsys, "verify", *option, "--json")
    found = json.loads(out)
    assert (code, found["schema"], found["summary"]["passed"]) == (1, "rov.ixp.verify/1", False)
    first, second = found["rows"]
    assert first == {
        "prefix": "12.0.2.0/25",
        "origin": 501,
        "status": "invalid",
        "reason": "length",
        "peer": "23.0.113.1",
        "peer_as": 501,
        "member": "One",
        "as_path": [501],
        "communities": ["500:1", "500:1:13"],
        "class": "rescued_same_origin_valid",
        "vrps": ["12.0.2.0/24-24 AS501"],
        "peering_lan": None,
    }
    # the AS of a peer is AS_TRANS in the dump: the address tells, by the export
    assert (second["peer_as"], second["member"], second["status"]) == (70000, "Two", "invalid_expected")
    cards = {row["asn"]: row for row in found["members"]}
    assert [row["asn"] for row in found["members"]] == [501, 70000, 503]
    assert [cards[501][name] for name in ("sessions", "routes", "valid", "invalid")] == [1, 2, 1, 1]
    assert [cards[70000][name] for name in ("invalid_expected", "not_found", "listed")] == [1, 1, True]
    assert cards[503]["severity"] == "no_data_available"
    (lan,) = found["peering_lans"]
    assert (lan["prefix"], lan["entries"], lan["vrps"]) == ("23.0.113.0/24", 0, [])
    assert "no ROA covers it" in lan["advice"]


def test_without_an_export_the_path_tells_who_has_a_wide_number(files, capsys):
    rows = json.loads(run(files, capsys, "verify", "--json")[1])["rows"]
    assert {row["peer_as"] for row in rows} == {501, 70000}


def test_the_peering_lan_leaks(files, capsys):
    leak = mrt.rib(2, "23.0.113.128/25", mrt.entry(1, marked([70000])))
    wide = mrt.rib(2, "23.0.0.0/16", mrt.entry(1, marked([70000])))
    (files / "leak.mrt").write_bytes(
        dump(leak, wide, mrt.rib(4, "2a00:db8:f::/48", mrt.entry(1, marked([7]))))
    )
    lans = ("--peering-lan", "23.0.113.0/24", "--peering-lan", "2a00:db8:f::/64")
    code, out, _ = run(files, capsys, "verify", *lans, "--fail-on", "lan", "--json", rib="leak.mrt")
    found = json.loads(out)
    assert (code, found["summary"]["peering_lan_entries"]) == (1, 1)
    assert [row["prefix"] for row in found["rows"] if row["peering_lan"]] == ["23.0.113.128/25"]
    assert found["peering_lans"][1]["vrps"] == ["2a00:db8::/32-48 AS501"]
    marks = ("--expected-invalid-community", "500:1101:14", "--expected-invalid-community", "500:1")
    assert run(files, capsys, "verify", *lans, *marks, "--fail-on", "lan")[0] == 0


def test_cards_and_letters(files, capsys):
    (files / "asns.json").write_text('{"asns": ["AS501", 9]}')
    more = ("--members", files / "ixf.json", "--manrs", files / "asns.json", "--letters", files / "letters")
    code, out, _ = run(files, capsys, "members", *more, "--json")
    rows = {row["asn"]: row for row in json.loads(out)["rows"]}
    assert (code, rows[501]["manrs_member"], rows[70000]["manrs_member"]) == (0, True, False)
    assert rows[501]["m7rpki"] == 0
    assert rows[501]["contacts"] == ["noc@one.example"]
    assert rows[70000]["top_fix"].startswith("1 route (18.51.100.0/24): ROA 18.51.100.0/24-24 AS502 is for")
    assert rows[503]["top_fix"] is None
    assert {path.name for path in (files / "letters").iterdir()} == {"AS501.txt", "AS70000.txt"}
    assert (files / "letters" / "AS501.txt").read_text() == LETTER


@pytest.mark.parametrize("layout", ["alice", "birdseye"])
def test_a_looking_glass_says_the_same(files, capsys, layout):
    routes = [
        ("12.0.2.0/24", 1, [501], [], []),
        ("12.0.2.0/25", 1, [501], [[500, 1]], [[500, 1, 13]]),
        ("18.51.100.0/24", 2, [70000, 501], [], [[500, 1101, 14]]),
        ("99.0.0.0/16", 2, [70000], [], []),
    ]
    rows = [
        {
            "network": prefix,
            ("neighbor_id" if layout == "alice" else "from_protocol"): f"p{peer}",
            "bgp": {"as_path": path, "communities": plain, "large_communities": large},
        }
        for prefix, peer, path, plain, large in routes
    ]
    peers = [("23.0.113.1", 501), ("23.0.113.2", 70000)]
    if layout == "alice":
        sessions = {
            "neighbors": [{"id": f"p{n}", "address": a, "asn": s} for n, (a, s) in enumerate(peers, 1)]
        }
        document = {"imported": rows}
    else:
        named = [{"neighbor_address": address, "neighbor_as": asn} for address, asn in peers]
        sessions = {"protocols": {f"p{number}": row for number, row in enumerate(named, 1)}}
        document = {"routes": rows}
    (files / "lg.json").write_text(json.dumps(sessions) + json.dumps(document))
    more = ("--members", files / "ixf.json", "--expected-invalid-community", "500:1101:14", "--json")
    by_mrt, by_json = (
        json.loads(run(files, capsys, "verify", *more, rib=rib)[1]) for rib in ("rs.mrt", "lg.json")
    )
    for key in ("rows", "members", "summary", "peering_lans"):
        assert by_json[key] == by_mrt[key]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--expected-invalid-community", "x"), "community 'x': expected two numbers"),
        (("--expected-invalid-community", "70000:1"), "expected two numbers"),
        (("--peering-lan", "23.0.113.1/24"), "host bits"),
        (("--members", "{files}/rs.mrt"), "expected an IX-F member export"),
        (("--members", "{files}/none"), "cannot be read"),
        (("--members", "{files}/empty.json"), "expected 1 to 65,536 in member_list, found 0"),
        (("--members", "{files}/bad.json"), "peering LAN: "),
    ],
)
def test_bad_input(files, capsys, more, message):
    (files / "empty.json").write_text('{"member_list": []}')
    bad = {**EXPORT, "ixp_list": [{"vlan": [{"ipv4": {"prefix": "x", "mask_length": 24}}]}]}
    (files / "bad.json").write_text(json.dumps(bad))
    code, out, err = run(files, capsys, "verify", *(text.format(files=files) for text in more))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_table_without_communities_is_refused(files, capsys):
    (files / "rib.csv").write_text("prefix,origin\n12.0.2.0/24,501\n")
    code, _, err = run(files, capsys, "verify", rib="rib.csv")
    assert (code, err.endswith("expected an MRT dump, CSV has no AS paths\n")) == (2, True)


def test_communities():
    assert as_community("500:1101:4294967295") == (500, 1101, 4294967295)
    for text in ("", "1", "1:2:3:4", "65536:1", "1:2:4294967296", "a:b", "1:", "²:1"):
        with pytest.raises(ArgumentError):
            as_community(text)


def test_the_page_names_every_column():
    page = (Path(__file__).parents[2] / "docs" / "ixp.md").read_text()
    empty = judge(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)), VrpIndex(Snapshot.empty()))
    passed = passed_on(empty, [])
    for schema, table in ((VERIFY, verify_table(passed)), (MEMBERS, members_table(passed))):
        part = re.split(r"^#", page.split(f"`{schema.name}`, one row", 1)[1], maxsplit=1, flags=re.MULTILINE)[
            0
        ]
        stated = [
            name for row in re.findall(r"^\| ([a-z0-9_, ]+) \|", part, re.M) for name in row.split(", ")
        ]
        assert stated[1:] == table.column_names


@pytest.mark.realdata
def test_a_real_route_server_entry_by_entry(data, program, first_set):
    """NAMEX of 2020: what is listed is what bgpdump shows and the index finds invalid one by one."""
    path, index = data("mrt/namex-bgpd-rib-inet.mrt.gz"), load(first_set)
    text = subprocess.run([program("bgpdump"), "-m", str(path)], capture_output=True, check=True).stdout
    expected = set()
    for line in text.decode().splitlines():
        _, _, _, peer, _, prefix, as_path = line.split("|")[:7]
        origin = int(as_path.split()[-1]) if as_path.split()[-1].isdigit() else 0
        if index.validate(prefix, origin).label == "invalid":
            expected.add(
                (prefix, origin or None, str(ipaddress.ip_address(peer)), as_path.partition(" {")[0])
            )
    verdicts = judge(read_table(path), index)
    lan = Prefix.parse("193.201.28.0/23")
    with open_dump(path, paths=True) as opened:
        passed = passed_on(verdicts, [opened], lans=[lan])
    table = verify_table(passed)
    found = {
        (row["prefix"], row["origin"], row["peer"], " ".join(map(str, row["as_path"])))
        for row in table.to_pylist()
    }
    assert len(expected) == len(found) == table.num_rows == 297
    assert found == expected
    members = members_table(passed)
    assert 23456 not in members["asn"].to_pylist()
    assert sum(members["sessions"].to_pylist()) == 94
