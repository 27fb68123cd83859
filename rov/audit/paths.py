"""The ASPA verdicts on the paths of a table: how many entries of each route came by a path of each state.

A collector does not know what its peers are to it. DOWNSTREAM takes each path as one that a provider gave,
so that a path is invalid only if it cannot be free of leaks; UPSTREAM as one that a customer gave.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind
from rov.aspa import AspaIndex, AspaState, Direction
from rov.audit.entries import entries, finders
from rov.audit.tables import number_column
from rov.audit.verdicts import Verdicts
from rov.rib import Dump
from rov.types import as_asn

if TYPE_CHECKING:
    import pyarrow as pa

Counts = npt.NDArray[np.uint32]


class PathVerdicts(NamedTuple):
    """Entries of each route by the AspaState of their path, row by row: uint32 [n, 3] for each family."""

    direction: Direction
    ipv4: Counts
    ipv6: Counts

    def columns(self) -> dict[str, pa.Array]:
        """Columns for the verdict table: aspa_unknown, aspa_valid, aspa_invalid, in entries.

        >>> none = np.zeros((1, 3), np.uint32)
        >>> list(PathVerdicts(Direction.UPSTREAM, none, none).columns())
        ['aspa_unknown', 'aspa_valid', 'aspa_invalid']
        """
        both = np.concatenate([self.ipv4, self.ipv6])
        return {f"aspa_{state.label}": number_column(both[:, state]) for state in AspaState}


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
    as_kind(verdicts, Verdicts, "verdicts")
    as_kind(direction, Direction, "direction")
    neighbor = None if neighbor is None else as_asn(neighbor, "neighbor")
    index = AspaIndex(verdicts.index.snapshot)
    counts: dict[int, Counts] = {
        judged.family: np.zeros((len(judged), len(AspaState)), np.uint32) for judged in verdicts.families()
    }
    for _, found in entries(dumps, finders(verdicts.table), neighbor):
        states = index.verify_batch(found.attributes.paths, direction)
        np.add.at(counts[found.batch.routes.family], (found.rows, states[found.paths_at]), 1)
    return PathVerdicts(direction, counts[4], counts[6])
