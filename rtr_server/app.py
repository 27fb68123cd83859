"""The daemon: the updates, the listeners, the sessions; what happens when signals come.

SIGHUP reads the configuration again and loads the data. SIGTERM and SIGINT end the daemon: version 2 routers
get Cache Shutdown and drop our data. SIGUSR2 ends it too, but they get Cache Restart and keep the data until
we are back (8210bis §8.5, §8.6). Routers of versions 0 and 1 see the connection close and keep their data as
well. A second signal to end ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from rtr_server.cache.history import History
from rtr_server.config import Config, ConfigError, Listen
from rtr_server.config.changes import changed_keys
from rtr_server.control.commands import Command, Commands
from rtr_server.control.server import ControlServer
from rtr_server.endpoint import Endpoint
from rtr_server.feed.feed import Feed
from rtr_server.listeners import DEFAULT, Listeners
from rtr_server.logs import configure, event
from rtr_server.protocol.session import CacheSession
from rtr_server.reload import tell_refused, usable, without_restart
from rtr_server.sessions import Sessions
from rtr_server.systemd import Systemd
from rtr_server.threads import in_thread
from rtr_server.transport.listen import ListenError
from rtr_server.transport.tcp import EndReason, TcpServer
from rtr_server.updates import Updates

log = logging.getLogger(__name__)

GRACE = 4.0
"""Seconds that routers get to take the last octets when the daemon ends."""

RESERVED_FILES = 64
"""File descriptors that routers do not get: the feed, the log and the listeners must always have some."""


class Cache:
    """The running daemon. ``run`` serves until a signal; ``started`` is called with what is served where.

    ``path``: the file that ``config`` came from, read again on SIGHUP; None: it came from arguments.

    Raises FeedError where the feed has no usable set at the start, ListenError where an endpoint cannot
    be listened on, StoreError where the state directory cannot be used, ControlSocketError where the
    control socket cannot be made.
    """

    def __init__(
        self,
        feed: Feed,
        config: Config,
        *,
        path: Path | None = None,
        ignore_expiry: bool = False,
        clock: Callable[[], float] = time.time,
        started: Callable[[Cache], None] = lambda cache: None,
        systemd: Systemd | None = None,
    ) -> None:
        self.feed = feed
        self.config = config
        self._path = path
        self._started = started
        self._began = time.monotonic()
        self._systemd = systemd or Systemd()
        self._reloading: asyncio.Task[None] | None = None
        self.updates = Updates(
            feed,
            timing=config.timers.timing,
            ignore_expiry=ignore_expiry,
            state_dir=config.state.directory,
            clock=clock,
        )

    @property
    def history(self) -> History:
        """What is served, with the steps that led to it."""
        return self.updates.history

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where routers are served."""
        return self._listeners.endpoints

    # The life of the daemon

    async def run(self) -> None:
        """Bind, load, serve, until a signal ends it."""
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[EndReason] = loop.create_future()
        self._at_once = asyncio.Event()
        self._server = TcpServer(self._new_session, max_connections=self._max_connections())
        self.updates.serve(self._server)
        self._listeners = Listeners(self._accept)
        self._control = ControlServer(Commands(self.commands()))
        wanted = self.config.listen or DEFAULT
        self._listeners.take(wanted, self._listeners.bind(wanted))
        self._handle_signals()
        try:
            await self._open_control()
            await self.updates.open()
            if not await self._first_load():
                return
            self._listeners.start()
            self._systemd.ready()
            self._started(self)
            reason = await self._serve()
            self._systemd.stopping(f"ending: {reason}")
        finally:
            self._listeners.close()
            await self._control.close()
            await self.updates.close()
        await self._end(reason)

    def stop(self, reason: EndReason) -> None:
        """End the daemon in order; what a signal does. Asked for again, at once."""
        if not self._ended.done():
            self._ended.set_result(reason)
        else:
            self._at_once.set()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_exception)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, "shutdown")
        loop.add_signal_handler(signal.SIGUSR2, self.stop, "restart")
        loop.add_signal_handler(signal.SIGHUP, self.reload)

    async def _first_load(self) -> bool:
        """Load before anyone may connect; False if a signal came first."""
        loading = asyncio.ensure_future(self.updates.first())
        waiting = asyncio.create_task(self._systemd.attend_start())
        try:
            await _first(loading, self._ended)
        finally:
            waiting.cancel()
        if self._ended.done():
            loading.cancel()
            return False
        await loading
        return True

    async def _serve(self) -> EndReason:
        """Until a signal, or what the updates cannot go on after."""
        updating = asyncio.create_task(self.updates.run())
        attending = asyncio.create_task(self._systemd.attend(self.status_line))
        try:
            await _first(updating, self._ended)
            if updating.done():
                updating.result()
            return await self._ended
        finally:
            tasks = [task for task in (updating, attending, self._reloading) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, reason: EndReason) -> None:
        """Let the routers go in order, or at once if that is asked for meanwhile."""
        event(log, logging.INFO, "ending", reason=reason, routers=len(self._server.connections))
        closing = asyncio.create_task(self._server.close(reason, GRACE))
        hurry = asyncio.create_task(self._at_once.wait())
        await _first(closing, hurry)
        hurry.cancel()
        if not closing.done():
            closing.cancel()
            event(log, logging.INFO, "ending at once", routers=len(self._server.connections))
            for router in tuple(self._server.connections):
                router.abort()
        await asyncio.gather(closing, hurry, return_exceptions=True)

    # Routers

    def _new_session(self, now: float) -> CacheSession:
        return CacheSession(self.updates.current, now=now, limits=self.config.limits.session)

    def _accept(self, listen: Listen, connection: socket.socket, peer: Endpoint) -> None:
        self._server.accept(connection, peer)

    def _max_connections(self) -> int:
        possible = _raise_file_limit()
        return min(possible, self.config.limits.max_connections or possible)

    # Reload

    def reload(self) -> None:
        """Read the configuration again and load the data; what SIGHUP does. One after the other."""
        self._reloading = asyncio.create_task(self._reload(self._reloading))

    async def _reload(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        self._systemd.reloading()
        try:
            if self._path is not None:
                await self._reconfigure(self._path)
        except Exception:
            log.exception("reload failed, the old configuration stays")
        finally:
            self.updates.reload()
            self._systemd.ready()

    async def _reconfigure(self, path: Path) -> None:
        """Take the file's configuration; whatever is wrong with it, the old one stays as a whole."""
        try:
            self._take(without_restart(self.config, await in_thread(lambda: usable(path))))
        except (ConfigError, ListenError) as error:
            tell_refused(path, error)

    def _take(self, config: Config) -> None:
        """First what can fail, then the change, which cannot."""
        keys = changed_keys(self.config, config)
        if not keys:
            event(log, logging.INFO, "configuration unchanged", file=self._path)
            return
        wanted = config.listen or DEFAULT
        bound = self._listeners.bind(wanted)
        self.config = config
        self._listeners.take(wanted, bound)
        for listener in bound.values():
            listener.start()
        configure(config.log.format, config.log.level)
        self.updates.current.told = config.timers.timing
        event(log, logging.INFO, "configuration taken", file=self._path, changed=" ".join(keys))

    # Operators

    async def _open_control(self) -> None:
        control = self.config.control
        if control.path is not None:
            await self._control.open(control.path, control.mode, control.group)

    def commands(self) -> list[Command]:
        """What the control socket offers: of the daemon, and of its parts."""
        sessions = Sessions(self._server, self.updates.current, asyncio.get_running_loop().time)
        return [
            Command("status", self.status),
            *sessions.commands(),
        ]

    def status(self) -> dict[str, object]:
        """What is served, where, since when, to how many."""
        history, routers = self.history, self._server.connections
        snapshot = history.snapshot
        return {
            "version": importlib.metadata.version("rovkit"),
            "pid": os.getpid(),
            "uptime": time.monotonic() - self._began,
            "configuration": str(self._path) if self._path else None,
            "source": self.feed.name,
            "serving": [str(endpoint) for endpoint in self.endpoints],
            "serial": history.serial if snapshot is not None else None,
            "session_ids": {str(version): number for version, number in history.session_ids.items()},
            "vrps": len(snapshot or ()),
            "aspas": len(snapshot.aspas) if snapshot else 0,
            "router_keys": len(snapshot.router_keys) if snapshot else 0,
            "routers": len(routers),
            "by_version": _count(router.session.version for router in routers),
        }

    def status_line(self) -> str:
        """The same in one line, for systemctl status."""
        routers = len(self._server.connections)
        if not self.history.ready():
            return f"no data yet, {routers} routers"
        count = len(self.history.snapshot or ())
        return f"{count:,} VRPs, serial {self.history.serial}, {routers} routers"


def _count(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(map(str, values)).items())}


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
