"""The members of an exchange by what their sessions with its route server carry: a card and a letter each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rov._checks import as_kind, as_optional, as_rows
from rov.audit.entries import distinct
from rov.audit.ixp import Invalid, Pairs, Passed, invalid_routes
from rov.audit.manrs import Thresholds, scores
from rov.audit.schemas import Schema
from rov.audit.tables import arrow
from rov.audit.verdicts import REASON_WORDS
from rov.reference.ixf import Exchange
from rov.types import State, as_asn

if TYPE_CHECKING:
    import pyarrow as pa

MEMBERS = Schema("rov.ixp.members/1", "members_table")

ROW = 0xFFFFFFFF
"""The part of a carried pair that says which row of the Verdicts it is."""

LINES = 20
"""Routes that a letter names."""


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
    fixes = member_fixes(passed)
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
                "top_fix": top_fix(fixes.get(asn, ())),
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


def _by_asn(passed: Passed, of: Mapping[int, Pairs]) -> defaultdict[int, dict[int, Pairs]]:
    """The distinct rows of the Verdicts that the sessions of each AS have, by AS and family."""
    asns = np.array([session.asn for session in passed.sessions], np.int64)
    found: defaultdict[int, dict[int, Pairs]] = defaultdict(dict)
    for family, pairs in of.items():
        keys = distinct(asns[pairs >> 32] << 32 | (pairs & ROW))
        numbers, starts = np.unique(keys >> 32, return_index=True)
        parts = np.split(keys & ROW, starts[1:])
        for asn, part in zip(numbers.tolist(), parts[: len(numbers)], strict=True):
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


def top_fix(routes: Sequence[Invalid]) -> str | None:
    """The change that mends most of some invalid routes, as a sentence; None where there are none.

    >>> top_fix([Invalid("192.0.2.0/25", 64496, "length", "unreachable", ["192.0.2.0/24-24 AS64496"])])[:55]
    '1 route (192.0.2.0/25): longer than ROA 192.0.2.0/24-24'
    """
    if not routes:
        return None
    found = [(route.reason, _in_the_way(route)) for route in routes]
    (reason, vrp), count = Counter(found).most_common(1)[0]
    first = routes[found.index((reason, vrp))]
    number = f"{count:,} routes" if count > 1 else "1 route"
    return f"{number} ({first.prefix}{', ...' if count > 1 else ''}): {_WHY[reason].format(vrp=vrp)}"


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
