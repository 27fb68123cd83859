"""Entries of a route server's table that are listed one by one, in columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rov.audit.entries import Entries
from rov.audit.prefixes import Rows, spans
from rov.audit.tables import arrow, list_column, number_column
from rov.rib import Ragged
from rov.types import Family

if TYPE_CHECKING:
    import pyarrow as pa

Bools = npt.NDArray[np.bool_]

LARGE_PARTS = 3
"""Numbers of a large community (RFC 8092)."""


class Listed(NamedTuple):
    """Columns of one length: family and row of each in the Verdicts, its session, what came with it.

    ``marked``: whether with an expected community; ``paths`` Ragged uint32, ``communities`` Ragged uint32
    (RFC 1997), ``large`` Ragged uint32 [m, 3] (RFC 8092).

    >>> len(Listed.joined([]).rows)
    0
    """

    family: npt.NDArray[np.uint8]
    rows: Rows
    sessions: Rows
    marked: Bools
    paths: Ragged
    communities: Ragged
    large: Ragged

    @classmethod
    def of(cls, given: Entries, at: Rows, sessions: Rows, marked: Bools) -> Listed:
        """Some entries of a batch."""
        places, attributes = given.paths_at[at].astype(np.int64), given.attributes
        paths = Ragged(attributes.paths.asns, attributes.paths.offsets.astype(np.int64))
        ragged = (
            _picked(part, places) for part in (paths, attributes.communities, attributes.large_communities)
        )
        family = np.full(len(at), given.batch.routes.family, np.uint8)
        return cls(family, given.rows[at], sessions[at], marked[at], *ragged)

    @classmethod
    def joined(cls, parts: Sequence[Listed]) -> Listed:
        """Those of several batches."""
        none, empty = np.empty(0, np.int64), np.empty(0, np.uint32)
        plain = Ragged(empty, np.zeros(1, np.int64))
        large = Ragged(empty.reshape(0, LARGE_PARTS), plain.offsets)
        family, unmarked = np.empty(0, np.uint8), np.empty(0, np.bool_)
        first = cls(family, none, none, unmarked, plain, plain, large)
        columns = [*zip(first, *parts, strict=True)]
        return cls(*map(np.concatenate, columns[:4]), *map(_concatenated, columns[4:]))  # type: ignore[arg-type]

    def numbers(self, first_ipv6: int) -> Rows:
        """The rows counted through both families, of which IPv4 has so many."""
        return self.rows + np.where(self.family == 6, first_ipv6, 0)

    def community_texts(self) -> pa.Array:
        """The communities of each as a list of texts, the plain ones first."""
        from pyarrow import compute

        pyarrow = arrow()

        def texts(*columns: npt.NDArray[np.uint32]) -> pa.Array:
            words = (number_column(column).cast(pyarrow.string()) for column in columns)
            return compute.binary_join_element_wise(*words, ":")

        plain, large = self.communities, self.large
        values = pyarrow.concat_arrays(
            [
                texts(plain.values >> np.uint32(16), plain.values & np.uint32(0xFFFF)),
                texts(*(large.values[:, part] for part in range(LARGE_PARTS))),
            ]
        )
        # where each stands, after the plain ones of its entry and all of those before
        split = len(plain.values)
        order, numbers = np.empty(len(values), np.int64), np.arange(len(values))
        first, second = numbers[:split], numbers[split:]
        order[first + np.repeat(large.offsets[:-1], np.diff(plain.offsets))] = first
        order[second - split + np.repeat(plain.offsets[1:], np.diff(large.offsets))] = second
        return list_column(plain.offsets + large.offsets, values.take(number_column(order)))

    def path_lists(self) -> pa.Array:
        """The path of each as a list of AS numbers."""
        return list_column(self.paths.offsets, number_column(self.paths.values))


def family_at(first_ipv6: int, numbers: Rows) -> tuple[tuple[Family, Rows], tuple[Family, Rows]]:
    """Ascending numbers that count through both families as the rows of each.

    >>> [(family, rows.tolist()) for family, rows in family_at(5, np.array([1, 5, 6]))]
    [(4, [1]), (6, [0, 1])]
    """
    split = int(np.searchsorted(numbers, first_ipv6))
    return (4, numbers[:split]), (6, numbers[split:] - first_ipv6)


def _picked(column: Ragged, places: Rows) -> Ragged:
    first, end = column.offsets[places], column.offsets[places + 1]
    return Ragged(column.values[spans(first, end)], np.concatenate([[0], np.cumsum(end - first)]))


def _concatenated(parts: Sequence[Ragged]) -> Ragged:
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    return Ragged(np.concatenate([part.values for part in parts]), np.concatenate([[0], np.cumsum(counts)]))
