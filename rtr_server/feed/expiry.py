"""Expiry: what of a set is still to be served, and when to look again.

A VRP that has expired must go, whether or not its feed gives a new set (RFC 8210 §4 wants the clock
right for this). Times of expiry are spread over the whole day, so looking again is coalesced.
"""

from __future__ import annotations

from rov import Snapshot
from rtr_server.feed.feed import FeedError

COALESCE = 60
"""Seconds between two expiry runs: routers are notified once a minute at most (RFC 8210 §8.2)."""


class Expiry:
    """The set last accepted, and what of it is live; ``ignore`` serves expired VRPs as if they were not.

    >>> expiry = Expiry(ignore=False)
    >>> expiry.due() is None
    True
    """

    def __init__(self, *, ignore: bool) -> None:
        self.ignore = ignore
        self._accepted: Snapshot | None = None
        self._ran = 0
        self._next: int | None = None

    def live(self, name: str, snapshot: Snapshot, now: int) -> Snapshot:
        """What is live of a new set; FeedError if nothing is. ``now``: unix time."""
        if not snapshot:
            raise FeedError(f"{name}: holds no VRPs, ASPAs or router keys")
        live = snapshot if self.ignore else snapshot.unexpired(now)
        if not live:
            raise FeedError(
                f"{name}: all of its {len(snapshot):,} VRPs have expired "
                f"(is the file old or the clock wrong? --ignore-expiry serves it all the same)"
            )
        return live

    def accept(self, live: Snapshot) -> None:
        """This is served from now on."""
        self._keep(live)

    def resume(self, snapshot: Snapshot) -> None:
        """Take up a set that was served before a restart; ``run`` says what of it is live."""
        self._keep(snapshot)

    def run(self, now: int) -> Snapshot | None:
        """What is live now of the set last accepted; None if there is none. May be empty."""
        if self._accepted is None:
            return None
        live = self._accepted if self.ignore else self._accepted.unexpired(now)
        self._keep(live)
        self._ran = now
        return live

    def _keep(self, live: Snapshot) -> None:
        self._accepted = live
        self._next = None if self.ignore else live.next_expiry()

    def due(self) -> int | None:
        """When to run next, in unix seconds; None if nothing that is served states a time.

        On time after a quiet minute; runs are a minute apart.
        """
        return None if self._next is None else max(self._next, self._ran + COALESCE)
