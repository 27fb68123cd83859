"""The synthetic set as a feed: made once, never changes."""

from __future__ import annotations

import asyncio

from rov import synth
from rtr_server.feed.feed import Loaded


class SyntheticFeed:
    """A made-up set of about ``count`` VRPs, the same for the same seed.

    >>> SyntheticFeed(100, seed=1).synthetic
    True
    """

    synthetic = True

    def __init__(self, count: int, seed: int) -> None:
        self.name = f"synthetic set of {count:,} VRPs, seed {seed}"
        self._count = count
        self._seed = seed

    def load(self) -> Loaded:
        """Make the set; takes a second or two for 700,000 VRPs."""
        return Loaded(synth.vrps(self._count, self._seed))

    async def changed(self) -> None:
        """Never returns."""
        await asyncio.Event().wait()

    def cancel(self) -> None:
        """Nothing blocks here."""
