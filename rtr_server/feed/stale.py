"""Staleness: what is done when the newest data are old, and whether our clock and theirs agree."""

from __future__ import annotations

from typing import Literal, NamedTuple

from rtr_server.config.sources import Stale as Policy

WARN_FROM = 0.5
"""Share of the limit at which the log begins to warn."""

REPEAT = 3_600
"""Seconds between two lines about one state: a reminder each hour."""

CLOCK_SKEW = 3_600
"""Seconds that our clock may be off (RFC 8210 §4 wants it right to the hour)."""

Level = Literal["fresh", "aging", "stale"]


class Seen(NamedTuple):
    """How old the data are, what that means, and whether it is time to say so."""

    level: Level
    age: int
    told: bool


class Stale:
    """Follows the age of the newest data.

    >>> from rtr_server.config.values import Seconds
    >>> stale = Stale(Policy(after=Seconds(100)))
    >>> [stale.look(0, now).level for now in (10, 60, 101)]
    ['fresh', 'aging', 'stale']
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._level: Level = "fresh"
        self._told_at = 0

    @property
    def stale(self) -> bool:
        """Whether the data were too old when looked at last."""
        return self._level == "stale"

    def look(self, as_of: int, now: int) -> Seen:
        """The state at ``now`` of data that are ``as_of``; both in unix seconds."""
        age = now - as_of
        limit = self.policy.after
        level: Level = "stale" if age > limit else "aging" if age > WARN_FROM * limit else "fresh"
        told = level != self._level or (level != "fresh" and now - self._told_at >= REPEAT)
        if told:
            self._told_at = now
        self._level = level
        return Seen(level, age, told)


def skewed(theirs: int, now: int) -> bool:
    """Whether data of this time, or an upstream clock, are so far ahead that one of the clocks is wrong.

    >>> skewed(theirs=10_000, now=5_000)
    True
    """
    return theirs - now > CLOCK_SKEW
