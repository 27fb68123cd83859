"""The section on one neighbour: what it should have filtered, and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from rov.audit.neighbor import LONGEST_PATH, Flags, Reasons, Unfiltered, unfiltered_table
from rov.errors import ArgumentError
from rov.report.blocks import Answer, Block, Grid, Note, several
from rov.report.subject import Subject

LISTED = 50
"""Routes on the page; JSON has all."""

MEANING = {
    Unfiltered.RPKI_INVALID_ASN: "VRPs cover the prefix, none is for this origin",
    Unfiltered.RPKI_INVALID_LEN: "a VRP has this origin, but the prefix is longer than it allows",
    Unfiltered.RPKI_INVALID_AS0: "the prefix must not be announced: all VRPs that cover it are for AS 0",
    Unfiltered.BOGON_PREFIX: "the IANA registries reserve the prefix, or have not assigned it",
    Unfiltered.BOGON_ASN: "they reserve an AS of the path, the neighbour's own left out",
    Unfiltered.TOO_SPECIFIC: "longer than /24, or /48 of IPv6",
    Unfiltered.PATH_TOO_LONG: f"the path has more than {LONGEST_PATH} ASes",
    Unfiltered.ASPA_INVALID: "the path cannot be free of route leaks (--aspa)",
    Unfiltered.NOT_IN_ALLOWLIST: "not in the list of what it may announce (--allowed)",
}


def neighbor_answer(subject: Subject) -> Answer:
    """How many routes the neighbour should have filtered for which reason, and which.

    ArgumentError: the subject is not about one neighbour.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.audit.neighbor import unfiltered
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [10 << 24], [8], [13335], [1]), RouteColumns.empty(6))
    >>> verdicts = judge(table, VrpIndex(Snapshot.empty()))
    >>> neighbor_answer(Subject(verdicts, (), "", 64496, unfiltered=unfiltered(verdicts))).lead
    'Of 1 route that AS64496 sent, 1 should have been filtered there.'
    """
    if subject.unfiltered is None or subject.neighbor is None:
        raise ArgumentError("section neighbor: expected the routes of one (rov.audit.neighbor.unfiltered)")
    counts = {
        why: [int((part & np.uint16(why) != 0).sum()) for part in subject.unfiltered] for why in Unfiltered
    }
    total, bad = len(subject.verdicts), sum(int(np.count_nonzero(part)) for part in subject.unfiltered)
    rows = unfiltered_table(subject.verdicts, _first(subject.unfiltered, LISTED)).to_pylist()
    summary: dict[str, Any] = {
        "routes": total,
        "unfiltered": bad,
        "reasons": {why.label: sum(found) for why, found in counts.items()},
    }
    listed = [[row["prefix"], _origin(row), ", ".join(row["why"]), ", ".join(row["vrps"])] for row in rows]
    blocks: list[Block] = [
        Grid(
            "Why",
            ["reason", "IPv4", "IPv6", "meaning"],
            [[why.label, *(f"{n:,}" for n in found), MEANING[why]] for why, found in counts.items()],
        ),
        Grid(f"Routes, the first {LISTED}", ["prefix", "origin", "why", "VRPs"], listed),
        Note(
            "A route may be counted for several reasons. --json has all routes, --output the reasons of "
            "each. rov filter build makes lists of what is allowed."
        ),
    ]
    sent = f"{several(total, 'route')} that AS{subject.neighbor} sent"
    lead = f"Of {sent}, {bad:,} should have been filtered there."
    return Answer("What the neighbour should have filtered", lead, summary, blocks)


def _first(reasons: Reasons, count: int) -> Reasons:
    """The reasons of the first routes that have any: what VRPs cover is looked up for these only."""
    kept: list[Flags] = []
    for flags in reasons:
        left = count - sum(int(np.count_nonzero(part)) for part in kept)
        kept.append(np.where(np.cumsum(flags != 0) <= left, flags, 0).astype(np.uint16))
    return Reasons(*kept)


def _origin(row: dict[str, Any]) -> str:
    return "-" if row["origin"] is None else f"AS{row['origin']}"
