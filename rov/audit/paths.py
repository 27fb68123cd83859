"""The ASPA verdicts on the paths of a table: how many entries of each route came by a path of each state.

A collector does not know what its peers are to it. DOWNSTREAM takes each path as one that a provider gave,
so that a path is invalid only if it cannot be free of leaks; UPSTREAM as one that a customer gave.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._nesting import ranges
from rov.aspa import AspaIndex, AspaState, Direction
from rov.audit.nesting import Sorted, words
from rov.audit.tables import arrow
from rov.audit.verdicts import Judged, Verdicts
from rov.errors import ArgumentError
from rov.rib import Dump, Flag, RibBatch

if TYPE_CHECKING:
    import pyarrow as pa

Entries = npt.NDArray[np.uint32]


class PathVerdicts(NamedTuple):
    """Entries of each route by the AspaState of their path, row by row: uint32 [n, 3] for each family."""

    direction: Direction
    ipv4: Entries
    ipv6: Entries

    def columns(self) -> dict[str, pa.Array]:
        """Columns for the verdict table: aspa_unknown, aspa_valid, aspa_invalid, in entries.

        >>> none = np.zeros((1, 3), np.uint32)
        >>> list(PathVerdicts(Direction.UPSTREAM, none, none).columns())
        ['aspa_unknown', 'aspa_valid', 'aspa_invalid']
        """
        both = np.concatenate([self.ipv4, self.ipv6])
        return {f"aspa_{state.label}": arrow().array(both[:, state]) for state in AspaState}


class _Rows:
    """Finds the routes of one family by prefix and origin."""

    def __init__(self, judged: Judged) -> None:
        routes = judged.routes
        self._order = np.argsort(routes.origins, kind="stable")
        self._sorted = Sorted.of(routes.family, routes.origins, routes.addresses, routes.lengths)
        self.entries: Entries = np.zeros((len(routes), len(AspaState)), np.uint32)

    def count(self, batch: RibBatch, states: npt.NDArray[np.uint8], kept: npt.NDArray[np.bool_]) -> None:
        """Count the entries of a batch that are kept; states by the row of the batch."""
        if not len(self._order):
            return
        routes = batch.routes
        high, low = words(routes.family, routes.addresses)
        # by route, then by path: entries of one route stand together in a dump
        first, end = ranges(*self._sorted, routes.origins, high, low, routes.lengths)
        at = np.minimum(first, len(self._order) - 1)
        found = kept & (first < end) & (self._sorted.lengths[at] == routes.lengths)
        np.add.at(self.entries, (self._order[at[found]], states[found]), 1)


def judge_paths(
    verdicts: Verdicts,
    dumps: Iterable[Dump],
    direction: Direction = Direction.DOWNSTREAM,
    neighbor: int | None = None,
) -> PathVerdicts:
    """Verify the path of each entry of dumps that were opened with their paths (ASPA verification-28 §5).

    The dumps are those that the verdicts came from; the ASPAs are those of the snapshot of their index.
    Only entries of routes that have a verdict count, and, if neighbor is given, those of peers in that AS.
    ArgumentError: a dump has no paths.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit.verdicts import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> judge_paths(judge(table, VrpIndex(Snapshot.empty())), []).ipv4.shape
    (0, 3)
    """
    index = AspaIndex(verdicts.index.snapshot)
    rows = {judged.family: _Rows(judged) for judged in verdicts.families()}
    for dump in dumps:
        for batch in dump:
            if batch.attributes is None or batch.attribute_rows is None:
                raise ArgumentError(f"{dump.name}: {dump.format} has no AS paths: expected MRT")
            states = index.verify_batch(batch.attributes.paths, direction)
            kept = ~batch.has(Flag.WITHDRAWN)
            if neighbor is not None:
                kept &= np.isin(batch.peers, _numbers(dump, neighbor))
            # a withdrawal has no path: its row must not be looked up
            of_row = np.zeros(len(batch), np.uint8)
            of_row[kept] = states[batch.attribute_rows[kept]]
            rows[batch.routes.family].count(batch, of_row, kept)
    return PathVerdicts(direction, rows[4].entries, rows[6].entries)


def _numbers(dump: Dump, neighbor: int) -> list[int]:
    return [number for number, peer in enumerate(dump.peers) if number and peer.asn == neighbor]
