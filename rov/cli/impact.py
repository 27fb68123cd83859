"""``rov impact``: what becomes of the packets to each invalid route, if all of these are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rov.audit import Impact, impact_table
from rov.audit.impact import DIVERTED
from rov.audit.invalid_paths import invalid_paths
from rov.audit.schemas import IMPACT
from rov.cli.asked import Asked, dump_options
from rov.cli.dumps import (
    asn_text,
    default_routes_option,
    delegated_option,
    give,
    instant,
    limit_option,
    listed,
    names_option,
    output_option,
    reopened,
    spool_of_command,
)
from rov.cli.shared import EXIT_FOUND, busy, json_option
from rov.reference import read_delegated
from rov.reference.names import read_names

if TYPE_CHECKING:
    import pyarrow as pa

CLASSES = [kind.label for kind in Impact]


@click.command()
@dump_options
@output_option("the invalid routes")
@default_routes_option
@delegated_option
@names_option
@click.option("--paths", is_flag=True, help="Read AS paths too (MRT): do they lead through what takes over?")
@click.option("--class", "classes", multiple=True, type=click.Choice(CLASSES), help="Only routes of a class.")
@click.option("--fail-on", multiple=True, type=click.Choice(CLASSES), help="Exit with 1 if there is such.")
@limit_option
@json_option
def impact(
    asked: Asked,
    output: str | None,
    default_routes: bool,
    delegated: tuple[str, ...],
    names: tuple[str, ...],
    paths: bool,
    classes: tuple[str, ...],
    fail_on: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> int:
    """Tell what breaks if invalid routes are dropped: who still gets the packets to each.

    The table that --output writes has, of each invalid route, its class, what takes over, and the VRPs.
    """
    known = read_delegated(delegated) if delegated else None
    called = read_names(names) if names else None
    spool = spool_of_command()
    verdicts = asked.verdicts(spool if paths else None)
    subject = asked.subject(verdicts, default_routes=default_routes, at=instant(verdicts))
    seen = None
    if paths:
        with reopened(asked.ribs, "--paths", spool) as dumps:
            seen = invalid_paths(dumps, verdicts, asked.neighbor)
    with busy("auditing"):
        table = impact_table(
            verdicts, default_routes=default_routes, delegations=known, names=called, paths=seen
        )
    found = set(table["class"].unique().to_pylist())
    shown = _of_classes(table, classes) if classes else table
    rows = [*(_through(shown) if paths else ()), *invalid_routes(shown, limit, hops=paths)]
    give(subject, "impact", shown, IMPACT, rows, output=output, as_json=as_json)
    return EXIT_FOUND if found & set(fail_on) else 0


def _of_classes(table: pa.Table, classes: tuple[str, ...]) -> pa.Table:
    from pyarrow import array, compute, string

    return table.filter(compute.is_in(table["class"].cast(string()), array(classes, string())))


def _through(table: pa.Table) -> list[Any]:
    """How many of the diverted routes have paths through the AS that would take over."""
    diverted = _of_classes(table, tuple(kind.label for kind in DIVERTED))
    through = diverted.num_rows - diverted["cover_hops"].null_count
    return ["", f"diverted with a path through what takes over: {through:,} of {diverted.num_rows:,}"]


def invalid_routes(table: pa.Table, limit: int, *, hops: bool = False) -> list[Any]:
    """The routes of an impact table for people, those that most peers carry first."""
    named = "asname" in table.column_names
    rows = table.sort_by([("peers", "descending"), ("prefix", "ascending")]).slice(0, limit).to_pylist()
    cells = [
        [
            row["prefix"],
            asn_text(row["origin"]),
            *([row["asname"] or "-"] if named else ()),
            row["reason"],
            f"{row['peers']:,}",
            row["class"],
            f"{row['cover_prefix']} {asn_text(row['cover_origin'])}" if row["cover_prefix"] else "-",
            *([str(row["cover_hops"] or "-")] if hops else ()),
        ]
        for row in rows
    ]
    name, hop = ["name"] if named else [], ["hops"] if hops else []
    head = ["prefix", "origin", *name, "reason", "peers", "class", "goes to", *hop]
    return listed("Invalid routes, the most visible first", head, cells, table.num_rows)
