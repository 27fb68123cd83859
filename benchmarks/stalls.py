"""Stalls of an event loop, told from what the machine does to it; as a program, the bare loop beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop

STEP = 0.001
"""Seconds between two ticks of the timer."""

LIMIT = 5.0
"""Milliseconds that an update may hold up the loop."""

GAVE_UP = b"\nvoluntary_ctxt_switches:"


class Tick(NamedTuple):
    """How late a timer of the loop fired, and why, in milliseconds.

    ``queued``: the loop's thread could have run, but the machine had no processor for it. ``behind``: the
    same of the other threads of the process, one of which may have had what it waited for. ``worked``: it
    ran. ``gave_up``: how often it gave its processor up, of which once was to wait for the timer.
    """

    late: float
    queued: float
    behind: float
    worked: float
    gave_up: int

    @property
    def stall(self) -> float:
        """For how long the loop was held up by what the daemon does: it ran, or waited for a lock or a file.

        A thread that waited for nothing but its timer and yet is late was woken late: by the machine.
        """
        if self.gave_up <= 1:
            return min(self.late, self.worked)
        return max(0.0, self.late - self.queued - self.behind)


class Lag:
    """Ticks of a timer of the loop, each with what the kernel says of the threads of this process."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self._thread = str(threading.get_native_id())
        self._status = os.open(f"/proc/self/task/{self._thread}/status", os.O_RDONLY)
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        before = self._seen()
        while True:
            due = time.monotonic() + STEP
            await asyncio.sleep(STEP)
            late = time.monotonic() - due
            seen = self._seen()
            ran, queued = (now - then for now, then in zip(seen[0], before[0], strict=True))
            behind = sum(wait - before[1].get(thread, 0) for thread, wait in seen[1].items())
            tick = Tick(late * 1e3, queued / 1e6, behind / 1e6, ran / 1e6, seen[2] - before[2])
            self.ticks.append(tick)
            before = seen

    def _seen(self) -> tuple[tuple[int, int], dict[str, int], int]:
        """Nanoseconds that this thread has run and waited, those that others waited, how often it gave up."""
        own, others = (0, 0), {}
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):
                ran, waited = Path(f"/proc/self/task/{thread}/schedstat").read_bytes().split()[:2]
                if thread == self._thread:
                    own = int(ran), int(waited)
                else:
                    others[thread] = int(waited)
        status = os.pread(self._status, 4096, 0)
        return own, others, int(status[status.index(GAVE_UP) + len(GAVE_UP) :].split()[0])

    def end(self) -> list[Tick]:
        self._task.cancel()
        os.close(self._status)
        return self.ticks


def summary(ticks: list[Tick]) -> dict[str, float]:
    """Milliseconds of the worst tick and of one in a thousand; the longest work; stalls beyond the limit."""
    ticks = ticks or [Tick(0.0, 0.0, 0.0, 0.0, 0)]
    late = sorted(tick.late for tick in ticks)
    return {
        "late": late[-1],
        "late_permille": late[-1 - len(late) // 1000],
        "stall": max(tick.stall for tick in ticks),
        "worked": max(tick.worked for tick in ticks),
        "over": sum(tick.stall > LIMIT for tick in ticks),
    }


async def bare() -> None:
    """A loop that does nothing else: at each line of standard input, what it saw since the last."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while True:
        watch = Lag()
        if not await reader.readline():
            return
        print(msgspec.json.encode(summary(watch.end())).decode(), flush=True)


class Watch:
    """Both loops, ours and a bare one, over a stretch of time."""

    async def start(self) -> None:
        """Start the bare one."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.stalls", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    async def stop(self) -> None:
        """End the bare one."""
        self._process.kill()
        await self._process.wait()

    async def begin(self) -> None:
        await self._others()
        self._lag = Lag()

    async def end(self) -> dict[str, Any]:
        found = summary(self._lag.end())
        return {**found, "bare": await self._others()}

    async def _others(self) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return msgspec.json.decode(await self._process.stdout.readline(), type=dict[str, float])


if __name__ == "__main__":
    uvloop.run(bare())
