"""rov audit: what it tells of a small table, and how it ends."""

import gzip
import io
import json

import pyarrow.parquet as pq
import pytest

from rov import Aspa, Prefix, Snapshot, Vrp, cli

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


def test_the_rows_of_csv(files, tmp_path, capsys):
    target = tmp_path / "out.csv"
    code, _, err = run(capsys, "audit", *files, "--output", target)
    assert (code, err) == (0, "")
    assert target.read_text().splitlines() == [
        "prefix,origin,state,reason,peers",
        "192.0.2.0/24,64496,valid,matched,9",
        "192.0.2.0/25,64496,invalid,length,1",
        "198.51.100.0/24,64498,invalid,asn,3",
        "203.0.113.0/24,64499,invalid,as0,1",
        "2001:db8::/32,64496,not_found,not_covered,9",
    ]


def test_csv_on_stdout_stands_alone(files, capfdbinary):
    assert cli.main(["audit", *map(str, files), "--output", "-"]) == 0
    out, _ = capfdbinary.readouterr()
    assert out.startswith(b"prefix,origin,state,reason,peers\n192.0.2.0/24,64496,valid")
    assert len(out.splitlines()) == 6


def test_the_document(files, capsys):
    code, out, _ = run(capsys, "audit", *files, "--json", "--min-peers", 2)
    found = json.loads(out)
    assert code == 0
    assert (found["schema"], found["min_peers"]) == ("rov.audit/1", 2)
    assert found["sections"]["verdicts"]["ipv4"]["reasons"] == {"asn": 1, "length": 0, "as0": 0}
    assert found["sections"]["impact"]["ipv4"]["classes"]["unreachable"] == 1
    assert found["sections"]["coverage"]["ipv4"]["coverage"] == 1.0
    assert found["sections"]["hygiene"]["vrps"] == 3


def test_fail_on(files, capsys):
    assert run(capsys, "audit", *files, "--fail-on", "invalid")[0] == 1
    assert run(capsys, "audit", *files, "--fail-on", "invalid", "--min-peers", 9)[0] == 0


def test_min_peers_stands_beside_the_figures_and_invalids_are_listed(files, capsys):
    code, out, _ = run(capsys, "audit", *files, "--list", "--limit", 2)
    assert code == 0
    assert "(min_peers 1)" in out
    listed = out[out.index("Invalid routes, the most visible first") :].splitlines()
    assert [line.split()[0] for line in listed[2:4]] == ["198.51.100.0/24", "192.0.2.0/25"]
    assert listed[3].split()[-2:] == ["192.0.2.0/24", "AS64496"]
    assert listed[-1].startswith("... and 1 more")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Missing option '--vrps'"),
        (["--output", "x.txt"], "expected a name that ends in .parquet, .csv, .json, .jsonl"),
        (["--min-peers", "0"], "Invalid value for '--min-peers'"),
        (["--neighbor", "64500"], "--neighbor AS64500: no peer of the dump is in it"),
        (["--json", "--output", "-"], "expected one of them on stdout"),
        (["--output", "-", "--json", "--vrps", "/nonexistent"], "expected one of them on stdout"),
        (["--report", "/nonexistent/x.html"], "/nonexistent/x.html: there is no directory /nonexistent"),
        (["--output", "/nonexistent/x.csv"], "/nonexistent/x.csv: there is no directory /nonexistent"),
        (["--delegated", "/nonexistent"], "/nonexistent: cannot be read"),
    ],
)
def test_wrong_use_is_told_in_a_line(files, arguments, expected, capsys):
    given = files if arguments else files[:1]
    code, out, err = run(capsys, "audit", *given, *arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert len(err.splitlines()) == 1


def test_a_missing_dump(files, capsys):
    code, _, err = run(capsys, "audit", "/nonexistent", *files[1:])
    assert code == 2
    assert err == "rov: error: /nonexistent: cannot be read: No such file or directory\n"


# --- one question at a time


def test_impact(files, tmp_path, capsys):
    target = tmp_path / "impact.json"
    code, out, err = run(capsys, "impact", *files, "--output", target, "--fail-on", "unreachable")
    assert (code, err) == (1, "")
    rows = {row["prefix"]: row for row in json.loads(target.read_text())}
    assert rows["192.0.2.0/25"]["class"] == "rescued_same_origin_valid"
    assert rows["192.0.2.0/25"]["cover_prefix"] == "192.0.2.0/24"
    assert rows["192.0.2.0/25"]["vrps"] == ["192.0.2.0/24-24 AS64496"]
    assert rows["198.51.100.0/24"]["class"] == "unreachable"
    assert rows["198.51.100.0/24"]["cover_prefix"] is None
    assert "Impact of dropping invalid routes" in out


def test_impact_of_a_class(files, capsys):
    code, out, _ = run(capsys, "impact", *files, "--class", "rescued_same_origin_valid", "--json")
    assert code == 0
    assert json.loads(out)["sections"]["impact"]["ipv4"]["classes"]["rescued_same_origin_valid"] == 1
    code, out, _ = run(capsys, "impact", *files, "--class", "rescued_same_origin_valid")
    assert out.splitlines()[-1].startswith("192.0.2.0/25")


def test_coverage_by_as_and_by_country(files, tmp_path, capsys):
    code, out, _ = run(capsys, "coverage", *files)
    assert code == 0
    assert "AS64496" in out
    delegated = tmp_path / "delegated"
    delegated.write_text("ripencc|NL|ipv4|192.0.2.0|256|20260101|allocated\n")
    target = tmp_path / "coverage.csv"
    code, _, err = run(
        capsys, "coverage", *files, "--by", "country", "--delegated", delegated, "--output", target
    )
    assert (code, err) == (0, "")
    lines = [line.split(",")[:7] for line in target.read_text().splitlines()]
    assert ["NL", "false", "4", "2", "1", "1", "0"] in lines
    assert ["", "true", "4", "4", "1", "3", "0"] in lines


def test_countries_are_compared(files, tmp_path, capsys):
    """Best covered first, IPv4 and IPv6 together."""
    (tmp_path / "more.csv").write_text(
        "prefix,origin\n192.0.2.0/24,64496\n2001:db8::/32,64496\n2001:db8:1::/48,64496\n198.51.100.0/24,64496\n"
    )
    delegated, page = tmp_path / "delegated", tmp_path / "page.html"
    delegated.write_text(
        "ripencc|NL|ipv4|192.0.2.0|256|20260101|allocated\n"
        "apnic|JP|ipv4|198.51.100.0|256|20260101|allocated\n"
        "apnic|JP|ipv6|2001:db8::|32|20260101|allocated\n"
    )
    _, option, vrps = files[:3]
    more = ("--by", "country", "--delegated", delegated, "--report", page, "--json")
    code, out, _ = run(capsys, "coverage", tmp_path / "more.csv", option, vrps, *more)
    first, second = json.loads(out)["sections"]["coverage"]["countries"]
    assert (code, first["country"], first["coverage"], first["ipv6_coverage"]) == (0, "NL", 1.0, None)
    assert (second["country"], second["routes"], second["accuracy"]) == ("JP", 3, 0.0)
    text = page.read_text()
    assert "Countries compared: the 2 with most routes" in text
    assert 'aria-label="NL: valid: 1 routes (100.0 %)"' in text


def test_impact_by_country_and_registry(files, tmp_path, capsys):
    delegated, rows = tmp_path / "delegated", tmp_path / "rows.csv"
    delegated.write_text("ripencc|NL|ipv4|192.0.2.0|256|20260101|allocated\n")
    assert run(capsys, "impact", *files, "--delegated", delegated, "--output", rows)[0] == 0
    head, first, second, _ = (line.split(",") for line in rows.read_text().splitlines())
    assert (head[0], head[-2:]) == ("prefix", ["country", "registry"])
    assert (first[0], first[-2:]) == ("192.0.2.0/25", ["NL", "ripencc"])
    assert (second[0], second[-2:]) == ("198.51.100.0/24", ["", ""])
    assert run(capsys, "impact", *files, "--delegated", tmp_path / "none")[0] == 2


def test_coverage_by_country_needs_the_registries(files, capsys):
    code, _, err = run(capsys, "coverage", *files, "--by", "country")
    assert (code, err.count("\n")) == (2, 1)
    assert "--delegated FILE" in err


def test_lint_shows_the_vrps_with_a_fault(files, capsys):
    code, out, _ = run(capsys, "lint", *files, "--fail-on", "as0_announced")
    assert code == 1
    rows = [line for line in out[out.index("\nVRPs\n") :].splitlines() if "AS" in line]
    # documentation has the first prefix, and both ASes
    assert [(row.split()[0], "bogon" in row) for row in rows] == [
        ("192.0.2.0/24", True),
        ("198.51.100.0/23", True),
        ("203.0.113.0/24", False),
    ]
    assert run(capsys, "lint", *files, "--asn", "64496", "--fail-on", "loose")[0] == 0
    assert run(capsys, "lint", *files, "--asn", "64497", "--fail-on", "loose")[0] == 1


def test_the_covering_vrps_of_each_route(files, tmp_path, capsys):
    target = tmp_path / "out.csv"
    assert run(capsys, "audit", *files, "--covering", "--output", target)[0] == 0
    head, first, *_ = target.read_text().splitlines()
    assert head == "prefix,origin,state,reason,peers,vrps"
    assert first == "192.0.2.0/24,64496,valid,matched,9,192.0.2.0/24-24 AS64496"


def test_a_page_that_cannot_be_written_is_told_before_anything_is_read(files, tmp_path, capsys):
    for target, reason in (
        (tmp_path / "none" / "x.html", "there is no directory"),
        (tmp_path, "a directory"),
    ):
        code, _, err = run(capsys, "audit", tmp_path / "none", *files[1:], "--report", target)
        assert (code, err.count("\n")) == (2, 1)
        assert "--report" in err
        assert reason in err


def test_standard_input_is_called_so(files, tmp_path, capsys, monkeypatch):
    page = tmp_path / "page.html"
    with open(files[0], "rb") as rib:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(rib))
        code, out, _ = run(capsys, "audit", "-", *files[1:], "--report", page)
    assert (code, out.partition(" against ")[0]) == (0, "standard input")
    assert "<title>Route origin audit: standard input</title>" in page.read_text()


def test_a_dump_that_is_cut_short_is_told_where_its_figures_are(files, tmp_path, capsys):
    cut, page, rows = tmp_path / "cut.csv.gz", tmp_path / "page.html", tmp_path / "rows.parquet"
    cut.write_bytes(gzip.compress(ROUTES.encode())[:-4])
    options = ("--json", "--report", page, "--output", rows)
    code, out, err = run(capsys, "audit", cut, *files[1:], *options)
    reason = f"{cut}: the gzip data is cut short"
    assert (code, err, json.loads(out)["warnings"]) == (0, f"rov: {reason}\n", [reason])
    assert f"<dt>Not read whole</dt><dd>{reason}</dd>" in page.read_text()
    assert reason.encode() in b"".join(pq.read_schema(rows).metadata.values())


def test_the_page_is_written(files, tmp_path, capsys):
    target = tmp_path / "report.html"
    assert run(capsys, "audit", *files, "--report", target)[0] == 0
    assert "At a glance" in target.read_text()


# --- AS paths


def test_aspa_needs_aspas_and_dumps_that_can_be_read_twice(files, tmp_path, capsys):
    code, _, err = run(capsys, "audit", *files, "--aspa", "downstream")
    assert (code, err) == (2, "rov: error: --aspa: the VRP file has no ASPAs\n")
    vrps = tmp_path / "aspas.snapshot"
    Snapshot.from_vrps(VRPS, aspas=[Aspa(64496, (64497,))]).save(vrps)
    code, _, err = run(capsys, "audit", files[0], "--vrps", vrps, "--aspa", "downstream")
    assert code == 2
    assert err.endswith("expected an MRT dump, CSV has no AS paths\n")


@pytest.mark.realdata
def test_aspa_of_a_route_server(data, tmp_path, capsys):
    vrps, target = tmp_path / "aspas.snapshot", tmp_path / "out.csv"
    Snapshot.from_vrps(VRPS, aspas=[Aspa(3303, (64496,))]).save(vrps)
    rib = data("mrt/namex-bgpd-rib-inet.mrt.gz")
    code, out, _ = run(
        capsys, "audit", rib, "--vrps", vrps, "--aspa", "upstream", "--json", "--output", target
    )
    assert code == 0
    found = json.loads(out)
    assert sum(found["sections"]["paths"]["entries"]["ipv4"].values()) == found["met"]["entries"] == 3426
    head, *rows = target.read_text().splitlines()
    assert head == "prefix,origin,state,reason,peers,aspa_unknown,aspa_valid,aspa_invalid"
    assert (
        sum(int(row.rsplit(",", 1)[1]) for row in rows)
        == (found["sections"]["paths"]["entries"]["ipv4"]["invalid"])
    )


@pytest.mark.realdata
def test_the_routes_of_one_neighbor(data, files, capsys):
    rib = data("mrt/namex-bgpd-rib-inet.mrt.gz")
    code, out, _ = run(capsys, "audit", rib, *files[1:], "--neighbor", "AS3303", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["neighbor"] == 3303
    assert 0 < found["routes"]["ipv4"] < 2930
