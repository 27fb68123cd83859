"""Serial Notifies to many routers, spread over a few seconds: else all of them ask in the same moment."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable

from rtr_server.transport.connection import Connection

AT_ONCE = 64
"""Routers that are told without a delay: their queries together are no load."""

STEP = 0.05
"""Seconds between two groups."""


class Spread:
    """Tells routers in random order, over ``seconds``; whoever waits already keeps its place in front.

    Nobody is forgotten and nobody waits longer than that, however fast updates follow each other: a notice
    carries no data, and a router that is told late learns of the latest serial.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Connection, None] = {}
        self._group = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def tell(self, routers: Iterable[Connection]) -> None:
        """All of these are to be told that something is new."""
        late = [router for router in routers if router not in self._waiting]
        random.shuffle(late)
        self._waiting.update(dict.fromkeys(late))
        steps = max(1, int(self._seconds() / STEP))
        self._group = -(-len(self._waiting) // steps)
        if len(self._waiting) <= AT_ONCE:
            self._group = AT_ONCE
        if self._timer is None:
            self._step()

    def forget(self, router: Connection) -> None:
        """It has gone."""
        self._waiting.pop(router, None)

    def close(self) -> None:
        """Tell nobody any more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _step(self) -> None:
        self._timer = None
        for router in list(self._waiting)[: self._group]:
            del self._waiting[router]
            router.notify()
        if self._waiting:
            self._timer = self._loop.call_later(STEP, self._step)
