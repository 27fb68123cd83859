"""VRPs written in the configuration, as a feed: made once, never changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from rov import Prefix, Snapshot, Vrp
from rtr_server.config.sources import StaticVrp
from rtr_server.feed.feed import Loaded


class StaticFeed:
    """The VRPs that are given; their time is always now.

    >>> StaticFeed("static", [], clock=lambda: 0.0).load().snapshot
    <Snapshot: 0 VRPs (0 IPv4, 0 IPv6), 0 ASPAs, 0 router keys>
    """

    synthetic = False

    def __init__(self, name: str, vrps: Sequence[StaticVrp], clock: Callable[[], float]) -> None:
        self.name = name
        self._vrps = vrps
        self._clock = clock

    def load(self) -> Loaded:
        """The set."""
        rows = ((Prefix.parse(str(vrp.prefix)), vrp) for vrp in self._vrps)
        lengths = (
            Vrp(prefix, prefix.length if vrp.max_length is None else vrp.max_length, vrp.asn)
            for prefix, vrp in rows
        )
        return Loaded(Snapshot.from_vrps(lengths), as_of=int(self._clock()))

    async def changed(self) -> None:
        """Never returns."""
        await asyncio.Event().wait()

    def cancel(self) -> None:
        """Nothing blocks here."""
