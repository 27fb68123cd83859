"""When to try again: sooner after the first failure than after the tenth, and never in step with others."""

from __future__ import annotations

from random import Random, SystemRandom

SPREAD = 0.1
"""Share by which regular intervals vary, either way: caches that were started together drift apart."""


class Backoff:
    """Delays that double from ``first`` to ``most`` seconds with each failure, each cut by up to a half.

    >>> backoff = Backoff(10, 600, Random(1))
    >>> backoff.failed()
    >>> 5 <= backoff.delay(600) <= 10
    True
    """

    def __init__(self, first: float, most: float, chosen: Random | None = None) -> None:
        self._first = first
        self._most = most
        self._chosen = chosen or SystemRandom()
        self._failures = 0

    def failed(self) -> None:
        """It failed once more."""
        self._failures += 1

    def succeeded(self) -> None:
        """It worked: the next failure is a first one."""
        self._failures = 0

    def delay(self, regular: float) -> float:
        """Seconds to wait: about ``regular`` if the last try worked."""
        if not self._failures:
            return regular * self._chosen.uniform(1 - SPREAD, 1 + SPREAD)
        longest = min(self._most, self._first * 2.0 ** min(self._failures - 1, 30))
        return longest * self._chosen.uniform(0.5, 1.0)
