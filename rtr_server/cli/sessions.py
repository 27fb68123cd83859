"""``rtr-server sessions``, ``kick`` and ``status``: what a running daemon says of itself and its routers."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rtr_server.cli.control import FAILURES, socket_options, socket_path
from rtr_server.cli.shared import INTERRUPTED, fail
from rtr_server.control.client import ControlClient
from rtr_server.sessions import EndedRow, ErrorRow, Listing, SessionRow
from rtr_server.transport.record import ASKED, FIRST

WATCH_INTERVAL = 1.0
"""Seconds between two looks with ``--watch``."""

WIDE = 100
"""Columns from which the table has room for more of them."""

NARROWEST = 80
"""Columns of output that is no terminal."""

SHOWN_ENDED = 10
"""Ended sessions below the table; ``--json`` has all that the daemon remembers."""

MINUTE, HOUR, DAY = 60, 3_600, 86_400


@click.command()
@socket_options
@click.option("--json", "as_json", is_flag=True, help="The answer of the daemon, one line of JSON.")
@click.option("--watch", is_flag=True, help="Again each second, until Ctrl-C.")
def sessions(control: Path | None, config: Path | None, as_json: bool, watch: bool) -> None:
    """List the connected routers: version, serial, how far behind, last reset, errors."""
    console = Console() if sys.stdout.isatty() else Console(width=NARROWEST)
    try:
        with ControlClient(socket_path(control, config)) as client:
            if watch and not as_json and sys.stdout.isatty():
                _watch(client, console)
                return
            while True:
                answer = client.ask("sessions")
                if as_json:
                    click.echo(msgspec.json.encode(answer))
                else:
                    console.print(show(_listing(answer), console.width))
                if not watch:
                    return
                time.sleep(WATCH_INTERVAL)
    except FAILURES as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _watch(client: ControlClient, console: Console) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(show(_listing(client.ask("sessions")), console.width), refresh=True)
            time.sleep(WATCH_INTERVAL)


@click.command()
@click.argument("who", metavar="PEER|SESSION")
@socket_options
def kick(who: str, control: Path | None, config: Path | None) -> None:
    """End a session: by its number, by ADDRESS:PORT, or all of an ADDRESS.

    The router keeps its data and connects again.
    """
    try:
        with ControlClient(socket_path(control, config)) as client:
            ended = client.ask("kick", who=who)["ended"]
    except FAILURES as error:
        fail(error)
    click.echo(f"ended: {', '.join(f'#{number}' for number in ended)}")


@click.command()
@socket_options
@click.option("--json", "as_json", is_flag=True, help="The answer of the daemon, one line of JSON.")
def status(control: Path | None, config: Path | None, as_json: bool) -> None:
    """Say what is served, where, since when, to how many."""
    try:
        with ControlClient(socket_path(control, config)) as client:
            answer = client.ask("status")
    except FAILURES as error:
        fail(error)
    if as_json:
        click.echo(msgspec.json.encode(answer))
        return
    table = Table.grid(padding=(0, 2))
    for key, value in answer.items():
        table.add_row(Text(key.replace("_", " "), style="bold"), Text(_plain(key, value)))
    console = Console() if sys.stdout.isatty() else Console(width=NARROWEST)
    console.print(table)


def _plain(key: str, value: Any) -> str:
    """A value of the status as text."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(name, each)}" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(_plain(key, each) for each in value) or "-"
    if key.endswith(("age", "uptime")):
        return span(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key not in ("serial", "pid") and not key.isdecimal():
        return f"{value:,}"
    return str(value)


def _listing(answer: Any) -> Listing:
    return msgspec.convert(answer, Listing)


def show(listing: Listing, width: int) -> RenderableType:
    """The sessions as a table that fits into ``width`` columns."""
    count = len(listing.sessions)
    serial = "no data yet" if listing.serial is None else f"serial {listing.serial}"
    title = f"{count} session{'' if count == 1 else 's'}, {serial}, {listing.ended_count:,} ended before"
    parts: list[RenderableType] = [Text(title, style="bold")]
    if listing.sessions:
        parts.append(_table(listing.sessions, width))
    parts += [_error_line(row.number, row.peer, row.error_sent, "to") for row in listing.sessions]
    if listing.ended:
        parts += [Text("ended lately", style="bold"), *map(_ended_line, listing.ended[:SHOWN_ENDED])]
    return Group(*(part for part in parts if part != Text()))


def _table(rows: list[SessionRow], width: int) -> Table:
    wide = width >= WIDE
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("#", justify="right")
    table.add_column("peer", overflow="fold")
    table.add_column("over")
    table.add_column("v", justify="right")
    table.add_column("serial", justify="right")
    table.add_column("lag", justify="right")
    table.add_column("last reset", overflow="fold")
    if wide:
        table.add_column("in", justify="right")
    table.add_column("out", justify="right")
    table.add_column("age", justify="right")
    for row in rows:
        table.add_row(*_cells(row, wide=wide))
    return table


def _cells(row: SessionRow, *, wide: bool) -> list[Text]:
    version = "-" if row.version is None else str(row.version)
    serial = "-" if row.serial is None else str(row.serial)
    why = row.reset_why or ""
    reset = "none" if row.reset_age is None else f"{span(row.reset_age)} {why if wide else _short(why)}"
    sizes = [size(row.octets_in)] if wide else []
    texts = [str(row.number), row.peer, row.transport, version, serial]
    return [
        *map(Text, texts),
        Text(_lag(row), style="" if row.behind == 0 else "yellow"),
        *map(Text, [reset, *sizes, size(row.octets_out), span(row.age)]),
    ]


def _lag(row: SessionRow) -> str:
    """Serials behind, and for how long."""
    if row.behind is None:
        return row.state
    if row.behind == 0:
        return "0"
    return f"{row.behind} {span(row.lag)}" if row.lag is not None else f"{row.behind} (lost)"


def _short(why: str) -> str:
    """A reason for a reset in one word, for narrow terminals."""
    return {FIRST: "first", ASKED: "asked"}.get(why, "old" if why.startswith("serial ") else why)


def _ended_line(row: EndedRow) -> Text:
    text = Text(f"  #{row.number} {row.peer} {span(row.ended)} ago after {span(row.lasted)}: {row.reason}")
    for error, way in ((row.error_received, "it sent"), (row.error_sent, "we sent")):
        if error is not None:
            text.append(f"; {way} error {error.code} ({error.meaning})", style="red")
            text.append(f": {error.text}" if error.text else "")
    return text


def _error_line(number: int, peer: str, error: ErrorRow | None, way: str) -> Text:
    if error is None:
        return Text()
    return Text(
        f"  error {error.code} ({error.meaning}) {way} #{number} {peer} {span(error.age)} ago: {error.text}",
        style="yellow",
    )


def span(seconds: float) -> str:
    """A time in its two largest units.

    >>> span(3), span(125), span(90_061)
    ('3s', '2m05s', '1d01h')
    """
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole}s"
    if whole < HOUR:
        return f"{whole // MINUTE}m{whole % MINUTE:02}s"
    if whole < DAY:
        return f"{whole // HOUR}h{whole % HOUR // MINUTE:02}m"
    return f"{whole // DAY}d{whole % DAY // HOUR:02}h"


def size(octets: int) -> str:
    """A size in three digits.

    >>> size(96), size(16_400_000)
    ('96 B', '16.4 MB')
    """
    if octets < 1_000:
        return f"{octets} B"
    number = float(octets)
    for unit in ("kB", "MB", "GB"):
        number /= 1_000
        if number < 999.5:
            return f"{number:.3g} {unit}"
    return f"{number / 1_000:.3g} TB"
