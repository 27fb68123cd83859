"""``rov leaks``: which peers carry invalid routes, or which ASes passed them on."""

from __future__ import annotations

from typing import Any

import click

from rov.audit.invalid_paths import invalid_paths
from rov.audit.leaks import AS_LEAKS, PEER_LEAKS, as_leaks_table, peer_leaks_table
from rov.cli.answers import Reply, answer_about, limit_option
from rov.cli.asked import Asked, dump_options
from rov.cli.dumps import output_option, reopened, spool_of_command
from rov.cli.shared import json_option
from rov.report.blocks import several
from rov.types import State


@click.command()
@dump_options
@click.option(
    "--by",
    type=click.Choice(["peer", "as"]),
    default="peer",
    show_default=True,
    help="Peers of the collector, or every AS in the paths (parses the dump twice).",
)
@output_option("the rows")
@limit_option
@json_option
def leaks(
    asked: Asked,
    by: str,
    **how: Any,
) -> int:
    """Tell who passed invalid routes on, and so does not drop them. The dumps must be MRT."""
    spool = spool_of_command()
    verdicts = asked.verdicts(spool if by == "as" else None)
    invalid = verdicts.count(State.INVALID)
    summary: dict[str, Any] = {"routes": len(verdicts), "invalid": invalid}
    lines = [f"{invalid:,} of {len(verdicts):,} routes are invalid"]
    if by == "peer":
        table, schema = peer_leaks_table(verdicts), PEER_LEAKS
        lines.append(f"{several(table.num_rows, 'peer')} with routes")
    else:
        with reopened(asked.ribs, "--by as", spool) as dumps:
            seen = invalid_paths(dumps, verdicts, asked.neighbor)
        table, schema = as_leaks_table(verdicts, seen), AS_LEAKS
        summary["with_paths"] = len(seen)
        lines.append(f"{table.num_rows:,} ASes passed on {len(seen):,} of them")
    reply = Reply(table, schema, summary, lines, table.column_names, "nobody passed any on")
    answer_about(reply, asked.subject(verdicts), **how)
    return 0
