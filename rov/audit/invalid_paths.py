"""The AS paths of invalid routes, from a second reading of MRT dumps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rov._checks import as_kind
from rov.aspa import PathBatch
from rov.audit.entries import entries, finders
from rov.audit.nesting import distinct
from rov.audit.verdicts import Verdicts
from rov.rib import Dump
from rov.types import State, as_asn

Path = tuple[int, ...]


class Seen(dict[tuple[int, int], set[Path]]):
    """The distinct paths of each invalid route, by (family, row of the Verdicts); neighbor first.

    An AS that stands several times in a row stands once.
    """


def invalid_paths(dumps: Iterable[Dump], verdicts: Verdicts, neighbor: int | None = None) -> Seen:
    """The paths of the routes that are invalid, from the same dumps, opened once more with their paths.

    neighbor: only those of peers in that AS. ArgumentError: a dump is no MRT, and has no paths.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> invalid_paths([], judge(table, VrpIndex(Snapshot.empty())))
    {}
    """
    as_kind(verdicts, Verdicts, "verdicts")
    neighbor = None if neighbor is None else as_asn(neighbor, "neighbor")
    invalid = {judged.family: judged.having(State.INVALID) for judged in verdicts.families()}
    seen = Seen()
    for _, found in entries(dumps, finders(verdicts.table), neighbor):
        family = found.batch.routes.family
        found = found.take(invalid[family][found.rows])
        # most peers of one route have paths of their own: what is left to Python is each of these once
        pairs = distinct(found.rows << 32 | found.paths_at)
        paths = _Paths(found.attributes.paths)
        for row, place in zip((pairs >> 32).tolist(), (pairs & 0xFFFFFFFF).tolist(), strict=True):
            seen.setdefault((family, row), set()).add(paths.at(place))
    return seen


class _Paths:
    """The paths of a batch, as tuples without repetitions."""

    def __init__(self, paths: PathBatch) -> None:
        new = np.ones(len(paths.asns), np.bool_)
        new[1:] = paths.asns[1:] != paths.asns[:-1]
        firsts = paths.offsets[:-1]
        new[firsts[firsts < len(new)]] = True
        self._asns = paths.asns[new].tolist()
        self._offsets = np.concatenate([[0], np.cumsum(new)])[paths.offsets].tolist()
        self._known: dict[int, Path] = {}

    def at(self, place: int) -> Path:
        """The path of that number."""
        path = self._known.get(place)
        if path is None:
            path = tuple(self._asns[self._offsets[place] : self._offsets[place + 1]])
            self._known[place] = path
        return path
