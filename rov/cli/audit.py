"""``rov audit``: what a RIB and a VRP set say of each other, in one report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rov._render import printed
from rov.audit import Verdicts, impact_table, verdict_table
from rov.audit.output import write_table
from rov.audit.schemas import VERDICTS
from rov.cli.dumps import dump_options, instant, output_option, read_verdicts
from rov.cli.shared import EXIT_FOUND, busy, json_option, json_text
from rov.reference import read_delegated
from rov.report import Grid, Subject, document, sections
from rov.report.html import write_page
from rov.report.terminal import grid, heading, shown
from rov.types import State

if TYPE_CHECKING:
    import pyarrow as pa

STATES = {state.label: state for state in State}

SHOWN = 50
"""Invalid routes that --list shows unless told."""


@click.command()
@dump_options
@output_option("the verdict on each route")
@click.option("--report", metavar="FILE", help="Write the report as one HTML page.")
@click.option(
    "--delegated",
    multiple=True,
    metavar="FILE",
    help="Delegated files of the registries, for coverage by country and registry; repeatable.",
)
@click.option(
    "--default-routes", is_flag=True, help="Impact: 0.0.0.0/0 and ::/0 count as a way to get there."
)
@click.option("--list", "listed", is_flag=True, help="Show the invalid routes and what becomes of them.")
@click.option("--limit", type=click.IntRange(0), default=SHOWN, show_default=True, help="Rows of --list.")
@click.option(
    "--fail-on", multiple=True, type=click.Choice([*STATES]), help="Exit with 1 if a route has this state."
)
@json_option
def audit(
    ribs: tuple[str, ...],
    vrps: str,
    min_peers: int,
    neighbor: int | None,
    strict: bool,
    output: str | None,
    report: str | None,
    delegated: tuple[str, ...],
    default_routes: bool,
    listed: bool,
    limit: int,
    fail_on: tuple[str, ...],
    as_json: bool,
) -> int:
    """Validate the routes of RIB dumps, and tell what follows: impact, coverage, hygiene of the VRPs.

    RIB is MRT or a table as text (bgpdump -m, RIS whois, pfx2as, CSV), packed or not, a pattern, a URL or -.
    """
    if output == "-" and as_json:
        raise click.UsageError("--json and --output -: expected one of them on stdout")
    known = read_delegated(delegated) if delegated else None
    verdicts = read_verdicts(ribs, vrps, min_peers, neighbor, strict)
    subject = Subject(verdicts, ribs, vrps, neighbor, known, default_routes, instant(verdicts))
    if output:
        with busy(f"writing {output}"):
            write_table(verdict_table(verdicts), output, VERDICTS.name, subject.facts())
    with busy("auditing"):
        answers = sections(subject)
    if report:
        write_page(report, subject, answers)
    if as_json:
        click.echo(json_text(document(subject, answers)), nl=False)
    elif output != "-":
        items: list[Any] = [*heading(subject)]
        for answer in answers.values():
            items += shown(answer)
        if listed:
            items += _invalid(impact_table(verdicts, default_routes=default_routes), limit)
        click.echo(printed(*items), nl=False)
    return EXIT_FOUND if _met(verdicts, fail_on) else 0


def _met(verdicts: Verdicts, fail_on: tuple[str, ...]) -> bool:
    return any(verdicts.count(STATES[name]) for name in fail_on)


def _invalid(table: pa.Table, limit: int) -> list[Any]:
    """The invalid routes, those that most peers carry first."""
    rows = table.sort_by([("peers", "descending"), ("prefix", "ascending")]).slice(0, limit).to_pylist()
    cells = [
        [
            row["prefix"],
            _asn(row["origin"]),
            row["reason"],
            f"{row['peers']:,}",
            row["class"],
            f"{row['cover_prefix']} {_asn(row['cover_origin'])}" if row["cover_prefix"] else "-",
        ]
        for row in rows
    ]
    head = ["prefix", "origin", "reason", "peers", "class", "goes to"]
    items: list[Any] = ["", "Invalid routes, the most visible first", grid(Grid("", head, cells))]
    if table.num_rows > limit:
        items.append(f"... and {table.num_rows - limit:,} more (--limit, rov impact --output)")
    return items


def _asn(asn: int | None) -> str:
    return "-" if asn is None else f"AS{asn}"
