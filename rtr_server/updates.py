"""Updates: how what a feed gives becomes what routers are served, and what else changes it.

One thing happens at a time: a set is loaded, or what has expired goes. Whatever comes of it is built,
encoded and on disk before the event loop swaps it in and tells the server that there is something new.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rov import Delta, Snapshot
from rtr_server.cache.current import Current, advanced
from rtr_server.cache.history import History, new_history
from rtr_server.cache.store import Store
from rtr_server.feed.expiry import Expiry
from rtr_server.feed.feed import Feed, FeedError, Loaded
from rtr_server.logs import event
from rtr_server.protocol.source import Timing
from rtr_server.threads import in_thread

log = logging.getLogger(__name__)

CLOCK_STEP = 30.0
"""Seconds after which the wall clock is read again: it may have been set, or the machine been asleep."""

TIMER_SLACK = 0.1
"""Seconds by which timers may fire early."""

USUAL_VERSION = 1
"""What today's routers speak: encoded ahead, so that the first of them need not wait."""


class Server(Protocol):
    """What the updates need of whoever serves the routers."""

    @property
    def versions(self) -> set[int]:
        """The protocol versions that routers speak now: what is encoded ahead."""

    def notify(self) -> None:
        """Tell the routers that there is something new."""


class Updates:
    """The data of a daemon: ``current`` for its sessions, kept up to date by ``run``.

    In this order: ``serve`` with the server, ``open``, ``first``, ``run`` until it is cancelled, ``close``.

    ``clock`` gives unix seconds. Raises StoreError from ``open`` where the state directory cannot be used,
    FeedError from ``first`` where the feed has no usable set and will not have one soon.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        timing: Timing,
        ignore_expiry: bool = False,
        state_dir: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.feed = feed
        self._timing = timing
        self._state_dir = state_dir
        self._clock = clock
        self._chosen = random.SystemRandom()
        self.current = Current(new_history(self._chosen, timing))
        self._store: Store | None = None
        self._expiry = Expiry(ignore=ignore_expiry)
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()

    @property
    def history(self) -> History:
        """What is served, with the steps that led to it."""
        return self.current.history

    # What the daemon does

    def serve(self, server: Server) -> None:
        """Tell this server of what is new, from now on."""
        self._server = server

    async def open(self) -> None:
        """Go on with the history that was saved, if one was."""
        if self._state_dir is None:
            return
        store = Store(
            self._state_dir,
            synthetic=self.feed.synthetic,
            chosen=self._chosen,
            wall=self._clock,
            clock=time.monotonic,
        )
        self.current.history = await in_thread(lambda: store.open(self._timing))
        self._store = store
        if self.history.snapshot is not None:
            self._expiry.resume(self.history.snapshot)

    async def first(self) -> None:
        """Load before anyone may connect. A feed that is down may come up: then without, or as saved."""
        try:
            await self._load()
        except FeedError as error:
            if not error.temporary:
                raise
            await self._first_without_feed(error)

    async def run(self) -> None:
        """Watch the feed, load when it is worth while, let expired VRPs go; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._work())

    def reload(self) -> None:
        """Load the feed again now."""
        self._wake.set()

    async def close(self) -> None:
        """Let go of the feed and of the state directory."""
        self.feed.cancel()
        if self._store is not None:
            await in_thread(self._store.close)

    async def _first_without_feed(self, error: FeedError) -> None:
        """What was saved is better than nothing, as far as it has not expired."""
        if not self.history.ready():
            event(log, logging.ERROR, "no data yet", error=error, answer="error 2 to all queries")
            return
        await self._expire(int(self._clock()))
        event(log, logging.ERROR, "no data yet, serving the saved set", error=error, vrps=self._count)

    # One thing at a time

    async def _watch(self) -> None:
        """Wake the worker at each change of the feed, and wait until it has looked at it."""
        while True:
            await self.feed.changed()
            self._looked.clear()
            self._wake.set()
            await self._looked.wait()

    async def _work(self) -> None:
        """One thing at a time: load when woken, else let expire what is due."""
        while True:
            due = self._expiry.due()
            wait = CLOCK_STEP if due is None else min(CLOCK_STEP, max(0.0, due - self._clock()))
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                if due is not None and self._clock() > due - TIMER_SLACK:
                    await self._expire(max(due, int(self._clock())))
                continue
            self._wake.clear()
            await self._reload()

    async def _reload(self) -> None:
        """Load again; whatever is wrong with the new set, the old one stays."""
        try:
            await self._load()
        except FeedError as error:
            event(log, logging.ERROR, "set refused, the last one stays", error=error, vrps=self._count)
        except Exception:
            log.exception("load failed, the last set stays", extra={"fields": {"feed": self.feed.name}})
        finally:
            self._looked.set()

    async def _load(self) -> None:
        """Load, drop what has expired, serve what is new; FeedError if the set is not fit to serve."""
        began = time.monotonic()
        loaded = await in_thread(self.feed.load)
        if loaded is None:
            event(log, logging.DEBUG, "feed not modified", feed=self.feed.name)
            return
        now = int(self._clock())
        live = await in_thread(lambda: self._expiry.accept(self.feed.name, loaded.snapshot, now))
        delta = await self._advance(live)
        left_out = self._left_out(loaded)
        self._tell("set loaded", delta, began, feed=self.feed.name, **left_out)

    def _left_out(self, loaded: Loaded) -> dict[str, int]:
        """What was loaded but is not served, where there is any."""
        expired = len(loaded.snapshot) - self._count
        return {name: count for name, count in (("bad", loaded.skipped), ("expired", expired)) if count}

    async def _expire(self, now: int) -> None:
        """Withdraw what has expired. If nothing is left, routers get that too: stale data are worse."""
        began = time.monotonic()
        live = await in_thread(lambda: self._expiry.run(now))
        if live is None:
            return
        delta = await self._advance(live)
        self._tell("expired", delta, began)
        if not live:
            event(log, logging.ERROR, "ALL DATA HAVE EXPIRED: routers withdraw them", feed=self.feed.name)

    async def _advance(self, live: Snapshot) -> Delta | None:
        """Diff, encode and save in a thread, then serve the outcome; the step to it, None if none."""
        versions = {USUAL_VERSION} | self._server.versions
        history = self.history
        after, delta = await in_thread(lambda: self._saved(history, live, versions))
        if delta is not None or not history.ready():
            self.current.history = after
        return delta

    def _saved(self, history: History, live: Snapshot, versions: set[int]) -> tuple[History, Delta | None]:
        """The history after ``live``, on disk before any router is told of it; in a thread."""
        after, delta = advanced(history, live, time.monotonic(), versions)
        saved = after if self._store is None else self._store.save(after, delta)
        if saved is not after:  # under new session ids: nothing of it has been encoded
            for version in versions:
                saved.full(version)
        return saved, delta

    def _tell(self, name: str, delta: Delta | None, began: float, **fields: object) -> None:
        """Tell the log what changed, and the routers that something did."""
        seconds = time.monotonic() - began
        if delta is None:
            event(log, logging.DEBUG, f"{name}: nothing changed", seconds=seconds, **fields)
            return
        event(
            log,
            logging.INFO,
            name,
            **fields,
            vrps=self._count,
            announced=f"+{len(delta.announced)}",
            withdrawn=f"-{len(delta.withdrawn)}",
            serial=self.history.serial,
            seconds=seconds,
        )
        self._server.notify()

    @property
    def _count(self) -> int:
        return len(self.history.snapshot or ())
