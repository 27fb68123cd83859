"""The router simulator: what it is to simulate, and what it has seen."""

from __future__ import annotations

import msgspec

from rtr_server.protocol.pdu import VERSIONS


class Plan(msgspec.Struct, frozen=True):
    """What to simulate: healthy, slow and broken routers, times in seconds.

    >>> Plan(routers=3).total
    3
    """

    routers: int
    slow: int = 0
    broken: int = 0
    version: int = VERSIONS[-1]
    timeout: float = 60.0
    duration: float = 0.0

    @property
    def total(self) -> int:
        """All routers."""
        return self.routers + self.slow + self.broken


class Report(msgspec.Struct):
    """What was seen.

    ``sync_seconds``: of each healthy router, from its connecting to its End of Data; ``refusal``: why a
    connection could not be had, the last time.

    >>> Report(plan=Plan(routers=1)).healthy
    False
    """

    plan: Plan
    sync_seconds: list[float] = []
    octets: int = 0
    elapsed: float = 0.0
    notifies: int = 0
    updates: int = 0
    refused: int = 0
    refusal: str = ""
    lost: int = 0
    errors: dict[str, int] = {}
    versions: dict[str, int] = {}
    serials: dict[str, int] = {}
    different: list[str] = []

    @property
    def healthy(self) -> bool:
        """Whether every healthy router got its set, kept its connection, and got what the others got."""
        synced = len(self.sync_seconds) == self.plan.routers
        return synced and not (self.different or self.lost or self.errors)

    def percentile(self, share: float) -> float | None:
        """Seconds within which this share of the routers that have synchronized had done so.

        >>> Report(plan=Plan(routers=2), sync_seconds=[2.0, 1.0]).percentile(0.5)
        1.0
        """
        ordered = sorted(self.sync_seconds)
        return ordered[max(0, int(share * len(ordered) + 0.999_999) - 1)] if ordered else None
