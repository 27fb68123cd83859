"""What ``rov`` shows of verdicts and VRP files: tables for people, JSON for programs."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rov.columns import NO_EXPIRY
from rov.formats import ReadReport
from rov.snapshot import Snapshot
from rov.types import Prefix, Reason, State, Validity, Vrp

_COLOURS = {State.VALID: "green", State.INVALID: "red", State.NOT_FOUND: "yellow"}

_WIDE = 1000
"""Columns where nobody looks: lines for a program must not be broken."""

_BECAUSE = {
    Reason.MATCHED: "a VRP has this origin and allows this length",
    Reason.NOT_COVERED: "no VRP covers the prefix",
    Reason.AS: "VRPs cover the prefix, none has this origin",
    Reason.LENGTH: "VRPs of this origin cover the prefix, none allows its length",
    Reason.AS0: "the VRPs that cover the prefix are for AS 0: nobody may use it",
}


class ValidatedRoute(NamedTuple):
    """A route as it was asked for, and its verdict."""

    prefix: str
    asn: int
    validity: Validity


def _groups(validity: Validity) -> dict[str, tuple[Vrp, ...]]:
    return {
        "matched": validity.matched,
        "unmatched_as": validity.unmatched_as,
        "unmatched_length": validity.unmatched_length,
    }


def printed(*items: Any) -> str:
    """Texts and tables as text: coloured for a terminal, and not wrapped for anything else."""
    terminal = Console().is_terminal
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=terminal,
        width=Console().width if terminal else _WIDE,
        highlight=False,
    )
    for item in items:
        console.print(item)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def route_json(route: ValidatedRoute) -> str:
    """One line of JSON, with the names that Routinator's validity answer has.

    >>> validity = Validity(State.NOT_FOUND, Reason.NOT_COVERED)
    >>> route_json(ValidatedRoute("192.0.2.0/24", 64496, validity))[:63]
    '{"validated_route":{"route":{"origin_asn":"AS64496","prefix":"1'
    """
    validity = route.validity
    vrps = {
        name: [
            {"asn": f"AS{vrp.asn}", "prefix": str(vrp.prefix), "max_length": vrp.max_length} for vrp in group
        ]
        for name, group in _groups(validity).items()
    }
    answer = {
        "route": {"origin_asn": f"AS{route.asn}", "prefix": str(Prefix.parse(route.prefix))},
        "validity": {
            "state": validity.state.label,
            "reason": validity.reason.label,
            "description": _BECAUSE[validity.reason],
            "VRPs": vrps,
        },
    }
    return msgspec.json.encode({"validated_route": answer}).decode() + "\n"


def verdict_text(route: ValidatedRoute) -> str:
    """The verdict in a line, and the covering VRPs in a table if there are any.

    >>> print(verdict_text(ValidatedRoute("::/0", 1, Validity(State.NOT_FOUND, Reason.NOT_COVERED))))
    ::/0 AS1 not_found: no VRP covers the prefix
    <BLANKLINE>
    """
    validity = route.validity
    line = Text(f"{Prefix.parse(route.prefix)} AS{route.asn} ")
    line.append(validity.state.label, style=f"bold {_COLOURS[validity.state]}")
    line.append(f": {_BECAUSE[validity.reason]}")
    table = Table("covering VRP", "max", "origin", "", box=None, pad_edge=False)
    for name, group in _groups(validity).items():
        for vrp in sorted(group):
            table.add_row(str(vrp.prefix), str(vrp.max_length), f"AS{vrp.asn}", name)
    return printed(line, table) if validity.covering else printed(line)


def facts(report: ReadReport) -> dict[str, Any]:
    """What a file holds, as plain values.

    >>> facts(ReadReport(Snapshot.empty(), "JSON", 0, (), 0))["vrps"]
    {'total': 0, 'ipv4': 0, 'ipv6': 0, 'rows': 0, 'as0': 0}
    """
    snapshot = report.snapshot
    asns = np.concatenate((snapshot.ipv4.asn, snapshot.ipv6.asn))
    return {
        "format": report.format,
        "generated": iso(snapshot.generated),
        "vrps": {
            "total": len(snapshot),
            "ipv4": len(snapshot.ipv4),
            "ipv6": len(snapshot.ipv6),
            "rows": report.rows,
            "as0": int((asns == 0).sum()),
        },
        "asns": len(np.unique(asns[asns != 0])),
        "prefixes": _distinct_prefixes(snapshot),
        "trust_anchors": _by_trust_anchor(snapshot),
        "aspas": len(snapshot.aspas),
        "router_keys": len(snapshot.router_keys),
        "expires": _expiry(snapshot),
        "skipped": {"count": report.skipped_count, "first": [str(row) for row in report.skipped]},
    }


def iso(seconds: int | None) -> str | None:
    """Unix seconds as 2025-07-20T09:31:33Z; None for None."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"


def _distinct_prefixes(snapshot: Snapshot) -> int:
    """The rows are sorted by address and length first, so equal prefixes are neighbours."""
    total = 0
    for columns in (snapshot.ipv4, snapshot.ipv6):
        if len(columns):
            new = columns.length[1:] != columns.length[:-1]
            moved = columns.address[1:] != columns.address[:-1]
            total += 1 + int((new | (moved if moved.ndim == 1 else moved.any(axis=1))).sum())
    return total


def _by_trust_anchor(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    names = snapshot.trust_anchors
    four, six = (np.bincount(columns.ta, minlength=len(names)) for columns in (snapshot.ipv4, snapshot.ipv6))
    return {
        name: {"ipv4": int(four[index]), "ipv6": int(six[index])}
        for index, name in enumerate(names)
        if name or len(names) > 1
    }


def _expiry(snapshot: Snapshot) -> dict[str, Any]:
    """Earliest and latest of the stated times of VRPs, and how many VRPs state none."""
    times = np.concatenate((snapshot.ipv4.expires, snapshot.ipv6.expires))
    stated = times[times != NO_EXPIRY]
    first, last = (int(stated.min()), int(stated.max())) if len(stated) else (None, None)
    return {"first": iso(first), "last": iso(last), "not_stated": len(times) - len(stated)}


def facts_json(report: ReadReport) -> str:
    """The facts as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(facts(report)), indent=2).decode() + "\n"


def facts_text(name: str, report: ReadReport) -> str:
    """The facts for people."""
    known = facts(report)
    vrps, expires = known["vrps"], known["expires"]
    table = Table(show_header=False, box=None, pad_edge=False)
    rows: list[tuple[str, str]] = [
        ("format", known["format"]),
        ("generated", known["generated"] or "not stated"),
        ("VRPs", f"{vrps['total']:,} ({vrps['ipv4']:,} IPv4, {vrps['ipv6']:,} IPv6)"),
        ("rows", f"{vrps['rows']:,}"),
        ("of AS 0", f"{vrps['as0']:,}"),
        ("prefixes", f"{known['prefixes']:,}"),
        ("ASNs", f"{known['asns']:,}"),
    ]
    for anchor, count in known["trust_anchors"].items():
        rows.append((f"from {anchor or '(unnamed)'}", f"{count['ipv4']:,} IPv4, {count['ipv6']:,} IPv6"))
    rows += [("ASPAs", f"{known['aspas']:,}"), ("router keys", f"{known['router_keys']:,}")]
    if expires["first"] is None:
        rows.append(("expires", "not stated"))
    else:
        rows.append(("expires", f"{expires['first']} to {expires['last']}"))
    rows.append(("skipped", f"{report.skipped_count:,}"))
    rows += [("", str(row)) for row in report.skipped]
    for label, value in rows:
        table.add_row(label, Text(value))
    return printed(Text(name, style="bold"), table)
