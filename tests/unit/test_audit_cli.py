"""rov audit: what it tells of a small table, and how it ends."""

import json

import pytest

from rov import Prefix, Snapshot, Vrp, cli

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
