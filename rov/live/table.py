"""Routes: what each peer has for each prefix, in columns sorted by a key, updated batch by batch."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rov.errors import ArgumentError
from rov.routes import RouteBatch
from rov.types import IPV4_BITS, Family, State

GONE = 3
"""State of a route that was withdrawn; its row stays, as it often comes back."""

MAX_ROUTES = 1 << 26
"""Routes of all peers of one family: sixty full tables."""

PEER_BITS = 24

LENGTH_BITS = 6

U8 = npt.NDArray[np.uint64]


class Changes(NamedTuple):
    """What became of routes, in columns: ``keys`` as in Routes, state and origin before and after, and
    ``order``, where in its batch each was told."""

    keys: U8
    old_states: npt.NDArray[np.uint8]
    old_origins: npt.NDArray[np.uint32]
    states: npt.NDArray[np.uint8]
    origins: npt.NDArray[np.uint32]
    order: npt.NDArray[np.int64]

    def touched(self) -> Changes:
        """Those that are or were invalid and have changed, in the order of the batch."""
        bad = (self.states == State.INVALID) | (self.old_states == State.INVALID)
        rows = np.flatnonzero(bad)
        rows = rows[
            (self.states[rows] != self.old_states[rows]) | (self.origins[rows] != self.old_origins[rows])
        ]
        rows = rows[np.argsort(self.order[rows])]
        return Changes(*(column[rows] for column in self))


class Routes:
    """One family. ``keys`` are uint64: number of the prefix, then number of the peer.

    >>> table = Routes(4)
    >>> changed = table.put(RouteBatch.ipv4([1 << 24], [8], [64496]), np.array([2], np.uint8), np.array([0]))
    >>> changed.old_states.tolist(), changed.states.tolist()
    ([3], [2])
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        self.keys: U8 = np.empty(0, np.uint64)
        self.origins = np.empty(0, np.uint32)
        self.states = np.empty(0, np.uint8)
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._high: list[int] = []
        self._low: list[int] = []
        self._lengths: list[int] = []

    @classmethod
    def of(cls, family: Family, columns: dict[str, Any]) -> Self:
        """What ``columns`` gave; ArgumentError if they do not fit each other.

        >>> len(Routes.of(4, Routes(4).columns()))
        0
        """
        table = cls(family)
        table.keys, table.origins = columns["keys"].astype(np.uint64), columns["origins"].astype(np.uint32)
        table.states = columns["states"].astype(np.uint8)
        if any(column.ndim != 1 for column in columns.values()):
            raise ArgumentError("columns of more than one dimension")
        if (table.keys[1:] <= table.keys[:-1]).any() or (table.states > GONE).any():
            raise ArgumentError("keys that are not sorted, or states that are none")
        high, low = columns["high"].tolist(), columns["low"].tolist()
        for number in zip(high, low, columns["lengths"].tolist(), strict=True):
            table._number(number)
        count = len(table.keys)
        last = int(table.keys[-1] >> np.uint64(PEER_BITS)) if count else -1
        beyond = last >= (1 << 32 + LENGTH_BITS if family == 4 else len(high))
        if beyond or not len(table.origins) == len(table.states) == count:
            raise ArgumentError("columns of different length, or without their prefixes")
        prefixes = table.keys >> np.uint64(PEER_BITS)
        sizes = prefixes & np.uint64((1 << LENGTH_BITS) - 1) if family == 4 else columns["lengths"]
        host = prefixes >> np.uint64(LENGTH_BITS) << sizes.clip(0, IPV4_BITS) if family == 4 else sizes[:0]
        if (sizes > (IPV4_BITS if family == 4 else 128)).any() or (host & np.uint64(0xFFFFFFFF) != 0).any():
            raise ArgumentError("prefixes that are none")
        return table

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """All that it is made of, as columns.

        >>> sorted(Routes(6).columns())
        ['high', 'keys', 'lengths', 'low', 'origins', 'states']
        """
        return {
            "keys": self.keys,
            "origins": self.origins,
            "states": self.states,
            "high": np.array(self._high, np.uint64),
            "low": np.array(self._low, np.uint64),
            "lengths": np.array(self._lengths, np.uint8),
        }

    def __len__(self) -> int:
        return int((self.states != GONE).sum())

    def _number(self, key: tuple[int, int, int]) -> int:
        number = self._numbers.setdefault(key, len(self._high))
        if number == len(self._high):
            for column, value in zip((self._high, self._low, self._lengths), key, strict=True):
                column.append(value)
        return number

    def _prefix_numbers(self, routes: RouteBatch) -> U8:
        """The number of each prefix: of IPv4 address and length, of IPv6 in the order in which they came."""
        if self.family == 4:
            return routes.addresses.astype(np.uint64) << np.uint64(LENGTH_BITS) | routes.lengths
        order = np.lexsort((routes.lengths, routes.addresses[:, 1], routes.addresses[:, 0]))
        columns = [
            routes.addresses[order, 0],
            routes.addresses[order, 1],
            routes.lengths[order].astype(np.uint64),
        ]
        new = np.ones(len(order), np.bool_)
        new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
        place = np.empty(len(order), np.int64)
        place[order] = np.cumsum(new) - 1
        found = zip(*(column[new].tolist() for column in columns), strict=True)
        numbers: U8 = np.array([self._number(key) for key in found], np.uint64)
        return numbers[place] if len(numbers) else numbers

    def put(self, routes: RouteBatch, states: npt.NDArray[np.uint8], peers: Any) -> Changes:
        """Take routes with their states in their order: of one peer and prefix the last stays.

        What became, is or was invalid on the way is told of each, in the order of the batch.
        """
        keys = self._prefix_numbers(routes) << np.uint64(PEER_BITS) | np.asarray(peers, np.uint64)
        order = np.argsort(keys, kind="stable")
        keys, states, origins = keys[order], states[order], routes.origins[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = keys[1:] != keys[:-1]
        last = np.roll(first, -1)
        at = np.searchsorted(self.keys, keys[last])
        there = at < len(self.keys)
        there[there] = self.keys[at[there]] == keys[last][there]
        fresh = ~there & (states[last] != GONE)
        if len(self.keys) + int(fresh.sum()) > MAX_ROUTES:
            raise ArgumentError(f"more than {MAX_ROUTES:,} routes of all peers")
        # before each: what the batch said last of the same route, what was known before the batch
        old_states, old_origins = np.roll(states, 1), np.roll(origins, 1)
        old_states[first], old_origins[first] = GONE, 0
        begins = np.flatnonzero(first)[there]
        old_states[begins], old_origins[begins] = self.states[at[there]], self.origins[at[there]]
        # a route that is gone keeps its origin, to tell who comes back
        origins = np.where(states == GONE, old_origins, origins)
        # where each stands once the new ones have been put between
        rows = at + np.cumsum(fresh) - fresh
        if fresh.any():
            self._insert(rows[fresh], keys[last][fresh])
        known = there | fresh
        rows, kept = rows[known], np.flatnonzero(last)[known]
        self.states[rows], self.origins[rows] = states[kept], origins[kept]
        return Changes(keys, old_states, old_origins, states, origins, order).touched()

    def _insert(self, rows: npt.NDArray[np.int64], keys: U8) -> None:
        """New rows, which nobody has yet, so that they stand at these places."""
        count = len(self.keys) + len(rows)
        old = np.ones(count, np.bool_)
        old[rows] = False
        every, origins, states = (
            np.empty(count, np.uint64),
            np.zeros(count, np.uint32),
            np.empty(count, np.uint8),
        )
        every[old], every[rows] = self.keys, keys
        origins[old] = self.origins
        states[old], states[rows] = self.states, GONE
        self.keys, self.origins, self.states = every, origins, states

    def judge(self, rows: npt.NDArray[np.int64], states: npt.NDArray[np.uint8]) -> Changes:
        """Other states of rows, as ``put`` tells them."""
        old_states, origins = self.states[rows], self.origins[rows]
        self.states[rows] = states
        return Changes(self.keys[rows], old_states, origins, states, origins, np.arange(len(rows))).touched()

    def drop(self, peers: list[int]) -> Changes:
        """All routes of some peers are gone, as ``put`` tells it."""
        mine = np.isin(self.keys & np.uint64((1 << PEER_BITS) - 1), np.array(peers, np.uint64))
        rows = np.flatnonzero(mine & (self.states != GONE))
        return self.judge(rows, np.full(len(rows), GONE, np.uint8))

    def forget(self, peers: list[int]) -> None:
        """Rows of some peers go, also those that are gone."""
        kept = ~np.isin(self.keys & np.uint64((1 << PEER_BITS) - 1), np.array(peers, np.uint64))
        self.keys, self.origins, self.states = self.keys[kept], self.origins[kept], self.states[kept]

    def prefix_of(self, number: int) -> tuple[int, int]:
        """Address and length of a prefix by its number, a key without its peer.

        >>> Routes(4).prefix_of(1 << 6 | 32)
        (1, 32)
        """
        if self.family == 4:
            return number >> LENGTH_BITS, number & (1 << LENGTH_BITS) - 1
        return self._high[number] << 64 | self._low[number], self._lengths[number]

    def routes(self, rows: npt.NDArray[np.int64] | None = None) -> RouteBatch:
        """The routes of rows, or all, in their order."""
        keys, origins = (self.keys, self.origins) if rows is None else (self.keys[rows], self.origins[rows])
        numbers = keys >> np.uint64(PEER_BITS)
        if self.family == 4:
            addresses = (numbers >> np.uint64(LENGTH_BITS)).astype(np.uint32)
            lengths = (numbers & np.uint64((1 << LENGTH_BITS) - 1)).astype(np.uint8)
            return RouteBatch.ipv4(addresses, lengths, origins)
        high, low = np.array(self._high, np.uint64), np.array(self._low, np.uint64)
        words = np.stack([high[numbers], low[numbers]], axis=1)
        return RouteBatch.ipv6(words, np.array(self._lengths, np.uint8)[numbers], origins)
