"""The operator's view: sessions, kick and status of a running daemon, and the table that shows them."""

import asyncio
import contextlib
import io
import json
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest
from rich.console import Console

from rtr_server.cli.sessions import show, size, span
from rtr_server.control.client import ControlClient, ask
from rtr_server.control.codec import ControlError
from rtr_server.sessions import EndedRow, ErrorRow, Listing, SessionRow

HEADER = "ASN,IP Prefix,Max Length,Trust Anchor\n"
ROWS = HEADER + "AS64496,192.0.2.0/24,24,x\nAS64497,2001:db8::/32,48,x\n"


def reset_query(version):
    return struct.pack("!BBHI", version, 2, 0, 8)


def serial_query(version, session_id, serial):
    return struct.pack("!BBHII", version, 1, session_id, 12, serial)


def error_report(version, code, text):
    octets = text.encode()
    return struct.pack("!BBHIII", version, 10, code, 16 + len(octets), 0, len(octets)) + octets


class Router:
    """A router that speaks in octets."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.name = "{}:{}".format(*self.socket.getsockname())

    def receive(self, kind):
        """PDUs up to one of this type; that one."""
        while True:
            head = self._octets(8)
            rest = self._octets(struct.unpack("!I", head[4:])[0] - 8)
            if head[1] == kind:
                return head + rest

    def _octets(self, count):
        octets = b""
        while len(octets) < count:
            octets += self.socket.recv(count - len(octets)) or pytest.fail("end of file")
        return octets

    def synchronize(self, version):
        self.socket.sendall(reset_query(version))
        return self.receive(7)


@pytest.fixture
def daemon(tmp_path, free_port):
    (tmp_path / "vrps.csv").write_text(ROWS)
    port, config, log = free_port(), tmp_path / "x.toml", tmp_path / "log"
    config.write_text(f"""
[[listen]]
address = "127.0.0.1:{port}"
[[source]]
type = "file"
path = "vrps.csv"
[control]
socket = "c.sock"
""")
    with log.open("w") as stderr:
        running = subprocess.Popen(
            [sys.executable, "-m", "rtr_server", "serve", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert running.stdout.readline().startswith("Serving 2 VRPs"), log.read_text()
    running.port, running.log, running.directory = port, log, tmp_path
    running.control, running.config = tmp_path / "c.sock", config
    yield running
    running.kill()
    running.wait()
    running.stdout.close()


@pytest.fixture
def connect(daemon):
    """Connects a router to the daemon; it is closed after the test."""
    with contextlib.ExitStack() as stack:

        def another():
            router = Router(daemon.port)
            stack.enter_context(router.socket)
            return router

        yield another


def until(condition):
    for _ in range(400):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen within twenty seconds")


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "rtr_server", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_sessions_says(daemon, connect):
    first, second, silent = (connect() for _ in range(3))
    end = first.synchronize(1)
    session_id, serial = struct.unpack("!H", end[2:4])[0], struct.unpack("!I", end[8:12])[0]
    second.socket.sendall(serial_query(2, 7, 9))
    second.receive(8)
    second.synchronize(2)
    rows = {row["peer"]: row for row in ask(daemon.control, "sessions")["sessions"]}
    one, two, none = rows[first.name], rows[second.name], rows[silent.name]
    assert (one["version"], one["serial"], one["session_id"]) == (1, serial, session_id)
    assert (one["behind"], one["lag"], one["reset_why"]) == (0, 0, "first query")
    assert (one["transport"], one["octets_in"], one["queries"], one["responses"]) == ("tcp", 8, 1, 1)
    assert one["octets_out"] == 8 + 20 + 32 + 24
    assert two["reset_why"] == "serial 9 is not known"
    assert (none["version"], none["serial"], none["behind"], none["reset_why"]) == (None,) * 4

    # a change that the first takes up and the second does not
    fresh = daemon.directory / "new"
    fresh.write_text(ROWS + "AS64498,10.0.0.0/8,8,x\n")
    fresh.replace(daemon.directory / "vrps.csv")
    first.receive(0)
    first.socket.sendall(serial_query(1, session_id, serial))
    first.receive(7)
    rows = {row["peer"]: row for row in ask(daemon.control, "sessions")["sessions"]}
    assert (rows[first.name]["serial"], rows[first.name]["behind"]) == ((serial + 1) % 2**32, 0)
    assert rows[second.name]["behind"] == 1
    assert 0 <= rows[second.name]["lag"] < 60

    # an error that a router sends ends its session, and is remembered
    first.socket.sendall(error_report(1, 7, "déjà vu"))
    first.socket.close()
    ended = until(lambda: ask(daemon.control, "sessions")["ended"])[0]
    assert (ended["peer"], ended["reason"]) == (first.name, "error received")
    assert ended["error_received"]["code"] == 7
    assert ended["error_received"]["meaning"] == "duplicate announcement received"
    assert ended["error_received"]["text"] == "déjà vu"


def test_kick(daemon, connect):
    routers = [connect() for _ in range(3)]
    for version, router in enumerate(routers):
        router.synchronize(version)
    numbers = {row["peer"]: row["number"] for row in ask(daemon.control, "sessions")["sessions"]}
    assert ask(daemon.control, "kick", who=routers[0].name) == {"ended": [numbers[routers[0].name]]}
    assert routers[0].socket.recv(1) == b""
    ended = command("kick", numbers[routers[2].name], "--control", daemon.control)
    assert (ended.returncode, ended.stdout) == (0, f"ended: #{numbers[routers[2].name]}\n")
    assert struct.unpack("!H", routers[2].receive(10)[2:4])[0] == 12  # Cache Restart: keep the data
    assert numbers[routers[1].name] in ask(daemon.control, "kick", who="127.0.0.1")["ended"]
    assert routers[1].socket.recv(1) == b""
    for router in routers:
        router.socket.close()
    until(lambda: not ask(daemon.control, "sessions")["sessions"])
    assert {each["reason"] for each in ask(daemon.control, "sessions")["ended"]} == {"kicked"}
    for wrong, expected in (
        ("127.0.0.1", "127.0.0.1: no such session"),
        ("4711", "4711: no such session"),
        ("[::1]:5", "[::1]:5: no such session"),
        ("router.example", "expected a session's number, ADDRESS or ADDRESS:PORT"),
    ):
        ended = command("kick", wrong, "--control", daemon.control)
        assert ended.returncode == 2
        assert ended.stderr.startswith("rtr-server: ")
        assert expected in ended.stderr
    assert daemon.log.read_text().count("control command command=kick uid=") >= 6


def test_a_router_that_takes_nothing_is_kicked_all_the_same(daemon):
    many = daemon.directory / "new"
    many.write_text(HEADER + "".join(f"AS{asn},192.0.2.0/24,24,x\n" for asn in range(1, 300_000)))
    many.replace(daemon.directory / "vrps.csv")
    until(lambda: ask(daemon.control, "status")["vrps"] > 2)
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stuck.connect(("127.0.0.1", daemon.port))
        stuck.sendall(reset_query(1))
        until(lambda: any(row["pending"] for row in ask(daemon.control, "sessions")["sessions"]))
        ask(daemon.control, "kick", who="127.0.0.1")
        until(lambda: not ask(daemon.control, "sessions")["sessions"])


def test_the_commands_as_a_user_runs_them(daemon):
    with socket.create_connection(("127.0.0.1", daemon.port)):
        until(lambda: ask(daemon.control, "sessions")["sessions"])
        listed = command("sessions", "--config", daemon.config)
        assert listed.returncode == 0
        assert listed.stdout.startswith("1 session, serial ")
        assert all(len(line) <= 80 for line in listed.stdout.splitlines())
        answer = json.loads(command("sessions", "--control", daemon.control, "--json").stdout)
        assert len(answer["sessions"]) == 1
    status = command("status", "--control", daemon.control)
    assert f"127.0.0.1:{daemon.port}" in status.stdout
    answer = json.loads(command("status", "--control", daemon.control, "--json").stdout)
    assert (answer["vrps"], answer["configuration"]) == (2, str(daemon.config))
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(30) == 0
    assert not daemon.control.exists()
    for name in ("sessions", "status"):
        ended = command(name, "--control", daemon.control)
        assert ended.returncode == 2
        assert "no such socket" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


def test_watch_in_a_pipe_is_one_listing_after_the_other(daemon):
    watching = subprocess.Popen(
        [sys.executable, "-m", "rtr_server", "sessions", "--watch", "--control", str(daemon.control)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout.readline().startswith("0 sessions")
        assert watching.stdout.readline().startswith("0 sessions")
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=30)
        assert (watching.returncode, errors) == (130, "")
    finally:
        watching.kill()
        watching.wait()


def row(number=1, **fields):
    known = {
        "number": number,
        "peer": "192.0.2.1:4711",
        "transport": "tcp",
        "version": 1,
        "state": "open",
        "session_id": 7,
        "serial": 4_000_000_000,
        "behind": 0,
        "lag": 0.0,
        "age": 90_061.0,
        "reset_age": 90_000.0,
        "reset_why": "first query",
        "update_age": 89_000.0,
        "octets_in": 8,
        "octets_out": 16_400_000,
        "pending": 0,
        "queries": 1,
        "responses": 1,
        "notifies": 0,
        "error_received": None,
        "error_sent": None,
    }
    return SessionRow(**{**known, **fields})


def shown(listing, width):
    console = Console(width=width, file=io.StringIO())
    console.print(show(listing, width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_is_read_well(width):
    error = ErrorRow(7, "duplicate announcement received", "twice", 5.0)
    rows = [
        row(),
        row(2, peer="[2001:db8:1234:5678:9abc:def0:1234:5678]:49152", behind=3, lag=125.0),
        row(3, version=None, serial=None, behind=None, lag=None, state="new", reset_age=None),
        row(4, behind=9, lag=None, error_sent=error),
    ]
    ended = EndedRow(5, "192.0.2.9:1", "tls", 2, 5.0, 65.0, "error received", 8, 9, error, None)
    text = shown(Listing(4_000_000_000, rows, [ended], 1), width)
    assert all(len(line) <= width for line in text.splitlines())
    for expected in ("4 sessions, serial 4000000000, 1 ended before", "1d01h", "16.4 MB", "3 2m05s", "lost"):
        assert expected in text
    assert "[2001:db8:1234" in text
    flat = " ".join(text.split())
    assert "#5 192.0.2.9:1 5s ago after 1m05s: error received; it sent error 7" in flat
    assert "error 7 (duplicate announcement received) to #4" in flat


def test_the_empty_table():
    assert shown(Listing(None, [], [], 0), 80).strip() == "0 sessions, no data yet, 0 ended before"


def test_spans_and_sizes_at_their_limits():
    assert [span(each) for each in (-1, 0, 59.9, 60, 3_600, 86_400)] == [
        "0s", "0s", "59s", "1m00s", "1h00m", "1d00h",
    ]  # fmt: skip
    assert [size(each) for each in (0, 999, 1_000, 999_999, 10**9, 10**13)] == [
        "0 B", "999 B", "1 kB", "1 MB", "1 GB", "10 TB",
    ]  # fmt: skip


def test_a_listing_leaves_the_loop_to_routers():
    """More rows than one batch: something else runs in between."""
    from rtr_server.cache.current import Current
    from rtr_server.cache.history import History
    from rtr_server.endpoint import Endpoint
    from rtr_server.protocol.session import CacheSession
    from rtr_server.sessions import BATCH, Sessions
    from rtr_server.transport.record import Ledger, Record

    current = Current(History({0: 1, 1: 2, 2: 3}, serial=5))

    class One:
        kind = "tcp"

        def __init__(self, number):
            self.number, self.peer = number, Endpoint("192.0.2.1", number)
            self.session, self.record = CacheSession(current, now=0.0), Record()

    class Server:
        connections = frozenset(map(One, range(1, 3 * BATCH + 1)))
        ledger = Ledger()

    async def main():
        turns = 0

        async def beside():
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(beside())
        listing = await Sessions(Server(), current, lambda: 1.0).list()
        task.cancel()
        return turns, listing

    turns, listing = asyncio.run(main())
    assert turns >= 2
    assert [each.number for each in listing.sessions] == list(range(1, 3 * BATCH + 1))
    assert listing.serial is None


def test_one_client_asks_again_and_again(daemon):
    with ControlClient(daemon.control) as client:
        for _ in range(50):
            assert client.ask("status")["vrps"] == 2
        with pytest.raises(ControlError, match=r"unknown command 'update': expected .*sessions"):
            client.ask("update")
