"""The members of an exchange by what their sessions with its route server carry: a card and a letter each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rov._checks import as_kind, as_optional, as_rows
from rov.audit.covering import covering, covering_column
from rov.audit.impact import IMPACT_WORDS, impact
from rov.audit.ixp import Pairs, Passed
from rov.audit.manrs import Thresholds, scores
from rov.audit.nesting import distinct
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, prefix_texts, taken
from rov.audit.verdicts import REASON_WORDS, Verdicts
from rov.reference.ixf import Exchange
from rov.types import Reason, State, as_asn

if TYPE_CHECKING:
    import pyarrow as pa

MEMBERS = Schema("rov.ixp.members/1", "members_table")

ROW = 0xFFFFFFFF
"""The part of a carried pair that says which row of the Verdicts it is."""

LINES = 20
"""Routes that a letter names."""


class Invalid(NamedTuple):
    """An invalid route in words: prefix, origin (0: none), why, its Impact, the VRPs over it."""

    prefix: str
    origin: int
    reason: str
    impact: str
    vrps: list[str]


def invalid_routes(verdicts: Verdicts) -> dict[tuple[int, int], Invalid]:
    """The invalid routes by (family, row of the Verdicts).

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> invalid_routes(judge(table, VrpIndex(Snapshot.empty())))
    {}
    """
    found: dict[tuple[int, int], Invalid] = {}
    for part in impact(verdicts):
        invalid = taken(part.judged, part.rows)
        columns: Any = (
            part.rows.tolist(),
            prefix_texts(invalid.routes),
            invalid.routes.origins.tolist(),
            invalid.reasons.tolist(),
            part.classes.tolist(),
            covering_column((invalid,), verdicts.index.snapshot).to_pylist(),
        )
        for row, prefix, origin, reason, kind, vrps in zip(*columns, strict=True):
            found[part.judged.family, row] = Invalid(
                prefix, origin, REASON_WORDS[reason], IMPACT_WORDS[kind], vrps
            )
    return found


def members_table(
    passed: Passed,
    exchange: Exchange | None = None,
    *,
    manrs: Collection[int] | None = None,
    thresholds: Thresholds | None = None,
) -> pa.Table:
    """One row a member, most unmarked invalid routes first: asn, name, sessions, routes (distinct ones that
    its sessions carry), valid, invalid (unmarked), invalid_expected, not_found, m7rpki (over these routes),
    severity, listed (in the export), manrs_member, top_fix (what mends most), contacts (list).

    Members of the export that have no session have 0 routes. null: not known, as listed without an export,
    manrs_member without the AS numbers of MANRS.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.audit.ixp import passed_on
    >>> from rov.reference.ixf import Member
    >>> from rov.rib import RouteColumns, RouteTable
    >>> verdicts = judge(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)), VrpIndex(Snapshot.empty()))
    >>> exchange = Exchange((Member(64496, "Example"),), ())
    >>> members_table(passed_on(verdicts, []), exchange).to_pylist()[0]["severity"]
    'no_data_available'
    """
    as_kind(passed, Passed, "passed")
    limits = as_optional(thresholds, Thresholds, "thresholds") or Thresholds()
    export = as_optional(exchange, Exchange, "exchange")
    of_manrs = None if manrs is None else {as_asn(asn) for asn in as_rows(manrs, object, "manrs")}
    members = {member.asn: member for member in (export.members if export else ())}
    rows = []
    carried, unmarked = (_by_asn(passed, pairs) for pairs in (passed.carried, passed.unmarked))
    fixes = _top_fixes(passed)
    sessions = Counter(session.asn for session in passed.sessions if session.address)
    for asn in sorted({*members, *carried}):
        member = members.get(asn)
        counts = _reasons(passed, carried[asn])
        found = scores(counts, None, limits)
        invalid = sum(len(pairs) for pairs in unmarked[asn].values())
        rows.append(
            {
                "asn": asn,
                "name": member.name if member else None,
                "sessions": sessions[asn],
                "routes": found["announced"],
                "valid": found["valid"],
                "invalid": invalid,
                "invalid_expected": found["invalid_asn"] + found["invalid_len"] - invalid,
                "not_found": found["notfound"],
                "m7rpki": found["m7rpki"],
                "severity": found["severity"],
                "listed": None if export is None else member is not None,
                "manrs_member": None if of_manrs is None else asn in of_manrs,
                "top_fix": fixes.get(asn),
                "contacts": list(member.contacts) if member else [],
            }
        )
    rows.sort(key=lambda row: (-row["invalid"], -row["invalid_expected"], row["asn"]))
    pyarrow = arrow()
    number, text = pyarrow.int64(), pyarrow.string()
    types: dict[str, Any] = {"asn": pyarrow.uint32(), "name": text}
    types |= dict.fromkeys(
        ("sessions", "routes", "valid", "invalid", "invalid_expected", "not_found"), number
    )
    types |= {"m7rpki": pyarrow.float64(), "severity": text}
    types |= dict.fromkeys(("listed", "manrs_member"), pyarrow.bool_())
    types |= {"top_fix": text, "contacts": pyarrow.list_(text)}
    table: pa.Table = pyarrow.Table.from_pylist(rows, pyarrow.schema(types))
    return table


def _asn_rows(passed: Passed, of: Mapping[int, Pairs]) -> dict[int, Pairs]:
    """The distinct AS << 32 | row of the Verdicts of pairs with sessions, by family."""
    asns = np.array([session.asn for session in passed.sessions], np.int64)
    return {family: distinct(asns[pairs >> 32] << 32 | (pairs & ROW)) for family, pairs in of.items()}


def _by_asn(passed: Passed, of: Mapping[int, Pairs]) -> defaultdict[int, dict[int, Pairs]]:
    """The distinct rows of the Verdicts that the sessions of each AS have, by AS and family."""
    found: defaultdict[int, dict[int, Pairs]] = defaultdict(dict)
    for family, keys in _asn_rows(passed, of).items():
        starts = np.flatnonzero(np.diff(keys >> 32, prepend=-1))
        parts = np.split(keys & ROW, starts[1:])
        for asn, part in zip((keys[starts] >> 32).tolist(), parts[: len(starts)], strict=True):
            found[asn][family] = part
    return found


def _reasons(passed: Passed, rows: Mapping[int, Pairs]) -> list[int]:
    """How many of some rows have each Reason."""
    counts = np.zeros(len(REASON_WORDS), np.int64)
    for judged in passed.verdicts.families():
        if judged.family in rows:
            counts += np.bincount(judged.reasons[rows[judged.family]], minlength=len(REASON_WORDS))
    found: list[int] = counts.tolist()
    return found


def member_fixes(passed: Passed) -> dict[int, list[Invalid]]:
    """The invalid routes that the sessions of each AS carry, marked or not, by AS number.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.audit.ixp import passed_on
    >>> from rov.rib import RouteColumns, RouteTable
    >>> verdicts = judge(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)), VrpIndex(Snapshot.empty()))
    >>> member_fixes(passed_on(verdicts, []))
    {}
    """
    verdicts = as_kind(passed, Passed, "passed").verdicts
    known = invalid_routes(verdicts)
    invalid: dict[int, Any] = {judged.family: judged.having(State.INVALID) for judged in verdicts.families()}
    carried = {family: pairs[invalid[family][pairs & ROW]] for family, pairs in passed.carried.items()}
    found: dict[int, list[Invalid]] = {}
    for asn, by_family in _by_asn(passed, carried).items():
        for family, rows in by_family.items():
            found.setdefault(asn, []).extend(known[family, row] for row in rows.tolist())
    return found


def _in_the_way(route: Invalid) -> str:
    """The VRP that most concerns a route: of its own origin where only the length fails, else the nearest."""
    own = [vrp for vrp in route.vrps if vrp.endswith(f" AS{route.origin}")]
    return (own if route.reason == "length" and own else route.vrps)[-1]


_WHY = {
    "length": "longer than ROA {vrp} allows: a ROA for each of these prefixes, or no such routes",
    "asn": "ROA {vrp} is for another AS: a ROA for each origin, made by the holder, or no such routes",
    "as0": "ROA {vrp} lets nobody announce them: another ROA, made by the holder, or no such routes",
}


def _top_fixes(passed: Passed) -> dict[int, str]:
    """For each AS with invalid routes, marked or not, the change that mends most of them, as a sentence."""
    blocking = _blocking(passed.verdicts)
    first_ipv6 = len(passed.verdicts.ipv4)
    own = _asn_rows(passed, passed.carried)
    carried = [own[family] for family in (4, 6)]
    asns = np.concatenate([keys >> 32 for keys in carried])
    rows = np.concatenate([keys & ROW for keys in carried])
    rows[len(carried[0]) :] += first_ipv6
    bad = blocking[rows] >= 0
    asns, rows = asns[bad], rows[bad]
    fixes = blocking[rows]
    order = np.lexsort((rows, fixes, asns))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(asns[order]) != 0) | (np.diff(fixes[order]) != 0)
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(order)))
    firsts = order[starts]
    # of equal ones that which comes first in the table
    best = np.lexsort((rows[firsts], -counts, asns[firsts]))
    best = best[np.append(True, np.diff(asns[firsts[best]]) != 0)] if len(best) else best
    firsts, counts = firsts[best], counts[best]
    told = zip(*(c.tolist() for c in (asns[firsts], rows[firsts], fixes[firsts], counts)), strict=True)
    return {asn: _sentence(passed.verdicts, row, fix, count) for asn, row, fix, count in told}


REASONS = len(REASON_WORDS)


def _blocking(verdicts: Verdicts) -> Pairs:
    """For each route, counted through both families, the VRP in its way, counted likewise, and its Reason in
    one number; -1: it is not invalid."""
    found = np.full(len(verdicts), -1, np.int64)
    before = vrps_before = 0
    for judged in verdicts.families():
        vrps = verdicts.index.snapshot.ipv4 if judged.family == 4 else verdicts.index.snapshot.ipv6
        places = np.flatnonzero(judged.having(State.INVALID))
        invalid = taken(judged, places)
        done = 0
        for offsets, rows in covering(invalid, vrps):
            part = slice(done, done + len(offsets) - 1)
            own = vrps.asn[rows] == np.repeat(invalid.routes.origins[part], np.diff(offsets))
            nearest = np.maximum.reduceat(np.where(own, np.arange(len(rows)), -1), offsets[:-1])
            by_length = (invalid.reasons[part] == Reason.LENGTH) & (nearest >= 0)
            chosen = rows[np.where(by_length, nearest, offsets[1:] - 1)]
            found[before + places[part]] = (vrps_before + chosen) * REASONS + invalid.reasons[part]
            done = part.stop
        before += len(judged)
        vrps_before += len(vrps)
    return found


def _sentence(verdicts: Verdicts, row: int, fix: int, count: int) -> str:
    """What mends so many routes, of which this is the first."""
    snapshot, (number, reason) = verdicts.index.snapshot, divmod(fix, REASONS)
    columns = verdicts.ipv4
    if row >= len(columns):
        row, columns = row - len(columns), verdicts.ipv6
    (first,) = prefix_texts(columns.routes.take(np.array([row])))
    vrps = snapshot.ipv4
    if number >= len(vrps):
        number, vrps = number - len(vrps), snapshot.ipv6
    (vrp,) = vrps.take(np.array([number])).vrps()
    routes = f"{count:,} routes ({first}, ...)" if count > 1 else f"1 route ({first})"
    return f"{routes}: {_WHY[REASON_WORDS[reason]].format(vrp=vrp)}"


def letter(asn: int, name: str, routes: Sequence[Invalid], exchange: str) -> str:
    """A text that can be sent to a member: its invalid routes, the ROA in the way of each, what mends it.

    >>> route = Invalid("192.0.2.0/25", 64496, "length", "unreachable", ["192.0.2.0/24-24 AS64496"])
    >>> print(letter(64496, "Example", [route], "the route servers").splitlines()[0])
    Subject: AS64496: 1 route that RPKI origin validation finds invalid
    """
    count = f"{len(routes):,} routes" if len(routes) > 1 else "1 route"
    lines = [
        f"Subject: AS{asn}: {count} that RPKI origin validation finds invalid",
        "",
        f"Dear colleagues of {' '.join(name.split()) or f'AS{asn}'},",
        "",
        f"AS{asn} announces {count} to {exchange} that the published ROAs forbid. Networks that",
        "validate route origins (RFC 6811) drop them. Please have them mended:",
        "",
    ]
    for route in routes[:LINES]:
        origin = f"AS{route.origin}" if route.origin else "an AS_SET"
        lines += [f"  {route.prefix} from {origin}", f"    {_advice(route)}"]
    if len(routes) > LINES:
        lines.append(f"  ... and {len(routes) - LINES:,} more")
    return "\n".join([*lines, ""])


def _advice(route: Invalid) -> str:
    vrp = _in_the_way(route)
    if not route.origin:
        return f"ROA {vrp}; no ROA can make a route valid that ends in an AS_SET: announce it without"
    own = f"ROA {route.prefix} AS{route.origin}"
    if route.reason == "length":
        return f"ROA {vrp} allows no longer prefix. Make the {own}, or withdraw the route."
    if route.reason == "as0":
        return f"ROA {vrp}: the holder lets nobody announce it. Withdraw the route, or have the {own} made."
    return f"ROA {vrp} is for another AS. Have the {own} made by the holder, or withdraw the route."
