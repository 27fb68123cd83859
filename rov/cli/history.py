"""``rov history``: what an archive of updates says of a prefix or a route."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table
from rich.text import Text

from rov._render import iso, printed
from rov.archive import Change, History, Update
from rov.cli.shared import AsnType, InstantType, busy, json_option, json_text, plain
from rov.errors import ArchiveError
from rov.types import Prefix, Vrp


@click.command()
@click.argument("prefix")
@click.argument("asn", type=AsnType(), required=False)
@click.option("--archive", "folder", required=True, metavar="DIR", help="The archive of the daemon.")
@click.option("--at", type=InstantType(), metavar="TIME", help="Tell what held then, not what changed.")
@json_option
def history(prefix: str, asn: int | None, folder: str, at: int | None, as_json: bool) -> None:
    """Tell when the VRPs over PREFIX changed, or, with ASN, the state of that route, and by which VRP.

    TIME is unix seconds or ISO 8601.
    """
    wanted, known = Prefix.parse(prefix), History(folder)
    with busy(f"reading {folder}"):
        if at is not None:
            answer = _moment(known, wanted, asn, at)
            click.echo(json_text(answer) if as_json else _moment_text(answer), nl=False)
            return
        updates = list(known.updates())
        if not updates:
            raise ArchiveError(f"{folder}: the archive is empty")
        changes = list(known.changes(wanted, asn))
        first = _moment(known, wanted, asn, updates[0].time)
    last = updates[-1]
    if as_json:
        answer = {**first, "until": last.time, "changes": [_change(change) for change in changes]}
        click.echo(json_text(answer), nl=False)
    else:
        click.echo(_story(first, changes, asn, updates[0], last), nl=False)


def _moment(known: History, prefix: Prefix, asn: int | None, at: int) -> dict[str, Any]:
    covering = known.covering(prefix, at=at)
    answer: dict[str, Any] = {"prefix": str(prefix), "at": at, "covering": [plain(vrp) for vrp in covering]}
    if asn is not None:
        answer |= {"asn": asn, "state": known.state(prefix, asn, at=at).label}
    return answer


def _subject(moment: dict[str, Any]) -> str:
    route = f"{moment['prefix']} AS{moment['asn']}" if "asn" in moment else str(moment["prefix"])
    state = f": {moment['state']}" if "state" in moment else ""
    return f"{route} at {iso(moment['at'])}{state}"


def _covering_table(covering: list[dict[str, Any]]) -> list[Any]:
    if not covering:
        return [Text("no VRP covers it")]
    table = Table("covering VRP", "max", "origin", box=None, pad_edge=False)
    for vrp in covering:
        table.add_row(vrp["prefix"], str(vrp["max_length"]), f"AS{vrp['asn']}")
    return [table]


def _moment_text(moment: dict[str, Any]) -> str:
    return printed(Text(_subject(moment)), *_covering_table(moment["covering"]))


def _change(change: Change) -> dict[str, Any]:
    update = change.update
    answer: dict[str, Any] = {
        "time": update.time,
        "serial": update.serial,
        "source": update.source,
        "why": update.why,
        "withdrawn": [plain(vrp) for vrp in change.withdrawn],
        "announced": [plain(vrp) for vrp in change.announced],
    }
    if change.before is not None and change.after is not None:
        answer |= {"before": change.before.label, "after": change.after.label}
        answer["causes"] = [plain(vrp) for vrp in change.causes]
    return answer


def _signed(change: Change, only: tuple[Vrp, ...] | None) -> str:
    """The VRPs that went and came, of those that count."""
    signs = [("-", change.withdrawn), ("+", change.announced)]
    return "  ".join(f"{sign}{vrp}" for sign, vrps in signs for vrp in vrps if only is None or vrp in only)


def _story(first: dict[str, Any], changes: list[Change], asn: int | None, begin: Update, last: Update) -> str:
    items: list[Any] = [Text(_subject(first)), *_covering_table(first["covering"]), Text("")]
    span = f"from {iso(begin.time)} to {iso(last.time)}"
    if not changes:
        return printed(*items, Text(f"no change {span}"))
    columns = ("VRPs",) if asn is None else ("state", "by")
    table = Table("time", "serial", *columns, "source, why", box=None, pad_edge=False)
    for change in changes:
        update = change.update
        cells = [iso(update.time) or "", str(update.serial)]
        if change.before is not None and change.after is not None:
            cells += [f"{change.before.label} -> {change.after.label}", _signed(change, change.causes)]
        else:
            cells.append(_signed(change, None))
        table.add_row(*(Text(cell) for cell in (*cells, f"{update.source} {update.why}".strip())))
    return printed(*items, table, Text(f"changes: {len(changes)}, {span}"))
