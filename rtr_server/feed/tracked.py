"""A source in the loader: its last good set, how it stands, and both on disk for the next loader.

A loader may be ended at any time, so what it would take long to get again is kept: a file of the set, and
beside it what makes the next request small (an ETag, an RTR session). A source whose configuration has
changed begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import msgspec

from rov import RovError, Snapshot
from rtr_server.config.sources import CommandSource, FileSource, RtrSource, Source, StaticSource, UrlSource
from rtr_server.feed.command import CommandFeed
from rtr_server.feed.feed import Feed, FeedError, Loaded
from rtr_server.feed.file import FileFeed
from rtr_server.feed.messages import SourceStatus
from rtr_server.feed.rtr import RtrFeed
from rtr_server.feed.stale import skewed
from rtr_server.feed.static import StaticFeed
from rtr_server.feed.url import UrlFeed
from rtr_server.logs import event
from rtr_server.threads import in_thread

log = logging.getLogger(__name__)

LOAD_TIMEOUT = 900.0
"""Seconds for one load: a file on a dead network file system blocks for ever. Its thread is waited for again
then, so that a source that hangs has one and not one more with each try."""

PAUSE = 5.0
"""Seconds after a failure that nobody expected."""


class Remembered(msgspec.Struct, frozen=True):
    """What is kept beside the set of a source."""

    loaded_at: int
    as_of: int | None
    skipped: int
    lapse: int | None
    feed: dict[str, str]


class Outcomes(Protocol):
    """Where a source's sets come from, one after another; ``busy``: work is under way that would be lost."""

    busy: bool

    async def next(self) -> Loaded | None:
        """Wait for the next set; None: the last one is confirmed. FeedError: there is none."""

    def reload(self) -> None:
        """Do not wait any longer."""

    def cancel(self) -> None:
        """Make a load that runs in a thread end soon."""


class Polled:
    """A Feed, which is loaded in a thread, as outcomes: at once, then whenever it has changed."""

    def __init__(self, feed: Feed, reading: Callable[[], AbstractContextManager[None]]) -> None:
        self._feed = feed
        self._reading = reading
        self.began = False
        self.busy = False
        self._wake = asyncio.Event()
        self._loading: asyncio.Task[Loaded | None] | None = None

    async def next(self) -> Loaded | None:
        """Wait for a change, load."""
        if self.began and self._loading is None:
            waits = [asyncio.ensure_future(self._feed.changed()), asyncio.ensure_future(self._wake.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        self.began = True
        self._wake.clear()
        self.busy = True
        if self._loading is None:
            self._loading = asyncio.create_task(in_thread(self._load))
        try:
            done, _ = await asyncio.wait([self._loading], timeout=LOAD_TIMEOUT)
        finally:
            self.busy = False
        if not done:
            raise FeedError(f"{self._feed.name}: not loaded in {LOAD_TIMEOUT:g} s", temporary=True)
        self._loading = None
        return done.pop().result()

    def _load(self) -> Loaded | None:
        with self._reading():
            return self._feed.load()

    def reload(self) -> None:
        """Load now."""
        self._wake.set()

    def cancel(self) -> None:
        """A fetch ends with the octets that come next."""
        self._feed.cancel()


class Tracked:
    """A source and what is known of it. ``changed`` is called after each outcome.

    ``clock`` gives unix seconds; ``directory`` is where the set is kept; ``reading`` is
    entered when it is read.
    """

    def __init__(
        self,
        source: Source,
        directory: Path,
        clock: Callable[[], float],
        changed: Callable[[Tracked], None],
        reading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.source = source
        self.name = source.label
        self.snapshot: Snapshot | None = None
        self.as_of: int | None = None
        self.loaded_at: int | None = None
        self.error: FeedError | None = None
        self.began = False
        """Whether there was an outcome, be it from before or a failure."""
        self.heard = False
        """Whether what is known is as of now: an outcome in this life, or nothing is due since the last."""
        self.skipped = 0
        self._lapse: int | None = None
        self._failing_since: int | None = None
        self._clock = clock
        self._changed = changed
        name = hashlib.blake2b(repr(source).encode(), digest_size=8).hexdigest()
        self.files = directory / f"source-{name}.rov", directory / f"source-{name}.state"
        self._feed: FileFeed | UrlFeed | CommandFeed | RtrFeed | StaticFeed = _feed(source, clock)
        self._outcomes: Outcomes = (
            self._feed if isinstance(self._feed, CommandFeed | RtrFeed) else Polled(self._feed, reading)
        )
        self._unsaved = False

    # What the pipeline does

    async def run(self) -> None:
        """Take outcome after outcome, until cancelled."""
        while True:
            try:
                # Without a name of its own here: that would keep the set in memory until the next one.
                self._took(await self._outcomes.next())
            except FeedError as error:
                self._failed(error)
            except Exception as error:
                log.exception("source failed", extra={"fields": {"source": self.name}})
                self._failed(FeedError(f"{self.name}: {type(error).__name__}: {error}", temporary=True))
                await asyncio.sleep(PAUSE)
            self.heard = True
            self._changed(self)

    def reload(self) -> None:
        """Ask it now."""
        self._outcomes.reload()

    def cancel(self) -> None:
        """Let go of what blocks."""
        self._outcomes.cancel()

    @property
    def busy(self) -> bool:
        """Whether it is loading."""
        return self._outcomes.busy

    def usable(self, now: float) -> bool:
        """Whether its last set may be used: it works, or has not failed for too long.

        Where the source itself tells how long its word holds, as RTR does by the Expire interval, that
        counts from its last word, not from when the failure was noticed (RFC 8210 §6).
        """
        if self.snapshot is None:
            return False
        if self._lapse is not None and self.loaded_at is not None and now - self.loaded_at >= self._lapse:
            return False
        return self._failing_since is None or now - self._failing_since < self.source.lapse

    def status(self, now: float, in_use: bool) -> SourceStatus:
        """How it stands."""
        snapshot = self.snapshot or Snapshot.empty()
        return SourceStatus(
            self.name,
            self._state(now),
            len(snapshot),
            len(snapshot.aspas),
            len(snapshot.router_keys),
            self.skipped,
            self.as_of,
            self.loaded_at,
            in_use,
            "" if self.error is None else str(self.error),
            dict(self._feed.answers) if isinstance(self._feed, UrlFeed) else {},
        )

    def _state(self, now: float) -> str:
        if not self.began:
            return "starting"
        if not self.usable(now):
            return "lapsed" if self.snapshot is not None else "failing"
        return "failing" if self.error is not None else "usable"

    # Outcomes

    def _took(self, loaded: Loaded | None) -> None:
        now = int(self._clock())
        self.began = True
        if self.error is not None:
            event(log, logging.INFO, "source works again", source=self.name)
        self.error = self._failing_since = None
        self.loaded_at = now
        if loaded is None:
            event(log, logging.DEBUG, "feed not modified", feed=self.name)
            return
        self._check_clock(loaded, now)
        if loaded.skipped:
            first = "; ".join(loaded.bad[:3])
            event(
                log, logging.WARNING, "bad rows left out", source=self.name, rows=loaded.skipped, first=first
            )
        self._unsaved = self.snapshot is not loaded.snapshot
        self.snapshot, self.skipped = loaded.snapshot, loaded.skipped
        self.as_of = now if loaded.as_of is None else loaded.as_of
        self._lapse = loaded.lapse

    def _failed(self, error: FeedError) -> None:
        self.began = True
        self.error = error
        if self._failing_since is None:
            self._failing_since = int(self._clock())

    def _check_clock(self, loaded: Loaded, now: int) -> None:
        """RFC 8210 §4: a cache's clock has to be right to the hour, or VRPs expire at the wrong time."""
        clocks = {"the data's own time": loaded.as_of, "the server's clock": loaded.clock}
        for what, theirs in clocks.items():
            ahead = theirs is not None and skewed(theirs, now)
            behind = what == "the server's clock" and theirs is not None and skewed(now, theirs)
            if theirs is not None and (ahead or behind):
                name = "CLOCK: ours or theirs is wrong by more than an hour"
                fields = {"theirs": what, "ahead_seconds": theirs - now}
                event(log, logging.WARNING, name, source=self.name, **fields)

    # Over a restart of the loader

    def resume(self) -> None:
        """Take up the set that an earlier loader kept, if it is whole."""
        set_file, state_file = self.files
        try:
            remembered = msgspec.msgpack.decode(state_file.read_bytes(), type=Remembered)
            snapshot = Snapshot.open(set_file)
        except (OSError, RovError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        self.snapshot, self.as_of, self.loaded_at = snapshot, remembered.as_of, remembered.loaded_at
        self.skipped, self._lapse, self.began = remembered.skipped, remembered.lapse, True
        if self._clock() - remembered.loaded_at > self.source.lapse:
            self._failing_since = remembered.loaded_at
        if isinstance(self._feed, RtrFeed):
            self._feed.resume(remembered.feed, snapshot)
        elif isinstance(self._feed, FileFeed | UrlFeed | CommandFeed):
            self._feed.resume(remembered.feed)
        self.heard = isinstance(self._feed, FileFeed | CommandFeed) and not self._feed.is_due()
        if isinstance(self._feed, FileFeed) and isinstance(self._outcomes, Polled):
            self._outcomes.began = True

    def save(self) -> None:
        """Keep the set for the next loader, in a thread; a disk that is full costs only that.

        From then on the set is the file: its pages can go from memory and come back.
        """
        snapshot = self.snapshot
        if not self._unsaved or snapshot is None or self.loaded_at is None:
            return
        self._unsaved = False
        set_file, state_file = self.files
        feed = {} if isinstance(self._feed, StaticFeed) else self._feed.remember()
        remembered = Remembered(self.loaded_at, self.as_of, self.skipped, self._lapse, feed)
        try:
            # In this order and with nothing in between: a state beside another set would skip a change.
            state_file.unlink(missing_ok=True)
            snapshot.save(set_file)
            unfinished = state_file.with_name(state_file.name + ".new")
            unfinished.write_bytes(msgspec.msgpack.encode(remembered))
            os.replace(unfinished, state_file)
            mapped = Snapshot.open(set_file)
            if self.snapshot is snapshot:
                self.snapshot = mapped
        except (OSError, RovError) as error:
            event(log, logging.WARNING, "source not saved", source=self.name, error=error)
            with contextlib.suppress(OSError):
                state_file.unlink(missing_ok=True)


def _feed(
    source: Source, clock: Callable[[], float]
) -> FileFeed | UrlFeed | CommandFeed | RtrFeed | StaticFeed:
    match source:
        case FileSource():
            return FileFeed(source.path, strict=not source.bad_rows, bad_rows=source.bad_rows)
        case UrlSource():
            return UrlFeed(
                source.url,
                interval=source.interval,
                strict=not source.bad_rows,
                bad_rows=source.bad_rows,
                max_octets=source.max_octets,
                fetch_timeout=source.timeout,
                ca_file=source.ca_file,
            )
        case RtrSource():
            return RtrFeed(source, clock)
        case CommandSource():
            return CommandFeed(source, clock)
        case StaticSource():
            return StaticFeed(source.label, source.vrps, clock)
