"""RouteBatch: many routes of one family as numpy columns, the input of VrpIndex.validate_batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rov import _routes
from rov.columns import as_addresses, as_column, as_integers
from rov.errors import ArgumentError
from rov.types import IPV4_BITS, IPV6_BITS, Family, as_family


class RouteBatch:
    """Routes of one family, in the order given: ``addresses``, ``lengths``, ``origins`` of equal length.

    ``addresses`` is uint32 [n] in IPv4, uint64 [n, 2] (high and low words) in IPv6; ``lengths`` uint8,
    ``origins`` uint32, where 0 stands for "no origin" (the path is empty or ends in an AS_SET) and never
    matches. Columns given in the right dtype are used in place: do not write to them afterwards.
    ArgumentError: shapes, types or ranges that do not fit, host bits set; it names the first bad row.

    >>> len(RouteBatch.ipv4([0xC0000200], [24], [64496]))
    1
    """

    __slots__ = ("addresses", "family", "lengths", "origins")

    def __init__(self, family: Family, addresses: Any, lengths: Any, origins: Any) -> None:
        self.family: Family = as_family(family)
        count = as_integers(lengths, "lengths").size
        self.addresses: npt.NDArray[Any] = as_addresses(addresses, family, "addresses", count)
        self.lengths: npt.NDArray[np.uint8] = as_column(lengths, np.uint8, "lengths", (count,))
        self.origins: npt.NDArray[np.uint32] = as_column(origins, np.uint32, "origins", (count,))
        self._check()

    @classmethod
    def ipv4(cls, addresses: Any, lengths: Any, origins: Any) -> RouteBatch:
        """IPv4 routes; addresses as uint32 [n].

        >>> RouteBatch.ipv4([0], [0], [64496]).family
        4
        """
        return cls(4, addresses, lengths, origins)

    @classmethod
    def ipv6(cls, addresses: Any, lengths: Any, origins: Any) -> RouteBatch:
        """IPv6 routes; addresses as uint64 [n, 2], the high and low words.

        >>> RouteBatch.ipv6([[0x20010DB800000000, 0]], [32], [64496]).family
        6
        """
        return cls(6, addresses, lengths, origins)

    def _check(self) -> None:
        first_bad = _routes.first_bad_ipv4 if self.family == 4 else _routes.first_bad_ipv6
        row = first_bad(self.addresses, self.lengths)
        if row < 0:
            return
        bits, length = IPV4_BITS if self.family == 4 else IPV6_BITS, int(self.lengths[row])
        if length > bits:
            raise ArgumentError(
                f"IPv{self.family} row {row}: expected a length of 0 to {bits}, found {length}"
            )
        raise ArgumentError(
            f"IPv{self.family} row {row}: host bits are set beyond the length {length}, expected zeros"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return RouteBatch, (self.family, self.addresses, self.lengths, self.origins)

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        return f"<RouteBatch IPv{self.family}: {len(self):,} routes>"
