"""``rtr-server update`` and ``sources``: updates that the guard holds, and where the data come from."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Literal

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rov import slurm
from rtr_server.cli.control import FAILURES, socket_options, socket_path
from rtr_server.cli.sessions import NARROWEST, span
from rtr_server.cli.shared import INTERRUPTED, fail
from rtr_server.control.client import ControlClient

HELD = 1
"""Exit code of ``update show`` where an update is held."""


class AsnType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """An AS number, with or without AS before it."""

    name = "asn"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        digits = str(value).upper().removeprefix("AS")
        if not (digits.isascii() and digits.isdigit() and int(digits) < 1 << 32):
            self.fail(f"{value!r}: expected an AS number", param, ctx)
        return int(digits)


@click.group()
def update() -> None:
    """Show, accept or reject an update that the guard holds back."""


@update.command()
@socket_options
@click.option("--json", "as_json", is_flag=True, help="The answer of the daemon, one line of JSON.")
def show(control: Path | None, config: Path | None, as_json: bool) -> None:
    """Show what a held update would take away. Exit code 1 if there is one."""
    answer = _asked(control, config, "update show")
    held = answer["held"]
    if as_json:
        click.echo(msgspec.json.encode(answer))
    elif held is None:
        click.echo("no update is held")
    else:
        click.echo("\n".join(_lines(held)))
    sys.exit(0 if held is None else HELD)


def _lines(held: dict[str, Any]) -> list[str]:
    """A held update as a person reads it."""
    now = time.time()
    decided = "rejected: " if held["rejected"] else ""
    left = held["accepted_at"]
    later = "never" if left is None else f"in {span(max(0.0, left - now))}"
    return [
        f"{decided}held for {span(now - held['since'])}, accepted by itself: {later}",
        *(f"because {reason}" for reason in held["reasons"]),
        held["text"],
    ]


@update.command()
@socket_options
def accept(control: Path | None, config: Path | None) -> None:
    """Serve the update that is held."""
    click.echo(f"accepted, serial {_asked(control, config, 'update accept')['serial']}")


@update.command()
@socket_options
def reject(control: Path | None, config: Path | None) -> None:
    """Keep the last set until the sources give one that loses little, or the update is accepted."""
    click.echo(f"rejected, serial {_asked(control, config, 'update reject')['serial']} stays")


@click.command()
@socket_options
@click.option("--diff", is_flag=True, help="How they differ from each other, too.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0, 1_000), help="VRPs listed.")
@click.option("--json", "as_json", is_flag=True, help="The answer of the daemon, one line of JSON.")
@click.option("--vrp", metavar="PREFIX", help="Which of them have each VRP that covers a prefix.")
@click.argument("asn", required=False, type=AsnType())
def sources(
    control: Path | None,
    config: Path | None,
    diff: bool,
    limit: int,
    as_json: bool,
    vrp: str | None,
    asn: int | None,
) -> None:
    """List where the data come from: state, VRPs, age, errors.

    With --vrp PREFIX [ASN] in place of that: each VRP that covers the prefix (of that AS), the sources that
    have it, and whether it is served.
    """
    if vrp is not None:
        _print_origins(_asked(control, config, "sources of", prefix=vrp, asn=asn, limit=limit), as_json)
        return
    if asn is not None:
        raise click.UsageError("an ASN goes with --vrp PREFIX")
    answer = _asked(control, config, "sources", diff=diff, limit=limit)
    if as_json:
        click.echo(msgspec.json.encode(answer))
        return
    console = Console() if sys.stdout.isatty() else Console(width=NARROWEST)
    console.print(_table(answer["sources"]))
    for source in answer["sources"]:
        if source.get("error"):
            console.print(Text(f"{source['name']}: {source['error']}", style="red"))
    for difference in answer.get("differences", ()):
        _print_difference(console, difference)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in ("source", "state", "used", "VRPs", "ASPAs", "bad rows", "data age"):
        right = name in ("VRPs", "ASPAs", "bad rows", "data age")
        justify: Literal["right", "left"] = "right" if right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name != "source")
    now = time.time()
    for row in rows:
        age = row.get("as_of")
        table.add_row(
            row["name"],
            row["state"],
            "yes" if row.get("in_use") else "",
            f"{row.get('vrps', 0):,}",
            f"{row.get('aspas', 0):,}",
            f"{row.get('skipped', 0):,}",
            "-" if age is None else span(max(0.0, now - age)),
        )
    return table


def _print_origins(answer: dict[str, Any], as_json: bool) -> None:
    """A line for each VRP."""
    if as_json:
        click.echo(msgspec.json.encode(answer))
        return
    if not answer["vrps"]:
        click.echo(f"no source has a VRP that covers {answer['prefix']}")
    for row in answer["vrps"]:
        served = row["served"]
        state = "not served" if served is None else f"served, {served}" if served else "served"
        others = "local exceptions" if served == slurm.TRUST_ANCHOR else "none now"
        click.echo(f"{row['vrp']}  ({state})  from: {', '.join(row['sources']) or others}")
    if (more := answer["count"] - len(answer["vrps"])) > 0:
        click.echo(f"and {more:,} more (--limit)")


def _print_difference(console: Console, difference: dict[str, Any]) -> None:
    for side, words in (("only", "has alone"), ("lacks", "lacks, though all others have them")):
        found = difference[side]
        console.print(Text(f"{difference['name']} {words}: {found['count']:,} VRPs", style="bold"))
        for vrp in found["vrps"]:
            console.print(Text(f"  {vrp}"))


def _asked(control: Path | None, config: Path | None, command: str, **arguments: Any) -> Any:
    """The daemon's answer; ends with a line on standard error if there is none."""
    try:
        with ControlClient(socket_path(control, config)) as client:
            return client.ask(command, **arguments)
    except FAILURES as error:
        return fail(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
