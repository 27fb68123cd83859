"""What routers have heard from customers and from all others: lists of source addresses are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rov._checks import as_iterable, as_kind, as_rows, shown
from rov._rows import asn_of
from rov.aspa import PathBatch
from rov.audit.nesting import distinct
from rov.audit.prefixes import Key, Prefixes, Rows, spans, united
from rov.errors import ArgumentError
from rov.rib import Dump, Flag, Peer, RibBatch

Pairs: TypeAlias = npt.NDArray[np.uint64]
"""Two numbers of 32 bits in one of 64, such as customer << 32 | provider: sorted, each once."""

HALF = np.uint64(32)

LOWER = np.uint64(0xFFFFFFFF)


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
    """Routes as they came in: rows of Learnt.prefixes, origins (0: none), hops (ASes, repetitions once).

    Columns int64, uint32, int32 of one length; no row stands twice.
    """

    rows: Rows
    origins: npt.NDArray[np.uint32]
    hops: npt.NDArray[np.int32]


class Learnt(NamedTuple):
    """What was learnt: by customer interface in its order, the routes; and who originates what on all.

    ``prefixes`` has each prefix once, in table order, and all else names its rows. ``heard`` has the routes
    of each customer interface, ``neighbors`` the ASes that sent them, ``edges`` the Pairs of customer and
    provider along their paths; ``originated`` the Pairs of origin and row on all interfaces.
    """

    prefixes: Prefixes
    heard: tuple[Heard, ...]
    neighbors: tuple[frozenset[int], ...]
    edges: tuple[Pairs, ...]
    originated: Pairs

    @classmethod
    def of(
        cls,
        heard: Sequence[Iterable[tuple[Key, int, int]]],
        neighbors: Sequence[Iterable[int]],
        edges: Sequence[Iterable[tuple[int, int]]],
        originated: Mapping[int, Iterable[Key]],
    ) -> Learnt:
        """From what a program has of another source: prefix, origin and hops of each route by interface,
        neighbours, (customer, provider), and the prefixes of each origin on other interfaces.

        >>> Learnt.of([[((4, 0, 8), 64496, 1)]], [[64496]], [[]], {}).heard[0].rows.tolist()
        [0]
        """
        routes = [[*own] for own in heard]
        pairs = [(origin, key) for origin, keys in originated.items() for key in keys]
        pairs += [(origin, key) for own in routes for key, origin, _ in own if origin]
        given = [Prefixes.of(key for key, _, _ in own) for own in routes]
        prefixes, (rows, *of_heard) = united([Prefixes.of(key for _, key in pairs), *given])
        return cls(
            prefixes,
            tuple(
                _heard(at, np.array([r[1] for r in own], np.uint32), np.array([r[2] for r in own], np.int32))
                for at, own in zip(of_heard, routes, strict=True)
            ),
            tuple(map(frozenset, neighbors)),
            tuple(pairs_of(own) for own in edges),
            pairs_of((origin, row) for (origin, _), row in zip(pairs, rows.tolist(), strict=True)),
        )


def pairs_of(given: Iterable[tuple[int, int]]) -> Pairs:
    """Two numbers of 32 bits each as Pairs.

    >>> pairs_of([(1, 2), (0, 3), (1, 2)]).tolist()
    [3, 4294967298]
    """
    return distinct(np.array([first << 32 | second for first, second in given], np.uint64))


def _heard(rows: Rows, origins: npt.NDArray[np.uint32], hops: npt.NDArray[np.int32]) -> Heard:
    """Each route once."""
    order = np.lexsort((hops, origins, rows))
    rows, origins, hops = rows[order], origins[order], hops[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in (rows, origins, hops)])
    return Heard(rows[new], origins[new], hops[new])


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


_Part: TypeAlias = tuple[Prefixes, npt.NDArray[np.uint32], npt.NDArray[np.int32]]
"""Routes of one batch: prefix, origin, hops."""


class _Taking:
    """Folds batches into Learnt."""

    def __init__(self, interfaces: tuple[Interface, ...]) -> None:
        self._interfaces = interfaces
        self._heard: list[list[_Part]] = [[] for _ in interfaces]
        self._neighbors: list[set[int]] = [set() for _ in interfaces]
        self._edges: list[list[Pairs]] = [[] for _ in interfaces]
        self._originated: list[tuple[Prefixes, Pairs]] = []
        self._peers: set[str] = set()

    def take(self, dump: Dump, batch: RibBatch, paths: PathBatch, rows: npt.NDArray[np.uint32]) -> None:
        """One batch: routes of customers with their paths, of all others only distinct (prefix, origin)."""
        kept = np.flatnonzero(~batch.has(Flag.WITHDRAWN))
        origins, peers, rows = batch.routes.origins[kept], batch.peers[kept], rows[kept]
        family = batch.routes.family
        prefixes = Prefixes.of_family(family, batch.routes.addresses[kept], batch.routes.lengths[kept])
        known = origins != 0
        own_prefixes, (numbers,) = united([prefixes.take(known)])
        self._originated.append((own_prefixes, _pairs(origins[known], numbers)))
        for number in distinct(peers).tolist():
            peer = dump.peers[number]
            self._peers.add(f"AS{peer.asn}")
            for at, interface in enumerate(self._interfaces):
                if interface.has(peer):
                    own = peers == number
                    self._neighbors[at].add(peer.asn)
                    self._edges[at].append(_climbed(paths, distinct(rows[own])))
                    hops = (paths.offsets[1:] - paths.offsets[:-1])[rows[own]].astype(np.int32)
                    self._heard[at].append((prefixes.take(own), origins[own], hops))

    def learnt(self) -> Learnt:
        """All of it; ArgumentError where an interface has no neighbour."""
        for interface, neighbors in zip(self._interfaces, self._neighbors, strict=True):
            if not neighbors:
                known = ", ".join(sorted(self._peers)[:10]) or "none"
                raise ArgumentError(
                    f"interface {interface.name}: expected a neighbour on it in the dumps, which have {known}"
                )
        parts = [prefixes for prefixes, _ in self._originated]
        parts += [prefixes for own in self._heard for prefixes, _, _ in own]
        prefixes, numbers = united(parts)
        rows = iter(numbers)
        pairs = [
            _pairs(given >> HALF, own[(given & LOWER).astype(np.int64)])
            for (_, given), own in zip(self._originated, rows, strict=False)
        ]
        heard = []
        for own in self._heard:
            _, origins, hops = zip(*own, strict=True)
            of_own = np.concatenate([next(rows) for _ in own])
            heard.append(_heard(of_own, np.concatenate(origins), np.concatenate(hops)))
        return Learnt(
            prefixes,
            tuple(heard),
            tuple(map(frozenset, self._neighbors)),
            tuple(distinct(np.concatenate(own)) for own in self._edges),
            distinct(np.concatenate(pairs)),
        )


def _pairs(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]) -> Pairs:
    return distinct(first.astype(np.uint64) << HALF | second.astype(np.uint64))


def _climbed(paths: PathBatch, rows: npt.NDArray[np.uint32]) -> Pairs:
    """Customer and provider along paths: a customer sends what it and its customers originate, so that each
    AS is the customer of the one before. Paths with an AS_SET tell nothing."""
    rows = rows[~paths.as_sets[rows].astype(np.bool_)]
    at = spans(paths.offsets[rows].astype(np.int64), paths.offsets[rows + 1].astype(np.int64) - 1)
    provider, customer = paths.asns[at], paths.asns[at + 1]
    other = customer != provider
    return _pairs(customer[other], provider[other])
