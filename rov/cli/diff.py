"""``rov diff``: what changed between two VRP sets, and what that does to the routes of a RIB."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from rov._render import printed
from rov.cli.shared import (
    EXIT_FOUND,
    busy,
    json_option,
    json_text,
    plain,
    read_vrps,
    strict_option,
    warn_skipped,
)
from rov.delta import Delta
from rov.diff import STATES, RouteChange, RouteDiff, by_asn, by_trust_anchor
from rov.rib import read_table
from rov.slurm import shown
from rov.snapshot import Snapshot
from rov.types import Aspa, RouterKey, State, Vrp

FAIL_ON = ("changed", "withdrawn", "route", "to-invalid", "valid-to-invalid")
"""Any element; a VRP that went; a route that changes; one that becomes invalid; one that was valid before."""

SHOWN = 50
"""Rows of each list on a terminal; JSON has all."""


@click.command()
@click.argument("old")
@click.argument("new")
@click.option("--rib", "ribs", multiple=True, metavar="FILE", help="Routes that may change: any RIB dump.")
@click.option("--fail-on", multiple=True, type=click.Choice(FAIL_ON), help="Exit with 1 if there is such.")
@click.option("--limit", type=click.IntRange(0), default=SHOWN, show_default=True, help="Rows of each list.")
@json_option
@strict_option
def diff(
    old: str,
    new: str,
    ribs: tuple[str, ...],
    fail_on: tuple[str, ...],
    limit: int,
    as_json: bool,
    strict: bool,
) -> int:
    """Tell what VRPs, router keys and ASPAs NEW has that OLD has not, and the other way round.

    With --rib: how many routes have which state before and after, and which change, by which VRP.
    """
    if not ribs and {"route", "to-invalid", "valid-to-invalid"} & set(fail_on):
        raise click.UsageError("--fail-on route, to-invalid or valid-to-invalid: expected --rib FILE")
    before, after = _read(old, strict), _read(new, strict)
    delta = Delta.between(before, after)
    routes = _routes(before, after, ribs) if ribs else None
    if as_json:
        click.echo(_json(before, after, delta, routes), nl=False)
    else:
        click.echo(_text(before, after, delta, routes, limit), nl=False)
    return EXIT_FOUND if _found(delta, routes) & set(fail_on) else 0


def _read(path: str, strict: bool) -> Snapshot:
    report = read_vrps(path, strict)
    warn_skipped(path, report)
    return report.snapshot


def _routes(old: Snapshot, new: Snapshot, ribs: Sequence[str]) -> RouteDiff:
    with busy(f"reading {', '.join(ribs)}"):
        table = read_table(ribs)
    for warning in table.warnings:
        click.echo(f"rov: {warning}", err=True)
    with busy("validating"):
        return RouteDiff(old, new, (table.ipv4.routes, table.ipv6.routes))


def _found(delta: Delta | None, routes: RouteDiff | None) -> set[str]:
    """Which of FAIL_ON there are."""
    found = set()
    if delta is not None:
        found.add("changed")
        if len(delta.withdrawn):
            found.add("withdrawn")
    if routes is not None and len(routes):
        found.add("route")
        if routes.matrix[:, State.INVALID].sum() > routes.matrix[State.INVALID, State.INVALID]:
            found.add("to-invalid")
        if routes.matrix[State.VALID, State.INVALID]:
            found.add("valid-to-invalid")
    return found


def _part(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "vrps": [plain(vrp) for vrp in snapshot],
        "aspas": [plain(aspa) for aspa in snapshot.aspas],
        "router_keys": [plain(key) for key in snapshot.router_keys],
    }


def _route(change: RouteChange) -> dict[str, Any]:
    return {
        "prefix": str(change.prefix),
        "origin": change.origin,
        "before": change.before.label,
        "after": change.after.label,
        "causes": [plain(vrp) for vrp in change.causes],
    }


def _json(old: Snapshot, new: Snapshot, delta: Delta | None, routes: RouteDiff | None) -> str:
    withdrawn = Snapshot.empty() if delta is None else delta.withdrawn
    announced = Snapshot.empty() if delta is None else delta.announced
    answer: dict[str, Any] = {
        "old": {"vrps": len(old), "generated": old.generated},
        "new": {"vrps": len(new), "generated": new.generated},
        "withdrawn": _part(withdrawn),
        "announced": _part(announced),
        "by_trust_anchor": {} if delta is None else _named(by_trust_anchor(delta)),
        "by_asn": {} if delta is None else _named(by_asn(delta)),
    }
    if routes is not None:
        answer["matrix"] = routes.steps()
        answer["routes"] = [_route(change) for change in routes.changes()]
    return json_text(answer)


def _named(counts: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): found._asdict() for name, found in counts.items()}


def _text(old: Snapshot, new: Snapshot, delta: Delta | None, routes: RouteDiff | None, limit: int) -> str:
    items: list[Any] = [Text(f"{len(old):,} VRPs before, {len(new):,} after")]
    if delta is None:
        items.append(Text("no change: VRPs, router keys and ASPAs are the same"))
    else:
        items += [*_counts(delta, limit), *_elements(delta, limit)]
    if routes is not None:
        items += [Text(""), _matrix(routes), *_changes(routes, limit)]
    return printed(*items)


def _counts(delta: Delta, limit: int) -> list[Any]:
    """Tables of what went and came, by trust anchor and by ASN."""
    items: list[Any] = []
    anchors = {name or "(unnamed)": counts for name, counts in by_trust_anchor(delta).items()}
    asns = {f"AS{asn}": counts for asn, counts in by_asn(delta).items()}
    for title, rows in (("trust anchor", anchors), ("origin", asns)):
        table = Table(title, "withdrawn", "announced", box=None, pad_edge=False)
        for name, counts in islice(rows.items(), limit):
            table.add_row(Text(name), f"{counts.withdrawn:,}", f"{counts.announced:,}")
        items += [Text(""), table, *_more(len(rows), limit)] if rows else []
    return items


def _more(total: int, limit: int) -> list[Text]:
    return [Text(f"... and {total - limit:,} more (--limit, --json)")] if total > limit else []


def _elements(delta: Delta, limit: int) -> list[Any]:
    items: list[Any] = [Text("")]
    for sign, part, style in (("-", delta.withdrawn, "red"), ("+", delta.announced, "green")):
        elements: list[Vrp | RouterKey | Aspa] = [*islice(part, limit)]
        elements += [*part.router_keys[:limit], *part.aspas[:limit]]
        items += [Text(f"{sign} {shown(element)}", style=style) for element in elements]
        items += _more(max(len(part), len(part.router_keys), len(part.aspas)), limit)
    return items


def _matrix(routes: RouteDiff) -> Table:
    table = Table("before \\ after", *(state.label for state in STATES), box=None, pad_edge=False)
    for before in STATES:
        counts = [f"{int(routes.matrix[before, after]):,}" for after in STATES]
        table.add_row(before.label, *counts)
    return table


def _changes(routes: RouteDiff, limit: int) -> list[Any]:
    if not len(routes):
        return [Text("no route changes its state")]
    table = Table("route", "origin", "before", "after", "by", box=None, pad_edge=False)
    for change in islice(routes.changes(), limit):
        causes = "  ".join(map(str, change.causes))
        states = change.before.label, change.after.label
        table.add_row(str(change.prefix), f"AS{change.origin}", *states, causes)
    return [Text(""), table, *_more(len(routes), limit)]
