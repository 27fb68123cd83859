"""A validator as a feed: run on a timer, bounded in time and output, and no shell between it and us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec

import rov
from rov import ReadReport, RovError
from rtr_server.config.sources import CommandSource
from rtr_server.feed import supervise
from rtr_server.feed.backoff import Backoff
from rtr_server.feed.feed import FeedError, Loaded, tolerated
from rtr_server.threads import in_thread

RETRY_INTERVAL = 30
"""Seconds to the next run after one that failed; doubled with each that fails, up to the interval."""

TERM_SECONDS = 5.0
"""What a program that has run out of time gets to clean up, before it is killed."""

TAIL = 4_096
"""Octets of standard error that are kept: the last words say why."""

CHUNK = 1 << 16

KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR")
"""What a program is told of our environment: the rest may hold secrets of the daemon."""


_SUPERVISED = (sys.executable, "-I", "-S", supervise.__file__)


class CommandFeed:
    """A program that writes a VRP file, or leaves one; ``next`` runs it when it is time.

    >>> source = CommandSource(argv=("cat", "/var/db/vrps.json"))
    >>> CommandFeed(source, clock=lambda: 0.0).name
    'cat'
    """

    synthetic = False

    def __init__(
        self, source: CommandSource, clock: Callable[[], float], chosen: Random | None = None
    ) -> None:
        self.name = source.label
        self._source = source
        self._clock = clock
        self._backoff = Backoff(RETRY_INTERVAL, source.interval, chosen)
        self._ran_at: float | None = None
        self.busy = False
        """Whether the program runs."""
        self._wake = asyncio.Event()

    def remember(self) -> dict[str, str]:
        """When it ran last, to be given to ``resume`` of a later feed."""
        return {} if self._ran_at is None else {"ran_at": str(int(self._ran_at))}

    def resume(self, remembered: dict[str, str]) -> None:
        """Do not run before it is due again: the owner still has its set."""
        with contextlib.suppress(ValueError, KeyError):
            self._ran_at = float(remembered["ran_at"])

    def is_due(self) -> bool:
        """Whether it is time to run it."""
        return self._ran_at is None or self._wait(self._ran_at) == 0.0

    def reload(self) -> None:
        """Run now."""
        self._wake.set()

    async def next(self) -> Loaded:
        """Wait until it is due, run it, read what it leaves; FeedError where that gives no set."""
        await self._due()
        began = self._clock()
        self.busy = True
        try:
            loaded = await self._run()
        except FeedError:
            self._backoff.failed()
            raise
        finally:
            self.busy = False
            self._ran_at = self._clock()
        self._backoff.succeeded()
        return loaded if loaded.as_of is not None else msgspec.structs.replace(loaded, as_of=int(began))

    async def _due(self) -> None:
        if self._ran_at is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait(self._ran_at)):
                await self._wake.wait()
        self._wake.clear()

    def _wait(self, ran_at: float) -> float:
        ago = max(0.0, self._clock() - ran_at)
        return max(0.0, self._backoff.delay(self._source.interval) - ago)

    async def _run(self) -> Loaded:
        before = _signature(self._source.output)
        output = await self._output()
        path = self._source.output
        if path is not None and _signature(path) in (before, None):
            raise FeedError(f"{self.name}: {path}: not written by this run", temporary=True)
        try:
            report = await in_thread(lambda: self._read(output))
        except (RovError, OSError) as error:
            raise FeedError(f"{self.name}: {error}", temporary=True) from error
        return tolerated(report, self.name, self._source.bad_rows)

    def _read(self, output: bytes) -> ReadReport:
        if self._source.output is not None:
            return rov.read_report(self._source.output, strict=False)
        return rov.read_bytes(output, self.name, strict=False)

    async def _output(self) -> bytes:
        """Run the program to its end; what it wrote, if that is what is wanted."""
        wanted = self._source.output is None
        program = self._source.argv[0]
        environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        if shutil.which(program, path=(environment | self._source.env).get("PATH")) is None:
            raise FeedError(f"{self.name}: cannot be run: no such program: {program}", temporary=True)
        try:
            process = await asyncio.create_subprocess_exec(
                *_SUPERVISED,
                str(os.getpid()),
                *self._source.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if wanted else asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=environment | self._source.env,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise FeedError(f"{self.name}: cannot be run: {error}", temporary=True) from error
        tail = bytearray()
        try:
            async with asyncio.timeout(self._source.timeout):
                reading = self._bounded(process.stdout) if wanted else _nothing()
                output, _ = await asyncio.gather(reading, _last(process.stderr, tail))
                await process.wait()
        except TimeoutError:
            raise FeedError(f"{self.name}: not done in {self._source.timeout}", temporary=True) from None
        finally:
            await _end(process)
        if process.returncode != 0:
            words = tail.decode("utf-8", "replace").strip() or "no words on standard error"
            raise FeedError(f"{self.name}: exit code {process.returncode}: {words[-180:]}", temporary=True)
        return output

    async def _bounded(self, stream: asyncio.StreamReader | None) -> bytes:
        output = bytearray()
        while stream is not None and (piece := await stream.read(CHUNK)):
            output += piece
            if len(output) > self._source.max_octets:
                raise FeedError(f"{self.name}: more than {int(self._source.max_octets):,} octets of output")
        return bytes(output)

    def cancel(self) -> None:
        """Its task is cancelled by the owner, and with it the program is ended."""


def _signature(path: Path | None) -> tuple[int, int, int] | None:
    """What tells one content of the output file from another; None where there is none."""
    if path is None:
        return None
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


async def _nothing() -> bytes:
    return b""


async def _last(stream: asyncio.StreamReader | None, tail: bytearray) -> None:
    """Read to the end, keep the last octets."""
    while stream is not None and (piece := await stream.read(CHUNK)):
        tail += piece
        del tail[:-TAIL]


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program that still runs, with all that it has started: the group is named after it."""
    if process.returncode is not None:
        return
    _signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TERM_SECONDS):
            await process.wait()
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
