"""Source address validation: which prefixes packets from a customer may come from.

strict is what strict uRPF (RFC 3704 §2.2) lets in, EFP-A and EFP-B are the algorithms of RFC 8704 §3.4 and
§3.5, procedure-x and bar-sav those of draft-ietf-sidrops-bar-sav, which take customer cones from ASPAs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_iterable, as_kind, as_rows, shown
from rov._rows import asn_of
from rov.aspa import PathBatch
from rov.audit.nesting import words
from rov.audit.schemas import Schema
from rov.audit.tables import arrow
from rov.errors import ArgumentError
from rov.rib import Dump, Flag, Peer, RibBatch
from rov.snapshot import Snapshot
from rov.types import Family, Prefix, as_asn

if TYPE_CHECKING:
    import pyarrow as pa

SAV = Schema("rov.sav.list/1", "sav_table")

Key = tuple[Family, int, int]
"""A prefix: family, address, length."""

Pairs = set[tuple[int, int]]
"""Customer and provider."""


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


class _Taking:
    """Folds batches into Learnt."""

    def __init__(self, interfaces: tuple[Interface, ...]) -> None:
        self._interfaces = interfaces
        self._heard: list[set[Heard]] = [set() for _ in interfaces]
        self._neighbors: list[set[int]] = [set() for _ in interfaces]
        self._edges: list[Pairs] = [set() for _ in interfaces]
        self._elsewhere: dict[int, set[Key]] = {}
        self._peers: set[str] = set()

    def take(self, dump: Dump, batch: RibBatch, paths: PathBatch, rows: npt.NDArray[np.uint32]) -> None:
        """One batch: routes of customers one by one, of all others only distinct (prefix, origin)."""
        kept = np.flatnonzero(~batch.has(Flag.WITHDRAWN))
        addresses, lengths = batch.routes.addresses[kept], batch.routes.lengths[kept]
        origins, peers = batch.routes.origins[kept], batch.peers[kept]
        family = batch.routes.family
        for *address, length, origin in _distinct(words(family, addresses), lengths, origins):
            if origin:
                key = (family, address[0] >> 32 if family == 4 else _number(address), length)
                self._elsewhere.setdefault(origin, set()).add(key)
        for number in np.unique(peers).tolist():
            peer = dump.peers[number]
            self._peers.add(f"AS{peer.asn}")
            for at, interface in enumerate(self._interfaces):
                if interface.has(peer):
                    own = peers == number
                    self._neighbors[at].add(peer.asn)
                    self._take_customer(
                        at, family, addresses[own], lengths[own], origins[own], paths, rows[kept][own]
                    )

    def _take_customer(
        self, at: int, family: Family, addresses: Any, lengths: Any, origins: Any, paths: PathBatch, rows: Any
    ) -> None:
        known: dict[int, int] = {}
        for row in np.unique(rows).tolist():
            path = paths.asns[paths.offsets[row] : paths.offsets[row + 1]].tolist()
            climbed = [asn for i, asn in enumerate(path) if i == 0 or path[i - 1] != asn]
            known[row] = len(path)
            # a customer sends what it and its customers originate: each AS is the customer of the one before
            if not paths.as_sets[row]:
                self._edges[at].update(zip(climbed[1:], climbed, strict=False))
        for address, length, origin, row in zip(
            addresses.tolist(), lengths.tolist(), origins.tolist(), rows.tolist(), strict=True
        ):
            number = address if family == 4 else _number(address)
            self._heard[at].add(Heard((family, number, length), origin, known[row]))

    def learnt(self) -> Learnt:
        """All of it; ArgumentError where an interface has no neighbour."""
        for interface, neighbors in zip(self._interfaces, self._neighbors, strict=True):
            if not neighbors:
                known = ", ".join(sorted(self._peers)[:10]) or "none"
                raise ArgumentError(
                    f"interface {interface.name}: expected a neighbour on it in the dumps, which have {known}"
                )
        return Learnt(
            tuple(map(frozenset, self._heard)),
            tuple(map(frozenset, self._neighbors)),
            tuple(map(frozenset, self._edges)),
            {origin: frozenset(keys) for origin, keys in self._elsewhere.items()},
        )


def _number(address: Sequence[int]) -> int:
    return address[0] << 64 | address[1]


def _distinct(address: tuple[Any, Any], lengths: Any, origins: Any) -> list[list[int]]:
    """Distinct rows of high and low word, length, origin."""
    columns = [*address, lengths, origins]
    order = np.lexsort(columns)
    new = np.ones(len(order), np.bool_)
    rows = [column[order] for column in columns]
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in rows])
    found: list[list[int]] = np.stack([column[new].astype(np.uint64) for column in rows], axis=1).tolist()
    return found


class Cause(NamedTuple):
    """Why a prefix is in a list: bgp, roa or both, and the AS that originates it (0: none)."""

    source: str
    asn: int


List = dict[Key, Cause]


def strict(learnt: Learnt, snapshot: Snapshot) -> list[List]:
    """Prefixes whose best route leads out of the interface: customers before others, then short paths.

    Of equal ones each counts, as with several paths at once. RFC 3704 §2.2.

    >>> strict(Learnt((), (), (), {}), Snapshot.empty())
    []
    """
    best: dict[Key, int] = {}
    for heard in learnt.heard:
        for route in heard:
            best[route.prefix] = min(route.hops, best.get(route.prefix, route.hops))
    return [
        {r.prefix: Cause("bgp", r.origin) for r in sorted(heard) if r.hops == best[r.prefix]}
        for heard in learnt.heard
    ]


def efp_a(learnt: Learnt, snapshot: Snapshot) -> list[List]:
    """Algorithm A of RFC 8704 §3.4: all prefixes of an origin where one of them came in.

    What came in without an origin (AS_SET) stays in the list of its interface.

    >>> efp_a(Learnt((), (), (), {}), Snapshot.empty())
    []
    """
    origins = {route.origin for heard in learnt.heard for route in heard} - {0}
    lists: list[List] = []
    for heard in learnt.heard:
        received = {route.prefix for route in heard}
        own = {route.prefix: Cause("bgp", 0) for route in heard if not route.origin}
        for origin in sorted(origins):
            prefixes = learnt.elsewhere[origin]
            if not received.isdisjoint(prefixes):
                own |= dict.fromkeys(prefixes, Cause("bgp", origin))
        lists.append(own)
    return lists


def efp_b(learnt: Learnt, snapshot: Snapshot) -> list[List]:
    """Algorithm B of RFC 8704 §3.5: one list for all customer interfaces.

    What came in on any of them, and what else the origins of that have.

    >>> efp_b(Learnt((), (), (), {}), Snapshot.empty())
    []
    """
    every = [route for heard in learnt.heard for route in heard]
    joint = {route.prefix: Cause("bgp", route.origin) for route in sorted(every)}
    for origin in sorted({route.origin for route in every} - {0}):
        joint |= dict.fromkeys(learnt.elsewhere[origin], Cause("bgp", origin))
    return [dict(joint) for _ in learnt.heard]


def cone(roots: Iterable[int], edges: Iterable[tuple[int, int]]) -> frozenset[int]:
    """The ASes from which customer-to-provider edges lead to one of the roots, and the roots.

    >>> sorted(cone([1], [(2, 1), (3, 2), (5, 4)]))
    [1, 2, 3]
    """
    below: dict[int, set[int]] = {}
    for customer, provider in edges:
        below.setdefault(provider, set()).add(customer)
    found = {*roots}
    waiting = [*found]
    while waiting:
        more = below.get(waiting.pop(), set()) - found
        found |= more
        waiting += more
    return frozenset(found)


def procedure_x(learnt: Learnt, snapshot: Snapshot) -> list[List]:
    """Procedure X of the BAR-SAV draft: the cone by ASPAs alone, the prefixes by ROAs alone.

    >>> procedure_x(Learnt((), (), (), {}), Snapshot.empty())
    []
    """
    attested = _attested(snapshot)
    return [_of_roas(cone(neighbors, attested), snapshot) for neighbors in learnt.neighbors]


def bar_sav(learnt: Learnt, snapshot: Snapshot) -> list[List]:
    """BAR-SAV: the cone by ASPAs and by the paths on the interface, prefixes by ROAs and by BGP.

    Prefixes that the cone originates count from whatever interface they came. What came in on the interface
    without an origin stays in its list.

    >>> bar_sav(Learnt((), (), (), {}), Snapshot.empty())
    []
    """
    attested = _attested(snapshot)
    lists: list[List] = []
    for heard, neighbors, edges in zip(learnt.heard, learnt.neighbors, learnt.edges, strict=True):
        members = cone(neighbors, attested | edges) | {route.origin for route in heard} - {0}
        own = {route.prefix: Cause("bgp", 0) for route in heard if not route.origin}
        for origin in sorted(members & learnt.elsewhere.keys()):
            own |= dict.fromkeys(learnt.elsewhere[origin], Cause("bgp", origin))
        for key, cause in _of_roas(members, snapshot).items():
            own[key] = Cause("both", own[key].asn or cause.asn) if key in own else cause
        lists.append(own)
    return lists


ALGORITHMS: dict[str, Callable[[Learnt, Snapshot], list[List]]] = {
    "strict": strict,
    "efp-a": efp_a,
    "efp-b": efp_b,
    "procedure-x": procedure_x,
    "bar-sav": bar_sav,
}
"""By name: each gives a list for each interface of a Learnt."""


def _attested(snapshot: Snapshot) -> Pairs:
    """Customer and provider as ASPAs have it; AS 0 stands for none."""
    return {(aspa.customer, provider) for aspa in snapshot.aspas for provider in aspa.providers if provider}


def _of_roas(members: frozenset[int], snapshot: Snapshot) -> List:
    """The prefixes of the VRPs of some ASes; AS 0 authorises nobody."""
    wanted = np.array(sorted(members - {0}), np.uint32)
    found: List = {}
    for columns in (snapshot.ipv4, snapshot.ipv6):
        for vrp in columns.take(np.isin(columns.asn, wanted)).vrps():
            found[vrp.prefix.family, vrp.prefix.address, vrp.prefix.length] = Cause("roa", vrp.asn)
    return found


def sav_table(
    learnt: Learnt,
    interfaces: Sequence[Interface],
    algorithm: str,
    snapshot: Snapshot,
    *,
    also: Iterable[tuple[str, Prefix]] = (),
) -> pa.Table:
    """One row a prefix of an interface's list: interface, prefix, source (bgp, roa, both, local), via_asn.

    algorithm: a key of ALGORITHMS. snapshot: VRPs and ASPAs, for procedure-x and bar-sav. also: prefixes of
    an interface that no route tells of, such as that of the link. via_asn is the AS that originates it,
    null: none. ArgumentError: no such algorithm, a name in also that no interface has.

    >>> learnt = Learnt((frozenset({Heard((4, 1 << 24, 8), 64496, 1)}),), (frozenset({64496}),),
    ...                 (frozenset(),), {64496: frozenset({(4, 1 << 24, 8)})})
    >>> sav_table(learnt, [Interface("eth1")], "efp-a", Snapshot.empty()).to_pylist()
    [{'interface': 'eth1', 'prefix': '1.0.0.0/8', 'source': 'bgp', 'via_asn': 64496}]
    """
    as_kind(learnt, Learnt, "learnt")
    as_kind(snapshot, Snapshot, "snapshot")
    given = as_rows(interfaces, Interface, "interfaces")
    if as_kind(algorithm, str, "algorithm") not in ALGORITHMS:
        raise ArgumentError(f"algorithm {shown(algorithm)}: expected one of {', '.join(ALGORITHMS)}")
    if len(given) != len(learnt.heard):
        raise ArgumentError(f"interfaces: expected the {len(learnt.heard)} of learnt, found {len(given)}")
    lists = dict(zip((one.name for one in given), ALGORITHMS[algorithm](learnt, snapshot), strict=True))
    for pair in as_rows(also, tuple, "also"):
        if tuple(map(type, pair)) != (str, Prefix):
            raise ArgumentError(f"also {shown(pair)}: expected the name of an interface and a Prefix")
        name, prefix = pair
        if name not in lists:
            raise ArgumentError(f"also {shown(name)}: expected one of {', '.join(lists) or 'no interface'}")
        lists[name].setdefault((prefix.family, prefix.address, prefix.length), Cause("local", 0))
    rows = [
        (name, str(Prefix(*key)), cause.source, as_asn(cause.asn) or None)
        for name, own in lists.items()
        for key, cause in sorted(own.items())
    ]
    pyarrow = arrow()
    names, texts, sources, asns = zip(*rows, strict=True) if rows else ((), (), (), ())
    table: pa.Table = pyarrow.table(
        {
            "interface": pyarrow.array(names, pyarrow.string()),
            "prefix": pyarrow.array(texts, pyarrow.string()),
            "source": pyarrow.array(sources, pyarrow.string()),
            "via_asn": pyarrow.array(asns, pyarrow.uint32()),
        }
    )
    return table
