"""A VRP file as a feed: watched, and read when whoever writes it has finished.

A file that comes by rename is whole; one that is written in place is not until its writer stops, and
nothing says when that is. So a changed file is left alone until it has been quiet for a while, longer if
it is the same inode as before, and it counts as read only if it did not change meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import msgspec
import watchfiles

import rov
from rov import ReadReport, RovError
from rtr_server.feed.feed import FeedError, Loaded, tolerated

SETTLE_RENAMED = 0.2
"""Seconds of quiet after a new inode appears: a rename needs none, a copy from another disk a little. It is
read meanwhile, which takes longer for a file that is worth while: what has changed by then is read again."""

SETTLE_IN_PLACE = 1.0
"""Seconds of quiet before a file that is rewritten in place is read."""

GONE = 5.0
"""Seconds after which a file that was removed is no longer waited for: to read it says so, once."""

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
    """A VRP file in any format that ``rov.read`` knows; ``bad_rows``: share of bad rows to leave out.

    ``strict``: refuse the file at the first of them, by its number.

    >>> FileFeed(Path("/nonexistent.json")).name
    '/nonexistent.json'
    """

    synthetic = False

    def __init__(self, path: Path, *, strict: bool = True, bad_rows: float = 1.0) -> None:
        self.name = str(path)
        self._path = path
        self._strict = strict
        self._bad_rows = bad_rows
        self._unsettled = False
        self._seen: Signature | None = None

    def load(self) -> Loaded:
        """Read the file; FeedError if it cannot be read or changes meanwhile."""
        before = self._seen = _signature(self._path)
        quiet_at = time.monotonic() + (SETTLE_RENAMED if self._unsettled else 0.0)
        self._unsettled = False
        failure, report = None, None
        try:
            report = _read(self._path, strict=self._strict)
        except (RovError, OSError) as error:
            failure = error
        time.sleep(max(0.0, quiet_at - time.monotonic()))
        self._still(before)
        if report is None:
            assert failure is not None, "one of both"
            raise FeedError(_reason(failure, self.name)) from failure
        loaded = tolerated(report, self.name, self._bad_rows)
        if loaded.as_of is None and before is not None:
            loaded = msgspec.structs.replace(loaded, as_of=before[3] // 1_000_000_000)
        return loaded

    def _still(self, before: Signature | None) -> None:
        """FeedError if the file is another than when it was opened: whatever was read of it is no news."""
        if _signature(self._path) != before:
            raise FeedError(f"{self.name}: changed while it was read", temporary=True)

    def remember(self) -> dict[str, str]:
        """Which content was read last, to be given to ``resume`` of a later feed."""
        return {} if self._seen is None else {"seen": " ".join(map(str, self._seen))}

    def resume(self, remembered: dict[str, str]) -> None:
        """Only another content is a change: the owner still has the set of that one."""
        numbers = [int(number) for number in remembered.get("seen", "").split() if number.isdecimal()]
        if len(numbers) == 4:
            self._seen = (numbers[0], numbers[1], numbers[2], numbers[3])

    def is_due(self) -> bool:
        """Whether the file is another than the one last read, or gone."""
        return self._seen is None or _signature(self._path) != self._seen

    def look(self) -> None:
        """Take the file as it is now for known: who reads it otherwise says so before reading."""
        self._seen = _signature(self._path)

    async def changed(self) -> None:
        """Return when the file differs from the one last read and, if it is the same one, has been quiet.

        A file that is gone is no change at first: who replaces it by removing it first is not done yet.
        """
        gone_since = None
        while (now := self._news()) is None:
            if self._seen is None or _signature(self._path) is not None:
                gone_since = None
            elif gone_since is None:
                gone_since = time.monotonic()
            elif time.monotonic() - gone_since > GONE:
                return
            await self._event()
        if self._is_same_inode(now):
            await self._settled(now)
        else:
            self._unsettled = True

    def _news(self) -> Signature | None:
        """The file's signature if it is another than when it was read last."""
        now = _signature(self._path)
        return None if now == self._seen else now

    async def _settled(self, last: Signature) -> None:
        """Return when the file has had one signature for long enough."""
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while loop.time() - quiet_since < SETTLE_IN_PLACE:
            await asyncio.sleep(POLL_STEP)
            now = _signature(self._path)
            if now is not None and now != last:
                last, quiet_since = now, loop.time()

    def _is_same_inode(self, now: Signature) -> bool:
        return self._seen is not None and now[:2] == self._seen[:2]

    async def _event(self) -> None:
        """Return when there is news, by an event or by polling, or when file or directory is gone."""
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
        try:
            async for _ in events:
                gone = self._seen is not None and _signature(self._path) is None
                if gone or self._news() is not None or not all(map(os.path.isdir, present)):
                    return
        except (RuntimeError, OSError):  # the system gives no more watches: 128 a user in most of them
            await asyncio.sleep(POLL_INTERVAL)

    def cancel(self) -> None:
        """Reading a file blocks for a second at most: nothing to do."""


def _read(path: Path, *, strict: bool) -> ReadReport:
    return rov.read_report(path, strict=strict)


def _reason(error: Exception, name: str) -> str:
    """The message with the name in it, once."""
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return text if name in text else f"{name}: {text}"
