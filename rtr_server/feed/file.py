"""A VRP file as a feed: watched, and read when whoever writes it has finished.

A file that comes by rename is whole; one that is written in place is not until its writer stops, and
nothing says when that is. So a changed file is left alone until it has been quiet for a while, longer if
it is the same inode as before, and it counts as read only if it did not change meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import watchfiles

import rov
from rov import RovError
from rtr_server.feed.feed import FeedError, Loaded

SETTLE_RENAMED = 0.2
"""Seconds of quiet before a new inode is read: a rename needs none, a copy from another disk a little."""

SETTLE_IN_PLACE = 1.0
"""Seconds of quiet before a file that is rewritten in place is read."""

POLL_STEP = 0.05
"""Seconds between two looks at a file that settles."""

POLL_INTERVAL = 1.0
"""Seconds between looks at the file where no event comes: network file systems send none, and a change
may come while the watch is being set up."""

Signature = tuple[int, int, int, int]
"""Device, inode, size, time of last write: two equal ones are the same content."""


def _signature(path: Path) -> Signature | None:
    """What tells one content of the file from another; None where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


class FileFeed:
    """A VRP file in any format that ``rov.read`` knows; with ``strict=False`` bad rows are left out.

    >>> FileFeed(Path("/nonexistent.json")).name
    '/nonexistent.json'
    """

    synthetic = False

    def __init__(self, path: Path, *, strict: bool = True) -> None:
        self.name = str(path)
        self._path = path
        self._strict = strict
        self._seen: Signature | None = None

    def load(self) -> Loaded:
        """Read the file; FeedError if it cannot be read or changes meanwhile."""
        before = self._seen = _signature(self._path)
        try:
            loaded = _read(self._path, strict=self._strict)
        except (RovError, OSError) as error:
            raise FeedError(_reason(error, self.name)) from error
        if _signature(self._path) != before:
            raise FeedError(f"{self.name}: changed while it was read", temporary=True)
        return loaded

    async def changed(self) -> None:
        """Return when the file differs from the one last read and has been quiet for a while.

        A file that is gone is no change: who replaces it by removing it first is not done yet.
        """
        while (now := self._news()) is None:
            await self._event()
        await self._settled(now)

    def _news(self) -> Signature | None:
        """The file's signature if it is another than when it was read last."""
        now = _signature(self._path)
        return None if now == self._seen else now

    async def _settled(self, last: Signature) -> None:
        """Return when the file has had one signature for long enough."""
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while loop.time() - quiet_since < self._settle(last):
            await asyncio.sleep(POLL_STEP)
            now = _signature(self._path)
            if now is not None and now != last:
                last, quiet_since = now, loop.time()

    def _settle(self, now: Signature) -> float:
        same_inode = self._seen is not None and now[:2] == self._seen[:2]
        return SETTLE_IN_PLACE if same_inode else SETTLE_RENAMED

    async def _event(self) -> None:
        """Return when there is news, by an event or by polling, or when a watched directory is gone."""
        watched = {self._path.parent.absolute(), self._path.resolve().parent}
        present = [str(directory) for directory in watched if directory.is_dir()]
        if not present:
            await asyncio.sleep(POLL_INTERVAL)
            return
        names = {self._path.name, self._path.resolve().name}
        events = watchfiles.awatch(
            *present,
            watch_filter=lambda _, path: os.path.basename(path) in names,
            step=int(POLL_STEP * 1000),
            rust_timeout=int(POLL_INTERVAL * 1000),
            yield_on_timeout=True,
            recursive=False,
        )
        async for _ in events:
            if self._news() is not None or not all(map(os.path.isdir, present)):
                return

    def cancel(self) -> None:
        """Reading a file blocks for a second at most: nothing to do."""


def _read(path: Path, *, strict: bool) -> Loaded:
    report = rov.read_report(path, strict=strict)
    return Loaded(report.snapshot, report.skipped_count)


def _reason(error: Exception, name: str) -> str:
    """The message with the name in it, once."""
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return text if name in text else f"{name}: {text}"
