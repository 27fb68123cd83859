"""The section on the AS paths: what the ASPAs say of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rov.aspa import AspaState
from rov.audit.paths import PathVerdicts
from rov.errors import ArgumentError
from rov.report.blocks import Answer, Bars, Block, Grid, Note, Tone, percent
from rov.report.subject import Subject
from rov.report.verdicts import STATES

ORDER = (AspaState.VALID, AspaState.INVALID, AspaState.UNKNOWN)
PARTS: list[tuple[str, Tone]] = [("valid", "good"), ("invalid", "bad"), ("unknown", "open")]


def paths_answer(subject: Subject) -> Answer:
    """How many entries came by a path of each state, and how the ROV states of their routes are.

    ArgumentError: the subject has no verdicts on paths.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.audit.paths import judge_paths
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> verdicts = judge(table, VrpIndex(Snapshot.empty()))
    >>> paths_answer(Subject(verdicts, (), "", paths=judge_paths(verdicts, []))).summary["direction"]
    'downstream'
    """
    if subject.paths is None:
        raise ArgumentError("section paths: expected verdicts on the paths (rov.audit.paths.judge_paths)")
    paths = subject.paths
    entries = {
        name: {state.label: int(counts[:, state].sum()) for state in AspaState}
        for name, counts in (("ipv4", paths.ipv4), ("ipv6", paths.ipv6))
    }
    by_state = _by_state(subject, paths)
    hit = sum(row["with_invalid_path"] for row in by_state.values())
    summary: dict[str, Any] = {
        "direction": paths.direction.label,
        "entries": entries,
        "routes": by_state,
        "routes_with_invalid_path": hit,
    }
    rows = [
        (f"IPv{name[3:]} entries", [float(found[state.label]) for state in ORDER], "entries")
        for name, found in entries.items()
        if sum(found.values())
    ]
    blocks: list[Block] = [
        Bars("Entries by the verdict on their path", PARTS, rows),
        Grid(
            "Routes by state, and those that a peer has by an invalid path",
            ["state of the route", "routes", "with an invalid path"],
            [
                [name.replace("_", " "), f"{row['routes']:,}", f"{row['with_invalid_path']:,}"]
                for name, row in by_state.items()
            ],
        ),
        Note(
            f"Paths are verified as from a {'provider' if paths.direction else 'customer or peer'} "
            f"({paths.direction.label}) by the ASPAs of {len(subject.verdicts.index.snapshot.aspas):,} "
            "customers. Unknown: too few on the path have an ASPA."
        ),
    ]
    total = sum(sum(found.values()) for found in entries.values())
    invalid = sum(found["invalid"] for found in entries.values())
    lead = (
        f"ASPAs make {percent(invalid, total)} of {total:,} entries invalid: their path cannot be free of "
        f"route leaks. {hit:,} routes came by such a path."
    )
    return Answer("AS paths", lead, summary, blocks)


def _by_state(subject: Subject, paths: PathVerdicts) -> dict[str, dict[str, int]]:
    states = np.concatenate([judged.states for judged in subject.verdicts.families()])
    invalid = np.concatenate([paths.ipv4, paths.ipv6])[:, AspaState.INVALID] > 0
    return {
        state.label: {
            "routes": int((states == state).sum()),
            "with_invalid_path": int((invalid & (states == state)).sum()),
        }
        for state in STATES
    }
