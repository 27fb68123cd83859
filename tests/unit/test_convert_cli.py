"""rov convert: what it writes, where, and what it refuses."""

import json
import time

import pytest

import rov
from rov import cli

DOCUMENT = {
    "metadata": {"buildtime": "2025-07-20T09:31:33Z"},
    "roas": [
        {"asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 25, "ta": "ripe", "expires": 1753453058},
        {"asn": 0, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "apnic"},
    ],
    "aspas": [{"customer_asid": 1, "providers": [2]}],
}


@pytest.fixture
def path(tmp_path):
    name = tmp_path / "vrps.json"
    name.write_text(json.dumps(DOCUMENT))
    return str(name)


def run(capsysbinary, *arguments):
    code = cli.main(["convert", *arguments])
    out, err = capsysbinary.readouterr()
    return code, out, err.decode()


@pytest.mark.parametrize("to", sorted(rov.OUTPUTS))
def test_each_format_is_what_the_library_writes(path, capsysbinary, to):
    expected = b"".join(rov.encode(rov.read(path), to, at=1753003893))
    assert run(capsysbinary, "--to", to, path) == (0, expected, "")


def test_a_saved_snapshot_is_a_source_and_a_compressed_file_a_target(path, tmp_path, capsysbinary):
    rov.read(path).save(tmp_path / "vrps.rov")
    out = tmp_path / "out.csv.xz"
    assert run(capsysbinary, "--to", "csv", "--output", str(out), str(tmp_path / "vrps.rov")) == (0, b"", "")
    assert list(rov.read(out)) == list(rov.read(path))


def test_parts_and_a_family_can_be_left_out(path, capsysbinary):
    arguments = ["--to", "json", "--exclude", "aspas", "--exclude", "router-keys", "--family", "6", path]
    _, out, _ = run(capsysbinary, *arguments, "--dialect", "routinator")
    found = json.loads(out)
    assert [row["prefix"] for row in found["roas"]] == ["2001:db8::/32"]
    assert set(found) == {"metadata", "roas"}
    _, out, _ = run(capsysbinary, "--to", "json", "--exclude", "vrps", path)
    assert (json.loads(out)["roas"], len(json.loads(out)["aspas"])) == ([], 1)


def test_the_present_stands_where_the_source_states_no_time(tmp_path, capsysbinary):
    (tmp_path / "x.json").write_text(json.dumps(DOCUMENT["roas"]))
    before = int(time.time())
    arguments = ["--to", "json", "--dialect", "routinator", str(tmp_path / "x.json")]
    _, out, _ = run(capsysbinary, *arguments)
    assert before <= json.loads(out)["metadata"]["generated"] <= time.time()


def test_what_arouteserver_needs(path, capsysbinary):
    _, out, _ = run(capsysbinary, "--to", "json", "--dialect", "arouteserver", path)
    found = json.loads(out)
    assert found["metadata"]["buildtime"] == "2025-07-20T09:31:33Z"
    assert found["roas"][0] == {
        "asn": "AS64496",
        "prefix": "192.0.2.0/24",
        "maxLength": 25,
        "ta": "ripe",
        "expires": 1753453058,
    }


def test_bad_rows_are_told_or_refused(tmp_path, capsysbinary):
    (tmp_path / "x.json").write_text(json.dumps([*DOCUMENT["roas"], {"asn": "AS", "prefix": "x"}]))
    code, out, err = run(capsysbinary, "--to", "csv", str(tmp_path / "x.json"))
    assert (code, out) == (2, b"")
    assert "row 3" in err
    code, out, err = run(capsysbinary, "--no-strict", "--to", "csv", str(tmp_path / "x.json"))
    assert (code, out.count(b"\n")) == (0, 3)
    assert "1 bad rows left out" in err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "Missing argument"),
        (["x"], "Missing option '--to'"),
        (["--to", "xml", "x"], "'xml' is not one of"),
        (["--to", "csv", "/nonexistent"], "/nonexistent: cannot be read: No such file"),
        (["--to", "csv", "--output", "/nonexistent/x", "PATH"], "No such file or directory"),
        (["--to", "rpsl", "--dialect", "rpki-client", "PATH"], "expected one of routinator"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(path, capsysbinary, arguments, what):
    code, out, err = run(capsysbinary, *[path if word == "PATH" else word for word in arguments])
    assert (code, out, err.count("\n")) == (2, b"", 1)
    assert what in err
