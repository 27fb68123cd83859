"""A feed whose sets the test gives: what the daemon's tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rov import Snapshot
from rtr_server.feed.feed import Loaded


class GivenFeed:
    """Gives what the test puts into ``next``: a Snapshot, None, or an error to raise.

    ``as_of`` gives the time of the data at each load, in unix seconds.
    """

    synthetic = False
    name = "test feed"

    def __init__(
        self, first: Snapshot | Exception | None, as_of: Callable[[], int | None] = lambda: None
    ) -> None:
        self.next = first
        self.loads = 0
        self._as_of = as_of
        self._news = asyncio.Event()

    def load(self) -> Loaded | None:
        """What was given last."""
        self.loads += 1
        if isinstance(self.next, Exception):
            raise self.next
        return None if self.next is None else Loaded(self.next, as_of=self._as_of())

    def tell(self, value: Snapshot | Exception | None) -> None:
        """Give something else, and say so."""
        self.next = value
        self._news.set()

    async def changed(self) -> None:
        """Return when something else was given."""
        await self._news.wait()
        self._news.clear()

    def cancel(self) -> None:
        """Nothing blocks here."""
