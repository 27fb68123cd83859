"""The daemon: the updates, the listeners, the sessions; what happens when signals come.

SIGHUP reads the configuration again and loads the data. SIGTERM and SIGINT end the daemon: version 2 routers
get Cache Shutdown and drop our data. SIGUSR2 ends it too, but they get Cache Restart and keep the data until
we are back (8210bis §8.5, §8.6). Routers of versions 0 and 1 see the connection close and keep their data as
well. A second signal to end ends it at once.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import uvloop

from rtr_server.cache.history import History
from rtr_server.config import Config, ConfigError
from rtr_server.config.changes import changed_keys
from rtr_server.control.commands import Command, Commands
from rtr_server.control.server import ControlServer
from rtr_server.endpoint import Endpoint
from rtr_server.feed.feed import Feed
from rtr_server.feed.settings import Settings
from rtr_server.logs import configure, event
from rtr_server.operate import Operate
from rtr_server.reload import tell_refused, usable, without_restart
from rtr_server.sessions import Sessions
from rtr_server.systemd import Systemd
from rtr_server.threads import in_thread
from rtr_server.transport.connection import EndReason
from rtr_server.transport.errors import TransportError
from rtr_server.transport.inherited import inherited_sockets
from rtr_server.transport.server import Server
from rtr_server.updates import Updates
from rtr_server.web.daemon import Daemon
from rtr_server.web.run import Http

log = logging.getLogger(__name__)

GRACE = 4.0
"""Seconds that routers get to take the last octets when the daemon ends."""

SWITCH = 0.0005
"""Seconds after which a thread that works on an update lets the event loop run; ten times that is usual."""


class Cache:
    """The running daemon. ``run`` serves until a signal; ``started`` is called with what is served where.

    ``path``: the file that ``config`` came from, read again on SIGHUP; None: it came from arguments.

    Raises FeedError where the feed has no usable set at the start, TransportError where an endpoint cannot
    be listened on or a certificate or key cannot be used, StoreError where the state directory cannot be
    used, ControlSocketError where the control socket cannot be made.
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
        self._clock = clock
        self._began = time.monotonic()
        self._systemd = systemd or Systemd()
        self._reloading: asyncio.Task[None] | None = None
        self.updates = Updates(
            feed,
            timing=config.timers.timing,
            ignore_expiry=ignore_expiry,
            state_dir=config.state.directory,
            clock=clock,
            guard=config.guard,
            stale=config.stale,
        )
        self.http = Http(config.http)

    @property
    def history(self) -> History:
        """What is served, with the steps that led to it."""
        return self.updates.history

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where routers are served."""
        return self._server.endpoints

    # The life of the daemon

    async def run(self) -> None:
        """Bind, load, serve, until a signal ends it."""
        sys.setswitchinterval(SWITCH)
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[EndReason] = loop.create_future()
        self._at_once = asyncio.Event()
        self._server = Server(self.updates.current, self.config.transport, inherited_sockets())
        self.updates.serve(self._server)
        self._sessions = Sessions(self._server, self.updates.current, loop.time)
        self._control = ControlServer(Commands(self.commands()))
        self._handle_signals()
        try:
            self._server.open()
            self.http.open(
                Daemon(self.config, self.updates, self._sessions, self.status, self._server, self._clock)
            )
            await self._open_control()
            self.http.start()
            await self.updates.open()
            loaded, _ = await asyncio.gather(self._first_load(), self.http.warm_up())
            if not loaded:
                return
            _freeze()
            self._server.start()
            self._systemd.ready()
            self._started(self)
            reason = await self._serve()
            self._systemd.stopping(f"ending: {reason}")
        finally:
            self._server.stop()
            await self.http.close()
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
            self.http.reload()
            self._systemd.ready()

    async def _reconfigure(self, path: Path) -> None:
        """Take the file's configuration; whatever is wrong with it, the old one stays as a whole.

        Files are read off the event loop: routers do not wait for certificates on a slow disk.
        """
        try:
            config = without_restart(self.config, await in_thread(lambda: usable(path)))
            # Even of an unchanged file: certificates and keys are read anew.
            web, routers = await in_thread(
                lambda: (self.http.prepare(), self._server.prepare(config.transport))
            )
        except (ConfigError, TransportError) as error:
            tell_refused(path, error)
            return
        self.http.take(web)
        self._server.take(routers)
        self._take(config)

    def _take(self, config: Config) -> None:
        """The rest of a configuration whose files and sockets are in use; this cannot fail."""
        keys = changed_keys(self.config, config)
        if not keys:
            event(log, logging.INFO, "configuration unchanged", file=self._path)
            return
        self.config = config
        configure(config.log.format, config.log.level)
        self.updates.current.told = config.timers.timing
        self.updates.take(Settings.of(config), config.stale)
        event(log, logging.INFO, "configuration taken", file=self._path, changed=" ".join(keys))

    # Operators

    async def _open_control(self) -> None:
        control = self.config.control
        if control.path is not None:
            await self._control.open(control.path, control.mode, control.group)

    def commands(self) -> list[Command]:
        """What the control socket offers: of the daemon, and of its parts."""
        return [
            Command("status", self.status),
            *self._sessions.commands(),
            *Operate(self.updates).commands(),
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
            "data_age": self._data_age(),
            "serving": [str(endpoint) for endpoint in self.endpoints],
            "serial": history.serial if snapshot is not None else None,
            "session_ids": {str(version): number for version, number in history.session_ids.items()},
            "vrps": len(snapshot or ()),
            "aspas": len(snapshot.aspas) if snapshot else 0,
            "router_keys": len(snapshot.router_keys) if snapshot else 0,
            "routers": len(routers),
            "by_version": _count(router.session.version for router in routers),
        }

    def _data_age(self) -> float | None:
        """Seconds since the newest data were made, as they say themselves; None if they do not."""
        made = self.updates.as_of
        return None if made is None else max(0.0, self._clock() - made)

    def status_line(self) -> str:
        """The same in one line, for systemctl status."""
        routers = len(self._server.connections)
        if not self.history.ready():
            return f"no data yet, {routers} routers"
        count, age = len(self.history.snapshot or ()), self._data_age()
        made = "" if age is None else f", data of {age / 60:.0f} min ago"
        return f"{count:,} VRPs, serial {self.history.serial}, {routers} routers{made}"


def _count(versions: Iterable[int | None]) -> dict[str, int]:
    """How many of each, under "none" those that have not said theirs."""
    names = ("none" if version is None else str(version) for version in versions)
    return dict(sorted(Counter(names).items()))


async def _first(*futures: asyncio.Future[Any]) -> None:
    """Return when one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _freeze() -> None:
    """Leave what the daemon has built by now out of all later garbage collections.

    It stays until the end, and to go through it, now and then, would hold the event loop up for 20 ms.
    """
    gc.collect()
    gc.freeze()


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the event loop could not deliver to anyone: one line."""
    error = context.get("exception")
    event(log, logging.ERROR, "event loop", message=context.get("message"), error=repr(error))


def run(cache: Cache) -> None:
    """Run the daemon on uvloop until a signal; FeedError and TransportError as in ``Cache``."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(cache.run())
