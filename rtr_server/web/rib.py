"""RIB dumps beside the VRPs: read by a process of their own, again when they change, judged in threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from rov import RovError
from rtr_server.logs import event
from rtr_server.threads import in_thread
from rtr_server.web.rib_loader import Read

if TYPE_CHECKING:
    from rtr_server.web.daemon import Served
    from rtr_server.web.table import Dumps, Table

log = logging.getLogger(__name__)

LOOK = 10.0
"""Seconds between two looks at the files; one that has changed is read once it stays the same for as long."""

MAX_SECONDS = 1_800
"""What reading may take: all collectors of RIPE RIS and RouteViews take a third of it on one slow core."""

TERM_WAIT = 5.0

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Of each file when it was written, its size and its number; None: it is not there."""

State = Literal["none", "loading", "loaded", "failed"]


class Status(msgspec.Struct, frozen=True):
    """How the dumps stand; times in unix seconds.

    ``state``: of the last attempt; what was loaded before stays. ``made``: when the newest file was written;
    ``peers``, ``entries``, ``skipped``, ``warnings``: of what is loaded; ``counts``: routes by family and
    state; ``generation``: that of the set that judged them.
    """

    state: State
    files: list[str]
    error: str | None = None
    loaded: int | None = None
    made: int | None = None
    seconds: float | None = None
    routes: int = 0
    peers: int = 0
    entries: int = 0
    skipped: int = 0
    warnings: tuple[str, ...] = ()
    counts: dict[str, dict[str, int]] = {}
    generation: int | None = None


class DumpsError(Exception):
    """The dumps cannot be read; the text says which and why."""


class Rib:
    """The routes of some dumps: ``table`` is None until they are there, and then follows what is served.

    ``served`` gives the set, ``changed`` waits for one of a later generation; ``clock`` gives unix seconds.
    """

    def __init__(
        self,
        files: tuple[Path, ...],
        served: Callable[[], Served | None],
        changed: Callable[[int], Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.files = files
        self.table: Table | None = None
        self._served = served
        self._changed = changed
        self._clock = clock
        self._dumps: Dumps | None = None
        self._status = Status("none", [str(path) for path in files])
        self._again = asyncio.Event()
        self._loaded = asyncio.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def status(self) -> Status:
        """How it stands."""
        table = self.table
        if table is None:
            return self._status
        counts = {f"ipv{family}": found for family, found in table.counts().items()}
        return msgspec.structs.replace(
            self._status, counts=counts, routes=len(table), generation=table.generation
        )

    def reload(self) -> None:
        """Read the files again, whether they have changed or not."""
        self._again.set()

    async def run(self) -> None:
        """Load, watch, judge; until cancelled."""
        if not self.files:
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch())
                tasks.create_task(self._judge())
        finally:
            await in_thread(self._end_child)

    # The files

    async def _watch(self) -> None:
        """Read the files at first, when they have changed and are whole, and when told to."""
        tried: Stamp | None = None
        before: Stamp | None = None
        while True:
            stamp = await in_thread(lambda: stamp_of(self.files))
            if tried is None or self._again.is_set() or (stamp != tried and stamp == before):
                self._again.clear()
                tried = stamp
                await self._load(stamp)
            before = stamp
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._again.wait()

    async def _load(self, stamp: Stamp) -> None:
        """Another table; whatever is wrong with the files, the last one stays."""
        began = time.monotonic()
        self._status = msgspec.structs.replace(self._status, state="loading")
        try:
            dumps, read = await in_thread(self._read)
        except (DumpsError, OSError) as error:
            self._status = msgspec.structs.replace(self._status, state="failed", error=str(error))
            event(log, logging.ERROR, "RIB not loaded, the last one stays", error=error)
            return
        seconds = time.monotonic() - began
        self._status = Status(
            "loaded",
            self._status.files,
            loaded=int(self._clock()),
            made=max((each[0] // 10**9 for each in stamp if each is not None), default=None),
            seconds=round(seconds, 3),
            peers=read.peers,
            entries=read.entries,
            skipped=read.skipped,
            warnings=read.warnings,
        )
        self._dumps = dumps
        wrong = {"skipped": read.skipped, "fault": read.warnings[0]} if read.warnings else {}
        level = logging.WARNING if wrong else logging.INFO
        event(log, level, "RIB loaded", routes=len(dumps.table), peers=read.peers, seconds=seconds, **wrong)
        self._loaded.set()

    def _read(self) -> tuple[Dumps, Read]:
        """By a process of its own; in a thread."""
        from rtr_server.web.table import Dumps

        with tempfile.TemporaryDirectory(prefix="rtr-server-rib-") as folder:
            program = [sys.executable, "-m", "rtr_server.web.rib_loader", folder, *map(str, self.files)]
            self._child = subprocess.Popen(  # noqa: S603  # our own program
                program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            try:
                said, wrong = self._child.communicate(timeout=MAX_SECONDS)
            except subprocess.TimeoutExpired:
                raise DumpsError(f"reading takes more than {MAX_SECONDS} s") from None
            finally:
                self._end_child()
            code = self._child.returncode
            if code != 0:
                lines = wrong.decode("utf-8", "replace").strip().splitlines()
                told = lines[-1][:500] if lines else f"the process that reads ended with {code}"
                raise DumpsError(told)
            try:
                return Dumps.open(Path(folder)), msgspec.json.decode(said, type=Read)
            except (OSError, ValueError, RovError, msgspec.DecodeError) as error:
                raise DumpsError(f"what was read is lost: {error}") from error

    def _end_child(self) -> None:
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(TERM_WAIT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    # The states

    async def _judge(self) -> None:
        """Judge the routes anew whenever they or the set are others."""
        while True:
            await self._look()
            served = self._served()
            waiting = [asyncio.create_task(self._loaded.wait())]
            waiting.append(asyncio.create_task(self._changed(0 if served is None else served.generation)))
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)

    async def _look(self) -> None:
        from rtr_server.web.table import Table

        self._loaded.clear()
        served, dumps = self._served(), self._dumps
        if served is None or dumps is None:
            return
        try:
            self.table = await in_thread(lambda: Table(dumps, served.index, served.generation))
        except (RovError, MemoryError) as error:
            event(log, logging.ERROR, "RIB not judged, the last states stay", error=repr(error))


def stamp_of(files: tuple[Path, ...]) -> Stamp:
    """What tells that a file is another.

    >>> stamp_of((Path("/nonexistent"),))
    (None,)
    """
    return tuple(map(_stamp, files))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
