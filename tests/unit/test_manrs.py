"""Scores by the formulas of MANRS: hand-computed cases, and real ASes counted once more."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from rov import Prefix, Snapshot, Vrp, VrpIndex, cli
from rov.audit import judge
from rov.audit.manrs import MANRS, Thresholds, incident_weight, incidents_weight, manrs_table
from rov.audit.participants import PARTICIPANTS, participants_table
from rov.errors import ReferenceFileError
from rov.reference.participants import read_participants
from rov.rib import RouteColumns, RouteTable, read_table

ROUTES = "prefix,origin\n" + "".join(f"10.0.{n}.0/24,64500\n" for n in range(20)) + "10.1.0.0/24,64501\n"
IRR = """route: 10.0.0.0/24
origin: AS64500

route: 10.0.0.0/22
origin: AS64500

route: 10.0.1.0/99
origin: AS64500

aut-num: AS64500
import: from AS1 accept ANY
export: to AS1 announce AS64500
admin-c: AA1-TEST
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "rib.csv").write_text(ROUTES)
    (tmp_path / "irr.db").write_text(IRR)
    (tmp_path / "asns").write_text("AS64500 # ours\n\n64501\n64502\n")
    vrps = [Vrp(Prefix.parse(f"10.0.{n}.0/24"), 24, 64500) for n in range(17)]
    vrps += [Vrp(Prefix.parse("10.0.17.0/24"), 24, 64501)]
    Snapshot.from_vrps(vrps).save(tmp_path / "vrps")
    return tmp_path


def run(files, capsys, *more):
    base = ["manrs", "score", files / "rib.csv", "--vrps", files / "vrps", "--asns", files / "asns"]
    code = cli.main([*map(str, base), *map(str, more)])
    return code, *capsys.readouterr()


def test_scores_by_hand(files, capsys):
    code, out, _ = run(files, capsys, "--irr", files / "irr.db", "--json", "--fail-on", "lagging")
    document = json.loads(out)
    ours, other, silent = document["rows"]
    assert code == 1
    assert (document["framework"], document["min_peers"]) == ("2024-01", 1)
    assert document["thresholds"] == {"ready": 0.8, "aspiring": 0.6}
    assert (ours["announced"], ours["valid"], ours["invalid_asn"], ours["notfound"]) == (20, 17, 1, 2)
    assert ours["m7rpki"] == ours["m7rpki_raw"] == pytest.approx((17 - 10) / 20)
    assert ours["m7rpkin"] == pytest.approx(1 / 20)
    assert (ours["m7irr"], ours["m6"], ours["m8"]) == (1 / 20, True, True)
    assert (other["m7rpki"], other["severity"], other["m6"]) == (0.0, "lagging", None)
    assert (silent["announced"], silent["severity"]) == (0, "no_data_available")
    assert document["irr_skipped"] == 1
    _, out, _ = run(files, capsys, "--irr", files / "irr.db", "--irr-match", "covering", "--json")
    assert json.loads(out)["rows"][0]["m7irr"] == 4 / 20


def test_the_place_in_the_country(files, capsys):
    """Of the list, by score; who announces nothing has none, nor has an AS of which no country is known."""
    places = []
    for delegated in ("ripencc|NL|asn|64500|3", "ripencc|NL|asn|64501|1"):
        (files / "delegated").write_text(f"{delegated}|20260101|allocated\n")
        _, out, _ = run(files, capsys, "--delegated", files / "delegated", "--json")
        places.append([(row["country"], row["rank_in_country"]) for row in json.loads(out)["rows"]])
    assert places == [[("NL", 1), ("NL", 2), ("NL", None)], [(None, None), ("NL", 1), (None, None)]]


@pytest.mark.parametrize("lines", ["admin-c: Not available", "admin-c: N/A\ntech-c: none.", "tech-c: -"])
def test_who_is_not_available_is_no_contact(files, capsys, lines):
    objects = IRR.replace("admin-c: AA1-TEST", lines)
    for more, contact in (("", False), ("\ntech-c: George Example", True), ("\ntech-c: None-TEST", True)):
        (files / "irr.db").write_text(f"{objects.rstrip()}{more}\n")
        _, out, _ = run(files, capsys, "--irr", files / "irr.db", "--json")
        assert json.loads(out)["rows"][0]["m8"] is contact


def test_thresholds_of_a_file(files, capsys):
    path = files / "limits.json"
    path.write_text('{"ready": 0.35, "aspiring": 0.1}')
    code, out, _ = run(files, capsys, "--thresholds", path)
    assert code == 0
    assert "ready from 35%, aspiring from 10%" in out
    assert "1 ready" in out


@pytest.mark.parametrize("content", ["{", '{"ready": 0.1}', '{"ready": "x"}', '{"other": 1}'])
def test_bad_thresholds(files, capsys, content):
    path = files / "limits.json"
    path.write_text(content)
    code, out, err = run(files, capsys, "--thresholds", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{path}: expected" in err
    code, _, err = run(files, capsys, "--thresholds", files / "none")
    assert (code, err) == (2, f"rov: error: {files}/none: cannot be read: No such file or directory\n")


def test_bad_asns(files, capsys):
    (files / "asns").write_text("64500\nx\n")
    code, _, err = run(files, capsys)
    assert code == 2
    assert "asns: line 2: expected an AS number" in err


def test_weights_of_incidents():
    """The vector that MANRS gives: 29 minutes, 13 hours and 25 hours are 0.5, 1 and 2."""
    hour = 3600
    assert incidents_weight([(0, 29 * 60), (100 * hour, 113 * hour), (200 * hour, 225 * hour)]) == 3.5
    assert incidents_weight([(0, 13 * hour), (12 * hour, 25 * hour), (1, 2)]) == 2
    assert [incident_weight(hours * hour) for hours in (0.49, 0.5, 23.9, 24, 48)] == [0.5, 1, 1, 2, 3]
    assert Thresholds().severity(0.8) == "ready"


PUBLISHED = {
    "participants": [
        {
            "id": 7,
            "name": "Ours",
            "areas_served": ["JP", "US"],
            "ASNs": ["AS64500", 64501],
            "member_since": "2020-01-15",
            "filtering": {"conformance": "Conformant"},
            "anti_spoofing": {"conformance": "conformant", "score": {"value": 50, "severity": "aspiring"}},
            "routing_information": {
                "score_irr": {"value": 25, "severity": "lagging"},
                "score_rpki": {"value": 100, "severity": "ready"},
            },
        },
        {"id": "x", "name": "Silent", "ASNs": [64502], "coordination": None},
    ]
}


def beside(files, capsys, content, *more):
    (files / "p").write_text(content)
    base = ["manrs", "table", files / "rib.csv", "--vrps", files / "vrps", "--participants", files / "p"]
    code = cli.main([*map(str, base), *map(str, more)])
    return code, *capsys.readouterr()


def test_scores_beside_the_published_ones(files, capsys):
    code, out, _ = beside(files, capsys, json.dumps(PUBLISHED), "--irr", files / "irr.db", "--json")
    document = json.loads(out)
    ours, silent = document["rows"]
    assert (code, document["schema"], document["framework"]) == (0, "rov.manrs.table/1", "2024-01")
    # 64500 and 64501 together: 21 routes, 17 valid, 1 invalid, 1 registered; published are percentages
    assert (ours["asns"], ours["announced"], ours["valid"]) == ([64500, 64501], 21, 17)
    assert ours["m7rpki"] == pytest.approx(7 / 21)
    assert (ours["published_rpki"], ours["published_rpki_severity"], ours["severity"]) == (
        1,
        "ready",
        "lagging",
    )
    assert ours["difference_rpki"] == pytest.approx(7 / 21 - 1)
    assert ours["difference_irr"] == pytest.approx(1 / 21 - 0.25)
    assert (ours["filtering"], ours["anti_spoofing_score"], ours["areas"]) == (
        "conformant",
        0.5,
        ["JP", "US"],
    )
    assert (silent["name"], silent["announced"], silent["difference_rpki"]) == ("Silent", 0, None)
    assert document["summary"]["mean_difference_rpki"] == pytest.approx(14 / 21)
    code, out, _ = beside(files, capsys, json.dumps(PUBLISHED), "--fail-on", "lagging")
    assert (code, "Ours" in out, "-0.6667" in out) == (1, True, True)


def test_the_table_of_the_observatory(files, capsys):
    text = "ASN,Holder,Country,Filtering,Global Validation IRR,Global Validation RPKI\n64500,Us,JP,1,,0.35\n"
    _, out, _ = beside(files, capsys, text, "--output", "-")
    header, row = out.splitlines()
    found = dict(zip(header.split(","), row.split(","), strict=True))
    assert (found["name"], found["published_rpki"], found["published_irr"]) == ("Us", "0.35", "")
    assert float(found["difference_rpki"]) == pytest.approx(0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "p: expected {"),
        ("{", "p: expected {"),
        ('{"participants": []}', "found no participant"),
        ('{"participants": [{"name": "A"}]}', "ASNs"),
        ('{"participants": [{"name": "A", "ASNs": ["x"]}]}', "participant 1 ('A'): expected AS numbers"),
        ('{"participants": [{"ASNs": [], "filtering": {"score": 1}}]}', "expected a score as value"),
        ('{"participants": [{"ASNs": [], "filtering": {"score": {"value": 101}}}]}', "score 101"),
        ("ASN,Holder\n1,a\nx,b\n", "p: line 3: expected an AS number, found 'x'"),
        ("ASN,Global Validation RPKI\n1,high\n", "p: line 2: could not convert"),
        ("name,asn\n", "found 'name,asn'"),
        ("[" * 200_000, "p: line 1: field larger than field limit"),
    ],
)
def test_bad_participants(files, capsys, content, message):
    code, out, err = beside(files, capsys, content)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_the_page_names_every_column():
    page = (Path(__file__).parents[2] / "docs" / "manrs.md").read_text()
    empty = judge(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)), VrpIndex(Snapshot.empty()))
    for schema, table in ((MANRS, manrs_table(empty, [])), (PARTICIPANTS, participants_table(empty, []))):
        part = re.split(r"^#", page.split(f"`{schema.name}`, one row", 1)[1], maxsplit=1, flags=re.MULTILINE)[
            0
        ]
        stated = [
            name for row in re.findall(r"^\| ([a-z0-9_, ]+) \|", part, re.M) for name in row.split(", ")
        ]
        assert stated[1:] == table.column_names


@pytest.mark.realdata
def test_published_scores_of_real_ases(data):
    known = read_participants(data("as/MANRS_Details_202210_LACNIC.csv.xz"))
    by_asn = {who.asns[0]: who for who in known}
    unam = by_asn[278]
    assert len(by_asn) == len(known) == 11_645
    assert (unam.areas, unam.routing_information.score_rpki.value) == (("MX",), 0.67)
    with pytest.raises(ReferenceFileError, match="expected"):
        read_participants(data("as/pyasn_asnames.json.xz"))


@pytest.mark.realdata
def test_real_ases_counted_once_more(data, first_snapshot):
    verdicts = judge(read_table(data("rib/riswhoisdump_20241220.IPv6.gz")), VrpIndex(first_snapshot))
    asns = [6939, 2500, 13335, 4200000000]
    for row in manrs_table(verdicts, asns).to_pylist():
        states = verdicts.ipv6.states[verdicts.ipv6.routes.origins == row["asn"]]
        valid, invalid = int((states == 1).sum()), int((states == 2).sum())
        assert (row["announced"], row["valid"]) == (len(states), valid)
        assert row["invalid_asn"] + row["invalid_len"] == invalid
        if len(states):
            raw = (valid - 10 * invalid) / len(states)
            assert row["m7rpki"] == pytest.approx(np.clip(raw, 0, 1))
