"""rov convert: what it writes, where, and what it refuses."""

import http.server
import io
import json
import threading
import time

import pytest

import rov
from rov import archive, cli

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


@pytest.fixture(scope="module")
def site():
    """A server of one file, which it cuts short under another name."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(DOCUMENT).encode()
            known = self.path in ("/vrps.json", "/short.json")
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:50] if self.path == "/short.json" else body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_url_is_a_source(site, path, capsysbinary):
    expected = b"".join(rov.encode(rov.read(path), "csv", at=0))
    assert run(capsysbinary, "--to", "csv", f"{site}/vrps.json") == (0, expected, "")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("nothing.json", "cannot be read: HTTP status 404"),
        ("short.json", "cannot be read: Connection broken: IncompleteRead"),
    ],
)
def test_what_a_url_does_not_give_is_said(site, capsysbinary, name, what):
    code, out, err = run(capsysbinary, "--to", "csv", f"{site}/{name}")
    assert (code, out, err.count("\n")) == (2, b"", 1)
    assert f"{site}/{name}: {what}" in err


def test_standard_input_is_a_source(path, capsysbinary, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(DOCUMENT).encode())))
    expected = b"".join(rov.encode(rov.read(path), "csv", at=0))
    assert run(capsysbinary, "--to", "csv", "-") == (0, expected, "")


def test_an_archive_is_a_source_at_any_time(path, tmp_path, capsysbinary):
    whole = rov.read(path)
    with archive.Archive(tmp_path / "history") as writer:
        writer.append(whole.within("192.0.2.0/24"), time=1700000000, serial=1, source="x")
        writer.append(whole, time=1700000600, serial=2, source="x")
    folder = str(tmp_path / "history")
    found = {}
    for at in ("1700000000", "2023-11-14T22:13:30Z", "1700000600", "1800000000", None):
        when = () if at is None else ("--at", at)
        code, out, err = run(capsysbinary, "--to", "json", *when, folder)
        assert (code, err) == (0, "")
        again = json.loads(out)
        found[at] = (len(again["roas"]), again["metadata"]["buildtime"])
    old, new = (1, "2023-11-14T22:13:20Z"), (2, "2023-11-14T22:23:20Z")
    assert list(found.values()) == [old, old, new, new, new]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "Missing argument"),
        (["x"], "Missing option '--to'"),
        (["--to", "xml", "x"], "'xml' is not one of"),
        (["--to", "csv", "/nonexistent"], "/nonexistent: cannot be read: No such file"),
        (
            ["--to", "csv", "--output", "/nonexistent/x", "PATH"],
            "error: /nonexistent/x: No such file or dir",
        ),
        (["--to", "csv", "--at", "5", "PATH"], "no archive, which is a directory"),
        (["--to", "csv", "--at", "x", "PATH"], "expected unix seconds or a time such as"),
        (["--to", "csv", "http://127.0.0.1:1/x"], "http://127.0.0.1:1/x: cannot be read"),
        (["--to", "rpsl", "--dialect", "rpki-client", "PATH"], "expected one of routinator"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(path, capsysbinary, arguments, what):
    code, out, err = run(capsysbinary, *[path if word == "PATH" else word for word in arguments])
    assert (code, out, err.count("\n")) == (2, b"", 1)
    assert what in err
