"""``rov watch`` as a command: files, pipes, a restart, receivers of alerts, disks that are full."""

import contextlib
import errno
import http.server
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from rov import Prefix, State, Vrp, VrpIndex
from rov.cli import main
from rov.cli.webhook import Webhook
from rov.live.monitor import Monitor
from tests.unit.test_incidents import heard
from tests.unit.test_watch import RIS, index


@pytest.fixture
def watch(tmp_path, capsys):
    index([Vrp(Prefix.parse("1.0.0.0/8"), 8, 3333)]).snapshot.save(tmp_path / "vrps")

    def run(*words):
        code = main([*map(str, ["watch", "--vrps", tmp_path / "vrps", "--once", *words])])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_files_of_a_directory_and_a_restart(watch, tmp_path):
    updates = tmp_path / "updates"
    updates.mkdir()
    (updates / "1.mrt").write_bytes(heard(0, 64601, "1.0.7.0/24", 666) + heard(1, 64602, "1.0.7.0/24", 666))
    (updates / ".hidden").write_bytes(b"no dump")
    code, out, err = watch(updates, "--state", tmp_path / "state", "--fail-on", "alert")
    (alert,) = map(json.loads, out.splitlines())
    assert (code, alert["event"], alert["cause"], alert["prefix"], alert["origin"]) == (
        1, "invalid", "update", "1.0.7.0/24", 666,
    )  # fmt: skip
    assert (alert["reason"], alert["vrps"], alert["peer_as"]) == ("asn", ["1.0.0.0/8-8 AS3333"], 64601)
    assert "2 updates, 2 routes, 1 invalid, 1 alerts" in err
    # nothing is told twice, and the other peer's withdrawal clears it
    assert watch(updates, "--state", tmp_path / "state")[:2] == (0, "")
    (updates / "2.mrt").write_bytes(heard(9, 64601, "1.0.7.0/24"))
    assert watch(updates, "--state", tmp_path / "state")[1] == ""
    (updates / "3.mrt").write_bytes(heard(10, 64602, "1.0.7.0/24"))
    (alert,) = map(json.loads, watch(updates, "--state", tmp_path / "state")[1].splitlines())
    assert (alert["event"], alert["state"]) == ("cleared", "gone")


def test_vrps_that_changed_while_it_was_down(watch, tmp_path):
    (tmp_path / "u").write_bytes(heard(0, 64601, "1.0.7.0/24", 666) + heard(0, 64601, "3.0.0.0/8", 666))
    watch(tmp_path / "u", "--state", tmp_path / "state")
    index([Vrp(Prefix.parse("3.0.0.0/8"), 8, 9)]).snapshot.save(tmp_path / "vrps")
    alerts = [
        json.loads(line) for line in watch(tmp_path / "u", "--state", tmp_path / "state")[1].splitlines()
    ]
    assert {(one["event"], one["cause"], one["prefix"], one["state"]) for one in alerts} == {
        ("cleared", "vrps", "1.0.7.0/24", "not_found"),
        ("invalid", "vrps", "3.0.0.0/8", "invalid"),
    }


def test_mail_filters_and_a_webhook(watch, tmp_path):
    (tmp_path / "u").write_bytes(heard(0, 64601, "1.0.7.0/24", 666) + heard(0, 64601, "1.1.7.0/24", 667))
    _, out, _ = watch(tmp_path / "u", "--format", "mail", "--asn", "666")
    assert out.startswith("Subject: rov: 1.0.7.0/24 AS666 invalid\n\n2023-11-14 22:13:20 UTC")
    assert "VRP 1.0.0.0/8-8 AS3333" in out
    assert "1.1.7.0/24" not in out
    assert len(watch(tmp_path / "u", "--asn", "3333")[1].splitlines()) == 2, "the holder hears of both"
    assert len(watch(tmp_path / "u", "--prefix", "1.1.0.0/16")[1].splitlines()) == 1
    got = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        watch(tmp_path / "u", "--webhook", f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
        thread.join()
    assert sorted(alert["origin"] for alert in got[0]) == [666, 667]
    code, out, err = watch(tmp_path / "u", "--webhook", f"http://127.0.0.1:{server.server_port}/")
    assert (code, len(out.splitlines()), "alerts were not taken" in err) == (0, 2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected SOURCE or --bmp"),
        (["/nonexistent"], "there is no such file or directory"),
        (["--bmp", "x"], "expected ADDRESS:PORT"),
        (["-", "--webhook", "file:///etc/passwd"], "expected a URL of http or https"),
        (["-", "--webhook", "http://[::1"], "expected a URL of http or https"),
        (["-", "--webhook", "http://a b/"], "expected a URL of http or https"),
    ],
)
def test_wrong_usage(watch, words, said):
    code, _, err = watch(*words)
    assert (code, said in err) == (2, True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"hello\r\n\r\n", "alerts were not taken: hello"),
        (b"HTTP/1.1 500 No\r\n\r\n", "HTTP Error 500"),
        (b"", "no answer"),
    ],
)
def test_a_receiver_that_is_no_good(watch, tmp_path, monkeypatch, answer, said):
    """One that talks nonsense, refuses, or sends its answer octet by octet without end."""
    monkeypatch.setattr("rov.cli.webhook.SECONDS", 0.3)
    (tmp_path / "u").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
    over = threading.Event()

    def receive(listener):
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(answer or b"HTTP/1.1 200 OK\r\nX: ")
            while not answer and not over.wait(0.05):
                connection.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=receive, args=[listener])
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        code, out, err = watch(tmp_path / "u", "--webhook", url)
        over.set()
        thread.join()
    assert (code, len(out.splitlines()), said in err, "1 alerts" in err) == (0, 1, True, True), err


def test_what_waits_for_a_receiver_is_bounded(monkeypatch, capsys):
    """It is sent in parts, and what does not fit is told, while the caller goes on."""
    monkeypatch.setattr("rov.cli.webhook.MAX_WAITING", 5)
    monkeypatch.setattr("rov.cli.webhook.AT_ONCE", 2)
    posted, taken, go = [], threading.Event(), threading.Event()

    def post(_, body):
        taken.set()
        go.wait(60)
        posted.append(json.loads(body))

    monkeypatch.setattr(Webhook, "_post", post)
    receiver = Webhook("http://192.0.2.1/")
    receiver.give([b"1"])
    assert taken.wait(60)
    receiver.give([b"2", b"3", b"4"])
    receiver.give([b"5", b"6", b"7", b"8"])
    go.set()
    receiver.close()
    assert posted == [[1], [2, 3], [4, 5], [6]]
    assert "2 alerts were not sent" in capsys.readouterr().err


def test_a_full_disk_and_a_file_that_cannot_be_read_do_not_end_it(watch, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
    (tmp_path / "in" / "2").symlink_to("/proc/self/mem")
    monkeypatch.setattr("rov.cli.watch.STATE_SECONDS", -1.0)
    monkeypatch.setattr("rov.live.monitor.write_file", _full)
    code, out, err = watch(tmp_path / "in", "--state", tmp_path / "state")
    assert (code, len(out.splitlines())) == (2, 1)
    assert "state: the state was not kept: No space left on device" in err
    assert f"rov: {tmp_path}/in/2: cannot be read" in err
    assert ("1 alerts" in err, "rov: error" in err) == (True, False)


def _full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_pipe_with_messages_and_one_with_mrt(watch, tmp_path):
    for octets, said in (
        (json.dumps(RIS).encode(), None),
        (heard(0, 64601, "1.0.7.0/24", 666), "not from a pipe"),
    ):
        ours, theirs = os.pipe()
        with os.fdopen(ours, "rb"), os.fdopen(theirs, "wb") as end:
            end.write(octets + b"\n")
            end.close()
            code, out, err = watch(f"/dev/fd/{ours}")
        if said:
            assert (code, said in err) == (2, True)
        else:
            assert (code, json.loads(out)["prefix"]) == (0, "1.0.0.0/8")


def test_alerts_are_counted_as_events(watch, tmp_path, capsys):
    (tmp_path / "u").write_bytes(
        heard(0, 64601, "1.0.7.0/24", 666)
        + heard(1, 64601, "1.0.8.0/24", 666)
        + heard(9, 64601, "1.0.7.0/24")
    )
    (tmp_path / "alerts.jsonl").write_text(watch(tmp_path / "u")[1])
    assert main(["incidents", "summarize", str(tmp_path / "alerts.jsonl"), "--by", "culprit", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["group"], row["incidents"], row["victims"], row["culprits"]) == ("AS666", 2, 1, 1)
    code, _, err = watch(tmp_path / "u", "--state", "/nonexistent/state")
    assert (code, "there is no directory /nonexistent" in err) == (2, True)


def test_what_is_named_must_be_sound_and_what_appears_may_not_end_it(watch, tmp_path):
    updates = tmp_path / "updates"
    updates.mkdir()
    (updates / "1").write_bytes(b"no dump at all\n")
    (updates / "2").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
    code, out, err = watch(updates)
    assert (code, len(out.splitlines()), f"rov: {updates}/1: expected an MRT dump" in err) == (0, 1, True)
    code, _, err = watch(updates / "1")
    assert (code, f"rov: error: {updates}/1: expected an MRT dump" in err) == (2, True)


def test_a_state_that_is_none(watch, tmp_path):
    (tmp_path / "state").write_bytes(b"PK\3\4 nothing")
    (tmp_path / "u").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
    code, _, err = watch(tmp_path / "u", "--state", tmp_path / "state")
    assert (code, "expected a state of rov watch" in err) == (2, True)
    (tmp_path / "state").write_bytes(b"\x80\x04N.")
    code, _, err = watch(tmp_path / "u", "--state", tmp_path / "state")
    assert (code, "it is another file" in err, "pickle" in err) == (2, True, False)


@pytest.mark.realdata
def test_real_updates_end_as_their_table_does(data, first_snapshot, tmp_path, capsys):
    """The invalid routes that stand at the end, by a count in plain Python over the same dump."""
    from rov import rib

    name = data("mrt/ris.rrc06.updates.1427846400.gz")
    now, monitor, routes = VrpIndex(first_snapshot), Monitor(VrpIndex(first_snapshot)), {}
    with rib.open(name) as dump:
        for batch in dump:
            monitor.take_batch(batch, dump.peers)
            shift = 32 if batch.routes.family == 4 else 128
            for row in range(len(batch)):
                address = batch.routes.addresses[row]
                number = int(address) if shift == 32 else int(address[0]) << 64 | int(address[1])
                prefix = Prefix(batch.routes.family, number, int(batch.routes.lengths[row]))
                key = prefix, dump.peers[batch.peers[row]]
                routes.pop(key, None)
                if not batch.has(rib.Flag.WITHDRAWN)[row]:
                    routes[key] = int(batch.routes.origins[row])
    invalid = {(p, o) for (p, _), o in routes.items() if now.validate(p, o) == State.INVALID}
    assert len(routes) > 100
    assert (len(monitor), monitor.invalid) == (len(routes), len(invalid))


def test_lines_on_standard_input_from_a_file(tmp_path):
    """epoll takes no regular file."""
    index([Vrp(Prefix.parse("1.0.0.0/8"), 8, 3333)]).snapshot.save(tmp_path / "vrps")
    (tmp_path / "lines").write_text(json.dumps(RIS) + "\n")
    program = "import sys; from rov.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "watch", "-", "--vrps", str(tmp_path / "vrps")]
    with open(tmp_path / "lines", "rb") as lines:
        ended = subprocess.run(command, stdin=lines, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, json.loads(ended.stdout)["prefix"]) == (0, "1.0.0.0/8"), ended.stderr


def test_it_follows_files_and_vrps_and_ends_in_order(tmp_path):
    """A running process: a new file, other VRPs, SIGTERM; the state is kept."""
    (tmp_path / "spool").mkdir()
    index([Vrp(Prefix.parse("1.0.0.0/8"), 8, 3333)]).snapshot.save(tmp_path / "vrps")
    program = "import sys; from rov.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [
        "watch",
        tmp_path / "spool",
        "--vrps",
        tmp_path / "vrps",
        "--state",
        tmp_path / "state",
        "--poll",
        "0.05",
    ]
    command = [sys.executable, "-c", program, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            (tmp_path / "new").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
            (tmp_path / "new").rename(tmp_path / "spool" / "1.mrt")
            assert json.loads(process.stdout.readline())["event"] == "invalid"
            index([Vrp(Prefix.parse("1.0.0.0/8"), 24, 666)]).snapshot.save(tmp_path / "other")
            (tmp_path / "other").rename(tmp_path / "vrps")
            alert = json.loads(process.stdout.readline())
            assert (alert["event"], alert["cause"], alert["state"]) == ("cleared", "vrps", "valid")
        finally:
            process.terminate()
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "1 routes, 0 invalid, 2 alerts" in said) == (130, True)
    again = Monitor(index([]))
    assert again.load(tmp_path / "state", 9)[0] == [str(tmp_path / "spool" / "1.mrt")]
    assert len(again) == 1
