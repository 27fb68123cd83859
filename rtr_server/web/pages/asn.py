"""The page of an AS: what it may announce, what it does announce, and what is said of it."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import Any, NamedTuple

from rov import Aspa, ExtraError, Snapshot, Vrp
from rov.audit.manrs import Thresholds, manrs_table
from rov.audit.suggest import Suggested, krill_lines, suggest
from rov.audit.verdicts import REASON_WORDS
from rtr_server.threads import in_thread
from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.pages.verdict import rows_of
from rtr_server.web.table import Table

MAX_VRPS = 200
"""VRPs in the table; the largest AS has 14,620, and /csv?select-asn= has them all."""

MAX_ROUTES = 200
"""Routes in the table, those that are not valid first."""

LOOKED_AT = 20_000
"""Routes of an AS among which those are chosen: the largest AS announces 12,000."""

MAX_SUGGESTED = 100

MAX_KEPT = 64
"""Pages of which what the RIB says is kept: a hundred kB each."""

MAX_CUSTOMERS = 100
"""ASes that name this one as a provider."""

_ORDER = {"invalid": 0, "not_found": 1, "valid": 2}


class Suggestion(NamedTuple):
    """A ROA that would make routes of an AS valid. ``why``: the reason of the route that it is for."""

    vrp: Vrp
    why: str
    safe: bool
    makes_valid: int
    would_invalidate: int


class Asns:
    """What the pages of ASes show; what the RIB says is kept for as long as the same set judges it."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._kept: OrderedDict[tuple[int, int], dict[str, Any]] = OrderedDict()

    async def values(self, served: Served, asn: int) -> dict[str, Any]:
        """What the template shows."""
        found = await in_thread(lambda: _values(self._daemon, served, asn))
        table = self._daemon.rib.table
        return found if table is None or not asn else {**found, **await self._of_rib(table, asn)}

    async def _of_rib(self, table: Table, asn: int) -> dict[str, Any]:
        name = id(table), asn
        found = self._kept.get(name)
        if found is None:
            found = {**await in_thread(lambda: _announced(table, asn)), "table": table}
        self._kept[name] = found
        self._kept.move_to_end(name)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        for old in [old for old, each in self._kept.items() if each["table"] is not table]:
            del self._kept[old]
        return found


def _values(daemon: Daemon, served: Served, asn: int) -> dict[str, Any]:
    part = served.snapshot.by_asn(asn)
    customers = [aspa.customer for aspa in served.snapshot.aspas if asn in aspa.providers] if asn else []
    return {
        "asn": asn,
        "served": served,
        "now": int(daemon.clock()),
        "vrps": list(islice(rows_of(part), MAX_VRPS)),
        "vrp_count": len(part),
        "by_family": (len(part.ipv4), len(part.ipv6)),
        "aspa": aspa_of(part),
        "customers": customers[:MAX_CUSTOMERS],
        "customer_count": len(customers),
        "keys": [key.ski.hex().upper() for key in part.router_keys],
        "rib": daemon.rib.status() if daemon.rib.files else None,
        "announced": None,
    }


def _announced(table: Table, asn: int) -> dict[str, Any]:
    """What the RIB says."""
    routes = table.of(asn, LOOKED_AT)
    chosen = sorted(routes.routes, key=lambda route: _ORDER[route.state])
    parts = suggest(table.verdicts, asns=[asn]) if routes.total else ()
    suggestions = [each for part in parts for each in _suggestions(part)]
    return {
        "announced": chosen[:MAX_ROUTES],
        "announced_count": routes.total,
        "states": table.counts_of(asn),
        "manrs": manrs_of(table.verdicts, asn),
        "thresholds": Thresholds(),
        "suggestions": suggestions[:MAX_SUGGESTED],
        "suggestion_count": len(suggestions),
        "krill": krill_lines(parts) if len(parts) == 2 and 0 < len(suggestions) <= MAX_SUGGESTED else "",
    }


def aspa_of(part: Snapshot) -> Aspa | None:
    """The ASPA among what AS stands in, None if it has none.

    >>> aspa_of(Snapshot.empty()) is None
    True
    """
    return part.aspas[0] if part.aspas else None


def manrs_of(verdicts: Any, asn: int) -> dict[str, Any] | str:
    """The row of ``rov.audit.manrs`` of an AS, or why there is none."""
    try:
        (row,) = manrs_table(verdicts, [asn]).to_pylist()
    except ExtraError as error:
        return str(error)
    return dict(row)


def _suggestions(part: Suggested) -> list[Suggestion]:
    valid, invalid = (
        rows.offsets[1:] - rows.offsets[:-1] for rows in (part.makes_valid, part.would_invalidate)
    )
    told = zip(part.vrps.vrps(), part.why.tolist(), part.safe.tolist(), valid, invalid, strict=True)
    return [
        Suggestion(vrp, REASON_WORDS[why], safe, int(makes), int(harms))
        for vrp, why, safe, makes, harms in told
    ]
