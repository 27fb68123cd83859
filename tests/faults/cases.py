"""What can happen to a feed: a case a row of docs/faults.md, with what routers hold and the log says then."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any, NamedTuple, get_args

from rtr_server.feed.messages import StepName
from tests.faults.conftest import GOOD, replace, vrps

PAGE = Path(__file__).parent.parent.parent / "docs" / "faults.md"

LAST = "the last good set"
THEIRS = "what they have, until they expire it themselves"


class Case(NamedTuple):
    """A fault, the line of the log that tells of it, how it is done to a test's world, what routers hold."""

    fault: str
    log: str
    harm: Any = None
    holds: str = LAST

    @property
    def pattern(self) -> str:
        """A regular expression for the line."""
        return ".*".join(map(re.escape, self.log.split(" ... ")))


def spoil(octets):
    """The file is replaced by these octets."""
    return lambda world: replace(world.vrps, octets() if callable(octets) else octets)


def truncate(world):
    """The file is cut in place, as by a writer that died."""
    os.truncate(world.vrps, 5_000)


def grow(world):
    """A gigabyte of zeros, which takes no room on the disk."""
    garbage = world.vrps.with_name("garbage")
    with garbage.open("wb") as file:
        file.write(b'{"roas": [')
        file.truncate(1 << 30)
    os.replace(garbage, world.vrps)


def bad_rows():
    rows = json.loads(vrps())
    for row in rows["roas"][:20]:
        row["prefix"] = "192.0.2.0/99"
    return json.dumps(rows).encode()


def expired():
    rows = json.loads(vrps())
    for row in rows["roas"]:
        row["expires"] = int(time.time()) - 60
    return json.dumps(rows).encode()


FILE_CASES = [
    Case("file cut short in place", "set refused, the last one stays", truncate),
    Case("file replaced by an HTML page", "found an HTML page", spoil(b"<html>maintenance</html>")),
    Case("file emptied", "found nothing", spoil(b"")),
    Case("file of 1 GB of garbage", "set refused, the last one stays", grow),
    Case("file of another kind", "set refused, the last one stays", spoil(b'{"users": []}')),
    Case("file with 1 % bad rows", "at most 0.1% are borne", spoil(bad_rows)),
    Case("file without VRPs", "holds no VRPs", spoil(lambda: vrps(0))),
    Case("file in which all has expired", "have expired", spoil(expired)),
    Case("file removed", "No such file", lambda world: world.vrps.unlink()),
    Case("half of the VRPs gone", "UPDATE HELD, the last set stays", spoil(lambda: vrps(GOOD // 2))),
    Case(
        "local exceptions that are no SLURM",
        "local exceptions refused, the last good ones stay",
        lambda world: replace(world.slurm, b'{"slurmVersion": 7}'),
    ),
    Case("loader killed", "killed by signal 9", lambda world: world.daemon.kill_loader()),
]

URL_CASES = [
    Case("server answers 500", "HTTP status 500", "status"),
    Case("body shorter than Content-Length", "set refused, the last one stays", "short"),
    Case("connection reset in mid-body", "set refused, the last one stays", "reset"),
    Case("server drips a few octets a second", "not complete in", "drip"),
    Case("body that is no gzip though it says so", "set refused, the last one stays", "gzip"),
    Case("server gone", "Connection refused", "gone"),
]

STEPS = get_args(StepName)

STEP_CASES = [
    Case(
        f"loader killed in the step {step!r}",
        f"loader failed, the last set stays ... killed by signal 9 ... step= ... {step}",
        step,
        "the last good set or the new one, whole",
    )
    for step in STEPS
]

OTHER_CASES = [
    Case("clock set two hours ahead", "CLOCK: ours has jumped forwards", holds="what has not expired by it"),
    Case("clock set back", "CLOCK: ours has jumped backwards", holds="the whole set again"),
    Case(
        "HTTPS server with a certificate of another authority, at the start",
        "no data yet ... certificate verify failed",
        holds="nothing new: error 2, no data",
    ),
    Case("loader that stands still", "(nothing; after 120 s without a word another one takes its place)"),
    Case("disk of the state directory full", "No space left on device"),
    Case(
        "data from the future, or our clock is behind",
        "CLOCK: ours or theirs is wrong",
        holds="the new set: it is a warning",
    ),
    Case("daemon killed", "(the loader ends by itself)", holds=THEIRS),
    Case(
        "daemon started while its file is missing", "set refused, the last one stays", holds="the saved set"
    ),
    Case("cache upstream killed", "set refused, the last one stays"),
    Case("VRPs whose time has come", "expired ... withdrawn=-10", holds="the set without them, by one delta"),
    Case('data too old, `action = "withdraw"`', "DATA ARE STALE ... action=withdraw", holds="nothing"),
    Case(
        'data too old, `action = "close"`',
        "DATA ARE STALE ... action=close",
        holds="what another cache has: sessions end, error 2 for who comes",
    ),
    Case('data too old, `action = "exit"`', "DATA ARE STALE ... action=exit", holds=THEIRS),
]

CASES = {case.fault: case for case in (*FILE_CASES, *URL_CASES, *STEP_CASES, *OTHER_CASES)}

HEAD = """# What happens when something goes wrong

Each row is a test with a real daemon and its loader process (`tests/faults/`): the fault is done to it, the
line is found in its log, and a router that asks then gets what the row says, whole. Where the daemon lives
on, an update afterwards shows that all works again. The table is written by a run of these tests in which
each of them passed (`ROVKIT_WRITE=1`).

| fault | routers hold | the log says |
|---|---|---|
"""


def page() -> str:
    """What docs/faults.md is to be."""
    return HEAD + "".join(f"| {case.fault} | {case.holds} | {case.log} |\n" for case in CASES.values())
