"""What the subcommands that ask a RIB share: its options, reading it with a bar, the verdicts."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
from rich import progress as bars
from rich.console import Console

from rov import rib
from rov._render import printed
from rov.aspa import Direction
from rov.audit import Judged, Verdicts, judge
from rov.audit.output import format_of, write_table
from rov.audit.paths import PathVerdicts, judge_paths
from rov.audit.schemas import Schema
from rov.cli.shared import (
    QUIET_SECONDS,
    busy,
    json_text,
    one_on_stdout,
    read_index,
)
from rov.engines import spark, threads
from rov.errors import ArgumentError
from rov.index import VrpIndex
from rov.report import Grid, Subject, document, sections
from rov.report.terminal import grid, heading, shown
from rov.rib import RouteColumns, RouteTable, read_table
from rov.rib.read import expand
from rov.rib.settled import Settled
from rov.rib.stream import Progress
from rov.rib.table import PEERS_PER_WORD

if TYPE_CHECKING:
    import pyarrow as pa

C = TypeVar("C", bound=Callable[..., Any])


SHOWN = 50
"""Rows that a terminal gets unless told; --output has all."""


class OutputType(click.ParamType[str]):
    """The name of a file in a directory that is there; rows: its suffix has to say their format."""

    name = "file"

    def __init__(self, *, rows: bool = True) -> None:
        self._rows = rows

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name = str(value)
        try:
            if self._rows:
                format_of(name)
        except ArgumentError as error:
            self.fail(str(error))
        folder = os.path.dirname(name)
        if folder and not os.path.isdir(folder):
            self.fail(f"{name}: there is no directory {folder}")
        if os.path.isdir(name):
            self.fail(f"{name}: expected a file, found a directory")
        return name


ROWS_FILE = OutputType()


def output_option(what: str, kind: OutputType = ROWS_FILE) -> Callable[[C], C]:
    """--output FILE: the rows of an answer, or what else ``kind`` lets it be."""
    explained = f"Write {what}: .parquet, .csv, .json or .jsonl, the latter three also packed; - is CSV."
    return click.option("--output", type=kind, callback=one_on_stdout, metavar="FILE", help=explained)


def report_option(command: C) -> C:
    """--report FILE: what is asked, as a page."""
    explained = "Write the report as one HTML page."
    return click.option("--report", type=OutputType(rows=False), metavar="FILE", help=explained)(command)


def delegated_option(command: C) -> C:
    """--delegated FILE of the commands that ask about countries and registries."""
    explained = "Delegated files of the registries, for country and registry of prefixes; repeatable."
    return click.option("--delegated", multiple=True, metavar="FILE", help=explained)(command)


def names_option(command: C) -> C:
    """--names FILE of the commands that have a column of AS names."""
    explained = "Names of ASes: JSON, asn.txt of RIPE, or CSV with asn and name; repeatable, later ones win."
    return click.option("--names", multiple=True, metavar="FILE", help=explained)(command)


def engine_options(command: C) -> C:
    """--engine and --master: where the dumps are read and judged."""
    for option in (
        click.option(
            "--master",
            metavar="URL",
            help="The cluster for --engine spark, such as spark://HOST:7077 or yarn; local[*] unless told.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["threads", "spark"]),
            default="threads",
            show_default=True,
            help="Read and judge the dumps here, or on a Spark cluster, a task a dump.",
        ),
    ):
        command = option(command)
    return command


def default_routes_option(command: C) -> C:
    """--default-routes of the commands that ask about impact."""
    explained = "Impact: 0.0.0.0/0 and ::/0 count as a way to get there."
    return click.option("--default-routes", is_flag=True, help=explained)(command)


def limit_option(command: C) -> C:
    """--limit of the commands that show rows."""
    option = click.option(
        "--limit", type=click.IntRange(0), default=SHOWN, show_default=True, help="Rows shown."
    )
    return option(command)


def read_verdicts(
    ribs: Sequence[str],
    vrps: str,
    min_peers: int,
    neighbor: int | None,
    strict: bool,
    spool: rib.Spool | None = None,
) -> Verdicts:
    """The verdicts on the routes of some dumps; what was left out of them is told on stderr."""
    index = read_index(vrps, strict)
    table = read_dumps(ribs, spool)
    if neighbor is not None:
        table = carried_by_neighbor(table, neighbor)
    with busy("validating"):
        return judge(table, index, min_peers=min_peers, threads=os.cpu_count() or 1)


def judge_dumps(
    ribs: Sequence[str],
    index: VrpIndex,
    min_peers: int,
    neighbor: int | None,
    *,
    engine: str,
    master: str | None,
    spool: rib.Spool | None = None,
    settled: Settled | None = None,
) -> Verdicts:
    """As read_verdicts, worked out by an engine; a bar tells how far it is."""
    names = expand(ribs)
    if engine == "spark":
        with _dumps_bar(len(names)) as progress:
            found = spark.judge_files(names, index, master=master, progress=progress)
        if settled is not None:
            settled(found.table.ipv4)
            settled(found.table.ipv6)
    else:
        with _bar(names) as progress:
            found = threads.judge_files(names, index, progress=progress, settled=settled, spool=spool)
    for warning in found.table.warnings:
        click.echo(f"rov: {warning}", err=True)
    return _narrowed(found, min_peers, neighbor)


def _narrowed(found: Verdicts, min_peers: int, neighbor: int | None) -> Verdicts:
    """The verdicts on the routes that so many peers carry, of those in an AS if one is given."""
    if neighbor is None and min_peers == 1:
        return found
    numbers = None if neighbor is None else _numbers(found.table, neighbor)
    parts = []
    for judged in found.families():
        routes = judged.routes if numbers is None else _carried(judged.routes, numbers)
        kept = routes.peers >= min_peers
        parts.append(Judged(routes.take(kept), judged.states[kept], judged.reasons[kept]))
    ipv4, ipv6 = parts
    table = RouteTable(ipv4.routes, ipv6.routes, found.table.peers, found.table.counts, found.table.warnings)
    return Verdicts(table, found.index, ipv4, ipv6, min_peers)


def instant(verdicts: Verdicts) -> int:
    """When VRPs are to be judged for what expires: the time that their file states, else the present."""
    generated = verdicts.index.snapshot.generated
    return int(time.time()) if generated is None else generated


def read_dumps(ribs: Sequence[str], spool: rib.Spool | None = None) -> RouteTable:
    """The routes of some dumps, with a bar on a terminal if that takes long."""
    names = expand(ribs)
    with _bar(names) as progress:
        table = read_table(names, progress=progress, spool=spool)
    for warning in table.warnings:
        click.echo(f"rov: {warning}", err=True)
    return table


def read_paths(
    verdicts: Verdicts,
    ribs: Sequence[str],
    direction: Direction,
    neighbor: int | None,
    spool: rib.Spool,
) -> PathVerdicts:
    """The ASPA verdicts on the paths of some dumps, which are read once more for these."""
    if not verdicts.index.snapshot.aspas:
        raise click.UsageError("--aspa: the VRP file has no ASPAs")
    with reopened(ribs, "--aspa", spool) as dumps:
        return judge_paths(verdicts, dumps, direction, neighbor)


def spool_of_command() -> rib.Spool:
    """A Spool until the command ends, for dumps that it reads twice."""
    return click.get_current_context().with_resource(rib.Spool())


@contextlib.contextmanager
def reopened(
    ribs: Sequence[str], option: str, spool: rib.Spool | None = None
) -> Iterator[Iterator[rib.Dump]]:
    """The dumps once more, with their paths, one after the other, with a bar; option: what asks for them.

    spool: what kept them at the first reading, if there was one. UsageError: one is standard input, for
    which the spool had no room.
    """
    names = expand(ribs)
    if spool is not None and "-" in names and not spool.has("-"):
        raise click.UsageError(
            f"{option}: standard input could not be kept for a second reading: expected files"
        )
    with _bar(names) as progress:
        yield _one_by_one(names, progress, spool)


def _one_by_one(
    names: Sequence[str], progress: Progress | None, spool: rib.Spool | None
) -> Iterator[rib.Dump]:
    for name in names:
        with rib.open(name, paths=True, progress=progress, spool=spool) as dump:
            yield dump


def carried_by_neighbor(table: RouteTable, asn: int) -> RouteTable:
    """The routes that peers in an AS carry, and how many of these do; UsageError if there is none."""
    numbers = _numbers(table, asn)
    of_neighbor = (_carried(columns, numbers) for columns in (table.ipv4, table.ipv6))
    ipv4, ipv6 = (columns.take(columns.peers > 0) for columns in of_neighbor)
    return RouteTable(ipv4, ipv6, table.peers, table.counts, table.warnings)


def _numbers(table: RouteTable, asn: int) -> list[int]:
    """The numbers of the peers in an AS; UsageError if there is none."""
    numbers = [number for number, peer in enumerate(table.peers) if number and peer.asn == asn]
    if not numbers:
        known = sorted({peer.asn for peer in table.peers[1:]})
        listed = ", ".join(f"AS{known_asn}" for known_asn in known[:10]) or "none"
        raise click.UsageError(f"--neighbor AS{asn}: no peer of the dump is in it; peers are in: {listed}")
    return numbers


def _carried(columns: RouteColumns, numbers: Sequence[int]) -> RouteColumns:
    """The same routes with only these peers, none where none of them carries it."""
    if not len(columns):
        return columns
    if columns.peer_sets is None:
        raise click.UsageError("--neighbor: the dump does not tell which peers carry a route")
    wanted = np.zeros(columns.peer_sets.shape[1], np.uint64)
    for number in numbers:
        word, bit = divmod(number, PEERS_PER_WORD)
        if word < len(wanted):
            wanted[word] |= np.uint64(1) << np.uint64(bit)
    sets = columns.peer_sets & wanted
    peers = np.bitwise_count(sets).sum(axis=1, dtype=np.uint32)
    return RouteColumns(columns.family, columns.addresses, columns.lengths, columns.origins, peers, sets)


def give(
    subject: Subject,
    section: str,
    table: pa.Table,
    schema: Schema,
    rows: Sequence[Any],
    *,
    output: str | None,
    as_json: bool,
) -> None:
    """One section: its summary as JSON or for people, with rows below it, and its table as a file."""
    if output:
        with busy(f"writing {output}"):
            write_table(table, output, schema.name, subject.facts())
    if output == "-":
        return
    with busy("auditing"):
        answers = sections(subject, [section])
    if as_json:
        click.echo(json_text(document(subject, answers)), nl=False)
        return
    items = [*heading(subject), *(item for answer in answers.values() for item in shown(answer))]
    click.echo(printed(*items, *rows), nl=False)


def listed(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> list[Any]:
    """Rows of a table for people, and how many more there are."""
    items: list[Any] = ["", title, grid(Grid("", head, rows))]
    if total > len(rows):
        items.append(f"... and {total - len(rows):,} more (--limit, --output)")
    return items


def asn_text(asn: int | None) -> str:
    """An origin as people write it."""
    return "-" if asn is None else f"AS{asn}"


@contextlib.contextmanager
def _dumps_bar(count: int) -> Iterator[Progress | None]:
    """A bar of the dumps that are done, on a terminal, once it takes long."""
    columns = (
        bars.TextColumn("dumps"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    with _started(columns, count) as bar:
        yield None if bar is None else lambda done, _: bar.update(bar.task_ids[0], completed=done)


@contextlib.contextmanager
def _bar(names: Sequence[str]) -> Iterator[Progress | None]:
    """A bar of the octets read of all dumps, on a terminal, once it takes long."""
    columns = (
        bars.TextColumn("reading"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TimeRemainingColumn(),
    )
    sizes = [os.path.getsize(name) if os.path.isfile(name) else None for name in names]
    known = [size for size in sizes if size is not None]
    done = last = 0

    def advance(read: int, _: int | None) -> None:
        nonlocal done, last
        if read < last:
            done += last
        last = read
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done + read)

    with _started(columns, sum(known) if len(known) == len(sizes) else None) as bar:
        yield None if bar is None else advance


@contextlib.contextmanager
def _started(columns: Sequence[bars.ProgressColumn], total: int | None) -> Iterator[bars.Progress | None]:
    """A bar that shows once it takes long; None where stderr is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    bar = bars.Progress(*columns, console=console, transient=True)
    bar.add_task("", total=total)
    timer = threading.Timer(QUIET_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield bar
    finally:
        timer.cancel()
        bar.stop()
