"""VrpColumns: the VRPs of one family as numpy columns, their checks and their normal form."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rov import _columns
from rov._checks import as_rows, shown
from rov.errors import ArgumentError
from rov.types import IPV4_BITS, IPV6_BITS, Family, Prefix, Vrp, as_family, as_vrp

NO_EXPIRY = 0
"""In an expires column: the source states no time of expiry."""

_FOREVER = np.iinfo(np.int64).max

Rows: TypeAlias = npt.NDArray[Any] | slice


def as_integers(values: Any, name: str) -> npt.NDArray[Any]:
    """What was given as an array, whatever its dtype and shape; ArgumentError where it is none.

    >>> as_integers([2**63, 0], "address").dtype
    dtype('uint64')
    """
    try:
        given = np.asarray(values)
        if given.dtype.kind == "f" and not isinstance(values, np.ndarray):
            # numpy makes floats of ints that lie below and above 2^63
            exact = np.asarray(values, object)
            if all(isinstance(item, int) for item in exact.flat):
                given = exact.astype(np.uint64)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ArgumentError(f"column {name}: expected integers: {error}") from None
    return given


def as_times(values: Any, name: str, count: int) -> list[int]:
    """So many times of expiry in unix seconds; NO_EXPIRY throughout where none are given.

    >>> as_times(None, "aspa_expires", 2)
    [0, 0]
    """
    if values is None:
        return [NO_EXPIRY] * count
    times: list[int] = as_column(values, np.int64, name, (count,)).tolist()
    return times


def as_column(values: Any, dtype: Any, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """An own, contiguous, read-only column; ArgumentError where a value does not fit the dtype."""
    given = as_integers(values, name)
    if given.shape != shape:
        raise ArgumentError(f"column {name}: expected shape {shape}, found {given.shape}")
    wanted = np.dtype(dtype)
    if given.size and given.dtype != wanted:
        info = np.iinfo(wanted)
        if given.dtype.kind not in "iu" or int(given.min()) < info.min or int(given.max()) > info.max:
            raise ArgumentError(f"column {name}: expected integers that fit {wanted}, found {given.dtype}")
    column = np.ascontiguousarray(given, dtype=wanted)
    if column.base is not None or column is values or column.flags.writeable:
        column = column.view()
    column.flags.writeable = False
    return column


def as_addresses(values: Any, family: Family, name: str, count: int) -> npt.NDArray[Any]:
    """A column of so many addresses: uint32 [n] in IPv4, uint64 [n, 2] in IPv6, as as_column makes one.

    >>> as_addresses([], 6, "address", 0).shape
    (0, 2)
    """
    if family == 4:
        return as_column(values, np.uint32, name, (count,))
    given = as_integers(values, name)
    return as_column(given if given.size else np.zeros((0, 2), np.uint64), np.uint64, name, (count, 2))


def picked(columns: Iterable[npt.NDArray[Any]], rows: Rows) -> list[npt.NDArray[Any]]:
    """The rows of each column that a bool mask, an index column or a slice picks; ArgumentError for others.

    >>> picked([np.array([1, 2])], slice(1))[0].tolist()
    [1]
    """
    try:
        if isinstance(rows, np.ndarray) and rows.dtype == np.bool_:
            return _masked(list(columns), rows)
        return [column[rows] for column in columns]
    except (IndexError, TypeError, ValueError, OverflowError, RecursionError):
        raise ArgumentError(f"rows {shown(rows)}: expected a bool mask, row numbers or a slice") from None


def _masked(columns: list[npt.NDArray[Any]], mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[Any]]:
    """A mask is read once for all columns: few rows of many are what is mostly asked for."""
    for column in columns:
        if mask.shape != column.shape[:1]:
            raise IndexError("a mask of another length")
    rows = np.flatnonzero(mask)
    return [column[rows] for column in columns]


class VrpColumns:
    """The VRPs of one family as read-only numpy columns of equal length.

    ``address`` is uint32 [n] in IPv4, uint64 [n, 2] (high and low words) in IPv6; ``length`` and
    ``max_length`` uint8, ``asn`` uint32, ``expires`` int64 in unix seconds (0: not stated), ``ta``
    uint8, an index into the Snapshot's trust_anchors. Columns given in the right dtype are used in
    place: do not write to them afterwards. ArgumentError: shapes or ranges that do not fit.

    >>> len(VrpColumns.ipv4([0xC0000200], [24], [24], [64496]))
    1
    """

    __slots__ = ("address", "asn", "expires", "family", "length", "max_length", "ta")

    def __init__(
        self, family: Family, address: Any, length: Any, max_length: Any, asn: Any, expires: Any, ta: Any
    ) -> None:
        self.family: Family = as_family(family)
        address = as_integers(address, "address")
        count = len(address) if address.ndim else 0
        self.address: npt.NDArray[Any] = as_addresses(address, family, "address", count)
        self.length: npt.NDArray[np.uint8] = as_column(length, np.uint8, "length", (count,))
        self.max_length: npt.NDArray[np.uint8] = as_column(max_length, np.uint8, "max_length", (count,))
        self.asn: npt.NDArray[np.uint32] = as_column(asn, np.uint32, "asn", (count,))
        zeros = np.zeros(count, np.int64) if expires is None else expires
        self.expires: npt.NDArray[np.int64] = as_column(zeros, np.int64, "expires", (count,))
        first = np.zeros(count, np.uint8) if ta is None else ta
        self.ta: npt.NDArray[np.uint8] = as_column(first, np.uint8, "ta", (count,))

    @classmethod
    def ipv4(
        cls, address: Any, length: Any, max_length: Any, asn: Any, expires: Any = None, ta: Any = None
    ) -> VrpColumns:
        """IPv4 columns; address as uint32 [n].

        >>> VrpColumns.ipv4([0], [0], [8], [64496]).family
        4
        """
        return cls(4, address, length, max_length, asn, expires, ta)

    @classmethod
    def ipv6(
        cls, address: Any, length: Any, max_length: Any, asn: Any, expires: Any = None, ta: Any = None
    ) -> VrpColumns:
        """IPv6 columns; address as uint64 [n, 2], the high and low words.

        >>> VrpColumns.ipv6([[0x20010DB800000000, 0]], [32], [48], [64496]).family
        6
        """
        return cls(6, address, length, max_length, asn, expires, ta)

    @classmethod
    def of(cls, family: Family, vrps: Sequence[Vrp]) -> VrpColumns:
        """The columns of VRPs that are all of one family, row by row; ArgumentError at one that is not.

        >>> VrpColumns.of(4, [Vrp(Prefix.parse("0.0.0.0/0"), 8, 64496)]).max_length.tolist()
        [8]
        """
        family = as_family(family)
        vrps = as_rows(vrps, Vrp, "VRPs")
        for row, vrp in enumerate(vrps):
            if as_vrp(vrp).prefix.family != family:
                raise ArgumentError(f"VRPs row {row}: expected a prefix of IPv{family}, found {vrp}")
        numbers = [vrp.prefix.address for vrp in vrps]
        low = 2**64 - 1
        address = (
            np.array(numbers, np.uint32)
            if family == 4
            else np.array([(number >> 64, number & low) for number in numbers], np.uint64).reshape(-1, 2)
        )
        length = np.array([vrp.prefix.length for vrp in vrps], np.uint8)
        max_length = np.array([vrp.max_length for vrp in vrps], np.uint8)
        return cls(
            family, address, length, max_length, np.array([vrp.asn for vrp in vrps], np.uint32), None, None
        )

    def __len__(self) -> int:
        return len(self.asn)

    def __reduce__(self) -> tuple[Any, ...]:
        return VrpColumns, (self.family, *self.keys, self.expires, self.ta)

    def __repr__(self) -> str:
        return f"<VrpColumns IPv{self.family}: {len(self):,} VRPs>"

    @property
    def keys(self) -> tuple[npt.NDArray[Any], ...]:
        """The columns that make a VRP: address, length, max_length, asn.

        >>> len(VrpColumns.ipv4([], [], [], []).keys)
        4
        """
        return self.address, self.length, self.max_length, self.asn

    def take(self, rows: Rows) -> VrpColumns:
        """The rows that a bool mask, an index column or a slice picks, in that order; a slice copies nothing.

        >>> columns = VrpColumns.ipv4([1, 2], [32, 32], [32, 32], [64496, 64497])
        >>> columns.take(np.array([False, True])).asn.tolist()
        [64497]
        """
        return VrpColumns(self.family, *picked((*self.keys, self.expires, self.ta), rows))

    def vrps(self) -> Iterator[Vrp]:
        """Each row as a Vrp.

        >>> [str(vrp) for vrp in VrpColumns.ipv4([0], [0], [8], [64496]).vrps()]
        ['0.0.0.0/0-8 AS64496']
        """
        rows = (column.tolist() for column in self.keys)
        for address, length, max_length, asn in zip(*rows, strict=True):
            number = address if self.family == 4 else address[0] << 64 | address[1]
            yield Vrp(Prefix(self.family, number, length), max_length, asn)


def _host_bits(columns: VrpColumns) -> npt.NDArray[np.bool_]:
    """Which rows have bits set beyond their prefix length."""
    length = columns.length.astype(np.uint64)
    if columns.family == 4:
        mask = (np.uint64(1) << (np.uint64(IPV4_BITS) - length)) - np.uint64(1)
        found: npt.NDArray[np.bool_] = columns.address & mask != 0
        return found
    ones = np.uint64(2**64 - 1)
    in_high, in_low = length < 64, length < 128
    high_mask = np.where(in_high, ones >> np.minimum(length, np.uint64(63)), np.uint64(0))
    shift = np.clip(length.astype(np.int64) - 64, 0, 63).astype(np.uint64)
    low_mask = np.where(in_low, ones >> shift, np.uint64(0))
    beyond: npt.NDArray[np.bool_] = (columns.address[:, 0] & high_mask) | (
        columns.address[:, 1] & low_mask
    ) != 0
    return beyond


def check(columns: VrpColumns) -> None:
    """ArgumentError at the first row that is no VRP (RFC 9582 §4.3.2)."""
    bits = IPV4_BITS if columns.family == 4 else IPV6_BITS
    wrong = (columns.length > columns.max_length) | (columns.max_length > bits)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ArgumentError(
            f"IPv{columns.family} row {row}: expected length <= max_length <= {bits}, "
            f"found {columns.length[row]} and {columns.max_length[row]}"
        )
    wrong = _host_bits(columns)
    if wrong.any():
        raise ArgumentError(
            f"IPv{columns.family} row {int(np.argmax(wrong))}: host bits are set, expected zeros"
        )


def _order(columns: VrpColumns, expires: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The sorting permutation: key columns ascending, of equal keys the longest-lived first.

    Files come nearly sorted, so the stable sort on what fits one word is near linear, and only the
    runs that it leaves equal are sorted by the rest.
    """
    later = (-expires, columns.asn, columns.max_length, columns.length)
    if columns.family == 4:
        first = (columns.address.astype(np.uint64) << np.uint64(8)) | columns.length
        rest: tuple[npt.NDArray[Any], ...] = later[:3]
    else:
        first = columns.address[:, 0]
        rest = (*later, columns.address[:, 1])
    order = np.argsort(first, kind="stable")
    sorted_first = first[order]
    same = np.flatnonzero(sorted_first[1:] == sorted_first[:-1])
    if len(same):
        in_run = np.zeros(len(order), np.bool_)
        in_run[same] = in_run[same + 1] = True
        rows = np.flatnonzero(in_run)
        tied = order[rows]
        order[rows] = tied[np.lexsort((*(column[tied] for column in rest), first[tied]))]
    return order


def normal(columns: VrpColumns) -> VrpColumns:
    """The same VRPs sorted and unique; of equal ones the row that expires last stays."""
    ordered = _columns.in_order_ipv4 if columns.family == 4 else _columns.in_order_ipv6
    if ordered(*columns.keys):
        return columns
    columns = columns.take(_order(columns, _lasting(columns.expires)))
    same = np.ones(len(columns), np.bool_)
    same[:1] = False
    for column in columns.keys:
        equal = column[1:] == column[:-1]
        same[1:] &= equal if equal.ndim == 1 else equal.all(axis=1)
    return columns.take(~same) if same.any() else columns


def union(a: VrpColumns, b: VrpColumns, ta: npt.NDArray[np.uint8]) -> VrpColumns:
    """The rows of two columns in normal form, in normal form; the trust anchors of b are those of ta.

    Of equal rows the one that expires last stays, that of a if both do. A few rows of b are put between
    those of a, which are copied but not sorted again.

    >>> one, two = (VrpColumns.ipv4([n], [32], [32], [64496]) for n in (1, 2))
    >>> union(two, one, one.ta).address.tolist()
    [1, 2]
    """
    if not len(b):
        return a
    a_in_b, b_in_a, places = _merge(a, b)
    expires, anchors, fresh = a.expires, a.ta, ~b_in_a
    if b_in_a.any():
        rows = np.flatnonzero(a_in_b)
        later = _lasting(b.expires[b_in_a]) > _lasting(expires[rows])
        expires, anchors = expires.copy(), anchors.copy()
        expires[rows[later]] = b.expires[b_in_a][later]
        anchors[rows[later]] = ta[b_in_a][later]
    pairs = zip((*a.keys, expires, anchors), (*b.keys, b.expires, ta), strict=True)
    return VrpColumns(a.family, *(np.insert(old, places[fresh], new[fresh], axis=0) for old, new in pairs))


def _lasting(expires: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Times of expiry in which one that is not stated is later than all others."""
    return np.where(expires == NO_EXPIRY, _FOREVER, expires)


def _merge(
    a: VrpColumns, b: VrpColumns
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    merge = _columns.common_ipv4 if a.family == 4 else _columns.common_ipv6
    return merge(*a.keys, *b.keys)


def common(a: VrpColumns, b: VrpColumns) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which rows of a are in b, and which rows of b are in a: two bool columns.

    >>> one = VrpColumns.ipv4([1, 2], [32, 32], [32, 32], [64496, 64497])
    >>> [mask.tolist() for mask in common(one, one.take(np.array([1])))]
    [[False, True], [True]]
    """
    return _merge(a, b)[:2]


def _place(columns: VrpColumns, wanted: tuple[int, ...]) -> int:
    """The first row of sorted columns whose (address, length, max_length, asn) is not below wanted."""

    def key(row: int) -> tuple[int, ...]:
        address, length, max_length, asn = (column[row].tolist() for column in columns.keys)
        return address if columns.family == 4 else address[0] << 64 | address[1], length, max_length, asn

    return bisect_left(range(len(columns)), wanted, key=key)


def contains(columns: VrpColumns, vrp: Vrp) -> bool:
    """Whether sorted columns have a row for a Vrp, which must be of their family.

    >>> contains(VrpColumns.ipv4([0], [0], [8], [64496]), Vrp(Prefix(4, 0, 0), 8, 64497))
    False
    """
    wanted = (vrp.prefix.address, vrp.prefix.length, vrp.max_length, vrp.asn)
    row = _place(columns, wanted)
    return next(columns.take(slice(row, row + 1)).vrps(), None) == vrp


def under(columns: VrpColumns, prefix: Prefix) -> slice:
    """The rows of sorted columns whose prefix is prefix or lies under it: always one run.

    >>> under(VrpColumns.ipv4([0, 0, 1 << 31], [0, 1, 1], [8, 8, 8], [1, 1, 1]), Prefix(4, 0, 1))
    slice(1, 2, None)
    """
    if prefix.family != columns.family:
        return slice(0, 0)
    beyond = prefix.address + (1 << (prefix.bits - prefix.length))
    return slice(_place(columns, (prefix.address, prefix.length)), _place(columns, (beyond,)))


_MASKS_32 = np.array([2**32 - 2 ** (32 - length) for length in range(33)], np.uint32)
_MASKS_64 = np.array([2**64 - 2 ** (64 - length) for length in range(65)], np.uint64)
"""The bits that a prefix length leaves, of an IPv4 address and of half an IPv6 address."""


def over(columns: VrpColumns, prefix: Prefix) -> npt.NDArray[np.bool_]:
    """Which rows cover prefix, which must be of their family: a bool mask.

    >>> over(VrpColumns.ipv4([0, 0, 1 << 31], [0, 2, 1], [8, 8, 8], [1, 1, 1]), Prefix(4, 0, 1)).tolist()
    [True, False, False]
    """
    length = np.minimum(columns.length, prefix.length)
    longer = columns.length > prefix.length
    if columns.family == 4:
        differ = (columns.address ^ np.uint32(prefix.address)) & _MASKS_32[length]
    else:
        high, low = np.uint64(prefix.address >> 64), np.uint64(prefix.address & 2**64 - 1)
        differ = (columns.address[:, 0] ^ high) & _MASKS_64[np.minimum(length, 64)]
        differ |= (columns.address[:, 1] ^ low) & _MASKS_64[np.maximum(length, 64) - 64]
    found: npt.NDArray[np.bool_] = ~longer & (differ == 0)
    return found
