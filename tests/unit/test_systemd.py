"""What systemd is told: datagrams at a real unix socket, and a watchdog that a hanging loop does not feed."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from rtr_server import logs, systemd
from rtr_server.systemd import Systemd

ROWS = "ASN,IP Prefix,Max Length,Trust Anchor\nAS64496,192.0.2.0/24,24,x\n"


class Manager:
    """The service manager's end."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(30)
        self.at = None

    def receive(self):
        return self.socket.recv(4_096).decode().splitlines()

    def until(self, line):
        """All datagrams up to the one that has a line that begins so."""
        seen = []
        while True:
            seen.append(self.receive())
            if any(each.startswith(line) for each in seen[-1]):
                return seen


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    name = str(tmp_path / "notify") if request.param == "path" else f"@rovkit-{os.getpid()}-{id(request)}"
    manager = Manager(name.replace("@", "\0"))
    manager.environment = {"NOTIFY_SOCKET": name}
    yield manager
    manager.socket.close()


def test_each_message(manager):
    told = Systemd({**manager.environment, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())})
    assert told.watched == 3.0
    told.ready()
    assert manager.receive() == ["READY=1"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    told.reloading()
    reloading, moment = manager.receive()
    assert reloading == "RELOADING=1"
    assert before - 1 <= int(moment.removeprefix("MONOTONIC_USEC=")) <= before + 60_000_000
    told.status("5 VRPs\nFAKE=1")
    assert manager.receive() == ["STATUS=5 VRPs FAKE=1"]
    told.status("5 VRPs\nFAKE=1")
    told.alive()
    assert manager.receive() == ["WATCHDOG=1"]
    told.starting()
    assert manager.receive() == ["EXTEND_TIMEOUT_USEC=60000000"]
    told.stopping("ending: restart")
    assert manager.receive() == ["STOPPING=1", "STATUS=ending: restart"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "much"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog(manager, environment):
    told = Systemd({**manager.environment, **environment})
    assert told.watched is None
    told.alive()
    told.ready()
    assert manager.receive() == ["READY=1"]


def test_without_a_manager_nothing_happens(tmp_path, caplog):
    told = Systemd({})
    told.ready()
    asyncio.run(told.attend(lambda: "never asked"))
    asyncio.run(told.attend_start())
    assert caplog.records == []
    gone = Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    gone.ready()
    gone.ready()
    assert [record.getMessage() for record in caplog.records] == ["systemd not told"]


def test_a_loop_that_hangs_starves_the_watchdog(manager):
    """It is fed from the loop: while one callback does not return, not one datagram comes."""
    told = Systemd({**manager.environment, "WATCHDOG_USEC": "300000"})
    hang, release = threading.Event(), threading.Event()

    async def serve():
        attending = asyncio.create_task(told.attend(lambda: "fine"))
        while not hang.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        release.wait(30)
        await asyncio.sleep(0.2)
        attending.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        for _ in range(3):
            manager.until("WATCHDOG=1")
        hang.set()
        manager.socket.settimeout(1.0)  # more than three of its intervals
        with contextlib.suppress(TimeoutError):
            manager.receive()  # what was on its way
            manager.receive()
        with pytest.raises(TimeoutError):
            manager.receive()
        release.set()
        manager.until("WATCHDOG=1")
    finally:
        release.set()
        thread.join()


def test_more_time_is_asked_for_while_the_first_set_is_loaded(manager, monkeypatch):
    monkeypatch.setattr(systemd, "STARTING", 0.1)
    told = Systemd(manager.environment)

    async def main():
        waiting = asyncio.create_task(told.attend_start())
        await asyncio.sleep(0.3)
        waiting.cancel()

    asyncio.run(main())
    for _ in range(2):
        assert manager.receive() == ["EXTEND_TIMEOUT_USEC=100000"]


def test_the_life_of_a_daemon(manager, tmp_path, free_port):
    """READY when it serves, RELOADING and READY around a reload, STATUS, STOPPING at its end."""
    (tmp_path / "vrps.csv").write_text(ROWS)
    config = tmp_path / "x.toml"
    config.write_text(
        f'[[listen]]\naddress = "127.0.0.1:{free_port()}"\n[[source]]\ntype = "file"\npath = "vrps.csv"\n'
    )
    environment = {**os.environ, **manager.environment, "WATCHDOG_USEC": "60000000"}
    with (tmp_path / "log").open("w") as stderr:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "rtr_server", "serve", "--config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment,
        )
    try:
        assert manager.until("READY=1")[-1] == ["READY=1"]
        (status,) = manager.until("STATUS=")[-1]
        assert status.startswith("STATUS=1 VRPs, serial ")
        daemon.send_signal(signal.SIGHUP)
        *_, reloading = manager.until("RELOADING=1")
        assert reloading[1].startswith("MONOTONIC_USEC=")
        manager.until("READY=1")
        daemon.send_signal(signal.SIGTERM)
        assert manager.until("STOPPING=1")[-1] == ["STOPPING=1", "STATUS=ending: shutdown"]
        assert daemon.wait(30) == 0
    finally:
        daemon.kill()
        daemon.wait()


def test_the_journal_gets_priorities_and_no_time(tmp_path):
    path = tmp_path / "stream"
    with path.open("w") as stream:
        status = os.fstat(stream.fileno())
        assert logs.is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not logs.is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not logs.is_journal(stream, {})
        script = (
            "import os, logging, sys; status = os.fstat(2);"
            "os.environ['JOURNAL_STREAM'] = f'{status.st_dev}:{status.st_ino}';"
            "from rtr_server import logs; logger = logging.getLogger('rtr_server');"
            "logs.configure('text', 'debug');"
            "[logs.event(logger, level, 'said', n=level) for level in (10, 20, 30, 40, 50)];"
            "logs.configure('json', 'error');"
            "[logs.event(logger, level, 'said') for level in (30, 40)]"
        )
        subprocess.run([sys.executable, "-c", script], stderr=stream, check=True, timeout=60)
    lines = path.read_text().splitlines()
    assert lines[:5] == [
        "<7>DEBUG   said n=10",
        "<6>INFO    said n=20",
        "<4>WARNING said n=30",
        "<3>ERROR   said n=40",
        "<2>CRITICAL said n=50",
    ]
    assert lines[5].startswith('<3>{"time": ')
    assert len(lines) == 6
    assert logging.getLogger("rtr_server") is not None
