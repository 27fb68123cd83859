"""A real daemon with its loader, whose input the tests spoil, and a router that looks at what it serves."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rtr_server.endpoint import Endpoint
from rtr_server.tools import dump
from tests.pids import command_line

PATIENCE = 60.0
"""Seconds for what should take one: the machines that run the tests are shared."""

GOOD = 2_000
"""VRPs of the good set: enough for the guard to judge by shares."""


def vrps(count=GOOD, **metadata):
    """The octets of a JSON file of VRPs, one for each of ``count`` /24s."""
    rows = [
        {"asn": 64496 + row % 50, "prefix": f"10.{row >> 8}.{row & 255}.0/24", "maxLength": 24, "ta": "x"}
        for row in range(count)
    ]
    return json.dumps({"metadata": {"generated": int(time.time()), **metadata}, "roas": rows}).encode()


def replace(path, octets):
    """Put a whole file in the place of another, as a good validator does."""
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_bytes(octets)
    os.replace(fresh, path)


HOOKS = Path(__file__).parent / "hooks"
"""What the processes of a daemon take along: a wall clock that can be set, steps that can be held."""


class Daemon:
    """``rtr-server serve`` with a configuration; its log in a file."""

    def __init__(self, directory: Path, port: int, config: str, wrapper: list[str]) -> None:
        self.endpoint = Endpoint("127.0.0.1", port)
        self.control = directory / "control.sock"
        self._log = directory / "log"
        self._said = directory / "said"
        file = directory / "config.toml"
        file.write_text(
            f'[[listen]]\naddress = "127.0.0.1:{port}"\n[log]\nlevel = "debug"\n'
            f'[control]\nsocket = "{self.control}"\n{config}'
        )
        with self._log.open("wb") as log, self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "rtr_server", "serve", "--config", str(file)],
                stdout=said,
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(HOOKS), "FAULTS_DIRECTORY": str(directory)},
            )
        self.directory = directory

    def sees(self, path):
        """The way to what the daemon finds at ``path``, also if that is a mount of its own."""
        return Path(f"/proc/{self.process.pid}/root", *Path(path).parts[1:])

    def log(self):
        """All that it has written."""
        return self._log.read_text(errors="replace")

    def logged(self, pattern, since=0):
        """Wait for a line that matches, after ``since`` characters of the log; the line."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for line in self.log()[since:].splitlines():
                if re.search(pattern, line):
                    return line
            assert self.process.poll() is None, self.log()
            time.sleep(0.02)
        raise AssertionError(f"no line with {pattern!r} in:\n{self.log()[since:]}")

    def serves(self):
        """Wait until it has begun to serve routers."""
        until = time.monotonic() + PATIENCE
        while "Serving" not in self._said.read_text():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.02)

    def held(self):
        """How many VRPs a router gets now."""
        return len(dump.fetch(self.endpoint, timeout=PATIENCE).snapshot)

    def has_no_data(self):
        """Whether a router is told so: error 2 (RFC 8210 section 5.10)."""
        with socket.create_connection(self.endpoint, timeout=PATIENCE) as router:
            router.sendall(bytes.fromhex("0102000000000008"))
            return router.recv(4) == bytes.fromhex("010a0002")

    def holds(self, count):
        """Wait until a router gets so many VRPs."""
        until = time.monotonic() + PATIENCE
        while (found := self.held()) != count:
            assert time.monotonic() < until, f"{found} VRPs, expected {count}:\n{self.log()}"
            time.sleep(0.05)

    def loader(self):
        """The process id of the loader, None while there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            if b"rtr_server.feed.loader" in command_line(child):
                return int(child)
        return None

    def kill_loader(self):
        """As the kernel does when memory runs out."""
        pid = self.loader()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def jump(self, seconds):
        """Set the wall clock of daemon and loader: so many seconds ahead of the machine's."""
        replace(self.directory / "clock", str(seconds).encode())

    def hold(self, step):
        """Have the loader stand still in this step, from the next time it gets there; None: in none."""
        replace(self.directory / "held", (step or "").encode())

    def held_in(self, step):
        """Wait until the loader stands still in this step."""
        until = time.monotonic() + PATIENCE
        while not (self.directory / f"in {step}").exists():
            assert time.monotonic() < until, f"not in {step}:\n{self.log()}"
            time.sleep(0.02)
        (self.directory / f"in {step}").unlink()

    def reload(self):
        """Ask all sources now."""
        self.process.send_signal(signal.SIGHUP)

    def end(self):
        """End it; whether it has taken its loader along."""
        pid = self.loader()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        until = time.monotonic() + PATIENCE
        while pid is not None and Path(f"/proc/{pid}").exists() and time.monotonic() < until:
            time.sleep(0.05)
        return pid is None or not Path(f"/proc/{pid}").exists()


SEEN = set()
"""The faults whose tests have passed in this run."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.passed:
        SEEN.update(case.fault for case in _cases(item))
    return report


def pytest_sessionfinish():
    """Write docs/faults.md, if that is asked for and each of its rows has been seen."""
    from tests.faults.cases import CASES, PAGE, page

    if os.environ.get("ROVKIT_WRITE") == "1" and CASES.keys() <= SEEN:
        PAGE.write_text(page())


def _cases(item):
    from tests.faults.cases import CASES

    if "callspec" in vars(item) and "case" in item.callspec.params:
        yield item.callspec.params["case"]
    for mark in item.iter_markers("fault"):
        yield from (CASES[name] for name in mark.args)


@pytest.fixture
def case(request):
    """The row of docs/faults.md that a test is marked with, the first of several."""
    return next(_cases(request.node))


@pytest.fixture(scope="module")
def start(free_port, tmp_path_factory):
    """Start daemons that are ended after the module; ``wrapper`` is a command that runs another one."""
    daemons = []

    def begin(config, wrapper=()):
        daemon = Daemon(tmp_path_factory.mktemp("daemon"), free_port(), config, list(wrapper))
        daemons.append(daemon)
        daemon.serves()
        return daemon

    yield begin
    for daemon in daemons:
        if daemon.process.poll() is None:
            daemon.end()
