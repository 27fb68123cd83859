"""Daemon: what the HTTP side may ask of the rest, and the set that it answers from.

RTR sessions come first: the index over a new set is built in a thread while answers still come from the
last one, and then put in its place by one assignment.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from rov import Delta, Prefix, Snapshot, VrpIndex
from rtr_server.cache.history import History
from rtr_server.config import Config
from rtr_server.operate import Operate
from rtr_server.publish import Change
from rtr_server.sessions import Listing, Sessions
from rtr_server.threads import in_thread
from rtr_server.transport.server import Server
from rtr_server.updates import Updates
from rtr_server.web.rib import Rib

if TYPE_CHECKING:
    from rtr_server.web.answers import Kitchen
    from rtr_server.web.protocol import Traffic

log = logging.getLogger(__name__)

MAX_CHANGES = 256
"""Changes remembered in memory: some days of half-hourly updates."""


class Served(msgspec.Struct, frozen=True):
    """A set that is served: ``serial`` and ``session`` name it, ``generation`` counts those so far.

    ``made``: when it came to be served, in unix seconds; a set that only renews times of expiry keeps the
    serial and has a new generation.
    """

    snapshot: Snapshot
    index: VrpIndex
    history: History
    serial: int
    session: int
    generation: int
    made: int

    @property
    def name(self) -> str:
        """Session and serial, as ETags show them."""
        return f"{self.session:x}-{self.serial}"


class Recorded(msgspec.Struct, frozen=True):
    """An update: when (unix seconds), under which serial, why, and what it changed."""

    time: int
    serial: int
    why: str
    delta: Delta | None
    seconds: float
    stages: dict[str, float]
    vrps: int


class Daemon:
    """The seam between HTTP and the daemon. ``clock`` gives unix seconds.

    ``server``: that of the routers; ``served``: the set with its index, None before the first;
    ``status``: the answer to the control command of that name; ``sources``, ``held``: as the control
    commands ``sources`` and ``update show``.
    """

    def __init__(
        self,
        config: Config,
        updates: Updates,
        sessions: Sessions,
        status: Callable[[], dict[str, object]],
        server: Server,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.updates = updates
        self.clock = clock
        self.status = status
        self.server = server
        self.served: Served | None = None
        self.changes: deque[Recorded] = deque(maxlen=MAX_CHANGES)
        """The last updates, newest first."""
        self.began = clock()
        self.watchers: list[Callable[[Change], None]] = []
        """Called in the event loop with each change, as ``updates`` tells them."""
        self.at_end: list[Callable[[], None]] = []
        """Called when HTTP is about to end: answers that would last for ever end themselves."""
        self.kitchen: Kitchen
        """Where large answers are made and kept, all under one bound; set by ``Web``."""
        self.traffic: Traffic
        """What HTTP clients have done so far; set by ``Web``."""
        self._sessions = sessions
        self._operate = Operate(updates)
        self._news = asyncio.Event()
        self._stale = asyncio.Event()
        self._generation = 0
        updates.watchers.append(self._changed)
        self._stale.set()
        self.rib = Rib(config.http.rib, lambda: self.served, self.changed, clock)
        """The routes of [http] rib; its ``table`` is None while there are none."""

    # What is there

    def ready(self) -> bool:
        """Whether there is a set that may be given out: one is loaded, and [stale] does not withhold it."""
        return self.served is not None and not self.updates.current.withheld

    def age(self) -> float | None:
        """Seconds since the newest data were made, None where nothing tells."""
        as_of = self.updates.as_of
        return None if as_of is None else max(0.0, self.clock() - as_of)

    async def sessions(self) -> Listing:
        """All sessions of routers, and the last ones that ended."""
        return await self._sessions.list()

    async def sources(self, diff: bool = False, limit: int = 20) -> dict[str, Any]:
        """How the sources stand and, with diff, how they differ; ControlError where nobody answers."""
        return await self._operate.sources(diff, limit)

    async def sources_of(self, prefix: Prefix, limit: int = 1_000) -> dict[str, Any]:
        """Which sources have the VRPs that cover a prefix; ControlError where nobody answers."""
        return await self._operate.sources_of(str(prefix), limit=limit)

    def held(self) -> dict[str, Any]:
        """The update that the guard holds back, None under "held" if there is none."""
        return self._operate.show()

    # News

    async def changed(self, generation: int) -> None:
        """Return when ``served`` is of a later generation than this."""
        while self.served is None or self.served.generation <= generation:
            news = self._news
            await news.wait()

    def _changed(self, change: Change) -> None:
        snapshot = change.snapshot
        stages = dict(change.stages)
        self.changes.appendleft(
            Recorded(
                int(self.clock()),
                change.serial,
                change.why,
                change.delta,
                change.seconds,
                stages,
                len(snapshot),
            )
        )
        self._stale.set()
        for watcher in self.watchers:
            watcher(change)

    async def run(self) -> None:
        """Index each set that comes to be served, and judge the routes by it; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.rib.run())
            tasks.create_task(self._index())

    async def _index(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self._look()

    async def _look(self) -> None:
        history = self.updates.history
        snapshot = history.snapshot
        if snapshot is None or (self.served is not None and self.served.snapshot is snapshot):
            return
        serial, before = history.serial, self.served
        index = await in_thread(lambda: VrpIndex(snapshot))
        self._generation += 1
        session, now = session_of(history), int(self.clock())
        same = before is not None and (before.serial, before.session) == (serial, session)
        made = before.made if same and before is not None else now
        self.served = Served(snapshot, index, history, serial, session, self._generation, made)
        news, self._news = self._news, asyncio.Event()
        news.set()


def session_of(history: History) -> int:
    """One number for all session ids, of which the lowest 16 bits are that of RTR version 1.

    >>> session_of(History({0: 1, 1: 2, 2: 3}, serial=5)) & 0xffff
    2
    """
    ids = history.session_ids
    return ids[0] << 32 | ids[2] << 16 | ids[1]
