"""Expiry: what of a set is still to be served, and when to look again.

A VRP that has expired must go, whether or not its feed gives a new set (RFC 8210 §4 wants the clock
right for this). Times of expiry are spread over the whole day, so looking again is coalesced.
"""

from __future__ import annotations

from typing import NamedTuple

from rov import Snapshot
from rtr_server.feed.feed import FeedError

COALESCE = 60
"""Seconds between two expiry runs: routers are notified once a minute at most (RFC 8210 §8.2)."""


class Live(NamedTuple):
    """What of a set is to be served, and when the first of it expires: unix seconds, None if never."""

    snapshot: Snapshot
    until: int | None


class Expiry:
    """The set last accepted, and what of it is live; ``ignore`` serves expired VRPs as if they were not.

    >>> expiry = Expiry(ignore=False)
    >>> expiry.due() is None
    True
    """

    def __init__(self, *, ignore: bool) -> None:
        self.ignore = ignore
        self._accepted: Live | None = None
        self._ran = 0

    def live(self, name: str, snapshot: Snapshot, now: int) -> Live:
        """What is live of a new set; FeedError if nothing is. ``now``: unix time."""
        if not snapshot:
            raise FeedError(f"{name}: holds no VRPs, ASPAs or router keys")
        live = self.of(snapshot, now)
        if not live.snapshot:
            raise FeedError(
                f"{name}: all of its {len(snapshot):,} VRPs have expired "
                f"(is the file old or the clock wrong? --ignore-expiry serves it all the same)"
            )
        return live

    def of(self, snapshot: Snapshot, now: int) -> Live:
        """What is live of any set; it may be empty. In a thread: it looks at each VRP."""
        if self.ignore:
            return Live(snapshot, None)
        live = snapshot.unexpired(now)
        return Live(live, live.next_expiry())

    def accept(self, live: Live) -> None:
        """This is served from now on."""
        self._accepted = live

    def resume(self, snapshot: Snapshot) -> None:
        """Take up a set that was served before a restart; ``run`` says what of it is live. In a thread."""
        self._accepted = Live(snapshot, None if self.ignore else snapshot.next_expiry())

    def run(self, now: int) -> Live | None:
        """What is live now of the set last accepted, None if there is none; in a thread."""
        if self._accepted is None:
            return None
        self._ran = now
        return self.of(self._accepted.snapshot, now)

    def due(self) -> int | None:
        """When to run next, in unix seconds; None if nothing that is served states a time.

        On time after a quiet minute; runs are a minute apart.
        """
        until = None if self._accepted is None else self._accepted.until
        return None if until is None else max(until, self._ran + COALESCE)
