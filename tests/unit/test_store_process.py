"""The daemon killed and started again: its routers go on, or learn that they cannot."""

import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest


def exchange(where, query):
    """What a router of version 1 gets for a query: session id, serial, prefix PDUs; None: Cache Reset."""
    host, port = where.split(":")
    prefixes = []
    with socket.create_connection((host, int(port)), timeout=20) as peer, peer.makefile("rb") as stream:
        peer.sendall(query)
        while True:
            _, kind, session_id, length = struct.unpack(">BBHL", head := stream.read(8))
            body = stream.read(length - 8)
            if kind == 8:
                return None
            if kind == 7:
                return session_id, struct.unpack(">L", body[:4])[0], prefixes
            if kind == 4:
                prefixes.append(head + body)


RESET_QUERY = struct.pack(">BBHL", 1, 2, 0, 8)


def serial_query(session_id, serial):
    return struct.pack(">BBHLL", 1, 1, session_id, 12, serial)


@pytest.fixture
def serve(tmp_path, free_port):
    running = []

    def start(*arguments):
        where = f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "rtr_server", "serve", *map(str, arguments), "--listen", where]
        with (tmp_path / f"log{len(running)}").open("w") as stderr:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        running.append(server)
        server.where, server.log = where, Path(stderr.name)
        assert "Serving" in server.stdout.readline(), server.log.read_text()
        return server

    yield start
    for server in running:
        server.kill()
        server.wait()
        server.stdout.close()


def test_a_router_goes_on_after_kill_9(serve, tmp_path, free_port):
    path, state = tmp_path / "vrps.csv", tmp_path / "deep" / "state"
    header = "ASN,IP Prefix,Max Length,Trust Anchor\n"
    path.write_text(header + "AS64496,192.0.2.0/24,24,x\n")
    server = serve("--vrps", path, "--state-dir", state)
    session_id, serial, prefixes = exchange(server.where, RESET_QUERY)
    assert len(prefixes) == 1

    server.send_signal(signal.SIGKILL)
    server.wait()
    server = serve("--vrps", path, "--state-dir", state)
    assert exchange(server.where, serial_query(session_id, serial)) == (session_id, serial, [])
    assert "state restored" in server.log.read_text()

    server.send_signal(signal.SIGKILL)
    server.wait()
    path.write_text(header + "AS64496,192.0.2.0/24,24,x\nAS64497,198.51.100.0/24,24,x\n")
    server = serve("--vrps", path, "--state-dir", state)
    answer = exchange(server.where, serial_query(session_id, serial))
    assert answer[:2] == (session_id, (serial + 1) % 2**32)
    assert [pdu.hex() for pdu in answer[2]] == ["010400000000001401181800c63364000000fbf1"]

    server.send_signal(signal.SIGKILL)
    server.wait()
    server = serve("--vrps", f"http://127.0.0.1:{free_port()}/vrps.json", "--state-dir", state)
    assert "serving the saved set" in server.log.read_text()
    assert exchange(server.where, serial_query(*answer[:2])) == (*answer[:2], [])
    assert len(exchange(server.where, RESET_QUERY)[2]) == 2

    ended = subprocess.run(
        [sys.executable, "-m", "rtr_server", "serve", "--vrps", path, "--state-dir", state],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == f"rtr-server: state directory {state}: another process uses it\n"


def test_without_a_state_dir_a_restart_is_another_session(serve, tmp_path):
    path = tmp_path / "vrps.csv"
    path.write_text("ASN,IP Prefix,Max Length,Trust Anchor\nAS64496,192.0.2.0/24,24,x\n")
    server = serve("--vrps", path)
    session_id, serial, _ = exchange(server.where, RESET_QUERY)
    server.kill()
    server = serve("--vrps", path)
    assert exchange(server.where, serial_query(session_id, serial)) is None
