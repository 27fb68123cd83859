"""The section on the VRPs themselves: which protect less than they seem to, or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from rov.audit.hygiene import Fault, check_vrps
from rov.report.blocks import Answer, Bars, Block, Grid, Note, percent
from rov.report.subject import Subject

ROWS = 10
"""Of the table of ASes."""

_MEANING = {
    Fault.MINIMAL: "all that it allows is announced: as it should be (RFC 9319)",
    Fault.LOOSE: "allows prefixes that its AS does not announce: anybody can, with a forged origin",
    Fault.UNUSED: "makes no route of this table valid",
    Fault.DISALLOWING: "makes no route valid, and covers invalid ones",
    Fault.REDUNDANT: "another VRP of its AS covers it and allows as much",
    Fault.AS0: "says that the prefix must not be announced",
    Fault.AS0_ANNOUNCED: "says that the prefix must not be announced, but it is",
    Fault.TOO_SPECIFIC: "longer than /24 or /48: most networks do not take such routes",
    Fault.EXPIRES_SOON: "expires within a day",
    Fault.BOGON: "for a prefix or an AS that is reserved, or that IANA has not assigned",
}


def hygiene_answer(subject: Subject) -> Answer:
    """How many VRPs have which fault, and whose allow most that is not announced.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> hygiene_answer(Subject(judge(table, VrpIndex(Snapshot.empty())), (), "")).summary["vrps"]
    0
    """
    # of a family without routes nothing can be said
    parts = [
        part if len(judged) else part.taken(slice(0))
        for part, judged in zip(
            check_vrps(subject.verdicts, now=subject.at), subject.verdicts.families(), strict=True
        )
    ]
    total = sum(len(part.vrps) for part in parts)
    counts = {
        fault: [int((part.faults & np.uint16(fault) != 0).sum()) for part in parts]
        for fault in Fault
        if fault != Fault.EXPIRES_SOON or subject.at is not None
    }
    names = {fault: (fault.name or "").lower() for fault in counts}
    summary: dict[str, Any] = {
        "vrps": total,
        "faults": {
            names[fault]: dict(zip(("ipv4", "ipv6"), both, strict=True)) for fault, both in counts.items()
        },
    }
    loose, minimal = sum(counts[Fault.LOOSE]), sum(counts[Fault.MINIMAL])
    blocks: list[Block] = [
        Bars(
            "VRPs by what is said of them (a VRP may count several times)",
            [("of all VRPs", "plain")],
            [(names[fault], [sum(both)], "VRPs") for fault, both in counts.items()],
        ),
        Grid(
            "What the words mean",
            ["word", "IPv4", "IPv6", "share", "meaning"],
            [
                [names[fault], *(f"{n:,}" for n in both), percent(sum(both), total), _MEANING[fault]]
                for fault, both in counts.items()
            ],
        ),
        Grid("ASes with most loose VRPs", ["AS", "loose VRPs"], _loosest(parts)),
        Note(
            "Judged by the routes of this table: what peers do not carry here may be announced elsewhere. "
            "VRPs of a family that the table has no routes of are left out. "
            "rov lint lists the VRPs one by one, with an example of what each leaves open."
        ),
    ]
    lead = (
        f"{percent(minimal, total)} of {total:,} VRPs are minimal, {percent(loose, total)} loose, so that "
        "others can announce prefixes in their name."
    )
    return Answer("Hygiene of the VRPs", lead, summary, blocks)


def _loosest(parts: Any) -> list[list[str]]:
    asns = np.concatenate([part.vrps.asn[part.faults & np.uint16(Fault.LOOSE) != 0] for part in parts])
    found, counts = np.unique(asns, return_counts=True)
    order = np.lexsort((found, -counts))[:ROWS]
    return [
        [f"AS{asn}", f"{count:,}"]
        for asn, count in zip(found[order].tolist(), counts[order].tolist(), strict=True)
    ]
