"""How the daemon ends, and how it starts where the feed fails: as processes, with real signals."""

import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from rtr_server.control.client import ask

HEADER = "ASN,IP Prefix,Max Length,Trust Anchor\n"
ROWS = HEADER + "AS64496,192.0.2.0/24,24,x\n"
MANY = HEADER + "".join(f"AS{asn},192.0.2.0/24,24,x\n" for asn in range(1, 200_000))


class Daemon:
    """A daemon with state and a control socket; started again on the same files."""

    def __init__(self, directory, port):
        self.directory, self.port = directory, port
        self.control, self.log, self.vrps = (directory / name for name in ("c.sock", "log", "vrps.csv"))
        self.vrps.write_text(ROWS)
        self.config = directory / "x.toml"
        self.config.write_text(f"""
[[listen]]
address = "127.0.0.1:{port}"
[[source]]
type = "file"
path = "vrps.csv"
[state]
directory = "state"
[control]
socket = "c.sock"
""")
        self.process = None

    def start(self):
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rtr_server", "serve", "--config", str(self.config)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        return self.process.stdout.readline()

    def end(self, number, code=0):
        self.process.send_signal(number)
        self.wait(code)

    def wait(self, code=0):
        assert self.process.wait(60) == code, self.log.read_text()
        self.process.stdout.close()
        self.process = None

    def router(self, version):
        """A connected router that holds the set."""
        router = socket.create_connection(("127.0.0.1", self.port), 30)
        router.sendall(struct.pack("!BBHI", version, 2, 0, 8))
        rest = b""
        while len(rest) < 8 + 20 + (12 if version == 0 else 24):
            rest += router.recv(4_096)
        return router


@pytest.fixture
def daemon(tmp_path, free_port):
    running = Daemon(tmp_path, free_port())
    yield running
    if running.process is not None:
        running.process.kill()
        running.process.wait()
        running.process.stdout.close()


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [(signal.SIGTERM, 13, "shutdown"), (signal.SIGINT, 13, "shutdown"), (signal.SIGUSR2, 12, "restart")],
)
def test_the_end_in_order(daemon, number, code, reason):
    """Version 2 gets the error code, the others the end of the connection; socket and ports go."""
    daemon.start()
    with daemon.router(0) as zero, daemon.router(1) as one, daemon.router(2) as two:
        daemon.process.send_signal(number)
        assert zero.recv(1) == b""
        assert one.recv(1) == b""
        assert struct.unpack("!BBH", two.recv(4)) == (2, 10, code)
    daemon.wait()
    assert not daemon.control.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", daemon.port)) != 0
    log = daemon.log.read_text()
    assert f"ending reason={reason} routers=3" in log
    assert "Traceback" not in log


def test_a_second_signal_ends_it_at_once(daemon):
    """A router that takes nothing would have its seconds of grace."""
    daemon.vrps.write_text(MANY)
    daemon.start()
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stuck.connect(("127.0.0.1", daemon.port))
        stuck.sendall(struct.pack("!BBHI", 1, 2, 0, 8))
        for _ in range(400):
            if any(row["pending"] for row in ask(daemon.control, "sessions")["sessions"]):
                break
            time.sleep(0.05)
        daemon.process.send_signal(signal.SIGTERM)
        for _ in range(400):
            if "ending reason=shutdown" in daemon.log.read_text():
                break
            time.sleep(0.05)
        daemon.end(signal.SIGTERM)
    assert "ending at once routers=1" in daemon.log.read_text()
    assert "cut off" not in daemon.log.read_text()


def test_ctrl_c_is_one_calm_line(daemon):
    daemon.start()
    before = len(daemon.log.read_text())
    daemon.end(signal.SIGINT)
    (line,) = daemon.log.read_text()[before:].splitlines()
    assert line.endswith("ending reason=shutdown routers=0")


@pytest.mark.parametrize("content", [None, "<html>Not found</html>"])
def test_a_feed_that_is_wrong_leaves_the_saved_set(daemon, content):
    daemon.start()
    daemon.end(signal.SIGUSR2)
    if content is None:
        daemon.vrps.unlink()
    else:
        daemon.vrps.write_text(content)
    assert daemon.start().startswith("Serving 1 VRPs"), daemon.log.read_text()
    daemon.router(1).close()
    daemon.vrps.write_text(ROWS + "AS64497,10.0.0.0/8,8,x\n")
    for _ in range(400):
        if ask(daemon.control, "status")["vrps"] == 2:
            break
        time.sleep(0.05)
    else:
        raise AssertionError(daemon.log.read_text())
    daemon.end(signal.SIGTERM)


@pytest.mark.parametrize("content", [None, "<html>Not found</html>"])
def test_a_feed_that_is_wrong_and_nothing_saved_is_no_start(daemon, content):
    if content is None:
        daemon.vrps.unlink()
    else:
        daemon.vrps.write_text(content)
    assert daemon.start() == ""
    daemon.wait(2)
    assert not daemon.control.exists()
    assert daemon.log.read_text().splitlines()[-1].startswith("rtr-server: ")
    assert "Traceback" not in daemon.log.read_text()
