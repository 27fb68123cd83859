"""Table: the routes of the loaded RIB dumps with their states under the set that is served."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from rov import Prefix, Reason, State, VrpIndex, rib
from rov.audit import Judged, Verdicts, judge
from rov.audit.tables import prefix_texts
from rtr_server.web.rib_loader import BY_ORIGIN, COLUMNS

MOST = 1_000
"""Routes that an answer names, if not told otherwise."""


STATES = [state.label for state in State]
REASONS = [reason.label for reason in Reason]


class Route(msgspec.Struct, frozen=True):
    """A route with its state and reason by their labels; origin None: an AS_SET or an empty path.

    ``peers``: how many peers of the collectors carry it.
    """

    prefix: str
    origin: int | None
    state: str
    reason: str
    peers: int


class Found(NamedTuple):
    """The first routes that were asked for, and how many there are in all."""

    routes: list[Route]
    total: int


class Dumps(msgspec.Struct, frozen=True):
    """What the loader left; by family the rows in order of origins, and the first 64 bits of addresses."""

    table: rib.RouteTable
    by_origin: dict[int, Any]
    heads: dict[int, Any]

    @classmethod
    def open(cls, folder: Path) -> Dumps:
        """Map the files of rib_loader, which may go then; OSError, ValueError, RovError: they are none.

        In a thread: every column is gone through.
        """

        def column(family: int, name: str) -> Any:
            mapped = np.load(folder / f"{family}.{name}.npy", mmap_mode="r", allow_pickle=False)
            return mapped.view(np.ndarray)

        four, six = (
            rib.RouteColumns(family, *(column(family, name) for name in COLUMNS)) for family in (4, 6)
        )
        heads = {4: four.addresses, 6: np.ascontiguousarray(six.addresses[:, 0])}
        by_origin = {family: column(family, BY_ORIGIN) for family in (4, 6)}
        return cls(rib.RouteTable(four, six), by_origin, heads)


class Table:
    """The routes, judged by one set; never changed: a new set makes another one.

    ``generation`` is that of the set, as in ``Served``; ``verdicts`` are for ``rov.audit``. What is asked
    by prefix or ASN is found by searches, in well under a millisecond.
    """

    def __init__(self, dumps: Dumps, index: VrpIndex, generation: int) -> None:
        self._dumps = dumps
        self.generation = generation
        self.verdicts: Verdicts = judge(dumps.table, index)
        self._counts: dict[int, dict[str, int]] = {
            judged.family: {state.label: int(judged.having(state).sum()) for state in State}
            for judged in self.verdicts.families()
        }

    def counts(self) -> dict[int, dict[str, int]]:
        """How many routes of each family have each state, by its label."""
        return self._counts

    def covering(self, prefix: Prefix) -> list[Route]:
        """The routes to a prefix itself and to what covers it, shortest first; all of them."""
        judged = self._family(prefix)
        rows = list(_rows_over(judged.routes, self._dumps.heads[prefix.family], prefix))
        return _routes(judged, rows)

    def under(self, prefix: Prefix, most: int = MOST) -> Found:
        """The routes to a prefix and to those within it, in order."""
        judged = self._family(prefix)
        first = _place(judged, (prefix.address, prefix.length))
        last = _place(judged, (prefix.address + (1 << (prefix.bits - prefix.length)), -1))
        return Found(_routes(judged, np.arange(first, min(last, first + most))), last - first)

    def of(self, asn: int, most: int = MOST) -> Found:
        """The routes that an AS originates, IPv4 first."""
        routes: list[Route] = []
        total = 0
        for judged in self.verdicts.families():
            rows = self._rows_of(judged, asn)
            total += len(rows)
            routes += _routes(judged, rows[: max(0, most - len(routes))])
        return Found(routes, total)

    def counts_of(self, asn: int) -> dict[str, int]:
        """How many routes of an AS have each state, by its label."""
        found = np.zeros(len(State), np.int64)
        for judged in self.verdicts.families():
            found += np.bincount(judged.states[self._rows_of(judged, asn)], minlength=len(State))
        return {state.label: int(found[state]) for state in State}

    def part_of(self, asn: int) -> rib.RouteTable:
        """The routes of an AS as a RouteTable, for what ``rov.audit`` tells of it."""
        four, six = (
            judged.routes.take(np.sort(self._rows_of(judged, asn))) for judged in self.verdicts.families()
        )
        return rib.RouteTable(four, six)

    def _family(self, prefix: Prefix) -> Judged:
        return self.verdicts.ipv4 if prefix.family == 4 else self.verdicts.ipv6

    def _rows_of(self, judged: Judged, asn: int) -> Any:
        order, origins = self._dumps.by_origin[judged.family], judged.routes.origins
        first, last = (
            bisect_left(range(len(order)), wanted, key=lambda row: int(origins[order[row]]))
            for wanted in (asn, asn + 1)
        )
        return order[first:last]

    def __len__(self) -> int:
        return len(self.verdicts)


def _key(judged: Judged, row: int) -> tuple[int, int]:
    """What rows are sorted by, but for the origin."""
    address = judged.routes.addresses[row].tolist()
    number = address if judged.family == 4 else address[0] << 64 | address[1]
    return number, int(judged.routes.lengths[row])


def _place(judged: Judged, wanted: tuple[int, int]) -> int:
    """The first row that is not below."""
    return bisect_left(range(len(judged)), wanted, key=lambda row: _key(judged, row))


def _rows_over(routes: rib.RouteColumns, heads: Any, prefix: Prefix) -> Iterator[int]:
    """The rows of a prefix and of what covers it; all lengths are looked for in one search of the heads."""
    bits = prefix.bits
    numbers = [prefix.address >> bits - length << bits - length for length in range(prefix.length + 1)]
    wanted = np.array([number >> max(0, bits - 64) for number in numbers], heads.dtype)
    ends = (np.searchsorted(heads, wanted, side).tolist() for side in ("left", "right"))
    for length, (first, last) in enumerate(zip(*ends, strict=True)):
        same = routes.lengths[first:last] == length
        if routes.family == 6:
            same &= routes.addresses[first:last, 1] == np.uint64(numbers[length] & 2**64 - 1)
        yield from (first + np.flatnonzero(same)).tolist()


def _routes(judged: Judged, rows: Any) -> list[Route]:
    picked = judged.routes.take(np.asarray(rows, np.int64))
    columns = (picked.origins, judged.states[rows], judged.reasons[rows], picked.peers)
    found = zip(prefix_texts(picked), *(column.tolist() for column in columns), strict=True)
    return [
        Route(prefix, origin or None, STATES[state], REASONS[reason], peers)
        for prefix, origin, state, reason, peers in found
    ]
