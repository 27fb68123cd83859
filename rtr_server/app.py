"""The daemon: one feed, one history, the listeners; what happens when data or signals come.

SIGHUP loads the feed again. SIGTERM and SIGINT end the daemon: version 2 routers get Cache Shutdown and
drop our data. SIGUSR2 ends it too, but they get Cache Restart and keep the data until we are back
(8210bis §8.5, §8.6). Routers of versions 0 and 1 see the connection close and keep their data as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from rov import Delta, Snapshot
from rtr_server.cache.current import Current, advanced
from rtr_server.cache.history import History, new_history
from rtr_server.cache.store import Store
from rtr_server.endpoint import Endpoint
from rtr_server.feed.expiry import Expiry
from rtr_server.feed.feed import Feed, FeedError, Loaded
from rtr_server.logs import event
from rtr_server.protocol.limits import Limits
from rtr_server.protocol.session import CacheSession
from rtr_server.protocol.source import Timing
from rtr_server.threads import in_thread
from rtr_server.transport.listen import Listener, ListenError, bind
from rtr_server.transport.tcp import EndReason, TcpServer

log = logging.getLogger(__name__)

GRACE = 4.0
"""Seconds that routers get to take the last octets when the daemon ends."""

CLOCK_STEP = 30.0
"""Seconds after which the wall clock is read again: it may have been set, or the machine been asleep."""

TIMER_SLACK = 0.1
"""Seconds by which timers may fire early."""

RESERVED_FILES = 64
"""File descriptors that routers do not get: the feed, the log and the listeners must always have some."""

USUAL_VERSION = 1
"""What today's routers speak: encoded ahead, so that the first of them need not wait."""


class Settings(msgspec.Struct, frozen=True):
    """What the daemon is told: endpoints to serve, those that may be missing, timers, expiry, state.

    >>> Settings(listen=(Endpoint("127.0.0.1", 8323),)).ignore_expiry
    False
    """

    listen: tuple[Endpoint, ...]
    optional: tuple[Endpoint, ...] = ()
    timing: Timing = Timing()
    limits: Limits = Limits()
    ignore_expiry: bool = False
    state_dir: Path | None = None
    """Where sessions survive a restart; None: nowhere."""


class Cache:
    """The running daemon. ``run`` serves until a signal; ``started`` is called with what is served where.

    Raises FeedError where the feed has no usable set at the start, ListenError where an endpoint cannot
    be listened on, StoreError where the state directory cannot be used.
    """

    def __init__(
        self,
        feed: Feed,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        started: Callable[[Cache], None] = lambda cache: None,
    ) -> None:
        self.feed = feed
        self.settings = settings
        self._chosen = random.SystemRandom()
        self._current = Current(new_history(self._chosen, settings.timing))
        self._store: Store | None = None
        self.endpoints: list[Endpoint] = []
        self._clock = clock
        self._started = started
        self._expiry = Expiry(ignore=settings.ignore_expiry)

    @property
    def history(self) -> History:
        """What is served, with the steps that led to it."""
        return self._current.history

    # The life of the daemon

    async def run(self) -> None:
        """Bind, load, serve, until a signal ends it."""
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()
        self._ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self._server = TcpServer(self._new_session, max_connections=_raise_file_limit())
        listener = self._bind()
        self._handle_signals()
        try:
            await self._open_store()
            if not await self._first_load():
                return
            listener.start()
            self._started(self)
            reason = await self._serve()
        finally:
            listener.close()
            self.feed.cancel()
            if self._store is not None:
                await in_thread(self._store.close)
        event(log, logging.INFO, "ending", reason=reason, routers=len(self._server.connections))
        await self._server.close(reason, GRACE)

    def stop(self, reason: EndReason) -> None:
        """End the daemon in order; what a signal does."""
        if not self._ended.done():
            self._ended.set_result(reason)

    def reload(self) -> None:
        """Load the feed again now; what SIGHUP does."""
        self._wake.set()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_exception)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, "shutdown")
        loop.add_signal_handler(signal.SIGUSR2, self.stop, "restart")
        loop.add_signal_handler(signal.SIGHUP, self.reload)

    def _bind(self) -> Listener:
        """The sockets of all endpoints; of the optional ones, those whose address the machine has."""
        sockets = [bound for endpoint in self.settings.listen for bound in bind(endpoint)]
        for endpoint in self.settings.optional:
            try:
                sockets += bind(endpoint)
            except ListenError as error:
                if not error.missing:
                    raise
                event(log, logging.WARNING, "endpoint left out", endpoint=endpoint, error=error)
        listener = Listener(sockets, self._server.accept)
        self.endpoints = listener.endpoints
        return listener

    def _new_session(self, now: float) -> CacheSession:
        return CacheSession(self._current, now=now, limits=self.settings.limits)

    async def _open_store(self) -> None:
        """Go on with the history that was saved, if one was."""
        if self.settings.state_dir is None:
            return
        store = Store(
            self.settings.state_dir,
            synthetic=self.feed.synthetic,
            chosen=self._chosen,
            wall=self._clock,
            clock=time.monotonic,
        )
        self._current.history = await in_thread(lambda: store.open(self.settings.timing))
        self._store = store
        if self.history.snapshot is not None:
            self._expiry.resume(self.history.snapshot)

    async def _first_load(self) -> bool:
        """Load before anyone may connect; False if a signal came first. A feed that is down may come up."""
        loading = asyncio.ensure_future(self._load())
        await _first(loading, self._ended)
        if self._ended.done():
            loading.cancel()
            return False
        try:
            await loading
        except FeedError as error:
            if not error.temporary:
                raise
            await self._first_without_feed(error)
        return True

    async def _first_without_feed(self, error: FeedError) -> None:
        """What was saved is better than nothing, as far as it has not expired."""
        if not self.history.ready():
            event(log, logging.ERROR, "no data yet", error=error, answer="error 2 to all queries")
            return
        await self._expire(int(self._clock()))
        event(log, logging.ERROR, "no data yet, serving the saved set", error=error, vrps=self._count)

    async def _serve(self) -> EndReason:
        """Until a signal: watch the feed, load when it is worth while, let expired VRPs go."""
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._work())]
        try:
            await _first(*tasks, self._ended)
            for task in tasks:
                if task.done():
                    task.result()
            return await self._ended
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # Data

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
            self._current.history = after
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


async def _first(*futures: asyncio.Future[Any]) -> None:
    """Return when one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _raise_file_limit() -> int:
    """As many open files as the system lets us have; how many of them may be routers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return 1 << 20 if soft == resource.RLIM_INFINITY else max(1, soft - RESERVED_FILES)


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the event loop could not deliver to anyone: one line."""
    error = context.get("exception")
    event(log, logging.ERROR, "event loop", message=context.get("message"), error=repr(error))


def run(cache: Cache) -> None:
    """Run the daemon on uvloop until a signal; FeedError and ListenError as in ``Cache``."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(cache.run())
