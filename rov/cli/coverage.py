"""``rov coverage``: how much of a table the VRPs cover, by AS, country or registry."""

from __future__ import annotations

from typing import Any

import click

from rov.audit.coverage import By, coverage_table
from rov.audit.schemas import COVERAGE
from rov.cli.asked import Asked, dump_options
from rov.cli.dumps import (
    delegated_option,
    give,
    instant,
    limit_option,
    listed,
    names_option,
    output_option,
    report_option,
)
from rov.cli.shared import busy, json_option
from rov.reference import read_delegated
from rov.reference.names import read_names
from rov.report import sections
from rov.report.blocks import percent
from rov.report.html import write_page


@click.command()
@dump_options
@output_option("a row for each key and family")
@click.option(
    "--by", type=click.Choice(["as", "country", "registry"]), default="as", show_default=True, help="The key."
)
@delegated_option
@names_option
@report_option
@limit_option
@json_option
def coverage(
    asked: Asked,
    output: str | None,
    by: By,
    delegated: tuple[str, ...],
    names: tuple[str, ...],
    report: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Tell how many routes, and how many addresses, the VRPs cover, and how many of these are valid."""
    if by != "as" and not delegated:
        raise click.UsageError(f"--by {by}: expected the registries' files, --delegated FILE")
    if by != "as" and names:
        raise click.UsageError(f"--names: expected --by as, found --by {by}")
    known = read_delegated(delegated) if delegated else None
    called = read_names(names) if names else None
    verdicts = asked.verdicts()
    subject = asked.subject(verdicts, delegations=known, at=instant(verdicts))
    with busy("auditing"):
        table = coverage_table(verdicts, by, known, called)
    if report:
        write_page(report, subject, sections(subject, ["coverage"]))
    cells = [_cells(row, by) for row in table.slice(0, limit).to_pylist()]
    head = [by, "family", "routes", "valid", "invalid", "not found", "coverage", "accuracy", "space coverage"]
    if called is not None:
        head.insert(1, "name")
    rows = listed("All, then the largest first", head, cells, table.num_rows)
    give(subject, "coverage", table, COVERAGE, rows, output=output, as_json=as_json)


def _cells(row: dict[str, Any], by: By) -> list[str]:
    key = row["asn" if by == "as" else by]
    named = f"AS{key}" if by == "as" and key else key or ("no origin" if by == "as" else "not known")
    counts = [f"{row[name]:,}" for name in ("routes", "valid", "invalid", "not_found")]
    shares = [
        "-" if row[name] is None else percent(row[name], 1)
        for name in ("coverage", "accuracy", "space_coverage")
    ]
    called = [row["name"] or "-"] if "name" in row else []
    return ["all" if row["total"] else named, *called, f"IPv{row['family']}", *counts, *shares]
