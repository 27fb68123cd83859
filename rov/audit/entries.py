"""The entries of dumps that carry the routes of a table, from a second reading that has their paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_iterable, as_kind
from rov._nesting import ranges
from rov.audit.nesting import Sorted, words
from rov.errors import ArgumentError
from rov.rib import Attributes, Dump, Flag, RibBatch, RouteColumns, RouteTable
from rov.routes import RouteBatch

Rows = npt.NDArray[np.int64]


class RouteFinder:
    """Finds the rows of one family's routes by prefix and origin.

    >>> finder = RouteFinder(RouteColumns(4, [0, 0], [8, 9], [1, 2], [1, 1]))
    >>> finder.find(RouteBatch.ipv4([0, 0], [9, 9], [2, 3])).tolist()
    [1, -1]
    """

    def __init__(self, routes: RouteColumns) -> None:
        self._order = np.argsort(routes.origins, kind="stable")
        self._sorted = Sorted.of(routes.family, routes.origins, routes.addresses, routes.lengths)

    def find(self, routes: RouteBatch) -> Rows:
        """The row of each route, int64 [n]; -1 where there is none."""
        if not len(self._order):
            return np.full(len(routes), -1, np.int64)
        first, end = ranges(
            *self._sorted, routes.origins, *words(routes.family, routes.addresses), routes.lengths
        )
        at = np.minimum(first, len(self._order) - 1)
        found = (first < end) & (self._sorted.lengths[at] == routes.lengths)
        return np.where(found, self._order[at], -1)


class Entries(NamedTuple):
    """Entries of a batch: ``at`` says where they stand in it, ``rows`` which routes of the table they are.

    ``paths_at`` says which of the ``attributes`` is that of each.
    """

    batch: RibBatch
    attributes: Attributes
    at: Rows
    rows: Rows
    paths_at: npt.NDArray[np.uint32]

    def take(self, mask: npt.NDArray[np.bool_]) -> Entries:
        """Those that a mask picks."""
        return self._replace(at=self.at[mask], rows=self.rows[mask], paths_at=self.paths_at[mask])


def finders(table: RouteTable) -> dict[int, RouteFinder]:
    """A RouteFinder for each family of a table.

    >>> sorted(finders(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))))
    [4, 6]
    """
    return {routes.family: RouteFinder(routes) for routes in (table.ipv4, table.ipv6)}


def entries(
    dumps: Iterable[Dump], of: Mapping[int, RouteFinder], neighbor: int | None = None
) -> Iterator[tuple[Dump, Entries]]:
    """The entries, batch by batch, of dumps that were opened with their paths.

    Withdrawals are left out, and, if neighbor is given, entries of peers that are not in that AS.
    ArgumentError: no Dump, or one that is no MRT and has no paths.

    >>> list(entries([], {}))
    []
    """
    for dump in as_iterable(dumps, "dumps"):
        for batch in as_kind(dump, Dump, "dumps"):
            if batch.attributes is None or batch.attribute_rows is None:
                raise ArgumentError(f"{dump.name}: expected an MRT dump, {dump.format} has no AS paths")
            rows = of[batch.routes.family].find(batch.routes)
            # a withdrawal has no path: its row must not be looked up
            kept = (rows >= 0) & ~batch.has(Flag.WITHDRAWN)
            if neighbor is not None:
                kept &= np.isin(batch.peers, _numbers(dump, neighbor))
            at = np.flatnonzero(kept)
            yield dump, Entries(batch, batch.attributes, at, rows[at], batch.attribute_rows[at])


def _numbers(dump: Dump, neighbor: int) -> list[int]:
    return [number for number, peer in enumerate(dump.peers) if number and peer.asn == neighbor]
