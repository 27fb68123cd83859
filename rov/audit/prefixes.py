"""Prefixes of both families as columns, each once and in table order: its row stands for a prefix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rov.audit.nesting import Words, words
from rov.audit.tables import prefix_column
from rov.types import IPV4_BITS, IPV6_BITS, Family

if TYPE_CHECKING:
    import pyarrow as pa

Rows = npt.NDArray[np.int64]

Key = tuple[Family, int, int]
"""A prefix: family, address, length."""

_LOW = (1 << 64) - 1


class Prefixes(NamedTuple):
    """Columns of one length: family, the address as two words, as ``rov.audit.nesting.words`` has it, length.

    >>> Prefixes.of([(4, 1 << 24, 8)]).texts().to_pylist()
    ['1.0.0.0/8']
    """

    family: npt.NDArray[np.uint8]
    high: Words
    low: Words
    lengths: npt.NDArray[np.uint8]

    @classmethod
    def of_family(cls, family: Family, addresses: Any, lengths: Any) -> Prefixes:
        """From columns of one family.

        >>> len(Prefixes.of_family(4, np.array([0], np.uint32), np.array([8], np.uint8)).lengths)
        1
        """
        return cls(np.full(len(lengths), family, np.uint8), *words(family, addresses), lengths)

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Prefixes:
        """From keys.

        >>> Prefixes.of([(6, 0, 0)]).keys()
        [(6, 0, 0)]
        """
        given = [*keys]
        wide = [address << (IPV6_BITS - IPV4_BITS if family == 4 else 0) for family, address, _ in given]
        return cls(
            np.array([key[0] for key in given], np.uint8),
            np.array([address >> 64 for address in wide], np.uint64),
            np.array([address & _LOW for address in wide], np.uint64),
            np.array([key[2] for key in given], np.uint8),
        )

    def take(self, rows: Any) -> Prefixes:
        """Those that a mask or an index column picks."""
        return Prefixes(*(column[rows] for column in self))

    def keys(self) -> list[Key]:
        """Each as a key."""
        columns = zip(*(column.tolist() for column in self), strict=True)
        return [
            (4, high >> 32, length) if family == 4 else (6, high << 64 | low, length)
            for family, high, low, length in columns
        ]

    def texts(self) -> pa.ChunkedArray:
        """Each as a text; IPv4 has to come first."""
        four = int(np.count_nonzero(self.family == 4))
        narrow = (self.high[:four] >> np.uint64(32)).astype(np.uint32)
        wide = np.stack([self.high[four:], self.low[four:]], axis=1)
        return prefix_column([(4, narrow, self.lengths[:four]), (6, wide, self.lengths[four:])])

    def order(self) -> Rows:
        """The rows in table order: IPv4 first, by address, then length."""
        four, six = (np.flatnonzero(self.family == family) for family in (4, 6))
        # an IPv4 address leaves room for the length in its word; what is nearly sorted is sorted quickly
        narrow = np.argsort(self.high[four] | self.lengths[four], kind="stable")
        wide = np.lexsort((self.lengths[six], self.low[six], self.high[six]))
        return np.concatenate([four[narrow], six[wide]])


def united(parts: Sequence[Prefixes]) -> tuple[Prefixes, list[Rows]]:
    """All prefixes of some columns, each once and in table order, and for each column the rows of its own.

    >>> every, (first, second) = united([Prefixes.of([(4, 1, 32)]), Prefixes.of([(4, 1, 32), (4, 0, 32)])])
    >>> every.keys(), first.tolist(), second.tolist()
    ([(4, 0, 32), (4, 1, 32)], [1], [1, 0])
    """
    every = Prefixes(*(np.concatenate(columns) for columns in zip(*parts, Prefixes.of([]), strict=True)))
    order = every.order()
    ordered = every.take(order)
    new = np.ones(len(order), np.bool_)
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in ordered])
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(new) - 1
    ends = np.cumsum([len(part.lengths) for part in parts])
    return ordered.take(new), np.split(numbers, ends)[: len(parts)]


def spans(first: Rows, end: Rows) -> Rows:
    """All numbers from each first to before its end.

    >>> spans(np.array([0, 7]), np.array([2, 8])).tolist()
    [0, 1, 7]
    """
    counts = np.maximum(end - first, 0)
    found: Rows = np.repeat(first - np.cumsum(counts) + counts, counts)
    return found + np.arange(len(found))
