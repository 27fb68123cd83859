"""Source address validation: which prefixes packets from a customer may come from.

strict is what strict uRPF (RFC 3704 §2.2) lets in, EFP-A and EFP-B are the algorithms of RFC 8704 §3.4 and
§3.5, procedure-x and bar-sav those of draft-ietf-sidrops-bar-sav, which take customer cones from ASPAs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_rows, shown
from rov.audit.nesting import distinct
from rov.audit.prefixes import Key, Prefixes, Rows, spans, united
from rov.audit.sav_heard import HALF, LOWER, Heard, Interface, Learnt, Pairs, pairs_of
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, number_column, origins, words
from rov.errors import ArgumentError
from rov.snapshot import Snapshot
from rov.types import Prefix

if TYPE_CHECKING:
    import pyarrow as pa

SAV = Schema("rov.sav.list/1", "sav_table")

Asns = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]

SOURCE_WORDS = ["bgp", "roa", "both", "local"]
"""Why a prefix is in a list, by its number."""

BGP, ROA, BOTH, LOCAL = range(4)


class Sources(NamedTuple):
    """The list of an interface: prefixes in table order; of each why, and the AS of its origin (0: none).

    ``why`` are numbers of SOURCE_WORDS, uint8; ``asns`` uint32. Where several ASes originate a prefix, the
    highest is named.
    """

    prefixes: Prefixes
    why: npt.NDArray[np.uint8]
    asns: Asns

    def keys(self) -> set[Key]:
        """The prefixes as keys.

        >>> Sources(Prefixes.of([(4, 0, 8)]), np.zeros(1, np.uint8), np.zeros(1, np.uint32)).keys()
        {(4, 0, 8)}
        """
        return set(self.prefixes.keys())


class _Marks:
    """What is told of each of some prefixes: whether it is in the list, and by whom."""

    def __init__(self, count: int) -> None:
        self.has: Bools = np.zeros(count, np.bool_)
        self.asns: Asns = np.zeros(count, np.uint32)

    def add(self, rows: Rows, asns: Asns) -> None:
        """More of them; the highest AS stays."""
        self.has[rows] = True
        np.maximum.at(self.asns, rows, asns)

    def sources(self, prefixes: Prefixes) -> Sources:
        """A list of what BGP told."""
        rows = np.flatnonzero(self.has)
        return Sources(prefixes.take(rows), np.full(len(rows), BGP, np.uint8), self.asns[rows])


def strict(learnt: Learnt, snapshot: Snapshot) -> list[Sources]:
    """Prefixes whose best route leads out of the interface: customers before others, then short paths.

    Of equal ones each counts, as with several paths at once. RFC 3704 §2.2.

    >>> strict(Learnt.of((), (), (), {}), Snapshot.empty())
    []
    """
    best = np.full(len(learnt.prefixes.lengths), np.iinfo(np.int32).max, np.int32)
    for heard in learnt.heard:
        np.minimum.at(best, heard.rows, heard.hops)
    lists = []
    for heard in learnt.heard:
        marks, kept = _Marks(len(best)), heard.hops == best[heard.rows]
        marks.add(heard.rows[kept], heard.origins[kept])
        lists.append(marks.sources(learnt.prefixes))
    return lists


def efp_a(learnt: Learnt, snapshot: Snapshot) -> list[Sources]:
    """Algorithm A of RFC 8704 §3.4: all prefixes of an origin where one of them came in.

    What came in without an origin (AS_SET) stays in the list of its interface.

    >>> efp_a(Learnt.of((), (), (), {}), Snapshot.empty())
    []
    """
    asns, rows = _of_customers(learnt)
    lists = []
    for heard in learnt.heard:
        marks = _Marks(len(learnt.prefixes.lengths))
        received = np.zeros_like(marks.has)
        received[heard.rows] = True
        wanted = np.isin(asns, distinct(asns[received[rows]]))
        marks.add(rows[wanted], asns[wanted])
        _add_unknown(marks, [heard])
        lists.append(marks.sources(learnt.prefixes))
    return lists


def efp_b(learnt: Learnt, snapshot: Snapshot) -> list[Sources]:
    """Algorithm B of RFC 8704 §3.5: one list for all customer interfaces.

    What came in on any of them, and what else the origins of that have.

    >>> efp_b(Learnt.of((), (), (), {}), Snapshot.empty())
    []
    """
    marks = _Marks(len(learnt.prefixes.lengths))
    asns, rows = _of_customers(learnt)
    marks.add(rows, asns)
    _add_unknown(marks, learnt.heard)
    return [marks.sources(learnt.prefixes)] * len(learnt.heard)


def _of_customers(learnt: Learnt) -> tuple[Asns, Rows]:
    """Who originates what, of the origins that were heard on a customer interface."""
    asns, rows = _halves(learnt.originated)
    every = np.concatenate([np.empty(0, np.uint32), *(heard.origins for heard in learnt.heard)])
    wanted = np.isin(asns, distinct(every))
    return asns[wanted], rows[wanted]


def _halves(pairs: Pairs) -> tuple[Asns, Rows]:
    return (pairs >> HALF).astype(np.uint32), (pairs & LOWER).astype(np.int64)


def _add_unknown(marks: _Marks, heard: Iterable[Heard]) -> None:
    """What came in without an origin."""
    for own in heard:
        rows = own.rows[own.origins == 0]
        marks.add(rows, np.zeros(len(rows), np.uint32))


def cone(roots: Iterable[int], edges: Pairs) -> Asns:
    """The ASes from which edges, Pairs of customer and provider, lead to one of the roots, and the roots.

    >>> cone([1], pairs_of([(2, 1), (3, 2), (5, 4)])).tolist()
    [1, 2, 3]
    """
    customers, providers = edges >> HALF, edges & LOWER
    start = np.array([*roots], np.uint64)
    nodes = distinct(np.concatenate([customers, providers, start]))
    order = np.argsort(providers, kind="stable")
    below = np.searchsorted(nodes, customers[order])
    # the customers of each node stand together
    ends = np.searchsorted(providers[order], nodes, "right")
    begins = np.searchsorted(providers[order], nodes, "left")
    seen = np.zeros(len(nodes), np.bool_)
    new = distinct(np.searchsorted(nodes, start))
    while len(new):
        seen[new] = True
        met = below[spans(begins[new], ends[new])]
        new = distinct(met[~seen[met]])
    return nodes[seen].astype(np.uint32)


def procedure_x(learnt: Learnt, snapshot: Snapshot) -> list[Sources]:
    """Procedure X of the BAR-SAV draft: the cone by ASPAs alone, the prefixes by ROAs alone.

    >>> procedure_x(Learnt.of((), (), (), {}), Snapshot.empty())
    []
    """
    attested, roas = _attested(snapshot), _Roas(snapshot)
    prefixes, (rows,) = united([roas.prefixes])
    nothing = _Marks(len(prefixes.lengths))
    return [roas.beside(nothing, prefixes, rows, cone(neighbors, attested)) for neighbors in learnt.neighbors]


def bar_sav(learnt: Learnt, snapshot: Snapshot) -> list[Sources]:
    """BAR-SAV: the cone by ASPAs and by the paths on the interface, prefixes by ROAs and by BGP.

    Prefixes that the cone originates count from whatever interface they came. What came in on the interface
    without an origin stays in its list.

    >>> bar_sav(Learnt.of((), (), (), {}), Snapshot.empty())
    []
    """
    attested, roas = _attested(snapshot), _Roas(snapshot)
    prefixes, (of_bgp, of_roas) = united([learnt.prefixes, roas.prefixes])
    asns, rows = _halves(learnt.originated)
    lists = []
    for heard, neighbors, edges in zip(learnt.heard, learnt.neighbors, learnt.edges, strict=True):
        attached = cone(neighbors, np.concatenate([attested, edges]))
        members = distinct(np.concatenate([attached, heard.origins]))
        marks, wanted = _Marks(len(prefixes.lengths)), np.isin(asns, members)
        marks.add(of_bgp[rows[wanted]], asns[wanted])
        unknown = of_bgp[heard.rows[heard.origins == 0]]
        marks.add(unknown, np.zeros(len(unknown), np.uint32))
        lists.append(roas.beside(marks, prefixes, of_roas, members))
    return lists


ALGORITHMS: dict[str, Callable[[Learnt, Snapshot], list[Sources]]] = {
    "strict": strict,
    "efp-a": efp_a,
    "efp-b": efp_b,
    "procedure-x": procedure_x,
    "bar-sav": bar_sav,
}
"""By name: each gives a list for each interface of a Learnt."""


def _attested(snapshot: Snapshot) -> Pairs:
    """Customer and provider as ASPAs have it; AS 0 stands for none."""
    return pairs_of(
        (aspa.customer, provider) for aspa in snapshot.aspas for provider in aspa.providers if provider
    )


class _Roas:
    """The prefixes of all VRPs and their ASes; AS 0 authorises nobody."""

    def __init__(self, snapshot: Snapshot) -> None:
        both = (snapshot.ipv4, snapshot.ipv6)
        self._asns: Asns = np.concatenate([columns.asn for columns in both])
        parts = [Prefixes.of_family(c.family, c.address, c.length) for c in both]
        self.prefixes = Prefixes(*map(np.concatenate, zip(*parts, strict=True)))

    def beside(self, bgp: _Marks, prefixes: Prefixes, rows: Rows, members: Asns) -> Sources:
        """The list of what BGP told and members have ROAs for; ``rows``: where the VRPs are in prefixes."""
        wanted = np.isin(self._asns, members[members > 0])
        has, asns = np.zeros(len(prefixes.lengths), np.bool_), np.zeros(len(prefixes.lengths), np.uint32)
        has[rows[wanted]] = True
        # of several VRPs of one prefix the last, as they are sorted
        asns[rows[wanted]] = self._asns[wanted]
        found = np.flatnonzero(bgp.has | has)
        why = np.where(bgp.has & has, BOTH, np.where(has, ROA, BGP)).astype(np.uint8)
        named = np.where(bgp.asns > 0, bgp.asns, asns)
        return Sources(prefixes.take(found), why[found], named[found])


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

    >>> learnt = Learnt.of([[((4, 1 << 24, 8), 64496, 1)]], [[64496]], [[]], {})
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
    more: dict[str, list[Key]] = {}
    for pair in as_rows(also, tuple, "also"):
        if tuple(map(type, pair)) != (str, Prefix):
            raise ArgumentError(f"also {shown(pair)}: expected the name of an interface and a Prefix")
        name, prefix = pair
        if name not in lists:
            raise ArgumentError(f"also {shown(name)}: expected one of {', '.join(lists) or 'no interface'}")
        more.setdefault(name, []).append((prefix.family, prefix.address, prefix.length))
    made = [_with_local(own, more[name]) if name in more else own for name, own in lists.items()]
    made.append(_Marks(0).sources(Prefixes.of([])))  # there may be no interface
    pyarrow = arrow()
    numbers = np.repeat(np.arange(len(made)), [len(own.why) for own in made])
    texts = [chunk for own in made for chunk in own.prefixes.texts().chunks]
    text = pyarrow.string()
    table: pa.Table = pyarrow.table(
        {
            "interface": pyarrow.array([*lists], text).take(number_column(numbers)),
            "prefix": pyarrow.chunked_array(texts, text),
            "source": words((own.why for own in made), SOURCE_WORDS).cast(text),
            "via_asn": origins(own.asns for own in made),
        }
    )
    return table


def _with_local(own: Sources, keys: list[Key]) -> Sources:
    """A list and prefixes that no route tells of."""
    prefixes, (rows, _) = united([own.prefixes, Prefixes.of(keys)])
    why = np.full(len(prefixes.lengths), LOCAL, np.uint8)
    asns = np.zeros(len(why), np.uint32)
    why[rows], asns[rows] = own.why, own.asns
    return Sources(prefixes, why, asns)
