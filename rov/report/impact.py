"""The section on what dropping the invalid routes would break."""

from __future__ import annotations

from typing import Any

import numpy as np

from rov.audit.coverage import space_of
from rov.audit.impact import FamilyImpact, Impact, impact
from rov.audit.tables import taken
from rov.report.blocks import Answer, Bars, Block, Figures, Grid, Note, Tone, percent
from rov.report.subject import Subject
from rov.report.verdicts import SPACE_UNIT

ROWS = 10
"""Of the table of ASes."""

RESCUED = (Impact.RESCUED_SAME_ORIGIN_VALID, Impact.RESCUED_SAME_ORIGIN_NOTFOUND)
DIVERTED = (Impact.DIVERTED_OTHER_ORIGIN_VALID, Impact.DIVERTED_OTHER_ORIGIN_NOTFOUND)

_MEANING = {
    Impact.SAME_PREFIX_VALID_OTHER_ORIGIN: "another AS announces the same prefix validly: traffic goes on",
    Impact.RESCUED_SAME_ORIGIN_VALID: "a shorter valid prefix of the same AS takes the traffic",
    Impact.RESCUED_SAME_ORIGIN_NOTFOUND: "a shorter prefix of the same AS, without VRPs, takes the traffic",
    Impact.DIVERTED_OTHER_ORIGIN_VALID: "a shorter valid prefix of another AS takes the traffic",
    Impact.DIVERTED_OTHER_ORIGIN_NOTFOUND: "a shorter prefix of another AS, without VRPs, takes the traffic",
    Impact.UNREACHABLE: "nothing is left that leads there",
}


def impact_answer(subject: Subject) -> Answer:
    """What becomes of the packets to each invalid route, counted by class.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> impact_answer(Subject(judge(table, VrpIndex(Snapshot.empty())), (), "")).summary["ipv4"]["invalid"]
    0
    """
    parts = impact(subject.verdicts, default_routes=subject.default_routes)
    summary = {f"ipv{part.judged.family}": _family(part) for part in parts}
    total = sum(found["invalid"] for found in summary.values())
    rescued, diverted = _sum(summary, RESCUED), _sum(summary, DIVERTED)
    lost = _sum(summary, [Impact.UNREACHABLE])
    moved = _sum(summary, [Impact.SAME_PREFIX_VALID_OTHER_ORIGIN])
    figures = [
        ("invalid", f"{total:,}", "routes that would be dropped"),
        ("still served by the same AS", f"{rescued:,}", percent(rescued, total)),
        ("delivered to another AS", f"{moved + diverted:,}", percent(moved + diverted, total)),
        ("unreachable", f"{lost:,}", percent(lost, total)),
    ]
    parted: list[tuple[str, Tone]] = [
        ("same AS", "good"),
        ("valid announcement of the same prefix", "plain"),
        ("another AS", "warn"),
        ("unreachable", "bad"),
    ]
    blocks: list[Block] = [
        Figures(figures),
        Bars("Where the traffic to invalid routes would go", parted, _bars(summary)),
        Grid("Classes", ["class", "IPv4", "/24", "IPv6", "/48", "meaning"], _classes(summary)),
        Grid("ASes that lose most prefixes", ["AS", "unreachable"], _losers(parts)),
        Note(
            "Every invalid route is dropped, then its prefix is looked up by the longest match in what "
            "remains of these dumps: those of a route server or of customers lack the routes that others "
            "would take over with. "
            + (
                "Default routes count as a way to get there."
                if subject.default_routes
                else "Default routes do not count as a way to get there."
            )
        ),
    ]
    lead = (
        f"If invalid routes are dropped, {percent(lost, total)} of them become unreachable, "
        f"{percent(moved + diverted, total)} are delivered to another AS, and "
        f"{percent(rescued, total)} go on as before."
    )
    if not total:
        lead = "No route is invalid: nothing would be dropped."
    return Answer("Impact of dropping invalid routes", lead, summary, blocks)


def _family(part: FamilyImpact) -> dict[str, Any]:
    invalid = taken(part.judged, part.rows)
    classes: dict[str, int] = {}
    space: dict[str, float] = {}
    for kind in Impact:
        of_kind = part.classes == kind
        classes[kind.label] = int(of_kind.sum())
        space[kind.label] = float(space_of(taken(invalid, of_kind)).sum())
    partly = (part.classes == Impact.UNREACHABLE) & (part.inside > 0)
    return {
        "invalid": len(part.rows),
        "classes": classes,
        "space": space,
        "unreachable_partly_covered": int(partly.sum()),
    }


def _sum(summary: dict[str, Any], kinds: Any) -> int:
    return sum(found["classes"][kind.label] for found in summary.values() for kind in kinds)


def _bars(summary: dict[str, Any]) -> list[tuple[str, list[float], str]]:
    groups = (RESCUED, [Impact.SAME_PREFIX_VALID_OTHER_ORIGIN], DIVERTED, [Impact.UNREACHABLE])
    rows: list[tuple[str, list[float], str]] = []
    for family in (4, 6):
        found = summary[f"ipv{family}"]
        if found["invalid"]:
            for what, unit in (("classes", "routes"), ("space", SPACE_UNIT[family])):
                values = [sum(found[what][kind.label] for kind in group) for group in groups]
                rows.append((f"IPv{family} {'routes' if what == 'classes' else 'addresses'}", values, unit))
    return rows


def _classes(summary: dict[str, Any]) -> list[list[str]]:
    return [
        [
            kind.label,
            *(
                text
                for found in (summary["ipv4"], summary["ipv6"])
                for text in (f"{found['classes'][kind.label]:,}", f"{found['space'][kind.label]:,.0f}")
            ),
            _MEANING[kind],
        ]
        for kind in Impact
    ]


def _losers(parts: tuple[FamilyImpact, FamilyImpact]) -> list[list[str]]:
    origins = np.concatenate(
        [part.judged.routes.origins[part.rows[part.classes == Impact.UNREACHABLE]] for part in parts]
    )
    found, counts = np.unique(origins, return_counts=True)
    order = np.lexsort((found, -counts))[:ROWS]
    return [
        [f"AS{asn}" if asn else "no origin", f"{count:,}"]
        for asn, count in zip(found[order].tolist(), counts[order].tolist(), strict=True)
    ]
