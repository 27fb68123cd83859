"""What routers may cost in all: rates, connections per address, handshakes at one time."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Bucket:
    """A token bucket: ``burst`` at once, ``rate`` a second for ever. ``now`` is any monotonic clock.

    >>> bucket = Bucket(rate=2, burst=1, now=0.0)
    >>> bucket.take(now=0.0), bucket.take(now=0.0), bucket.wait(), bucket.take(now=0.5)
    (1, 0, 0.5, 1)
    """

    __slots__ = ("_burst", "_last", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._last = now

    def take(self, now: float, most: int = 1) -> int:
        """Take up to ``most`` whole tokens; how many there were."""
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
        self._last = now
        taken = min(most, int(self._tokens))
        self._tokens -= taken
        return taken

    def give_back(self, count: int) -> None:
        """Tokens that were taken and not used.

        >>> bucket = Bucket(rate=2, burst=1, now=0.0)
        >>> bucket.give_back(bucket.take(now=0.0))
        >>> bucket.take(now=0.0)
        1
        """
        self._tokens += count

    def wait(self) -> float:
        """Seconds from the last ``take`` until there is a token."""
        return max(0.0, 1 - self._tokens) / self._rate


class Occupancy:
    """How many connections each address holds; those of this machine itself are not counted.

    >>> occupancy = Occupancy()
    >>> occupancy.add("192.0.2.1"); occupancy.add("127.0.0.1")
    >>> occupancy.of("192.0.2.1"), occupancy.of("127.0.0.1")
    (1, 0)
    """

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def of(self, host: str) -> int:
        """Connections of an address."""
        return self._held.get(host, 0)

    def add(self, host: str) -> None:
        """One more."""
        if not is_loopback(host):
            self._held[host] += 1

    def remove(self, host: str) -> None:
        """One less."""
        if host in self._held:
            self._held[host] -= 1
            if not self._held[host]:
                del self._held[host]


def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine's own loopback addresses.

    >>> is_loopback("127.0.0.5"), is_loopback("::1"), is_loopback("192.0.2.1")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


class Newcomers(Generic[Item]):
    """Connections in their handshake, the oldest first; one too many makes the oldest give way.

    A handshake takes milliseconds, so the oldest of many is the one that has stalled: whoever opens
    connections and says nothing pushes out only the like of him.

    >>> newcomers = Newcomers[str](2)
    >>> [newcomers.add(name) for name in ("a", "b", "c")]
    [None, None, 'a']
    >>> newcomers.remove("a"); newcomers.remove("b"); len(newcomers)
    1
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._items: dict[Item, None] = {}

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> Item | None:
        """One more; the oldest, which has to go, if there are too many now."""
        self._items[item] = None
        if len(self._items) <= self.most:
            return None
        oldest = next(iter(self._items))
        del self._items[oldest]
        return oldest

    def remove(self, item: Item) -> None:
        """Its handshake is over; nothing happens if it gave way before."""
        self._items.pop(item, None)
