"""A daemon through the worst of days in little time: many routers, changes, slow and broken peers, crashes.

ROVKIT_SOAK_SECONDS   how long (24 if unset, and a quiet end of each life)
ROVKIT_SOAK_ROUTERS   how many healthy routers (1000 if unset)
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rtr_server.endpoint import Endpoint
from rtr_server.tools.dump import DumpError, fetch
from tests.interop.processes import Process, wait_until
from tests.ports import free_port

SECONDS = float(os.environ.get("ROVKIT_SOAK_SECONDS", "24"))
ROUTERS = int(os.environ.get("ROVKIT_SOAK_ROUTERS", "1000"))
VRPS = 3_000
CHURN = 50
UPDATE_SECONDS = 2.0
QUIET_SECONDS = 11.0
"""Behind the last change of a life: routers poll every five seconds, and all must have seen it at the end."""

LIVES = 3
"""The daemon is killed in between."""

GROWTH = 1.3
"""Resident memory at the end of a life at most, as a multiple of that after its warm-up."""

SLACK = 24 << 20
"""Octets of growth that do not count: pages that the allocator has not given back."""


def texts(numbers):
    """A VRP file of these."""
    rows = (f"AS{64496 + number % 500},10.{number >> 8}.{number & 255}.0/24,24,soak\n" for number in numbers)
    return "ASN,IP Prefix,Max Length,Trust Anchor\n" + "".join(rows)


class Daemon(Process):
    """`rtr-server serve` with a state directory."""

    def __init__(self, directory: Path) -> None:
        self.where = Endpoint("127.0.0.1", free_port())
        self.file = directory / "vrps.csv"
        command = [sys.executable, "-m", "rtr_server", "serve", "--vrps", str(self.file)]
        command += ["--listen", str(self.where), "--state-dir", str(directory / "state")]
        super().__init__([*command, "--refresh", "5", "--retry", "1"], directory / "daemon.log")

    @property
    def resident(self) -> int:
        """Octets in memory."""
        return int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    @property
    def descriptors(self) -> int:
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.popen.pid}/fd"))

    def served(self):
        """Its snapshot and serial; None while it is not there."""
        try:
            found = fetch(self.where, timeout=30)
        except DumpError:
            return None
        return found.snapshot, found.serial


def put(daemon_file: Path, numbers) -> None:
    """Replace the file by one rename."""
    fresh = daemon_file.with_name("fresh.csv")
    fresh.write_text(texts(numbers))
    os.replace(fresh, daemon_file)


def load(where, seconds):
    """The simulator beside it, with slow and broken routers."""
    command = [sys.executable, "-m", "rtr_server", "load", str(where), "--json", "--timeout", "60"]
    command += ["--routers", str(ROUTERS), "--slow", "20", "--broken", "20", "--duration", str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(SECONDS * 4 + 240)
def test_a_bad_day(tmp_path):
    dice, held = random.Random(1), set(range(VRPS))
    put(tmp_path / "vrps.csv", held)
    daemon = Daemon(tmp_path)
    try:
        for life in range(LIVES):
            wait_until(lambda: daemon.running() and daemon.served() is not None, "it serves")
            idle, before = daemon.descriptors, daemon.served()[1]
            simulator = load(daemon.where, SECONDS / LIVES + QUIET_SECONDS)
            wait_until(lambda idle=idle: daemon.descriptors >= idle + ROUTERS, "all are connected")
            warm, until = None, time.monotonic() + SECONDS / LIVES
            while time.monotonic() < until:
                assert daemon.running()
                held -= set(dice.sample(sorted(held), CHURN))
                held |= {dice.randrange(1 << 16) for _ in range(CHURN)}
                put(daemon.file, held)
                time.sleep(UPDATE_SECONDS)
                if warm is None and time.monotonic() > until - SECONDS / LIVES / 2:
                    warm = daemon.resident
            out, err = simulator.communicate()
            report = json.loads(out)
            assert simulator.returncode == 0, f"{out}{err}"
            assert daemon.resident < (warm or daemon.resident) * GROWTH + SLACK
            check_end(daemon, report, held, before)
            wait_until(lambda idle=idle: daemon.descriptors <= idle, "every descriptor is closed again")
            if life + 1 < LIVES:
                daemon.kill()
                daemon.start()
        assert "session failed" not in daemon.log.read_text()
        assert "Traceback" not in daemon.log.read_text()
    finally:
        daemon.stop()
        shutil.rmtree(tmp_path / "state", ignore_errors=True)


def check_end(daemon, report, held, before):
    """The last file is served; every healthy router stood at one serial, and that is the last."""
    snapshot, serial = daemon.served()
    assert {vrp.prefix.address >> 8 & 0xFFFF for vrp in snapshot.vrps()} == held
    assert (serial - before) % 2**32 < 10_000, "serials go on over a crash"
    assert report["synchronized"] == ROUTERS
    assert report["updates"] >= ROUTERS, "each router has followed"
    assert report["serials_at_the_end"] == {str(serial): ROUTERS}
