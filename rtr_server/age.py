"""Age: what is done when the data grow old, and when the clock that tells it jumps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from rov import Snapshot
from rtr_server.config.sources import Stale as Policy
from rtr_server.feed.stale import Stale
from rtr_server.logs import event
from rtr_server.publish import Publisher

log = logging.getLogger(__name__)

JUMP = 60.0
"""Seconds that the wall clock may move by more or less than the time that has passed, before it is said."""


class StaleError(Exception):
    """The data are too old, and the configuration says that the daemon ends then."""


class Age:
    """Follows the age of the newest data and does what ``policy`` says; None: at any age nothing.

    ``clock`` gives unix seconds.
    """

    def __init__(self, policy: Policy | None, publisher: Publisher, clock: Callable[[], float]) -> None:
        self.stale = None if policy is None else Stale(policy)
        """What tells fresh from old."""
        self._publisher = publisher
        self._clock = clock
        self.withdrawn: Snapshot | None = None
        """The set that was taken from routers because it is too old."""

    def take(self, policy: Policy) -> None:
        """Go on by another policy."""
        self.stale = Stale(policy)

    def too_old(self, as_of: int | None) -> bool:
        """Whether routers are to go without, and would with data of this time as well."""
        return (
            self.withdrawn is not None
            and self.stale is not None
            and as_of is not None
            and self._clock() - as_of > self.stale.policy.after
        )

    async def look(self, as_of: int | None) -> None:
        """Warn of old data, and do what is configured when they are too old. StaleError: end the daemon."""
        now = int(self._clock())
        if self.stale is None or as_of is None or not self._publisher.history.ready():
            return
        seen, action = self.stale.look(as_of, now), self.stale.policy.action
        fields = {"age_seconds": seen.age, "limit": self.stale.policy.after}
        if seen.level == "stale":
            if seen.told:
                event(log, logging.ERROR, "DATA ARE STALE", **fields, action=action)
            await self._act(action)
        else:
            if seen.told and seen.level == "aging":
                event(log, logging.WARNING, "data are getting old", **fields, then=action)
            await self._recover(now)

    async def _act(self, action: str) -> None:
        current = self._publisher.current
        if action == "exit":
            raise StaleError("the data are too old: [stale] action is exit")
        if action == "close" and not current.withheld:
            current.withheld = True
            self._publisher.server.dismiss()
        if action == "withdraw" and self.withdrawn is None and current.history.snapshot:
            self.withdrawn = current.history.snapshot
            await self._replace(Snapshot.empty(), "stale data withdrawn")

    async def _recover(self, now: int) -> None:
        """The data are fresh again: what was kept from routers is theirs."""
        current = self._publisher.current
        if current.withheld:
            current.withheld = False
            event(
                log, logging.WARNING, "data are fresh again, routers are served", vrps=self._publisher.count
            )
            self._publisher.server.notify()
        if self.withdrawn is not None:
            before, self.withdrawn = self.withdrawn, None
            await self._replace(before.unexpired(now), "data are fresh again")

    async def _replace(self, snapshot: Snapshot, why: str) -> None:
        began = time.monotonic()
        delta = await self._publisher.advance(snapshot)
        self._publisher.tell_loader(delta, why, nothing=not snapshot)
        self._publisher.tell(why, delta, began)


class Jumps:
    """Tells when the wall clock was set, or the machine slept: it went another way than time did.

    >>> times = iter([1_000.0, 1_030.0, 5_000.0])
    >>> steady = iter([0.0, 30.0, 60.0])
    >>> jumps = Jumps(lambda: next(times), lambda: next(steady))
    >>> jumps.look(), jumps.look()
    (0.0, 3940.0)
    """

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._offset = clock() - steady()

    def look(self) -> float:
        """Seconds by which the clock has jumped since it was looked at last, 0 where that is little."""
        before, self._offset = self._offset, self._clock() - self._steady()
        jumped = self._offset - before
        return jumped if abs(jumped) > JUMP else 0.0
