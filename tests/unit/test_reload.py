"""SIGHUP with a configuration file: what may change does, nobody is dropped, a bad file changes nothing."""

import contextlib
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from rtr_server.control.client import ask

ROWS = "ASN,IP Prefix,Max Length,Trust Anchor\nAS64496,192.0.2.0/24,24,x\n"
RESET_QUERY = struct.pack("!BBHI", 1, 2, 0, 8)

REFUSED = "configuration refused, the old one stays"


def listens(*ports):
    return "".join(f'[[listen]]\naddress = "127.0.0.1:{port}"\n' for port in ports)


REST = """
[[source]]
type = "file"
path = "vrps.csv"
[control]
socket = "c.sock"
"""


class Daemon:
    def __init__(self, directory, ports):
        self.directory, self.config, self.control = directory, directory / "x.toml", directory / "c.sock"
        (directory / "vrps.csv").write_text(ROWS)
        self.config.write_text(listens(*ports) + REST)
        self.log = directory / "log"
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rtr_server", "serve", "--config", str(self.config)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout.readline(), self.log.read_text()

    def reload(self, text, expected):
        """Take a new file; the log lines of that, once one of them has ``expected``."""
        # By rename: an earlier signal may have it read just now.
        fresh = self.config.with_suffix(".fresh")
        fresh.write_text(text)
        fresh.replace(self.config)
        before = len(self.log.read_text())
        self.process.send_signal(signal.SIGHUP)
        for _ in range(400):
            said = self.log.read_text()[before:]
            if expected in said:
                return said
            time.sleep(0.05)
        raise AssertionError(f"not in twenty seconds: {said}")

    @property
    def serving(self):
        return ask(self.control, "status")["serving"]


@pytest.fixture
def daemon(tmp_path, free_port):
    ports = [free_port(), free_port()]
    running = Daemon(tmp_path, ports)
    running.ports = ports
    yield running
    running.process.kill()
    running.process.wait()
    running.process.stdout.close()


def octets(connection, count):
    found = b""
    while len(found) < count:
        found += connection.recv(count - len(found)) or pytest.fail("end of file")
    return found


@contextlib.contextmanager
def synchronized(port):
    """A connected router that holds the set; and its End of Data."""
    with socket.create_connection(("127.0.0.1", port), 20) as router:
        yield router, ask_again(router)


def ask_again(router):
    router.sendall(RESET_QUERY)
    return octets(router, 8 + 20 + 24)[-24:]


def refused(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_listeners_come_and_go_and_sessions_stay(daemon, free_port):
    first, second = daemon.ports
    third = free_port()
    with synchronized(first) as (one, _), synchronized(second) as (two, _):
        said = daemon.reload(listens(second, third) + REST, "configuration taken")
        assert "changed=listen" in said
        assert f"endpoint closed endpoint=127.0.0.1:{first}" in said
        assert refused(first)
        assert daemon.serving == [f"127.0.0.1:{second}", f"127.0.0.1:{third}"]
        ask_again(one)
        ask_again(two)
    with synchronized(third):
        pass


def test_timers_and_log_level(daemon):
    more = '[timers]\nrefresh = "5m"\nretry = "1m"\n[log]\nlevel = "debug"\n'
    with synchronized(daemon.ports[0]) as (router, end):
        assert struct.unpack("!3I", end[12:]) == (3_600, 600, 7_200)
        said = daemon.reload(listens(*daemon.ports) + REST + more, "configuration taken")
        assert 'changed="timers.refresh timers.retry log.level"' in said
        assert struct.unpack("!3I", ask_again(router)[12:]) == (300, 60, 7_200)
        daemon.reload(listens(*daemon.ports) + REST + more, "configuration unchanged")
    assert "DEBUG   query" in daemon.log.read_text()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("[log]\nlevle = 5\n[timers]\nexpire = 5\n", "key=log.levle"),
        ("[log", 'error="no TOML'),
        ('[[listen]]\naddress = "203.0.113.1:1"\n', "no interface of this machine has that address"),
        ('[control]\nsocket = "c.sock"\n', "no TOML"),
        ('[[listen]]\naddress="127.0.0.1:1"\ntls={certificate="a",key="b",client="none"}', "no such file"),
    ],
)
def test_a_bad_file_changes_nothing(daemon, free_port, more, expected):
    with synchronized(daemon.ports[0]) as (router, _):
        said = daemon.reload(listens(free_port()) + REST + more, REFUSED)
        assert expected in said
        assert "taken" not in said
        assert daemon.serving == [f"127.0.0.1:{port}" for port in daemon.ports]
        ask_again(router)
    # and a good one afterwards is taken
    daemon.reload(listens(daemon.ports[0]) + REST, "configuration taken")
    assert daemon.serving == [f"127.0.0.1:{daemon.ports[0]}"]


def test_all_faults_are_in_the_log(daemon):
    said = daemon.reload(REST + "[log]\nlevle = 5\n[timers]\nexpire = 5\n", "timers.expire")
    assert said.count(REFUSED) == 2


def test_what_needs_a_restart_is_said(daemon):
    text = listens(*daemon.ports) + REST.replace("c.sock", "d.sock") + '[state]\ndirectory = "state"\n'
    said = daemon.reload(text + "[timers]\nrefresh = 60\n", "configuration taken")
    assert "configuration needs a restart key=control.socket" in said
    assert "configuration needs a restart key=state.directory" in said
    assert "changed=timers.refresh" in said
    assert daemon.control.exists()
    assert not (daemon.directory / "state").exists()


def test_a_file_that_is_gone_changes_nothing(daemon):
    text = daemon.config.read_text()
    daemon.config.rename(daemon.directory / "away")
    daemon.process.send_signal(signal.SIGHUP)
    daemon_log = daemon.log.read_text
    for _ in range(400):
        if "No such file or directory" in daemon_log():
            break
        time.sleep(0.05)
    else:
        raise AssertionError(daemon_log())
    assert len(daemon.serving) == 2
    daemon.reload(text, "configuration unchanged")


def test_the_data_are_loaded_again_too(daemon):
    daemon.reload(daemon.config.read_text() + '[log]\nlevel = "debug"\n', "set loaded: nothing changed")


def test_many_signals_at_once(daemon):
    for _ in range(50):
        daemon.process.send_signal(signal.SIGHUP)
    said = daemon.reload(listens(daemon.ports[0]) + REST, "configuration taken")
    assert daemon.serving == [f"127.0.0.1:{daemon.ports[0]}"]
    assert "reload failed" not in said


def test_keys_that_only_a_restart_changes_stay_and_the_rest_is_taken(daemon):
    """Even those that must stand together: one of them alone would be refused."""
    (daemon.directory / "cert.pem").touch()
    more = '[http]\ncertificate = "cert.pem"\nkey = "cert.pem"\n[log]\nlevel = "debug"\n'
    said = daemon.reload(listens(*daemon.ports) + REST + more, "configuration taken")
    assert "configuration needs a restart key=http.certificate" in said
    assert "configuration needs a restart key=http.key" in said
    assert "changed=log.level" in said
