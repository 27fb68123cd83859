"""How many VRPs each trust anchor had over time: the archive up to the start, then the updates since."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rov import Snapshot
from rtr_server.threads import in_thread
from rtr_server.web.daemon import Daemon, Recorded, Served
from rtr_server.web.pages.chart import MAX_STEPS, Point, thinned
from rtr_server.web.pages.past import PastError, begins, counted
from rtr_server.web.vrps import counts


class Growth:
    """The points of the chart. The archive is read once, at the first question, by a process of its own."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._reading: asyncio.Task[None] | None = None
        self._before: list[Point] = []
        self.error = ""
        """Why the archive could not be read, if so."""

    @property
    def reading(self) -> bool:
        """Whether the archive is still being read."""
        return self._reading is not None and not self._reading.done()

    async def points(self, served: Served) -> list[Point]:
        """Oldest first, never empty: what is known so far."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        changes, began = tuple(self._daemon.changes), int(self._daemon.began)
        recent = await in_thread(lambda: since_start(served.snapshot, changes, began))
        return [*self._before, *recent]

    async def _read(self) -> None:
        try:
            found = await counted(self._daemon)
        except PastError as error:
            self.error = str(error)
            return
        points = [Point(each.time, _named(each.vrps)) for each in found]
        self._before = thinned(points, int(self._daemon.began), MAX_STEPS) if points else []


def since_start(snapshot: Snapshot, changes: Sequence[Recorded], began: int) -> list[Point]:
    """The counts after each update, found backwards from what is served; newest change first. In a thread.

    >>> since_start(Snapshot.empty(), [], 5)
    [Point(time=5, vrps={})]
    """
    now = counts(snapshot)
    points: list[Point] = []
    for change in changes:
        points.append(Point(change.time, dict(now)))
        if change.delta is not None:
            come, gone = counts(change.delta.announced), counts(change.delta.withdrawn)
            if begins(change):
                break
            names = {**now, **come, **gone}
            now = {name: now.get(name, 0) - come.get(name, 0) + gone.get(name, 0) for name in names}
    return points[::-1] or [Point(began, dict(now))]


def _named(vrps: dict[str, int]) -> dict[str, int]:
    return {name or "N/A": count for name, count in vrps.items()}
