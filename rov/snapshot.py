"""Snapshot: one validated data set as sorted, unique, immutable columns of VRPs, with ASPAs and router keys.

The payload is what RTR carries: (prefix, max_length, asn), ASPAs and router keys. Beside the key
columns stand ``expires`` and ``ta``, which say where a row came from and how long it lasts; they take
no part in comparison, so a renewed ROA is no change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rov.columns import NO_EXPIRY, VrpColumns, as_column, check, common, concatenate, normal
from rov.errors import ArgumentError
from rov.types import MAX_ASN, Aspa, RouterKey, Vrp

MAX_TRUST_ANCHORS = 256
"""The ta column is a uint8; five trust anchors are in use, and some local ones."""

SKI_OCTETS = 20
"""A Subject Key Identifier is a SHA-1 hash (RFC 6487 §4.8.2)."""


def _union_aspas(aspas: Iterable[Aspa], expires: Sequence[int]) -> dict[int, tuple[set[int], int]]:
    """Customer to the union of providers; the union is whole for as long as its first part lasts."""
    union: dict[int, tuple[set[int], int]] = {}
    for aspa, until in zip(aspas, expires, strict=True):
        if not 1 <= aspa.customer <= MAX_ASN:
            raise ArgumentError(f"ASPA customer {aspa.customer}: expected 1 to {MAX_ASN}")
        if not aspa.providers or not all(0 <= asn <= MAX_ASN for asn in aspa.providers):
            raise ArgumentError(f"ASPA of AS{aspa.customer}: expected one or more provider ASNs to {MAX_ASN}")
        providers, earlier = union.get(aspa.customer, (set(), NO_EXPIRY))
        stated = [time for time in (earlier, until) if time != NO_EXPIRY]
        union[aspa.customer] = providers | set(aspa.providers), min(stated, default=NO_EXPIRY)
    return union


def _providers(union: set[int]) -> tuple[int, ...]:
    """AS 0 says "none" and counts only alone (8210bis §5.12)."""
    return tuple(sorted(union - {0})) or (0,)


def _normal_aspas(aspas: Sequence[Aspa], expires: Sequence[int] | None) -> tuple[tuple[Aspa, ...], Any]:
    union = _union_aspas(aspas, expires if expires is not None else [NO_EXPIRY] * len(aspas))
    rows = sorted((customer, *entry) for customer, entry in union.items())
    times = as_column([row[2] for row in rows], np.int64, "aspa_expires", (len(rows),))
    return tuple(Aspa(customer, _providers(providers)) for customer, providers, _ in rows), times


def _normal_keys(
    keys: Sequence[RouterKey], expires: Sequence[int] | None
) -> tuple[tuple[RouterKey, ...], Any]:
    lasting: dict[RouterKey, int] = {}
    for key, until in zip(keys, expires if expires is not None else [NO_EXPIRY] * len(keys), strict=True):
        if len(key.ski) != SKI_OCTETS or not 0 <= key.asn <= MAX_ASN:
            raise ArgumentError(
                f"router key of AS{key.asn}: expected an SKI of {SKI_OCTETS} octets and an ASN"
            )
        seen = lasting.get(key, until)
        lasting[key] = NO_EXPIRY if NO_EXPIRY in (seen, until) else max(seen, until)
    rows = tuple(sorted(lasting))
    return rows, as_column([lasting[key] for key in rows], np.int64, "router_key_expires", (len(rows),))


def _merge_ta(names: dict[str, int], snapshot: Snapshot) -> npt.NDArray[np.uint8]:
    """The table from a snapshot's ta index to the index in names, which grows as needed."""
    table = np.zeros(MAX_TRUST_ANCHORS, np.uint8)
    for index, name in enumerate(snapshot.trust_anchors):
        place = names.setdefault(name, len(names))
        if place >= MAX_TRUST_ANCHORS:
            raise ArgumentError(f"more than {MAX_TRUST_ANCHORS} trust anchors in a union")
        table[index] = place
    return table


class Snapshot:
    """An immutable set of VRPs (``ipv4``, ``ipv6``: sorted, unique VrpColumns), ASPAs and router keys.

    Two snapshots are equal when their payload is: ``expires``, trust anchors and ``generated`` (unix
    seconds, the data's own time, or None) do not count. ``len`` is the number of VRPs. ``|``, ``&`` and
    ``-`` are set operations on the payload's elements; an ASPA is one element with all its providers.

    >>> from rov import Prefix, Vrp
    >>> snapshot = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)])
    >>> len(snapshot), snapshot == Snapshot.empty()
    (1, False)
    """

    __slots__ = (
        "_digest",
        "aspa_expires",
        "aspas",
        "generated",
        "ipv4",
        "ipv6",
        "router_key_expires",
        "router_keys",
        "trust_anchors",
    )

    ipv4: VrpColumns
    ipv6: VrpColumns
    aspas: tuple[Aspa, ...]
    aspa_expires: npt.NDArray[np.int64]
    router_keys: tuple[RouterKey, ...]
    router_key_expires: npt.NDArray[np.int64]
    trust_anchors: tuple[str, ...]
    generated: int | None
    _digest: bytes | None

    def __init__(self) -> None:
        raise ArgumentError("a Snapshot is made by Snapshot.build, Snapshot.from_vrps or rov.read")

    @classmethod
    def build(
        cls,
        ipv4: VrpColumns | None = None,
        ipv6: VrpColumns | None = None,
        *,
        aspas: Sequence[Aspa] = (),
        aspa_expires: Sequence[int] | None = None,
        router_keys: Sequence[RouterKey] = (),
        router_key_expires: Sequence[int] | None = None,
        trust_anchors: Sequence[str] = (),
        generated: int | None = None,
    ) -> Snapshot:
        """Check, sort and make unique; ASPAs of one customer become their union (8210bis §5.12).

        Of equal VRPs the one that expires last stays. ArgumentError: a row that is no VRP, ASPA or key.

        >>> len(Snapshot.build(VrpColumns.ipv4([0, 0], [0, 0], [8, 8], [64496, 64496])))
        1
        """
        ipv4 = ipv4 if ipv4 is not None else VrpColumns.ipv4([], [], [], [])
        ipv6 = ipv6 if ipv6 is not None else VrpColumns.ipv6([], [], [], [])
        if (ipv4.family, ipv6.family) != (4, 6):
            raise ArgumentError("expected IPv4 columns first, then IPv6 columns")
        names = tuple(trust_anchors) or ("",)
        highest = max((int(columns.ta.max()) for columns in (ipv4, ipv6) if len(columns)), default=0)
        if highest >= len(names) or len(names) > MAX_TRUST_ANCHORS:
            raise ArgumentError(
                f"ta {highest}: expected an index into {len(names)} trust anchors (at most 256)"
            )
        for columns in (ipv4, ipv6):
            check(columns)
        return cls._of(
            normal(ipv4),
            normal(ipv6),
            _normal_aspas(aspas, aspa_expires),
            _normal_keys(router_keys, router_key_expires),
            names,
            generated,
        )

    @classmethod
    def _of(
        cls,
        ipv4: VrpColumns,
        ipv6: VrpColumns,
        aspas: tuple[tuple[Aspa, ...], Any],
        router_keys: tuple[tuple[RouterKey, ...], Any],
        trust_anchors: tuple[str, ...],
        generated: int | None,
    ) -> Snapshot:
        """From parts that are in normal form already."""
        self = object.__new__(cls)
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.aspas, self.aspa_expires = aspas
        self.router_keys, self.router_key_expires = router_keys
        self.trust_anchors = trust_anchors
        self.generated = generated
        self._digest = None
        return self

    @classmethod
    def empty(cls) -> Snapshot:
        """A Snapshot without payload.

        >>> bool(Snapshot.empty())
        False
        """
        return cls.build()

    @classmethod
    def from_vrps(
        cls, vrps: Iterable[Vrp], aspas: Sequence[Aspa] = (), router_keys: Sequence[RouterKey] = ()
    ) -> Snapshot:
        """From Vrp objects in any order; ArgumentError as in ``build``.

        >>> from rov import Prefix, Vrp
        >>> len(Snapshot.from_vrps([Vrp(Prefix.parse("::/0"), 48, 64496)]).ipv6)
        1
        """
        rows: dict[int, list[Vrp]] = {4: [], 6: []}
        for vrp in vrps:
            if not 0 <= vrp.asn <= MAX_ASN or not vrp.prefix.length <= vrp.max_length <= vrp.prefix.bits:
                raise ArgumentError(f"{vrp}: expected an ASN to {MAX_ASN} and length <= max_length")
            rows[vrp.prefix.family].append(vrp)
        low = 2**64 - 1
        addresses6 = [(vrp.prefix.address >> 64, vrp.prefix.address & low) for vrp in rows[6]]
        addresses = {
            4: np.array([vrp.prefix.address for vrp in rows[4]], np.uint32),
            6: np.array(addresses6, np.uint64).reshape(-1, 2),
        }
        tables = [
            VrpColumns(
                family,
                addresses[family],
                np.array([vrp.prefix.length for vrp in rows[family]], np.uint8),
                np.array([vrp.max_length for vrp in rows[family]], np.uint8),
                np.array([vrp.asn for vrp in rows[family]], np.uint32),
                None,
                None,
            )
            for family in (4, 6)
        ]
        return cls.build(*tables, aspas=aspas, router_keys=router_keys)

    def vrps(self) -> Iterator[Vrp]:
        """Every VRP, IPv4 first, in sort order.

        >>> from rov import Prefix, Vrp
        >>> snapshot = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)])
        >>> [str(vrp) for vrp in snapshot.vrps()]
        ['192.0.2.0/24-24 AS64496']
        """
        yield from self.ipv4.vrps()
        yield from self.ipv6.vrps()

    def next_expiry(self) -> int | None:
        """The earliest stated time of expiry in unix seconds, None if none is stated.

        >>> Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496], expires=[1700000000])).next_expiry()
        1700000000
        """
        columns = (self.ipv4.expires, self.ipv6.expires, self.aspa_expires, self.router_key_expires)
        stated = [column[column != NO_EXPIRY] for column in columns]
        return min((int(column.min()) for column in stated if len(column)), default=None)

    def unexpired(self, now: int) -> Snapshot:
        """What has not expired at ``now`` (unix seconds); the same object where nothing has.

        >>> snapshot = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496], expires=[1700000000]))
        >>> len(snapshot.unexpired(1700000000)), len(snapshot.unexpired(1699999999))
        (0, 1)
        """
        columns = (self.ipv4.expires, self.ipv6.expires, self.aspa_expires, self.router_key_expires)
        live = [(column == NO_EXPIRY) | (column > now) for column in columns]
        if all(mask.all() for mask in live):
            return self
        return self._select(*live)

    def _select(
        self,
        ipv4: npt.NDArray[np.bool_],
        ipv6: npt.NDArray[np.bool_],
        aspas: npt.NDArray[np.bool_],
        router_keys: npt.NDArray[np.bool_],
    ) -> Snapshot:
        """The elements that four masks pick."""
        return Snapshot._of(
            self.ipv4.take(ipv4),
            self.ipv6.take(ipv6),
            (tuple(self.aspas[row] for row in np.flatnonzero(aspas)), self.aspa_expires[aspas]),
            (
                tuple(self.router_keys[row] for row in np.flatnonzero(router_keys)),
                self.router_key_expires[router_keys],
            ),
            self.trust_anchors,
            self.generated,
        )

    def _in(self, other: Snapshot) -> tuple[npt.NDArray[np.bool_], ...]:
        """Which elements are in the other snapshot too: four masks."""
        aspas, keys = set(other.aspas), set(other.router_keys)
        return (
            common(self.ipv4, other.ipv4)[0],
            common(self.ipv6, other.ipv6)[0],
            np.array([aspa in aspas for aspa in self.aspas], np.bool_),
            np.array([key in keys for key in self.router_keys], np.bool_),
        )

    def __and__(self, other: Snapshot) -> Snapshot:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self._select(*self._in(other))

    def __sub__(self, other: Snapshot) -> Snapshot:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self._select(*(~mask for mask in self._in(other)))

    def __or__(self, other: Snapshot) -> Snapshot:
        if not isinstance(other, Snapshot):
            return NotImplemented
        names = {name: index for index, name in enumerate(self.trust_anchors)}
        table = _merge_ta(names, other)
        times = [time for time in (self.generated, other.generated) if time is not None]
        return Snapshot._of(
            normal(concatenate(self.ipv4, other.ipv4, table[other.ipv4.ta])),
            normal(concatenate(self.ipv6, other.ipv6, table[other.ipv6.ta])),
            _normal_aspas(
                self.aspas + other.aspas, [*self.aspa_expires.tolist(), *other.aspa_expires.tolist()]
            ),
            _normal_keys(
                self.router_keys + other.router_keys,
                [*self.router_key_expires.tolist(), *other.router_key_expires.tolist()],
            ),
            tuple(names),
            max(times, default=None),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        pairs = [*zip(self.ipv4.keys, other.ipv4.keys, strict=True)]
        pairs += zip(self.ipv6.keys, other.ipv6.keys, strict=True)
        return (
            all(np.array_equal(a, b) for a, b in pairs)
            and self.aspas == other.aspas
            and self.router_keys == other.router_keys
        )

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> bytes:
        """16 octets that name the payload: equal snapshots have equal digests.

        >>> len(Snapshot.empty().digest)
        16
        """
        if self._digest is None:
            state = hashlib.blake2b(digest_size=16)
            for columns in (self.ipv4, self.ipv6):
                for column in columns.keys:
                    state.update(column.astype(column.dtype.newbyteorder("<"), copy=False).data)
            state.update(repr((self.aspas, self.router_keys)).encode())
            self._digest = state.digest()
        return self._digest

    def __len__(self) -> int:
        return len(self.ipv4) + len(self.ipv6)

    def __bool__(self) -> bool:
        return bool(len(self) or self.aspas or self.router_keys)

    def __repr__(self) -> str:
        return (
            f"<Snapshot: {len(self):,} VRPs ({len(self.ipv4):,} IPv4, {len(self.ipv6):,} IPv6), "
            f"{len(self.aspas):,} ASPAs, {len(self.router_keys):,} router keys>"
        )
