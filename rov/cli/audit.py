"""``rov audit``: what a RIB and a VRP set say of each other, in one report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from rov._render import printed
from rov.aspa import Direction
from rov.audit import Verdicts, impact_table, verdict_table
from rov.audit.covering import covering_column
from rov.audit.output import write_table
from rov.audit.schemas import VERDICTS
from rov.audit.verdict_file import VerdictFile
from rov.cli.dumps import (
    default_routes_option,
    delegated_option,
    dump_options,
    engine_options,
    instant,
    judge_dumps,
    limit_option,
    output_option,
    read_paths,
    report_option,
    spool_of_command,
)
from rov.cli.impact import invalid_routes
from rov.cli.shared import EXIT_FOUND, busy, json_option, json_text, read_index
from rov.index import VrpIndex
from rov.reference import read_delegated
from rov.report import DEFAULT, Subject, document, sections
from rov.report.html import write_page
from rov.report.terminal import heading, shown
from rov.types import State

if TYPE_CHECKING:
    import pyarrow as pa

STATES = {state.label: state for state in State}


@click.command()
@dump_options
@output_option("the verdict on each route")
@click.option("--covering", is_flag=True, help="--output also has the VRPs that cover each route.")
@click.option(
    "--aspa",
    type=click.Choice([direction.label for direction in Direction]),
    help="Verify the AS paths too, as coming from a provider (downstream) or from others (parses MRT twice).",
)
@report_option
@delegated_option
@default_routes_option
@click.option("--list", "listed", is_flag=True, help="Show the invalid routes and what becomes of them.")
@limit_option
@click.option(
    "--fail-on", multiple=True, type=click.Choice([*STATES]), help="Exit with 1 if a route has this state."
)
@engine_options
@json_option
def audit(
    ribs: tuple[str, ...],
    vrps: str,
    min_peers: int,
    neighbor: int | None,
    strict: bool,
    output: str | None,
    covering: bool,
    aspa: str | None,
    report: str | None,
    delegated: tuple[str, ...],
    default_routes: bool,
    listed: bool,
    limit: int,
    fail_on: tuple[str, ...],
    engine: str,
    master: str | None,
    as_json: bool,
) -> int:
    """Validate the routes of RIB dumps, and tell what follows: impact, coverage, hygiene of the VRPs.

    RIB is MRT or a table as text (bgpdump -m, RIS whois, pfx2as, CSV), packed or not, a pattern, a URL or -.
    """
    known = read_delegated(delegated) if delegated else None
    if engine == "spark" and aspa:
        raise click.UsageError("--aspa: the paths are read here: expected --engine threads")
    if engine != "spark" and master:
        raise click.UsageError("--master: expected --engine spark with it")
    index = read_index(vrps, strict)
    spool = spool_of_command() if aspa else None
    at_once = output if not (covering or aspa or neighbor is not None) else None
    with _written_at_once(at_once, index, min_peers) as file:
        verdicts = judge_dumps(
            ribs,
            index,
            min_peers,
            neighbor,
            engine=engine,
            master=master,
            spool=spool,
            settled=file.take if file else None,
        )
        paths = (
            read_paths(verdicts, ribs, Direction[aspa.upper()], neighbor, spool) if aspa and spool else None
        )
        subject = Subject(verdicts, ribs, vrps, neighbor, known, default_routes, instant(verdicts), paths)
        with busy("auditing"):
            answers = sections(subject, (*DEFAULT, "paths") if paths else DEFAULT)
        with busy(f"writing {output}"):
            if file:
                file.end(subject.facts())
            elif output:
                write_table(_verdicts(subject, covering), output, VERDICTS.name, subject.facts())
    if report:
        write_page(report, subject, answers)
    if as_json:
        click.echo(json_text(document(subject, answers)), nl=False)
    elif output != "-":
        items: list[Any] = [*heading(subject)]
        for answer in answers.values():
            items += shown(answer)
        if listed:
            items += invalid_routes(impact_table(verdicts, default_routes=default_routes), limit)
        click.echo(printed(*items), nl=False)
    return EXIT_FOUND if _met(verdicts, fail_on) else 0


@contextlib.contextmanager
def _written_at_once(output: str | None, index: VrpIndex, min_peers: int) -> Iterator[VerdictFile | None]:
    """The file of --output where it can be written while dumps are read: it must be one to begin anew."""
    if output is None or output == "-" or (os.path.exists(output) and not os.path.isfile(output)):
        yield None
        return
    with VerdictFile(output, index, min_peers) as file:
        yield file


def _verdicts(subject: Subject, covering: bool) -> pa.Table:
    """The rows of --output, with the columns that were asked for."""
    verdicts = subject.verdicts
    table = verdict_table(verdicts)
    if covering:
        parts = (verdicts.ipv4, verdicts.ipv6)
        table = table.append_column("vrps", covering_column(parts, verdicts.index.snapshot))
    for name, column in (subject.paths.columns() if subject.paths else {}).items():
        table = table.append_column(name, column)
    return table


def _met(verdicts: Verdicts, fail_on: tuple[str, ...]) -> bool:
    return any(verdicts.count(STATES[name]) for name in fail_on)
