"""Rows of routes, as they come from dumps, to sorted and unique RouteColumns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rov.rib.table import PEERS_PER_WORD, RouteColumns, Sets
from rov.types import Family

MAX_PENDING_BYTES = 32 << 20
"""Octets of rows kept before they are merged: a million rows, where there are few peers."""


NOT_JUDGED = np.zeros(0, np.uint8)


class Part(NamedTuple):
    """Rows of one family; stated: the number of peers as the file gives it, 0 where it names them.

    reasons: Reason of the verdicts, uint8; a column without rows where there are none yet.
    """

    addresses: npt.NDArray[Any]
    lengths: npt.NDArray[Any]
    origins: npt.NDArray[Any]
    stated: npt.NDArray[Any]
    sets: npt.NDArray[Any]
    reasons: npt.NDArray[np.uint8] = NOT_JUDGED

    @property
    def nbytes(self) -> int:
        """Octets of all columns."""
        return sum(column.nbytes for column in self)

    def picked(self, at: npt.NDArray[np.int64] | slice) -> Part:
        """The rows of an index column, in its order, or of a slice."""
        columns = [column[at] if len(column) else column for column in self]
        return Part(*columns)


def single_peer_sets(peers: npt.NDArray[np.uint32], words: int) -> Sets:
    """The sets of rows that one peer carries each, as uint64 [n, words].

    >>> single_peer_sets(np.array([0, 65], np.uint32), 2).tolist()
    [[1, 0], [0, 2]]
    """
    sets = np.zeros((len(peers), words), np.uint64)
    bits = np.uint64(1) << (peers % PEERS_PER_WORD).astype(np.uint64)
    sets[np.arange(len(peers)), peers // PEERS_PER_WORD] = bits
    return sets


class FamilyMerger:
    """Takes the rows of one family, file by file, and gives their distinct routes.

    Within a file the largest stated number of peers counts, over files they add up; named peers are sets,
    so that one who is met again counts once.

    >>> merger = FamilyMerger(4)
    >>> one, none = np.ones(2, np.uint32), np.zeros((2, 0), np.uint64)
    >>> merger.add(Part(np.array([8, 4], np.uint32), np.full(2, 30, np.uint8), one, one, none))
    >>> merger.end_file()
    >>> merger.columns().addresses.tolist()
    [4, 8]
    """

    def __init__(self, family: Family) -> None:
        self.family: Family = family
        self._pending: list[Part] = []
        self._bytes = 0
        self._total: Part | None = None

    @property
    def nbytes(self) -> int:
        """Octets of the rows kept at the moment, distinct or not."""
        return self._bytes + (0 if self._total is None else self._total.nbytes)

    def add(self, part: Part) -> None:
        """Take rows of the current file."""
        if not len(part.lengths):
            return
        self._pending.append(part)
        self._bytes += part.nbytes
        # what is merged stays in the pile: it pays only when it grew by as much again
        if self._bytes > max(MAX_PENDING_BYTES, 2 * self._pending[0].nbytes):
            self._pending = [merged(self._pending)]
            self._bytes = self._pending[0].nbytes

    def end_file(self) -> None:
        """The rows given so far are all of one file."""
        if not self._pending:
            return
        of_file = merged(self._pending)
        self._pending, self._bytes = [], 0
        self._total = of_file if self._total is None else merged([self._total, of_file], np.add)

    def columns(self) -> RouteColumns:
        """The distinct routes of all files that have ended."""
        return (
            RouteColumns.empty(self.family) if self._total is None else as_columns(self.family, self._total)
        )

    def reasons(self) -> npt.NDArray[np.uint8]:
        """The Reason of each of these routes, where the rows that were given have it."""
        return NOT_JUDGED if self._total is None else self._total.reasons


def as_columns(family: Family, part: Part) -> RouteColumns:
    """Sorted and distinct rows as the columns of a table.

    >>> one, none = np.ones(1, np.uint32), np.zeros((1, 0), np.uint64)
    >>> as_columns(4, Part(one, np.full(1, 32, np.uint8), one, one, none)).peers.tolist()
    [1]
    """
    peers = part.stated + np.bitwise_count(part.sets).sum(axis=1, dtype=np.uint32)
    sets = part.sets if part.sets.shape[1] else None
    return RouteColumns(family, part.addresses, part.lengths, part.origins, peers, sets)


def merged(parts: list[Part], stated: np.ufunc = np.maximum) -> Part:
    """The rows of parts sorted, equal ones made one: their sets joined, their numbers by the ufunc.

    >>> one, none = np.ones(1, np.uint32), np.zeros((1, 0), np.uint64)
    >>> part = Part(one, np.full(1, 32, np.uint8), one, one, none)
    >>> merged([part, part]).stated.tolist(), merged([part, part], np.add).stated.tolist()
    ([1], [2])
    """
    rows = _joined(parts)
    if not _ascends(rows):
        rows = rows.picked(_order(rows))
    same = _equal_to_last(rows)
    if not same.any():
        return rows
    starts = np.flatnonzero(~np.concatenate(([False], same)))
    return rows.picked(starts)._replace(
        stated=stated.reduceat(rows.stated, starts), sets=np.bitwise_or.reduceat(rows.sets, starts, axis=0)
    )


def _joined(parts: list[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    words = max(part.sets.shape[1] for part in parts)
    wide = [
        part._replace(sets=np.pad(part.sets, ((0, 0), (0, words - part.sets.shape[1])))) for part in parts
    ]
    return Part(*(np.concatenate(columns) for columns in zip(*wide, strict=True)))


def _keys(rows: Part) -> tuple[npt.NDArray[Any], ...]:
    """What rows are sorted by, the most significant first, in as few columns as may be."""
    lengths = rows.lengths.astype(np.uint64)
    if rows.addresses.ndim == 1:
        return (rows.addresses.astype(np.uint64) << np.uint64(8)) | lengths, rows.origins
    rest = (lengths << np.uint64(32)) | rows.origins
    return rows.addresses[:, 0], rows.addresses[:, 1], rest


def _ascends(rows: Part) -> bool:
    """Whether the rows are sorted already, as those of a RIB dump are."""
    below: npt.NDArray[np.bool_] | None = None
    equal: npt.NDArray[np.bool_] | None = None
    for key in _keys(rows):
        less, same = key[:-1] < key[1:], key[:-1] == key[1:]
        below = less if below is None or equal is None else below | (equal & less)
        equal = same if equal is None else equal & same
    return below is None or equal is None or bool((below | equal).all())


def _order(rows: Part) -> npt.NDArray[np.int64]:
    return np.lexsort(_keys(rows)[::-1])


def _equal_to_last(rows: Part) -> npt.NDArray[np.bool_]:
    """For each row but the first, whether it is the same route as the row before."""
    equal = np.ones(max(len(rows.lengths) - 1, 0), np.bool_)
    for key in _keys(rows):
        equal &= key[:-1] == key[1:]
    return equal
