"""What a change of VRPs does to routes: which change their state, and which VRP did it.

Only a route under the prefix of a VRP that came or went can change (RFC 6811 §2), so only such routes
are judged twice. Which those are, the trie of the changed VRPs tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from rov._checks import as_iterable, as_kind
from rov.causes import causes
from rov.columns import VrpColumns
from rov.delta import Delta
from rov.index import VrpIndex
from rov.routes import RouteBatch
from rov.snapshot import Snapshot
from rov.types import Prefix, State, Vrp

STATES = tuple(State)

Matrix = npt.NDArray[np.int64]


class RouteChange(msgspec.Struct, frozen=True):
    """A route that changes its state, and the VRPs that make it do so.

    >>> RouteChange(Prefix.parse("192.0.2.0/24"), 1, State.NOT_FOUND, State.VALID, ()).after.label
    'valid'
    """

    prefix: Prefix
    origin: int
    before: State
    after: State
    causes: tuple[Vrp, ...]


class _Changed(NamedTuple):
    """Routes of one batch that change, with both states."""

    routes: RouteBatch
    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]


class RouteDiff:
    """The states of routes before and after: ``matrix`` counts them, ``changes`` names those that differ.

    ``matrix`` is int64 [3, 3], the State before down and after across, in the order of their values;
    ``judged_twice`` is how many routes lay under a VRP that came or went. ArgumentError: no Snapshots, no
    RouteBatches.

    >>> from rov.types import Prefix, Vrp
    >>> new = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)])
    >>> diff = RouteDiff(Snapshot.empty(), new, [RouteBatch.ipv4([0xC0000200], [24], [64496])])
    >>> diff.matrix.tolist(), [str(vrp) for change in diff.changes() for vrp in change.causes]
    ([[0, 1, 0], [0, 0, 0], [0, 0, 0]], ['192.0.2.0/24-24 AS64496'])
    """

    __slots__ = ("_announced", "_changed", "_withdrawn", "judged_twice", "matrix")

    def __init__(self, old: Snapshot, new: Snapshot, routes: Iterable[RouteBatch]) -> None:
        delta = Delta.between(old, new)
        withdrawn = Snapshot.empty() if delta is None else delta.withdrawn
        announced = Snapshot.empty() if delta is None else delta.announced
        self.matrix: Matrix = np.zeros((3, 3), np.int64)
        self.judged_twice = 0
        self._withdrawn, self._announced = VrpIndex(withdrawn), VrpIndex(announced)
        self._changed: list[_Changed] = []
        touched, now = VrpIndex(withdrawn | announced), VrpIndex(new)
        earlier = VrpIndex(old) if len(touched) else touched
        for batch in as_iterable(routes, "routes"):
            self._count(batch, touched, earlier, now)

    def _count(self, batch: RouteBatch, touched: VrpIndex, earlier: VrpIndex, now: VrpIndex) -> None:
        after = now.validate_batch(as_kind(batch, RouteBatch, "routes"))
        rows = np.flatnonzero(touched.validate_batch(batch) != State.NOT_FOUND)
        part = RouteBatch(batch.family, batch.addresses[rows], batch.lengths[rows], batch.origins[rows])
        before = earlier.validate_batch(part)
        self.judged_twice += len(part)
        counts = np.bincount(after, minlength=3)
        self.matrix[range(3), range(3)] += counts - np.bincount(after[rows], minlength=3)
        np.add.at(self.matrix, (before, after[rows]), 1)
        differ = np.flatnonzero(before != after[rows])
        if len(differ):
            picked = part.addresses[differ], part.lengths[differ], part.origins[differ]
            kept = RouteBatch(batch.family, *picked)
            self._changed.append(_Changed(kept, before[differ], after[rows][differ]))

    def __len__(self) -> int:
        """How many routes change their state."""
        return sum(len(changed.routes) for changed in self._changed)

    def steps(self) -> dict[str, dict[str, int]]:
        """The matrix with the labels of the states for keys, the one before outside.

        >>> RouteDiff(Snapshot.empty(), Snapshot.empty(), []).steps()["valid"]["invalid"]
        0
        """
        return {
            before.label: {after.label: int(self.matrix[before, after]) for after in STATES}
            for before in STATES
        }

    def changes(self) -> Iterator[RouteChange]:
        """Each route that changes its state, in the order of the batches, with the cause."""
        for routes, before, after in self._changed:
            columns = VrpColumns(
                routes.family, routes.addresses, routes.lengths, routes.lengths, routes.origins, None, None
            )
            states = zip(before.tolist(), after.tolist(), strict=True)
            for route, (old, new) in zip(columns.vrps(), states, strict=True):
                yield self._change(route.prefix, route.asn, STATES[old], STATES[new])

    def _change(self, prefix: Prefix, origin: int, before: State, after: State) -> RouteChange:
        gone, come = self._withdrawn.covering(prefix), self._announced.covering(prefix)
        why = causes(before, after, (prefix.length, origin), gone, come)
        return RouteChange(prefix, origin, before, after, why)


class Counts(NamedTuple):
    """How many VRPs went and came."""

    withdrawn: int
    announced: int


def by_trust_anchor(delta: Delta) -> dict[str, Counts]:
    """How many VRPs of each trust anchor went and came, by name.

    >>> new = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [1]), trust_anchors=["ripe"])
    >>> by_trust_anchor(Delta.between(Snapshot.empty(), new))
    {'ripe': Counts(withdrawn=0, announced=1)}
    """
    as_kind(delta, Delta, "delta")
    sides = [_anchors(delta.withdrawn), _anchors(delta.announced)]
    names = sorted({*sides[0], *sides[1]})
    return {name: Counts(*(side.get(name, 0) for side in sides)) for name in names}


def _anchors(snapshot: Snapshot) -> dict[str, int]:
    size = len(snapshot.trust_anchors)
    counts = sum(np.bincount(columns.ta, minlength=size) for columns in (snapshot.ipv4, snapshot.ipv6))
    named = zip(snapshot.trust_anchors, np.asarray(counts).tolist(), strict=True)
    return {name: count for name, count in named if count}


def by_asn(delta: Delta) -> dict[int, Counts]:
    """How many VRPs of each AS went and came, those with most changes first, then by number.

    >>> new = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496]))
    >>> by_asn(Delta.between(Snapshot.empty(), new))
    {64496: Counts(withdrawn=0, announced=1)}
    """
    as_kind(delta, Delta, "delta")
    sides = [
        np.concatenate((snapshot.ipv4.asn, snapshot.ipv6.asn))
        for snapshot in (delta.withdrawn, delta.announced)
    ]
    asns, place = np.unique(np.concatenate(sides), return_inverse=True)
    gone = np.bincount(place[: len(sides[0])], minlength=len(asns))
    come = np.bincount(place[len(sides[0]) :], minlength=len(asns))
    order = np.argsort(-(gone + come), kind="stable").tolist()
    return {int(asns[row]): Counts(int(gone[row]), int(come[row])) for row in order}
