"""Who has invalid routes, whom to write to about them, and which change would mend each."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_rows, shown
from rov.audit.covering import covering
from rov.audit.nesting import distinct
from rov.audit.schemas import Schema
from rov.audit.suggest import Suggested, suggest
from rov.audit.tables import arrow, prefix_texts, taken
from rov.audit.verdicts import REASON_WORDS, Judged, Verdicts
from rov.errors import ArgumentError
from rov.reference.contacts import Contacts, Network
from rov.rib import RouteColumns
from rov.types import State, Vrp, as_asn

if TYPE_CHECKING:
    import pyarrow as pa

CONTACTS = Schema("rov.contacts/1", "contacts_table")


class Mend(NamedTuple):
    """A VRP that makes a route valid; ``safe``, and the routes of others that it alone would make invalid."""

    vrp: Vrp
    safe: bool
    would_invalidate: tuple[str, ...]


class InvalidRoute(NamedTuple):
    """An invalid route, the VRPs in its way (MAX_COVERING of ``rov.audit.covering`` at most, the shortest
    first), and what mends it; None: it should not be announced at all."""

    prefix: str
    reason: str
    peers: int
    vrps: tuple[Vrp, ...]
    mend: Mend | None


def invalid_by_origin(verdicts: Verdicts, asns: Collection[int] | None = None) -> dict[int, int]:
    """How many invalid routes each origin has, ascending by AS; asns: only these, with 0 where there is none.

    Routes without an origin (AS_SET) are nobody's.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> invalid_by_origin(judge(table, VrpIndex(Snapshot.empty())), [64496])
    {64496: 0}
    """
    as_kind(verdicts, Verdicts, "verdicts")
    columns = [judged.routes.origins[judged.having(State.INVALID)] for judged in verdicts.families()]
    origins, counts = np.unique(np.concatenate(columns), return_counts=True)
    found = dict(zip(origins.tolist(), counts.tolist(), strict=True))
    found.pop(0, None)
    if asns is None:
        return found
    return {asn: found.get(asn, 0) for asn in sorted({as_asn(asn) for asn in as_rows(asns, object, "ASNs")})}


def invalid_routes(verdicts: Verdicts, asns: Collection[int] | None = None) -> dict[int, list[InvalidRoute]]:
    """The invalid routes of origins, IPv4 first, each with the VRPs in its way and what mends it.

    The VRPs that mend are those of ``rov.audit.suggest``: exact, unless all that a longer max length allows
    is announced (RFC 9319).

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> invalid_routes(judge(table, VrpIndex(Snapshot.empty())))
    {}
    """
    origins = [asn for asn, count in invalid_by_origin(verdicts, asns).items() if count]
    found: dict[int, list[InvalidRoute]] = {asn: [] for asn in origins}
    for part in suggest(verdicts, asns=origins):
        for origin, route in _of_family(verdicts, part, origins):
            found[origin].append(route)
    return found


def _of_family(verdicts: Verdicts, part: Suggested, origins: list[int]) -> Iterator[tuple[int, InvalidRoute]]:
    routes = part.judged.routes
    wanted = part.judged.having(State.INVALID) & np.isin(routes.origins, np.array(origins, np.uint32))
    rows = np.flatnonzero(wanted)
    covers = _covering(verdicts, part.judged, rows)
    mending = dict(zip(part.makes_valid.rows.tolist(), part.makes_valid.owner().tolist(), strict=True))
    vrps = list(part.vrps.vrps())
    harmed = part.would_invalidate
    ends, safe = harmed.offsets.tolist(), part.safe.tolist()
    reasons, peers, asns = (c[rows].tolist() for c in (part.judged.reasons, routes.peers, routes.origins))
    told = zip(rows.tolist(), asns, prefix_texts(routes.take(rows)), reasons, peers, covers, strict=True)
    for row, asn, text, reason, carried, over in told:
        at = mending.get(row)
        mend = None
        if at is not None:
            first, end = ends[at], ends[at + 1]
            mend = Mend(vrps[at], safe[at], _names(routes, harmed.rows[first:end]) if first < end else ())
        yield asn, InvalidRoute(text, REASON_WORDS[reason], carried, over, mend)


def _names(routes: RouteColumns, rows: npt.NDArray[np.int64]) -> tuple[str, ...]:
    found = routes.take(rows)
    pairs = zip(prefix_texts(found), found.origins.tolist(), strict=True)
    return tuple(f"{prefix} AS{asn}" for prefix, asn in pairs)


def _covering(verdicts: Verdicts, judged: Judged, rows: npt.NDArray[np.int64]) -> Iterator[tuple[Vrp, ...]]:
    """The VRPs that cover each of some routes, the shortest first; each is made once."""
    snapshot = verdicts.index.snapshot
    vrps = snapshot.ipv4 if judged.family == 4 else snapshot.ipv6
    for offsets, found in covering(taken(judged, rows), vrps):
        used = distinct(found)
        made = dict(zip(used.tolist(), vrps.take(used).vrps(), strict=True))
        over = [*map(made.__getitem__, found.tolist())]
        for first, end in pairwise(offsets.tolist()):
            yield tuple(over[first:end])


def contacts_table(
    verdicts: Verdicts,
    contacts: Contacts,
    today: datetime.date,
    asns: Collection[int] | None = None,
) -> pa.Table:
    """One row an AS that has invalid routes, most first; of ``asns``, all of them: asn, name, invalid
    (routes), contacts (addresses, the best first), roles and sources of each, last_changed (the latest day
    that one of them was), age_days (until ``today``), m6 (null: there is no aut-num), m8.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> verdicts = judge(table, VrpIndex(Snapshot.empty()))
    >>> contacts_table(verdicts, Contacts(), datetime.date(2026, 1, 1)).num_rows
    0
    """
    as_kind(contacts, Contacts, "contacts")
    if isinstance(as_kind(today, datetime.date, "today"), datetime.datetime):
        raise ArgumentError(f"today {shown(today)}: expected a date without a time")
    counts = invalid_by_origin(verdicts, asns)
    ranked = sorted(counts, key=lambda asn: (-counts[asn], asn))
    networks = [contacts.of(asn) for asn in ranked]
    changed = [_changed(network) for network in networks]
    pyarrow = arrow()
    texts = pyarrow.list_(pyarrow.string())
    table: pa.Table = pyarrow.table(
        {
            "asn": pyarrow.array(ranked, pyarrow.uint32()),
            "name": pyarrow.array([network.name or None for network in networks], pyarrow.string()),
            "invalid": pyarrow.array([counts[asn] for asn in ranked], pyarrow.uint32()),
            "contacts": pyarrow.array([[c.email for c in network.contacts] for network in networks], texts),
            "roles": pyarrow.array([[c.role for c in network.contacts] for network in networks], texts),
            "sources": pyarrow.array([[c.source for c in network.contacts] for network in networks], texts),
            "last_changed": pyarrow.array(
                [None if day is None else day.isoformat() for day in changed], pyarrow.string()
            ),
            "age_days": pyarrow.array(
                [None if day is None else (today - day).days for day in changed], pyarrow.int32()
            ),
            "m6": pyarrow.array([network.states_policy for network in networks], pyarrow.bool_()),
            "m8": pyarrow.array([network.named for network in networks], pyarrow.bool_()),
        }
    )
    return table


def _changed(network: Network) -> datetime.date | None:
    days = [contact.changed for contact in network.contacts if contact.changed is not None]
    return max(days, default=None)
