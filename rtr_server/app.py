"""The daemon: the updates, the listeners, the sessions; what happens when signals come.

SIGHUP loads the feed again. SIGTERM and SIGINT end the daemon: version 2 routers get Cache Shutdown and
drop our data. SIGUSR2 ends it too, but they get Cache Restart and keep the data until we are back
(8210bis §8.5, §8.6). Routers of versions 0 and 1 see the connection close and keep their data as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from rtr_server.cache.history import History
from rtr_server.endpoint import Endpoint
from rtr_server.feed.feed import Feed
from rtr_server.logs import event
from rtr_server.protocol.limits import Limits
from rtr_server.protocol.session import CacheSession
from rtr_server.protocol.source import Timing
from rtr_server.transport.listen import Listener, ListenError, bind
from rtr_server.transport.tcp import EndReason, TcpServer
from rtr_server.updates import Updates

log = logging.getLogger(__name__)

GRACE = 4.0
"""Seconds that routers get to take the last octets when the daemon ends."""

RESERVED_FILES = 64
"""File descriptors that routers do not get: the feed, the log and the listeners must always have some."""


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
        self.endpoints: list[Endpoint] = []
        self._started = started
        self.updates = Updates(
            feed,
            timing=settings.timing,
            ignore_expiry=settings.ignore_expiry,
            state_dir=settings.state_dir,
            clock=clock,
        )

    @property
    def history(self) -> History:
        """What is served, with the steps that led to it."""
        return self.updates.history

    async def run(self) -> None:
        """Bind, load, serve, until a signal ends it."""
        self._ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self._server = TcpServer(self._new_session, max_connections=_raise_file_limit())
        self.updates.serve(self._server)
        listener = self._bind()
        self._handle_signals()
        try:
            await self.updates.open()
            if not await self._first_load():
                return
            listener.start()
            self._started(self)
            reason = await self._serve()
        finally:
            listener.close()
            await self.updates.close()
        event(log, logging.INFO, "ending", reason=reason, routers=len(self._server.connections))
        await self._server.close(reason, GRACE)

    def stop(self, reason: EndReason) -> None:
        """End the daemon in order; what a signal does."""
        if not self._ended.done():
            self._ended.set_result(reason)

    def reload(self) -> None:
        """Load the feed again now; what SIGHUP does."""
        self.updates.reload()

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
        return CacheSession(self.updates.current, now=now, limits=self.settings.limits)

    async def _first_load(self) -> bool:
        """Load before anyone may connect; False if a signal came first."""
        loading = asyncio.ensure_future(self.updates.first())
        await _first(loading, self._ended)
        if self._ended.done():
            loading.cancel()
            return False
        await loading
        return True

    async def _serve(self) -> EndReason:
        """Until a signal, or what the updates cannot go on after."""
        updating = asyncio.create_task(self.updates.run())
        try:
            await _first(updating, self._ended)
            if updating.done():
                updating.result()
            return await self._ended
        finally:
            updating.cancel()
            await asyncio.gather(updating, return_exceptions=True)


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
