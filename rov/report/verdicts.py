"""The section on the states of the routes, why the invalid ones are, and who sees them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rov.audit.coverage import space_of
from rov.audit.verdicts import REASON_WORDS, Judged
from rov.report.blocks import Answer, Bars, Block, Figures, Grid, Note, Tone, percent
from rov.report.subject import Subject
from rov.types import Reason, State

STATES = (State.VALID, State.INVALID, State.NOT_FOUND)
STATE_PARTS: list[tuple[str, Tone]] = [("valid", "good"), ("invalid", "bad"), ("not found", "open")]
INVALID_REASONS = (Reason.AS, Reason.LENGTH, Reason.AS0)

VISIBILITY = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Numbers of peers for which the table of visibility has a row, as far as there are such routes."""

SPACE_UNIT = {4: "/24", 6: "/48"}


def verdicts_answer(subject: Subject) -> Answer:
    """How many routes have which state, by family, reason and visibility.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> subject = Subject(judge(table, VrpIndex(Snapshot.empty())), (), "")
    >>> verdicts_answer(subject).summary["ipv4"]["not_found"]
    1
    """
    verdicts = subject.verdicts
    total, counts = len(verdicts), verdicts.counts()
    summary: dict[str, Any] = {f"ipv{part.family}": _family(part) for part in verdicts.families()}
    summary["visibility"] = _visibility(list(verdicts.families()))
    no_origin = sum(summary[name]["no_origin"] for name in ("ipv4", "ipv6"))
    figures = [("routes", f"{total:,}", f"{len(verdicts.ipv4):,} IPv4, {len(verdicts.ipv6):,} IPv6")]
    figures += [(name.replace("_", " "), f"{n:,}", percent(n, total)) for name, n in counts.items()]
    blocks: list[Block] = [
        Figures(figures),
        Bars("States of the routes", STATE_PARTS, _bars(summary)),
        Grid("Why routes are invalid", ["reason", "IPv4", "IPv6", "meaning"], _reasons(summary)),
        Grid(
            "The same by visibility: routes that at least so many peers carry",
            ["peers", "routes", "valid", "invalid", "not found", "invalid, share"],
            [
                [
                    *(f"{row[name]:,}" for name in ("peers", "routes", "valid", "invalid", "not_found")),
                    percent(row["invalid"], row["routes"]),
                ]
                for row in summary["visibility"]
            ],
        ),
        Note(
            f"All figures count distinct routes (prefix and origin) of {verdicts.min_peers} or more peers "
            f"(min_peers). {no_origin:,} of them have no origin (the path ends in an AS_SET or is empty): "
            "no VRP can make such a route valid."
        ),
    ]
    lead = (
        f"{percent(counts['valid'], total)} of the routes are valid, {percent(counts['invalid'], total)} "
        f"are invalid, {percent(counts['not_found'], total)} are not covered by any VRP."
    )
    return Answer("Origin validation", lead, summary, blocks)


def _family(part: Judged) -> dict[str, Any]:
    space = space_of(part)
    found: dict[str, Any] = {"routes": len(part)}
    found |= {state.label: int(part.having(state).sum()) for state in STATES}
    found["no_origin"] = int((part.routes.origins == 0).sum())
    found["reasons"] = {
        REASON_WORDS[reason]: int((part.reasons == reason).sum()) for reason in INVALID_REASONS
    }
    found["space"] = {state.label: float(space[part.having(state)].sum()) for state in STATES}
    return found


def _visibility(parts: list[Judged]) -> list[dict[str, int]]:
    """How the counts change as routes that few carry are left out."""
    peers = np.concatenate([part.routes.peers for part in parts])
    states = np.concatenate([part.states for part in parts])
    rows = []
    for least in VISIBILITY:
        seen = states[peers >= least]
        if len(seen):
            counts = {state.label: int((seen == state).sum()) for state in STATES}
            rows.append({"peers": least, "routes": len(seen), **counts})
    return rows


def _bars(summary: dict[str, Any]) -> list[tuple[str, list[float], str]]:
    rows: list[tuple[str, list[float], str]] = []
    for family in (4, 6):
        found = summary[f"ipv{family}"]
        if found["routes"]:
            unit = SPACE_UNIT[family]
            rows.append((f"IPv{family} routes", [found[state.label] for state in STATES], "routes"))
            rows.append((f"IPv{family} addresses", [found["space"][state.label] for state in STATES], unit))
    return rows


_MEANING = {
    Reason.AS: "VRPs cover the prefix, all are for other ASes",
    Reason.LENGTH: "a VRP has this origin, but the prefix is longer than it allows",
    Reason.AS0: "the prefix must not be announced (AS 0)",
}


def _reasons(summary: dict[str, Any]) -> list[list[str]]:
    return [
        [
            REASON_WORDS[reason],
            *(f"{summary[name]['reasons'][REASON_WORDS[reason]]:,}" for name in ("ipv4", "ipv6")),
            _MEANING[reason],
        ]
        for reason in INVALID_REASONS
    ]
