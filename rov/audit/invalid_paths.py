"""The AS paths of invalid routes, from a second reading of MRT dumps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from rov.audit.verdicts import Judged, Verdicts
from rov.errors import ArgumentError
from rov.rib import Dump, Flag, RibBatch
from rov.rib import open as open_dump
from rov.types import State

Key = tuple[int, ...]
"""Address (in IPv6 as two words), length, origin."""


class Seen(dict[tuple[int, int], set[tuple[int, ...]]]):
    """The distinct paths of each invalid route, by (family, row of the Verdicts); neighbor first.

    An AS that stands several times in a row stands once.
    """


def invalid_paths(names: Iterable[str], verdicts: Verdicts) -> Seen:
    """Read the dumps again for the paths of the routes that are invalid.

    ArgumentError: a dump is no MRT, and has no paths. RibFileError as rov.rib.open.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> invalid_paths([], judge(table, VrpIndex(Snapshot.empty())))
    {}
    """
    wanted: dict[int, dict[Key, int]] = {judged.family: _rows(judged) for judged in verdicts.families()}
    seen = Seen()
    for name in names:
        with open_dump(name, paths=True) as dump:
            for family, key, path in _paths(dump, verdicts):
                row = wanted[family].get(key)
                if row is not None:
                    seen.setdefault((family, row), set()).add(path)
    return seen


def _rows(judged: Judged) -> dict[Key, int]:
    rows = np.flatnonzero(judged.having(State.INVALID))
    part = judged.routes.take(rows)
    return dict(zip(_keys(part.addresses, part.lengths, part.origins), rows.tolist(), strict=True))


def _keys(
    addresses: npt.NDArray[np.generic], lengths: npt.NDArray[np.uint8], origins: npt.NDArray[np.uint32]
) -> Iterator[Key]:
    columns = [addresses] if addresses.ndim == 1 else [addresses[:, 0], addresses[:, 1]]
    return zip(*(column.tolist() for column in (*columns, lengths, origins)), strict=True)


def _paths(dump: Dump, verdicts: Verdicts) -> Iterator[tuple[int, Key, tuple[int, ...]]]:
    for batch in dump:
        if batch.attributes is None or batch.attribute_rows is None:
            raise ArgumentError(f"{dump.name}: expected an MRT dump, {dump.format} has no paths")
        routes = batch.routes
        states = verdicts.index.validate_batch(routes)
        rows = np.flatnonzero((states == State.INVALID) & ~batch.has(Flag.WITHDRAWN))
        keys = _keys(routes.addresses[rows], routes.lengths[rows], routes.origins[rows])
        known: dict[int, tuple[int, ...]] = {}
        for key, place in zip(keys, batch.attribute_rows[rows].tolist(), strict=True):
            path = known.get(place)
            if path is None:
                path = known[place] = _path(batch, place)
            yield routes.family, key, path


def _path(batch: RibBatch, place: int) -> tuple[int, ...]:
    assert batch.attributes is not None
    paths = batch.attributes.paths
    asns = paths.asns[paths.offsets[place] : paths.offsets[place + 1]].tolist()
    return tuple(asn for at, asn in enumerate(asns) if at == 0 or asn != asns[at - 1])
