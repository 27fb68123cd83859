"""Source address validation: which prefixes packets from a customer may come from.

strict is what strict uRPF (RFC 3704 §2.2) lets in, EFP-A and EFP-B are the algorithms of RFC 8704 §3.4 and
§3.5, procedure-x and bar-sav those of draft-ietf-sidrops-bar-sav, which take customer cones from ASPAs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rov._checks import as_kind, as_rows, shown
from rov._prefix import format_ipv4, format_ipv6
from rov.audit.sav_heard import Interface, Key, Learnt, Pairs
from rov.audit.schemas import Schema
from rov.audit.tables import arrow
from rov.errors import ArgumentError
from rov.snapshot import Snapshot
from rov.types import Family, Prefix

if TYPE_CHECKING:
    import pyarrow as pa

SAV = Schema("rov.sav.list/1", "sav_table")


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
        causes = {asn: Cause("bgp", asn) for asn in members}
        own |= {key: causes[origin] for key, origin in learnt.originated(members)}
        of_roas = _of_roas(members, snapshot)
        both = {key: Cause("both", own[key].asn or of_roas[key].asn) for key in own.keys() & of_roas.keys()}
        lists.append(own | of_roas | both)
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
    causes = {asn: Cause("roa", asn) for asn in wanted.tolist()}
    found: List = {}
    for columns in (snapshot.ipv4, snapshot.ipv6):
        own = columns.take(np.isin(columns.asn, wanted))
        numbers = own.address.tolist()
        if own.family == 6:
            numbers = [high << 64 | low for high, low in numbers]
        keys = zip(repeat(own.family), numbers, own.length.tolist())
        # a million of them: no Prefix and no Vrp is made
        found |= zip(keys, map(causes.__getitem__, own.asn.tolist()), strict=True)
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

    >>> from rov.audit.sav_heard import Heard
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
    pyarrow = arrow()
    names: list[str] = []
    texts: list[str] = []
    causes: list[Cause] = []
    for name, own in lists.items():
        keys = _ordered(own)
        names += [name] * len(keys)
        texts += _texts(keys)
        causes += map(own.__getitem__, keys)
    sources = [cause.source for cause in causes]
    asns = [cause.asn or None for cause in causes]
    table: pa.Table = pyarrow.table(
        {
            "interface": pyarrow.array(names, pyarrow.string()),
            "prefix": pyarrow.array(texts, pyarrow.string()),
            "source": pyarrow.array(sources, pyarrow.string()),
            "via_asn": pyarrow.array(asns, pyarrow.uint32()),
        }
    )
    return table


def _ordered(keys: Iterable[Key]) -> list[Key]:
    """Prefixes in table order: as one number each, which sort much faster than tuples."""
    numbers: dict[Family, list[int]] = {4: [], 6: []}
    for family, address, length in keys:
        numbers[family].append(address << 8 | length)
    return [
        (family, number >> 8, number & 0xFF) for family, rows in numbers.items() for number in sorted(rows)
    ]


def _texts(keys: list[Key]) -> list[str]:
    """Prefixes as texts, of sorted keys."""
    four = sum(key[0] == 4 for key in keys)
    lengths = np.array([key[2] for key in keys], np.uint8)
    narrow = np.array([key[1] for key in keys[:four]], np.uint32)
    low = (1 << 64) - 1
    wide = np.array([(key[1] >> 64, key[1] & low) for key in keys[four:]], np.uint64).reshape(-1, 2)
    return format_ipv4(narrow, lengths[:four]) + format_ipv6(wide, lengths[four:])
