"""Local exceptions (SLURM, RFC 8416) in the loader: files that are watched, used together or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from rov import SlurmError, Snapshot, slurm
from rtr_server.feed.file import FileFeed
from rtr_server.logs import event
from rtr_server.threads import in_thread

log = logging.getLogger(__name__)


class Exceptions:
    """The exceptions that hold: those last read without a fault. ``changed`` is called when they differ.

    >>> Exceptions((), lambda: None).current is None
    True
    """

    def __init__(self, files: Sequence[Path], changed: Callable[[], None]) -> None:
        self.files = tuple(files)
        self.current: slurm.Slurm | None = None
        self.error = ""
        self._changed = changed
        self._watches = [FileFeed(path) for path in self.files]
        self._wake = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether there are exceptions to apply, or none are asked for: without them nothing is served."""
        return not self.files or self.current is not None

    def load(self) -> None:
        """Read all files; whatever is wrong with one of them, all stay as they were."""
        for watch in self._watches:
            watch.look()
        try:
            read = slurm.read(*self.files) if self.files else None
        except SlurmError as error:
            self.error = str(error)
            stays = "the last good ones stay" if self.current else "NOTHING IS SERVED without them"
            event(log, logging.ERROR, f"local exceptions refused, {stays}", error=error)
            return
        self.error = ""
        if read is not None:
            for warning in read.warnings:
                event(log, logging.WARNING, "local exceptions", warning=warning)
            counts = {"filters": len(read.filters), "assertions": len(read.assertions)}
            event(log, logging.INFO, "local exceptions loaded", files=len(self.files), **counts)
        self.current = read

    def reload(self) -> None:
        """Read them now."""
        self._wake.set()

    async def run(self) -> None:
        """Read them whenever one of the files changes, until cancelled."""
        if not self.files:
            return
        while True:
            waits = [asyncio.ensure_future(watch.changed()) for watch in self._watches]
            waits.append(asyncio.ensure_future(self._woken()))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            self._wake.clear()
            await in_thread(self.load)
            self._changed()

    async def _woken(self) -> None:
        await self._wake.wait()

    def apply(self, snapshot: Snapshot) -> tuple[Snapshot, Snapshot, dict[str, int]]:
        """A set with the exceptions in it, what they took out, and what each of them did."""
        if self.current is None:
            return snapshot, Snapshot.empty(), {}
        applied = self.current.apply(snapshot)
        counts = {str(effect.entry): effect.count for effect in applied.filters}
        counts["assertions"] = sum(effect.count for effect in applied.assertions)
        return applied.snapshot, applied.removed, counts
