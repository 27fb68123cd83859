"""Routes as nested prefixes: which covers which, and how much of an address space is whose."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._nesting import nest
from rov.types import Family

Words = npt.NDArray[np.uint64]


class Nesting(NamedTuple):
    """For each row: ``cover``, int64 [n], and ``inside``, float64 [n].

    cover is the first row of the nearest shorter prefix that is eligible, -1 if there is none; inside the
    share (0 to 1) of the row's addresses that lie in eligible prefixes more specific than it.
    """

    cover: npt.NDArray[np.int64]
    inside: npt.NDArray[np.float64]


def words(family: Family, addresses: npt.NDArray[Any]) -> tuple[Words, Words]:
    """Addresses as two columns of words; an IPv4 address is the upper half of the high one.

    >>> words(4, np.array([1], np.uint32))[0].tolist()
    [4294967296]
    """
    if family == 4:
        return addresses.astype(np.uint64) << np.uint64(32), np.zeros(len(addresses), np.uint64)
    return np.ascontiguousarray(addresses[:, 0]), np.ascontiguousarray(addresses[:, 1])


def nesting(
    family: Family,
    addresses: npt.NDArray[Any],
    lengths: npt.NDArray[np.uint8],
    eligible: npt.NDArray[np.bool_],
) -> Nesting:
    """What covers each row, and what lies in it; rows sorted by (address, length).

    A prefix is eligible if one of its rows is.

    >>> nesting(4, np.array([0, 0], np.uint32), np.array([8, 9], np.uint8), np.array([True, True]))
    Nesting(cover=array([-1,  0]), inside=array([0.5, 0. ]))
    """
    high, low = words(family, addresses)
    return Nesting(*nest(high, low, np.ascontiguousarray(lengths), eligible.astype(np.uint8)))


def group_starts(addresses: npt.NDArray[Any], lengths: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The first row of each run of rows with one prefix, as int64 [groups]; rows sorted.

    >>> group_starts(np.array([0, 0, 1], np.uint32), np.array([32, 32, 32], np.uint8)).tolist()
    [0, 2]
    """
    if not len(lengths):
        return np.empty(0, np.int64)
    differs = addresses[1:] != addresses[:-1]
    if differs.ndim == 2:
        differs = differs.any(axis=1)
    return np.concatenate([[0], np.flatnonzero(differs | (lengths[1:] != lengths[:-1])) + 1]).astype(np.int64)


def distinct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Integers sorted, each once. np.unique of some versions hashes them first, fifty times as slow.

    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    found = np.sort(values)
    return found[np.append(True, found[1:] != found[:-1])] if len(found) else found


class Sorted(NamedTuple):
    """Distinct prefixes by key, such as an origin: what ``rov._nesting.ranges`` searches."""

    keys: npt.NDArray[np.uint32]
    high: Words
    low: Words
    lengths: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, family: Family, keys: Any, addresses: Any, lengths: Any) -> Sorted:
        """Columns in table order, sorted by key; within a key the order stays.

        >>> two = np.array([9, 8], np.uint32)
        >>> Sorted.of(4, two, two, two.astype(np.uint8)).keys.tolist()
        [8, 9]
        """
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], *words(family, addresses[order]), lengths[order])
