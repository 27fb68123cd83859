"""What routers have heard from customers and from all others: lists of source addresses are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rov._checks import as_iterable, as_kind, as_rows, shown
from rov._rows import asn_of
from rov.aspa import PathBatch
from rov.audit.entries import distinct
from rov.audit.nesting import words
from rov.errors import ArgumentError
from rov.rib import Dump, Flag, Peer, RibBatch
from rov.types import Family

Key = tuple[Family, int, int]
"""A prefix: family, address, length."""

Pairs = set[tuple[int, int]]
"""Customer and provider."""

Columns: TypeAlias = tuple[npt.NDArray[Any], ...]
"""Rows of one family: family, high and low word, length, and what else is told of each."""


class Interface(NamedTuple):
    """A customer interface: its name, and the BGP neighbours on it, by AS or by address.

    >>> Interface.parse("eth1=AS64496")
    Interface(name='eth1', asns=frozenset({64496}), addresses=frozenset())
    """

    name: str
    asns: frozenset[int] = frozenset()
    addresses: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Interface:
        """From ``NAME=NEIGHBOR[,NEIGHBOR...]``, each an AS or an address; ArgumentError if it is none.

        >>> sorted(Interface.parse("eth1=192.0.2.1,2001:db8::1").addresses)
        ['192.0.2.1', '2001:db8::1']
        """
        from ipaddress import ip_address

        name, equals, rest = as_kind(text, str, "interface").partition("=")
        asns: set[int] = set()
        addresses: set[str] = set()
        for word in rest.split(","):
            asn = asn_of(word.strip())
            if asn:
                asns.add(asn)
                continue
            try:
                addresses.add(str(ip_address(word.strip())))
            except ValueError:
                equals = ""
        if not equals or not name.strip() or not name.isprintable() or set(name) & set(" \"'\\;{}$,"):
            raise ArgumentError(
                f"interface {shown(text)}: expected NAME=NEIGHBOR such as eth1=AS64496 or eth1=192.0.2.1"
            )
        return cls(name, frozenset(asns), frozenset(addresses))

    def has(self, peer: Peer) -> bool:
        """Whether a neighbour is on it.

        >>> Interface("eth1", frozenset({64496})).has(Peer(None, 64496))
        True
        """
        address = "" if peer.address is None else str(peer.address).partition("/")[0]
        return peer.asn in self.asns or address in self.addresses


class Heard(NamedTuple):
    """A route as it came in: prefix, origin (0: none), the ASes of its path without repetitions."""

    prefix: Key
    origin: int
    hops: int


class Learnt(NamedTuple):
    """What was learnt: by customer interface in its order, the routes; and the rest by origin.

    ``heard`` has the routes of each customer interface, ``neighbors`` the ASes that sent them, ``edges``
    (customer, provider) along their paths; ``elsewhere`` the prefixes of each origin on all interfaces.
    """

    heard: tuple[frozenset[Heard], ...]
    neighbors: tuple[frozenset[int], ...]
    edges: tuple[frozenset[tuple[int, int]], ...]
    elsewhere: Mapping[int, frozenset[Key]]

    def originated(self, members: AbstractSet[int]) -> list[tuple[Key, int]]:
        """The prefixes that some ASes originate, on all interfaces, with their origin, by ascending origin.

        >>> Learnt((), (), (), {1: frozenset({(4, 0, 8)}), 2: frozenset({(4, 0, 9)})}).originated({2, 3})
        [((4, 0, 9), 2)]
        """
        if isinstance(self.elsewhere, _Elsewhere):
            return self.elsewhere.of(members)
        return [
            (key, origin)
            for origin in sorted(members & self.elsewhere.keys())
            for key in self.elsewhere[origin]
        ]


def learn(dumps: Iterable[Dump], interfaces: Sequence[Interface]) -> Learnt:
    """Read what our router has heard (its Adj-RIBs-In): dumps in MRT, opened with their paths.

    A neighbour that is on no interface is a lateral peer or a provider. ArgumentError: a dump has no paths,
    no interface, two of one name, an interface that no neighbour is on.

    >>> learn([], [Interface("eth1", frozenset({64496}))])
    Traceback (most recent call last):
    rov.errors.ArgumentError: interface eth1: expected a neighbour on it in the dumps, which have none
    """
    given = as_rows(interfaces, Interface, "interfaces")
    if not given or len({interface.name for interface in given}) < len(given):
        raise ArgumentError("interfaces: expected one or more of different names")
    taking = _Taking(given)
    for dump in as_iterable(dumps, "dumps"):
        for batch in as_kind(dump, Dump, "dumps"):
            if batch.attributes is None or batch.attribute_rows is None:
                raise ArgumentError(f"{dump.name}: expected an MRT dump, {dump.format} has no AS paths")
            taking.take(dump, batch, batch.attributes.paths, batch.attribute_rows)
    return taking.learnt()


class _Elsewhere(Mapping[int, frozenset[Key]]):
    """Prefixes by origin, in columns: of a whole table only what is asked for becomes Python."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._origins, first = np.unique(columns[-1], return_index=True)
        self._ends = np.append(first, len(columns[-1]))

    def __getitem__(self, origin: int) -> frozenset[Key]:
        at = int(np.searchsorted(self._origins, origin))
        if at == len(self._origins) or self._origins[at] != origin:
            raise KeyError(origin)
        rows = slice(int(self._ends[at]), int(self._ends[at + 1]))
        return frozenset(_keys(*(column[rows] for column in self._columns[:-1])))

    def of(self, origins: AbstractSet[int]) -> list[tuple[Key, int]]:
        """The prefixes of some origins with their origin, all at once."""
        rows = np.isin(self._columns[-1], np.array(sorted(origins), self._columns[-1].dtype))
        *prefixes, found = (column[rows] for column in self._columns)
        return [*zip(_keys(*prefixes), found.tolist(), strict=True)]

    def __iter__(self) -> Iterator[int]:
        return iter(self._origins.tolist())

    def __len__(self) -> int:
        return len(self._origins)


class _Taking:
    """Folds batches into Learnt."""

    def __init__(self, interfaces: tuple[Interface, ...]) -> None:
        self._interfaces = interfaces
        self._heard: list[list[Columns]] = [[] for _ in interfaces]
        self._neighbors: list[set[int]] = [set() for _ in interfaces]
        self._edges: list[Pairs] = [set() for _ in interfaces]
        self._elsewhere: list[Columns] = []
        self._peers: set[str] = set()

    def take(self, dump: Dump, batch: RibBatch, paths: PathBatch, rows: npt.NDArray[np.uint32]) -> None:
        """One batch: routes of customers with their paths, of all others only distinct (prefix, origin)."""
        kept = np.flatnonzero(~batch.has(Flag.WITHDRAWN))
        origins, peers, rows = batch.routes.origins[kept], batch.peers[kept], rows[kept]
        family = np.full(len(kept), batch.routes.family, np.uint8)
        prefixes = (
            family,
            *words(batch.routes.family, batch.routes.addresses[kept]),
            batch.routes.lengths[kept],
        )
        self._elsewhere.append(_distinct([(*prefixes, origins)], origins != 0))
        for number in np.unique(peers).tolist():
            peer = dump.peers[number]
            self._peers.add(f"AS{peer.asn}")
            for at, interface in enumerate(self._interfaces):
                if interface.has(peer):
                    own = peers == number
                    self._neighbors[at].add(peer.asn)
                    self._edges[at] |= _climbed(paths, distinct(rows[own]))
                    hops = (paths.offsets[1:] - paths.offsets[:-1])[rows[own]]
                    self._heard[at].append((*(column[own] for column in prefixes), hops, origins[own]))

    def learnt(self) -> Learnt:
        """All of it; ArgumentError where an interface has no neighbour."""
        for interface, neighbors in zip(self._interfaces, self._neighbors, strict=True):
            if not neighbors:
                known = ", ".join(sorted(self._peers)[:10]) or "none"
                raise ArgumentError(
                    f"interface {interface.name}: expected a neighbour on it in the dumps, which have {known}"
                )
        return Learnt(
            tuple(map(_heard, self._heard)),
            tuple(map(frozenset, self._neighbors)),
            tuple(map(frozenset, self._edges)),
            _Elsewhere(_distinct(self._elsewhere)),
        )


def _climbed(paths: PathBatch, rows: npt.NDArray[np.uint32]) -> Pairs:
    """Customer and provider along paths: a customer sends what it and its customers originate, so that each
    AS is the customer of the one before. Paths with an AS_SET tell nothing."""
    rows = rows[~paths.as_sets[rows].astype(np.bool_)]
    at = _ranges(paths.offsets[rows].astype(np.int64), paths.offsets[rows + 1].astype(np.int64) - 1)
    provider, customer = paths.asns[at].astype(np.uint64), paths.asns[at + 1].astype(np.uint64)
    pairs = distinct((customer << np.uint64(32) | provider)[customer != provider])
    return set(zip((pairs >> np.uint64(32)).tolist(), (pairs & np.uint64(0xFFFFFFFF)).tolist(), strict=True))


def _ranges(first: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """All numbers from each first to before its end."""
    counts = np.maximum(end - first, 0)
    found: npt.NDArray[np.int64] = np.repeat(first - np.cumsum(counts) + counts, counts)
    return found + np.arange(len(found))


def _heard(parts: list[Columns]) -> frozenset[Heard]:
    *prefixes, hops, origins = _distinct(parts)
    return frozenset(map(Heard, _keys(*prefixes), origins.tolist(), hops.tolist()))


def _keys(family: Any, high: Any, low: Any, lengths: Any) -> list[Key]:
    """Prefixes as keys; IPv4 stands in the highest bits of its words."""
    four = family == 4
    firsts = np.where(four, high >> np.uint64(32), high).tolist()
    numbers = [
        first if wide == 4 else first << 64 | second
        for wide, first, second in zip(family.tolist(), firsts, low.tolist(), strict=True)
    ]
    return [*zip(family.tolist(), numbers, lengths.tolist(), strict=True)]


def _distinct(parts: Sequence[Columns], mask: Any = None) -> Columns:
    """Distinct rows of all parts, sorted by their last column first."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    if mask is not None:
        columns = [column[mask] for column in columns]
    order = np.lexsort(columns)
    columns = [column[order] for column in columns]
    new = np.ones(len(order), np.bool_)
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return tuple(column[new] for column in columns)
