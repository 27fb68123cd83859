"""ASPA path verification (draft-ietf-sidrops-aspa-verification-28 §5): verdicts on AS paths, one or many.

A path stands as in the AS_PATH: the neighbor AS first, the origin last, before the local AS is added.
Only IPv4 and IPv6 unicast routes from external neighbors are to be verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import accumulate, chain
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rov._aspa import Attestations, first_bad_offset
from rov._checks import as_flag, as_rows, shown
from rov.columns import as_column, as_integers
from rov.errors import ArgumentError
from rov.snapshot import Snapshot
from rov.types import Aspa, as_asn

UNCHECKED = 0
"""In a neighbors column: the neighbor AS is not compared with the path; no neighbor has AS 0 (RFC 7607)."""


class AspaState(IntEnum):
    """The verdict on a path (verification-28 §5).

    >>> AspaState.INVALID.label
    'invalid'
    """

    UNKNOWN = 0
    VALID = 1
    INVALID = 2

    @property
    def label(self) -> str:
        """The state in lower case, as files and reports write it."""
        return self.name.lower()


class Direction(IntEnum):
    """Where a route came from: DOWNSTREAM from a provider, UPSTREAM from anybody else.

    UPSTREAM is also between a route server and its clients, both ways.

    >>> Direction.DOWNSTREAM.label
    'downstream'
    """

    UPSTREAM = 0
    DOWNSTREAM = 1

    @property
    def label(self) -> str:
        """The direction in lower case, as files and reports write it."""
        return self.name.lower()


class Hop(IntEnum):
    """What an AS attests of another (verification-28 §5): the authorized() function.

    >>> Hop.NOT_PROVIDER.label
    'not_provider'
    """

    NO_ATTESTATION = 0
    PROVIDER = 1
    NOT_PROVIDER = 2

    @property
    def label(self) -> str:
        """The answer in lower case, as files and reports write it."""
        return self.name.lower()


class Ramps(NamedTuple):
    """How many ASes, without prepending, climb from the origin and descend to the neighbor.

    The max ramps end at a hop that is attested not to be to a provider, the min ramps at any that is
    not attested to be to one.

    >>> Ramps(2, 1, 2, 1).max_down
    2
    """

    max_up: int
    min_up: int
    max_down: int
    min_down: int


class PathBatch:
    """Many AS paths as numpy columns, the input of AspaIndex.verify_batch.

    Path i is ``asns[offsets[i]:offsets[i + 1]]``, neighbor first, origin last; ``asns`` uint32 [m],
    ``offsets`` int64 [n + 1], ascending. ``neighbors`` uint32 [n]: the AS that the path must begin with,
    0 where that is not to be checked (always, if None), as in a client of a route server. ``as_sets``
    uint8 or bool [n]: whether the path has an AS_SET, whose members are left out of asns (None: no
    path has). Columns given in the right dtype are used in place, except offsets: do not write to them
    afterwards. ArgumentError: shapes, types or offsets that do not fit; it names the first bad row.

    >>> len(PathBatch([64497, 64496, 64498], [0, 2, 3]))
    2
    """

    __slots__ = ("as_sets", "asns", "neighbors", "offsets")

    def __init__(self, asns: Any, offsets: Any, neighbors: Any = None, as_sets: Any = None) -> None:
        self.asns: npt.NDArray[np.uint32] = _column("asns", asns, np.uint32)
        # An own copy: offsets changed after the check would lead out of asns.
        self.offsets: npt.NDArray[np.int64] = _column("offsets", offsets, np.int64, copy=True)
        if not self.offsets.size:
            raise ArgumentError("column offsets: expected one row more than there are paths, found none")
        row = first_bad_offset(self.offsets, self.asns.size)
        if row >= 0:
            raise ArgumentError(
                f"offsets row {row}: expected ascending offsets of 0 to {self.asns.size}, "
                f"found {self.offsets[row]}"
            )
        self.neighbors: npt.NDArray[np.uint32] = _optional("neighbors", neighbors, np.uint32, len(self))
        self.as_sets: npt.NDArray[np.uint8] = _optional("as_sets", as_sets, np.uint8, len(self))

    @classmethod
    def of(cls, paths: Iterable[Sequence[int]], neighbors: Any = None, as_sets: Any = None) -> Self:
        """The batch of some paths as sequences of int; ArgumentError: a path is none.

        >>> PathBatch.of([[64497, 64496], [64498]]).offsets.tolist()
        [0, 2, 3]
        """
        try:
            rows = [tuple(path) for path in paths]
        except (TypeError, ValueError):
            raise ArgumentError("paths: expected sequences of AS numbers") from None
        offsets = list(accumulate(map(len, rows), initial=0))
        return cls(list(chain.from_iterable(rows)), offsets, neighbors, as_sets)

    def __reduce__(self) -> tuple[Any, ...]:
        return PathBatch, (self.asns, self.offsets, self.neighbors, self.as_sets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"<PathBatch: {len(self):,} paths>"


class AspaIndex:
    """The ASPAs of a Snapshot, frozen for path verification; safe to share between threads without a lock.

    Takes a Snapshot or an iterable of Aspa; several ASPAs of one customer are their union, and AS 0 as
    a provider authorizes nobody. ArgumentError: neither, or an ASPA that is none.

    >>> index = AspaIndex([Aspa(64496, (64497,))])
    >>> index.verify([64497, 64496], Direction.UPSTREAM).label
    'valid'
    """

    __slots__ = ("_attestations", "aspas")

    aspas: tuple[Aspa, ...]

    def __init__(self, aspas: Snapshot | Iterable[Aspa]) -> None:
        self.aspas = aspas.aspas if isinstance(aspas, Snapshot) else _normal(aspas)
        self._attestations = _attestations(self.aspas)

    def authorized(self, customer: int, provider: int) -> Hop:
        """Whether customer attests that provider is its provider (verification-28 §5).

        ArgumentError: customer or provider is no AS number.

        >>> AspaIndex([Aspa(64496, (0,))]).authorized(64496, 64497).label
        'not_provider'
        """
        return Hop(self._attestations.hop(as_asn(customer, "customer"), as_asn(provider, "provider")))

    def ramps(self, path: Sequence[int]) -> Ramps:
        """The four ramps of a path (verification-28 §5); all 0 if it is empty.

        ArgumentError: path is no sequence of AS numbers.

        >>> AspaIndex([]).ramps([64498, 64497, 64496])
        Ramps(max_up=3, min_up=1, max_down=3, min_down=1)
        """
        return Ramps(*self._attestations.ramps(_column("path", path, np.uint32)))

    def verify(
        self,
        path: Sequence[int],
        direction: Direction,
        *,
        neighbor: int | None = None,
        as_set: bool = False,
    ) -> AspaState:
        """The verdict on one path (verification-28 §5).

        A path that is empty, has an AS_SET (as_set; its members are left out of path) or does not begin
        with neighbor is invalid; neighbor None is not checked, as in a client of a route server.
        ArgumentError: path is no sequence of AS numbers, or direction or neighbor is none.

        >>> AspaIndex([]).verify([64497, 64496], Direction.UPSTREAM).label
        'unknown'
        """
        column = _column("path", path, np.uint32)
        expected = UNCHECKED if neighbor is None else as_asn(neighbor, "neighbor", least=1)
        return AspaState(
            self._attestations.verify(
                column, expected, as_flag(as_set, "as_set"), _direction(direction).value
            )
        )

    def verify_batch(self, paths: PathBatch, direction: Direction | npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """The AspaState of each path of a PathBatch, as uint8 [n] in its order; runs without the GIL.

        direction is one for all, or a column of Direction values, uint8 [n]. ArgumentError: it is
        neither, or paths is no PathBatch (verification-28 §5).

        >>> index = AspaIndex([Aspa(64496, (64497,))])
        >>> index.verify_batch(PathBatch.of([[64497, 64496], []]), Direction.UPSTREAM).tolist()
        [1, 2]
        """
        if not isinstance(paths, PathBatch):
            raise ArgumentError(f"expected a PathBatch, found {type(paths).__name__}")
        directions = _directions(direction, len(paths))
        out = np.empty(len(paths), np.uint8)
        self._attestations.verify_columns(
            paths.asns, paths.offsets, paths.neighbors, paths.as_sets, directions, out
        )
        return out

    def __len__(self) -> int:
        return len(self.aspas)

    def __repr__(self) -> str:
        return f"<AspaIndex: {len(self):,} customers>"

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Aspa, ...]]]:
        return type(self), (self.aspas,)


def verify(
    path: Sequence[int],
    direction: Direction,
    aspas: AspaIndex | Snapshot | Iterable[Aspa],
    *,
    neighbor: int | None = None,
    as_set: bool = False,
) -> AspaState:
    """The verdict on one path, as AspaIndex.verify gives it; for many paths build the AspaIndex once.

    ArgumentError: an argument is none of what is expected (verification-28 §5).

    >>> verify([64498, 64496], Direction.UPSTREAM, [Aspa(64496, (64497,))]).label
    'invalid'
    """
    index = aspas if isinstance(aspas, AspaIndex) else AspaIndex(aspas)
    return index.verify(path, direction, neighbor=neighbor, as_set=as_set)


def _normal(aspas: Iterable[Aspa]) -> tuple[Aspa, ...]:
    return Snapshot.build(aspas=as_rows(aspas, Aspa, "ASPAs")).aspas


def _attestations(aspas: tuple[Aspa, ...]) -> Attestations:
    """As many buckets as customers, rounded up to a power of two: about one customer in each."""
    mask = np.uint32((1 << max(len(aspas) - 1, 0).bit_length()) - 1)
    customers = np.array([aspa.customer for aspa in aspas], np.uint32)
    order = np.lexsort((customers, customers & mask))
    buckets = np.searchsorted((customers & mask)[order], np.arange(int(mask) + 2)).astype(np.uint32)
    # AS 0 authorizes nobody: a customer that has only it keeps its row, without a provider.
    rows = [sorted(set(aspas[row].providers) - {0}) for row in order]
    starts = np.array(list(accumulate(map(len, rows), initial=0)), np.int64)
    return Attestations(
        buckets, customers[order], starts, np.array(list(chain.from_iterable(rows)), np.uint32)
    )


def _column(name: str, values: Any, dtype: Any, *, copy: bool = False) -> npt.NDArray[Any]:
    given = as_integers(values, name)
    given = given.copy() if copy else given
    if given.dtype == np.bool_ and dtype is np.uint8:
        given = given.view(np.uint8)
    return as_column(given, dtype, name, (given.size,))


def _optional(name: str, values: Any, dtype: Any, count: int) -> npt.NDArray[Any]:
    """A column of so many rows; one zero for all of them stands where it is not given."""
    if values is None:
        return np.broadcast_to(np.zeros((), dtype), (count,))
    column = _column(name, values, dtype)
    if column.size != count:
        raise ArgumentError(f"column {name}: expected {count} rows, one for each path, found {column.size}")
    return column


def _direction(value: Any) -> Direction:
    try:
        return Direction(value)
    except (ValueError, TypeError):
        raise ArgumentError(f"direction {shown(value)}: expected a rov.aspa.Direction") from None


def _directions(value: Any, count: int) -> npt.NDArray[np.uint8]:
    many = value.ndim > 0 if isinstance(value, np.ndarray) else isinstance(value, (list, tuple))
    if not many:
        return np.broadcast_to(np.uint8(_direction(value)), (count,))
    column = _optional("direction", value, np.uint8, count)
    wrong = np.flatnonzero(column > Direction.DOWNSTREAM)
    if wrong.size:
        raise ArgumentError(f"direction row {wrong[0]}: expected 0 or 1, found {column[wrong[0]]}")
    return column
