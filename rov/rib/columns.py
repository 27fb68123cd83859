"""What the extensions give, octets by column, as numpy columns."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rov.rib.table import RibCounts
from rov.types import Family


class Flag(enum.IntFlag):
    """What a row of a RibBatch says beside its numbers.

    AS_SET: no origin, since the path ends in an AS_SET. EMPTY_PATH: no origin, since the path is empty,
    ends in a confederation or in AS 0. WITHDRAWN: a withdrawal. ANY_SET: an AS_SET somewhere in the path.

    >>> Flag(9)
    <Flag.AS_SET|ANY_SET: 9>
    """

    AS_SET = 1
    EMPTY_PATH = 2
    WITHDRAWN = 4
    ANY_SET = 8


class Columns(NamedTuple):
    """Rows of one family, in the order of ``struct Rows``."""

    addresses: npt.NDArray[Any]
    lengths: npt.NDArray[Any]
    origins: npt.NDArray[Any]
    peers: npt.NDArray[Any]
    times: npt.NDArray[Any]
    path_ids: npt.NDArray[Any]
    flags: npt.NDArray[Any]
    stated: npt.NDArray[Any]
    paths: npt.NDArray[Any]

    @classmethod
    def of(cls, family: Family, octets: tuple[bytes, ...]) -> Columns:
        """The columns of one family.

        >>> Columns.of(6, (bytes(16), bytes(1), *[bytes(4)] * 4, bytes(1), *[bytes(4)] * 2)).addresses.shape
        (1, 2)
        """
        dtypes = ("u1", "u4", "u4", "u4", "u4", "u1", "u4", "u4")
        rest = (np.frombuffer(column, dtype) for column, dtype in zip(octets[1:], dtypes, strict=True))
        return cls(as_addresses(family, octets[0]), *rest)

    def has(self, flag: Flag) -> npt.NDArray[np.bool_]:
        """Which rows have a flag.

        >>> Columns.of(4, (bytes(4), bytes(1), *[bytes(4)] * 4, b"\\1", *[bytes(4)] * 2)).has(Flag.AS_SET)
        array([ True])
        """
        found: npt.NDArray[np.bool_] = self.flags & np.uint8(flag) != 0
        return found

    def keep(self, rows: npt.NDArray[np.bool_]) -> Columns:
        """The rows of a mask.

        >>> one = Columns.of(4, (bytes(4), bytes(1), *[bytes(4)] * 4, b"\\1", *[bytes(4)] * 2))
        >>> len(one.keep(np.array([False])).lengths)
        0
        """
        return self if rows.all() else Columns(*(column[rows] for column in self))

    def counts(self, *, unknown_peers: bool) -> RibCounts:
        """What the rows add to the counts of a table.

        >>> one = Columns.of(4, (bytes(4), bytes(1), *[bytes(4)] * 4, b"\\1", *[bytes(4)] * 2))
        >>> one.counts(unknown_peers=False).as_set
        1
        """
        withdrawn = self.has(Flag.WITHDRAWN)
        count = int(withdrawn.sum())
        return RibCounts(
            entries=len(withdrawn) - count,
            as_set=int(self.has(Flag.AS_SET).sum()),
            empty_path=int(self.has(Flag.EMPTY_PATH).sum()),
            withdrawn=count,
            unknown_peers=int(((self.peers == 0) & ~withdrawn).sum()) if unknown_peers else 0,
        )


Families: TypeAlias = tuple[Columns, Columns]


def as_addresses(family: Family, octets: bytes) -> npt.NDArray[Any]:
    """A column of addresses.

    >>> as_addresses(6, bytes(32)).shape
    (2, 2)
    """
    if family == 4:
        return np.frombuffer(octets, np.uint32)
    return np.frombuffer(octets, np.uint64).reshape(-1, 2)
