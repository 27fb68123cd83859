"""``rov audit --neighbor``: a made RIB with a route for each reason to filter it."""

import csv
import json

import numpy as np
import pytest

from rov import Aspa, Prefix, Snapshot, Vrp, VrpIndex, cli
from rov.audit import judge
from rov.audit.neighbor import LONGEST_PATH, Unfiltered, unfiltered, unfiltered_table
from rov.report import Subject
from rov.report.neighbor import LISTED, neighbor_answer
from rov.rib import RouteColumns, RouteTable
from tests import mrt_writer as mrt

THEM, OTHER = ("192.0.2.2", 64601), ("192.0.2.3", 3356)

VRPS = [
    Vrp(Prefix.parse("1.0.0.0/16"), 24, 3333),
    Vrp(Prefix.parse("1.8.0.0/16"), 16, 0),
    Vrp(Prefix.parse("1.9.0.0/16"), 16, 3333),
]
ASPAS = [Aspa(3333, (1299, THEM[1]))]

EXPECTED = {
    "1.0.0.0/16": [],
    "1.0.1.0/24": ["rpki_invalid_asn"],
    "1.9.1.0/24": ["rpki_invalid_len"],
    "1.8.0.0/16": ["rpki_invalid_as0"],
    "10.0.0.0/8": ["bogon_prefix"],
    "5.0.0.0/16": ["bogon_asn"],
    "5.1.0.0/16": ["bogon_asn"],
    "5.2.0.0/25": ["too_specific"],
    "5.3.0.0/16": ["path_too_long"],
    "5.4.0.0/16": ["aspa_invalid"],
    "5.5.0.0/16": [],
    "5.6.0.0/25": ["bogon_asn", "too_specific"],
}
PATHS = {
    "1.0.0.0/16": (3333,),
    "1.0.1.0/24": (666,),
    "1.9.1.0/24": (3333,),
    "1.8.0.0/16": (3356,),
    "10.0.0.0/8": (3356,),
    "5.0.0.0/16": (3356, 64512),
    "5.1.0.0/16": (23456, 3356),
    "5.2.0.0/25": (3356,),
    "5.3.0.0/16": (3356,) * LONGEST_PATH,
    # from a customer: 174 is no provider of 3333
    "5.4.0.0/16": (174, 3333),
    "5.5.0.0/16": (3356,) * (LONGEST_PATH - 1),
    "5.6.0.0/25": (64512, 3356),
}


@pytest.fixture
def files(tmp_path):
    octets = mrt.peer_table(THEM, OTHER)
    for prefix, path in PATHS.items():
        octets += mrt.rib(2, prefix, mrt.entry(0, mrt.path(THEM[1], *path)))
    # what only another neighbour has, and what it has of the same prefix
    octets += mrt.rib(2, "10.9.0.0/16", mrt.entry(1, mrt.path(OTHER[1])))
    octets += mrt.rib(2, "5.5.0.0/16", mrt.entry(1, mrt.path(OTHER[1], 64512, 3356)))
    (tmp_path / "rib.mrt").write_bytes(octets)
    plain = Snapshot.from_vrps(VRPS)
    Snapshot.build(plain.ipv4, plain.ipv6, aspas=ASPAS).save(tmp_path / "vrps")
    return tmp_path


def run(files, capsys, *more, rib="rib.mrt"):
    words = ["audit", files / rib, "--vrps", files / "vrps", "--neighbor", THEM[1], *more]
    code = cli.main([*map(str, words)])
    return code, *capsys.readouterr()


def test_every_reason_and_nothing_else(files, capsys):
    assert {why for reasons in EXPECTED.values() for why in reasons} | {"not_in_allowlist"} == {
        why.label for why in Unfiltered
    }
    table = files / "routes.csv"
    words = ["--aspa", "upstream", "--json", "--output", table, "--fail-on", "unfiltered"]
    code, out, err = run(files, capsys, *words)
    found = json.loads(out)["sections"]["neighbor"]
    assert (code, err) == (1, "")
    rows = {row["prefix"]: row["why"] for row in found["rows"]}
    assert rows == {prefix: why for prefix, why in EXPECTED.items() if why}
    assert (found["routes"], found["unfiltered"]) == (len(EXPECTED), len(rows))
    assert found["reasons"]["bogon_asn"] == 3
    written = {row["prefix"]: row["unfiltered"] for row in csv.DictReader(table.read_text().splitlines())}
    assert written == {prefix: "; ".join(why) for prefix, why in EXPECTED.items()}
    assert next(row for row in found["rows"] if row["prefix"] == "1.0.1.0/24")["vrps"] == [
        "1.0.0.0/16-24 AS3333"
    ]


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl.gz", "parquet"])
def test_what_is_not_in_the_list_that_filter_build_writes(files, capsys, suffix):
    entries = files / f"entries.{suffix}"
    words = [
        "filter",
        "build",
        "--customer",
        f"AS{THEM[1]} AS-X",
        "--vrps",
        files / "vrps",
        "--irr",
        files / "irr",
    ]
    (files / "irr").write_text(
        "as-set: AS-X\nmembers: AS3333\n\nroute: 5.4.0.0/16\norigin: AS3333\n\n"
        "route: 1.9.1.0/24\norigin: AS3333\n"
    )
    assert cli.main([*map(str, [*words, "--output", entries])]) == 0
    capsys.readouterr()
    code, out, err = run(files, capsys, "--allowed", entries, "--json")
    rows = {row["prefix"]: row["why"] for row in json.loads(out)["sections"]["neighbor"]["rows"]}
    assert (code, err) == (0, "")
    # the ROA of 3333, and its route object; that for 1.9.1.0/24 is RPKI-invalid, so not in the list
    assert {*EXPECTED} - {p for p, why in rows.items() if "not_in_allowlist" in why} == {
        "1.0.0.0/16",
        "5.4.0.0/16",
    }
    assert rows["1.9.1.0/24"] == ["rpki_invalid_len", "not_in_allowlist"]


def test_a_list_of_others_is_refused(files, capsys):
    (files / "entries.csv").write_text("customer,origin,prefix,le,conflict\n1,1,10.0.0.0/8,8,\n")
    code, _, err = run(files, capsys, "--allowed", files / "entries.csv")
    assert (code, f"expected entries of customer AS{THEM[1]}, found none" in err) == (2, True)
    (files / "entries.csv").write_text(f"customer,origin,prefix,le\n{THEM[1]},1,10.0.0.0/8,33\n")
    code, _, err = run(files, capsys, "--allowed", files / "entries.csv")
    assert (code, "entries.csv: line 2: expected origin, prefix and le" in err) == (2, True)


def test_what_a_terminal_and_a_page_show(files, capsys):
    code, out, _ = run(files, capsys, "--report", files / "page.html")
    assert code == 0
    assert "Of 12 routes that AS64601 sent, 9 should have been filtered there." in out
    assert "10.0.0.0/8" in out[out.index("Routes, the first") :]
    assert "What the neighbour should have filtered" in (files / "page.html").read_text()


def test_without_paths_prefix_and_origin_are_judged(files, capsys):
    lines = [f"TABLE_DUMP2|1700000000|B|{THEM[0]}|{THEM[1]}|{p}|{THEM[1]} 64512|IGP" for p in ("5.0.0.0/25",)]
    (files / "text").write_text("\n".join(lines) + "\n")
    code, out, err = run(files, capsys, "--json", rib="text")
    assert (code, err.count("\n"), "paths are not looked at" in err) == (0, 1, True)
    (row,) = json.loads(out)["sections"]["neighbor"]["rows"]
    assert row["why"] == ["bogon_asn", "too_specific"]


def test_a_neighbour_that_filters(files, capsys):
    octets = mrt.peer_table(THEM) + mrt.rib(2, "1.0.0.0/16", mrt.entry(0, mrt.path(THEM[1], 3333)))
    (files / "rib.mrt").write_bytes(octets)
    assert run(files, capsys, "--fail-on", "unfiltered")[0] == 0
    words = ["audit", files / "rib.mrt", "--vrps", files / "vrps", "--fail-on", "unfiltered"]
    assert cli.main([*map(str, words)]) == 2
    assert "expected --neighbor AS with it" in capsys.readouterr().err


def test_the_page_lists_the_first_routes_of_both_families():
    ipv4 = RouteColumns(4, (np.arange(60) << 8) + (10 << 24), [24] * 60, [13335] * 60, [1] * 60)
    words = np.array([[0xFC << 56, at] for at in range(3)], np.uint64)
    ipv6 = RouteColumns(6, words, [128] * 3, [13335] * 3, [1] * 3)
    for table in (RouteTable(ipv4, ipv6), RouteTable(ipv4.take(np.arange(2)), ipv6)):
        verdicts = judge(table, VrpIndex(Snapshot.empty()))
        found = unfiltered(verdicts)
        answer = neighbor_answer(Subject(verdicts, (), "", 64496, unfiltered=found))
        every = unfiltered_table(verdicts, found)["prefix"].to_pylist()
        assert answer.summary["unfiltered"] == len(every) == len(table)
        (grid,) = [block for block in answer.blocks if getattr(block, "title", "").startswith("Routes")]
        assert [row[0] for row in grid.rows] == every[:LISTED]
