"""Incidents in a stream of routes: mis-originations, leaks and bogons, each from its start to its end.

What is there before is known; what comes beside it is looked at. A new origin of a known prefix, or of one in
it, is a mis-origination if VRPs or route objects speak against it; a path that ASPAs find invalid is a leak.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_flag, as_iterable, as_kind, as_optional, as_rows
from rov.aspa import AspaIndex, AspaState, Direction
from rov.audit.bogons import bogons
from rov.audit.manrs import incident_weight
from rov.audit.schemas import Schema
from rov.audit.tables import arrow
from rov.columns import VrpColumns
from rov.errors import ArgumentError
from rov.index import VrpIndex
from rov.reference import Delegations
from rov.reference.rpsl import Irr
from rov.rib import Dump, Flag, Peer, RibBatch, RouteColumns, RouteTable
from rov.snapshot import Snapshot
from rov.types import Family, Prefix, Reason, State

if TYPE_CHECKING:
    import pyarrow as pa

INCIDENTS = Schema("rov.incidents.event/1", "incidents_table")

GAP_SECONDS = 300
"""An incident that is back within that time has not ended: routes flap while they are cleaned up."""

MAX_ACTIVE = 1 << 22
"""Routes of incidents that go on at once; a whole table leaked to some peers has a million."""

Mask = npt.NDArray[np.bool_]


class Rules(NamedTuple):
    """What speaks for or against a route; None: not asked.

    ``relations``: pairs of ASes that do business, whose routes clear each other. ``weak``: mis-originations
    count even if neither a VRP nor a route object speaks against them.
    """

    vrps: VrpIndex
    irr: Irr | None = None
    relations: frozenset[tuple[int, int]] | None = None
    delegations: Delegations | None = None
    weak: bool = False


class Incident:
    """One incident: ``end`` is None while it goes on; ``last`` is when it was seen last.

    ``kind`` is moas, sub_moas, aspa, prefix or origin; ``rpki`` the state of its first route, ``irr``
    whether a route object speaks for it (None: none is known); ``peers`` the most that carried it at once.
    """

    __slots__ = (
        "culprit", "end", "irr", "kind", "last", "path", "peers", "prefix", "prefixes", "routes", "rpki",
        "start", "type", "victim",
    )  # fmt: skip

    def __init__(self, type_: str, kind: str, culprit: int, victim: int) -> None:
        self.type, self.kind, self.culprit, self.victim = type_, kind, culprit, victim
        self.start = self.last = 0
        self.end: int | None = None
        self.prefix = self.path = self.rpki = ""
        self.irr: bool | None = None
        self.prefixes: set[tuple[int, int, int]] = set()
        self.routes: dict[_Route, None] = {}
        self.peers = 0

    @property
    def weight(self) -> float:
        """What it counts by the scale of MANRS.

        >>> Incident("bogon", "prefix", 64496, 0).weight
        0.5
        """
        return incident_weight((self.last if self.end is None else self.end) - self.start)


_Route = tuple[Peer, int, int, int, int]
"""Peer, path id, family, address, length."""


class _Suspect(NamedTuple):
    type: str
    kind: str
    culprit: int
    victim: int
    irr: bool | None
    rpki: str


class Detector:
    """Finds incidents in batches that are given to it in the order of time.

    known: the routes that were there before; None: every route is new, and only VRPs tell whose a prefix is.

    >>> detector = Detector(Rules(VrpIndex(Snapshot.empty())))
    >>> detector.incidents()
    []
    """

    def __init__(self, rules: Rules, known: RouteTable | None = None) -> None:
        self._rules = as_kind(rules, Rules, "rules")
        as_kind(rules.vrps, VrpIndex, "vrps")
        as_optional(rules.irr, Irr, "irr")
        as_flag(rules.weak, "weak")
        self._known = None if known is None else VrpIndex(_as_snapshot(as_kind(known, RouteTable, "known")))
        self._aspas = AspaIndex(rules.vrps.snapshot)
        self._closed: list[Incident] = []
        self._open: dict[tuple[str, int, int, str], Incident] = {}
        self._active: dict[_Route, list[Incident]] = {}
        self._wanted: dict[_Route, int] = {}
        self._excused: set[tuple[int, Family, int, int]] = set()
        self._now = 0

    def excuse(self, dumps: Iterable[Dump]) -> None:
        """Prefixes that somebody leaks in these dumps were leaked before: of them no leak begins.

        What else the same AS leaks is news. ArgumentError: more of them than an incident can have.
        """
        for dump in as_iterable(dumps, "dumps"):
            for batch in as_kind(dump, Dump, "dumps"):
                for row in self._leaking(batch):
                    prefix = _prefix(batch, row)
                    known = self._leaker(batch, row), prefix.family, prefix.address, prefix.length
                    self._excused.add(known)
                    if len(self._excused) > MAX_ACTIVE:
                        raise ArgumentError(f"more than {MAX_ACTIVE:,} prefixes that were leaked before")

    def take(self, dump: Dump) -> None:
        """All batches of a dump or of updates; with paths, if leaks are to be found."""
        for batch in as_kind(dump, Dump, "dump"):
            self.take_batch(batch, dump.peers)

    def take_batch(self, batch: RibBatch, peers: tuple[Peer, ...]) -> None:
        """One batch, in its order."""
        suspects = self._suspects(batch)
        touched = _hashes(batch)
        wanted = np.fromiter(self._wanted.values(), np.uint64, len(self._wanted))
        wanted = np.concatenate([wanted, touched[[*suspects]]])
        family = batch.routes.family
        if len(batch):
            self._now = max(self._now, int(batch.times.max()))
        for row in np.flatnonzero(np.isin(touched, wanted)).tolist():
            address = batch.routes.addresses[row]
            number = int(address) if family == 4 else int(address[0]) << 64 | int(address[1])
            peer = peers[int(batch.peers[row])]
            key = (family, number, int(batch.routes.lengths[row]))
            route: _Route = (peer, int(batch.path_ids[row]), *key)
            found = suspects.get(row, [])
            for incident in self._active.pop(route, []):
                if all((incident.type, incident.culprit) != (one.type, one.culprit) for one in found):
                    self._leave(incident, route, int(batch.times[row]))
            self._wanted.pop(route, None)
            if found:
                self._active[route] = [self._enter(one, route, batch, row) for one in found]
                self._wanted[route] = int(touched[row])
            if len(self._active) > MAX_ACTIVE:
                raise ArgumentError(f"more than {MAX_ACTIVE:,} routes of incidents at once")

    def _enter(self, found: _Suspect, route: _Route, batch: RibBatch, row: int) -> Incident:
        time, key = int(batch.times[row]), route[2:]
        text = str(Prefix(4 if key[0] == 4 else 6, key[1], key[2]))
        # a bogon is an incident of its own for each prefix, the others for whom they hit
        name = (found.type, found.culprit, found.victim, text if found.type == "bogon" else "")
        incident = self._open.get(name)
        if incident is not None and incident.end is not None and time > incident.end + GAP_SECONDS:
            self._closed.append(incident)
            incident = None
        if incident is None:
            incident = Incident(found.type, found.kind, found.culprit, found.victim)
            incident.start, incident.prefix, incident.path = time, text, _path(batch, row)
            incident.rpki, incident.irr = found.rpki, found.irr
            self._open[name] = incident
        incident.end = None
        incident.start, incident.last = min(incident.start, time), max(incident.last, time)
        incident.prefixes.add(key)
        incident.routes[route] = None
        incident.peers = max(incident.peers, len({one[0] for one in incident.routes}))
        return incident

    def _leave(self, incident: Incident, route: _Route, time: int) -> None:
        incident.routes.pop(route, None)
        incident.last = max(incident.last, time)
        if not incident.routes:
            incident.end = time

    def incidents(self) -> list[Incident]:
        """Those found so far, by their start; what still goes on was seen until the last batch."""
        for incident in self._open.values():
            if incident.end is None:
                incident.last = max(incident.last, self._now)
        found = [*self._closed, *self._open.values()]
        return sorted(found, key=lambda one: (one.start, one.type, one.culprit, one.prefix))

    def _suspects(self, batch: RibBatch) -> dict[int, list[_Suspect]]:
        """The rows that are part of an incident, and of which."""
        announced = ~batch.has(Flag.WITHDRAWN)
        found: dict[int, list[_Suspect]] = {}
        states, reasons = self._rules.vrps.validate_batch(batch.routes, reasons=True)
        known = np.zeros(len(batch), np.uint8)
        if self._known is not None:
            _, known = self._known.validate_batch(batch.routes, reasons=True)
        fresh = announced & (known != Reason.MATCHED)
        for row, suspect in self._misoriginated(batch, fresh, known, states, reasons):
            found.setdefault(row, []).append(suspect)
        rows = np.flatnonzero(fresh)
        for bogon in bogons(_columns(batch, rows)):
            culprit = int(batch.routes.origins[rows[bogon.row]])
            suspect = _Suspect("bogon", bogon.what, culprit, 0, None, State(states[rows[bogon.row]]).label)
            # one is enough, where prefix and origin both are
            found.setdefault(int(rows[bogon.row]), [suspect])
        for row in self._leaking(batch):
            culprit, prefix = self._leaker(batch, row), _prefix(batch, row)
            if (culprit, prefix.family, prefix.address, prefix.length) not in self._excused:
                label = State(states[row]).label
                found.setdefault(row, []).append(_Suspect("leak", "aspa", culprit, 0, None, label))
        return found

    def _misoriginated(
        self, batch: RibBatch, fresh: Mask, known: Any, states: Any, reasons: Any
    ) -> Iterator[tuple[int, _Suspect]]:
        """New origins of prefixes that others have, with what speaks against them."""
        foreign = known == Reason.AS if self._known is not None else reasons == Reason.AS
        candidates = fresh & foreign & (states != State.VALID) & (reasons != Reason.LENGTH)
        rows = np.flatnonzero(candidates & (batch.routes.origins != 0))
        if self._rules.irr is not None and len(rows):
            registered, _ = self._rules.irr.exact.validate_batch(_columns(batch, rows).routes, reasons=True)
        else:
            registered = np.zeros(len(rows), np.uint8)
        for row, by_irr in zip(rows.tolist(), registered.tolist(), strict=True):
            irr = {State.VALID: True, State.INVALID: False}.get(State(by_irr))
            against = states[row] == State.INVALID or irr is False
            if irr or not (against or self._rules.weak):
                continue
            prefix = _prefix(batch, row)
            origin = int(batch.routes.origins[row])
            holders = self._holders(prefix)
            kind, victims = self._victims(prefix, origin, holders)
            if not victims or self._cleared(batch, row, origin, victims):
                continue
            yield row, _Suspect("hijack", kind, origin, victims[0], irr, State(states[row]).label)

    def _holders(self, prefix: Prefix) -> list[tuple[Prefix, int]]:
        """Whose the prefix and those over it are, by the routes that were there, else by VRPs."""
        index = self._rules.vrps if self._known is None else self._known
        found = {(vrp.prefix, vrp.asn) for vrp in index.covering(prefix) if vrp.asn and vrp.prefix.length}
        return sorted(found, key=lambda one: (-one[0].length, one[1]))

    def _victims(
        self, prefix: Prefix, origin: int, holders: list[tuple[Prefix, int]]
    ) -> tuple[str, list[int]]:
        """The kind, and the ASes that have the nearest prefix, those whose route is valid first."""
        if not holders:
            return "moas", []
        nearest = holders[0][0]
        asns = [asn for at, asn in holders if at == nearest and asn != origin]
        asns.sort(key=lambda asn: self._rules.vrps.validate(nearest, asn) != State.VALID)
        return ("moas" if nearest == prefix else "sub_moas"), asns

    def _cleared(self, batch: RibBatch, row: int, origin: int, victims: list[int]) -> bool:
        """Whether they do business with each other, or the path leads through whom it would harm."""
        relations = self._rules.relations or frozenset()
        through = set(_path(batch, row).split())
        return any((origin, asn) in relations or str(asn) in through for asn in victims)

    def _leaking(self, batch: RibBatch) -> list[int]:
        """Rows whose path cannot be free of a leak, wherever it was taken from (ASPA verification-28 §5)."""
        if not len(self._aspas) or batch.attributes is None or batch.attribute_rows is None:
            return []
        paths = batch.attributes.paths
        states = self._aspas.verify_batch(paths, Direction.DOWNSTREAM)
        bad = (states == AspaState.INVALID) & (paths.as_sets == 0) & (np.diff(paths.offsets) > 0)
        if not bad.any():
            return []
        announced = np.flatnonzero(~batch.has(Flag.WITHDRAWN))
        rows: list[int] = announced[bad[batch.attribute_rows[announced]]].tolist()
        return rows

    def _leaker(self, batch: RibBatch, row: int) -> int:
        """Who passed it on: the AS that took it from the last one that it climbed to, and is no provider."""
        asns = [int(asn) for asn in _path(batch, row).split()]
        climbed = [asn for i, asn in enumerate(asns) if i == 0 or asns[i - 1] != asn]
        up = self._aspas.ramps(climbed).max_up
        return climbed[-1 - min(up, len(climbed) - 1)]


def _as_snapshot(table: RouteTable) -> Snapshot:
    """Routes as if each were a VRP of its own: the index of it tells what is known of a route."""
    parts = []
    for routes in (table.ipv4, table.ipv6):
        kept = routes.origins != 0
        columns = routes.addresses[kept], routes.lengths[kept], routes.lengths[kept], routes.origins[kept]
        parts.append(VrpColumns.ipv4(*columns) if routes.family == 4 else VrpColumns.ipv6(*columns))
    return Snapshot.build(*parts)


def _columns(batch: RibBatch, rows: Any) -> RouteColumns:
    routes = batch.routes
    nobody = np.zeros(len(rows), np.uint32)
    return RouteColumns(
        routes.family, routes.addresses[rows], routes.lengths[rows], routes.origins[rows], nobody
    )


def _prefix(batch: RibBatch, row: int) -> Prefix:
    address, length = batch.routes.addresses[row], int(batch.routes.lengths[row])
    if batch.routes.family == 4:
        return Prefix(4, int(address), length)
    return Prefix(6, int(address[0]) << 64 | int(address[1]), length)


def _path(batch: RibBatch, row: int) -> str:
    """The path as a text, neighbour first; "" where the dump has none."""
    if batch.attributes is None or batch.attribute_rows is None:
        return ""
    paths, at = batch.attributes.paths, int(batch.attribute_rows[row])
    return " ".join(map(str, paths.asns[paths.offsets[at] : paths.offsets[at + 1]].tolist()))


_SPREAD = 0x9E3779B97F4A7C15


def _hashes(batch: RibBatch) -> npt.NDArray[np.uint64]:
    """A number for each prefix, by which rows are picked; who looks closer compares the prefix."""
    addresses = batch.routes.addresses
    words = addresses.astype(np.uint64) if batch.routes.family == 4 else addresses[:, 0] ^ addresses[:, 1]
    found: npt.NDArray[np.uint64] = words * np.uint64(_SPREAD) + batch.routes.lengths.astype(np.uint64)
    return found


def incidents_table(found: Iterable[Incident], delegations: Delegations | None = None) -> pa.Table:
    """One row an incident: id, type (hijack, leak, bogon), kind (moas, sub_moas, aspa, prefix, origin),
    start, end (null: it goes on), last (unix seconds), prefix (the first), prefixes (how many), victim_as,
    culprit_as, path (of the first), peers (the most at once), rpki (state), irr (null: no object is known),
    country (of the culprit; null without ``delegations``), weight (MANRS).

    >>> incidents_table([]).num_rows
    0
    """
    rows = as_rows(found, Incident, "incidents")
    as_optional(delegations, Delegations, "delegations")
    pyarrow = arrow()
    text, number = pyarrow.string(), pyarrow.uint32()

    def column(values: Iterable[Any], kind: Any) -> Any:
        return pyarrow.array(list(values), kind)

    def country(asn: int) -> str | None:
        return None if delegations is None else delegations.of_asn(asn).country or None

    table: pa.Table = pyarrow.table(
        {
            "id": column((f"{one.start}-{one.type}-{one.culprit}-{one.prefix}" for one in rows), text),
            "type": column((one.type for one in rows), text),
            "kind": column((one.kind for one in rows), text),
            "start": column((one.start for one in rows), number),
            "end": column((one.end for one in rows), number),
            "last": column((one.last for one in rows), number),
            "prefix": column((one.prefix for one in rows), text),
            "prefixes": column((len(one.prefixes) for one in rows), number),
            "victim_as": column((one.victim or None for one in rows), number),
            "culprit_as": column((one.culprit or None for one in rows), number),
            "path": column((one.path or None for one in rows), text),
            "peers": column((one.peers for one in rows), number),
            "rpki": column((one.rpki for one in rows), text),
            "irr": column((one.irr for one in rows), pyarrow.bool_()),
            "country": column((country(one.culprit) for one in rows), text),
            "weight": column((one.weight for one in rows), pyarrow.float64()),
        }
    )
    return table
