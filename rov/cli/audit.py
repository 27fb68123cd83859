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
from rov.audit.neighbor import Reasons, path_faults, reasons_column, unfiltered
from rov.audit.output import write_table
from rov.audit.schemas import VERDICTS
from rov.audit.verdict_file import VerdictFile
from rov.cli.asked import Asked, dump_options
from rov.cli.dumps import (
    default_routes_option,
    delegated_option,
    engine_options,
    instant,
    judge_dumps,
    limit_option,
    output_option,
    read_paths,
    reopened,
    report_option,
    spool_of_command,
)
from rov.cli.impact import invalid_routes
from rov.cli.shared import EXIT_FOUND, busy, json_option, json_text, read_index
from rov.errors import ArgumentError
from rov.index import VrpIndex
from rov.reference import read_delegated
from rov.reference.allowed import read_allowed
from rov.report import DEFAULT, Subject, document, sections
from rov.report.html import write_page
from rov.report.terminal import heading, shown
from rov.rib import Spool
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
@click.option("--allowed", metavar="FILE", help="What --neighbor may announce: rows of rov filter build.")
@report_option
@delegated_option
@default_routes_option
@click.option("--list", "listed", is_flag=True, help="Show the invalid routes and what becomes of them.")
@limit_option
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice([*STATES, "unfiltered"]),
    help="Exit with 1 if a route has this state, or the --neighbor should have filtered one.",
)
@engine_options
@json_option
def audit(
    asked: Asked,
    output: str | None,
    covering: bool,
    aspa: str | None,
    allowed: str | None,
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

    With --neighbor it also lists what the neighbour should have filtered, and why.
    """
    known = read_delegated(delegated) if delegated else None
    if engine == "spark" and aspa:
        raise click.UsageError("--aspa: the paths are read here: expected --engine threads")
    if engine != "spark" and master:
        raise click.UsageError("--master: expected --engine spark with it")
    ribs, vrps, min_peers, neighbor, strict = asked
    if "unfiltered" in fail_on and neighbor is None:
        raise click.UsageError("--fail-on unfiltered: expected --neighbor AS with it")
    if allowed and neighbor is None:
        raise click.UsageError("--allowed: expected --neighbor AS with it")
    allowlist = read_allowed(allowed, neighbor) if allowed and neighbor is not None else None
    index = read_index(vrps, strict)
    spool = spool_of_command() if aspa or neighbor is not None else None
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
        subject = asked.subject(
            verdicts, delegations=known, default_routes=default_routes, at=instant(verdicts), paths=paths
        )
        if neighbor is not None:
            in_paths = _path_faults(verdicts, ribs, neighbor, spool) if engine == "threads" else None
            subject = subject._replace(unfiltered=unfiltered(verdicts, in_paths, paths, allowlist))
        more = {"paths": paths, "neighbor": subject.unfiltered}
        with busy("auditing"):
            answers = sections(subject, (*DEFAULT, *(name for name, given in more.items() if given)))
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
    return EXIT_FOUND if _met(subject, fail_on) else 0


def _path_faults(
    verdicts: Verdicts, ribs: tuple[str, ...], neighbor: int, spool: Spool | None
) -> Reasons | None:
    """What is wrong with the paths of the neighbour; None, with a notice, where a dump has none."""
    try:
        with reopened(ribs, "--neighbor", spool) as dumps:
            return path_faults(dumps, verdicts, neighbor)
    except ArgumentError as error:
        click.echo(f"rov: paths are not looked at: {error}", err=True)
        return None


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
    if subject.unfiltered:
        table = table.append_column("unfiltered", reasons_column(subject.unfiltered))
    return table


def _met(subject: Subject, fail_on: tuple[str, ...]) -> bool:
    flags = subject.unfiltered or ()
    counts = {name: subject.verdicts.count(state) for name, state in STATES.items()}
    return any(counts[name] if name in counts else any(map(any, flags)) for name in fail_on)
