"""``rov irr``: how routes stand in IRRs and in the RPKI, and the route objects that ROAs contradict."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
from rich.text import Text

from rov.audit import judge
from rov.audit.irr import IRR_MATRIX, IRR_OBJECTS, irr_matrix, irr_objects_table
from rov.cli.answers import Reply, answer, limit_option, table_grid
from rov.cli.asked import min_peers_option, vrps_option
from rov.cli.dumps import output_option, read_verdicts
from rov.cli.shared import EXIT_FOUND, busy, json_option, read_index, strict_option
from rov.reference.rpsl import read_irr
from rov.report import Subject
from rov.report.blocks import several
from rov.report.subject import called
from rov.report.terminal import heading
from rov.rib import RouteColumns, RouteTable


@click.command("irr")
@click.argument("ribs", nargs=-1, metavar="[RIB...]")
@vrps_option
@click.option(
    "--irr", multiple=True, required=True, metavar="FILE", help="RPSL dumps, packed or not; repeatable."
)
@click.option(
    "--source", multiple=True, metavar="NAME", help="List objects of this source only, such as RADB."
)
@min_peers_option
@strict_option
@click.option(
    "--fail-on", type=click.Choice(["object", "seen"]), help="Exit with 1 if there is one; if one is seen."
)
@output_option("the route objects to delete")
@limit_option
@json_option
def irr_command(
    ribs: tuple[str, ...],
    vrps: str,
    irr: tuple[str, ...],
    source: tuple[str, ...],
    min_peers: int,
    strict: bool,
    fail_on: str | None,
    **how: Any,
) -> int:
    """Compare IRRs with the RPKI: a matrix of the routes of RIB, and the route objects to delete.

    An object is to be deleted if ROAs make a route of its prefix and origin invalid. RIB may be left out.
    """
    with busy("reading IRRs"):
        known = read_irr(irr)
    if ribs:
        verdicts = read_verdicts(ribs, vrps, min_peers, None, strict)
    else:
        none = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
        verdicts = judge(none, read_index(vrps, strict), min_peers=min_peers)
    with busy("comparing"):
        table, matrix = irr_objects_table(verdicts, known, sources=source), irr_matrix(verdicts, known)
    by_source = Counter(table["source"].to_pylist())
    seen = sum(peers > 0 for peers in table["peers"].to_pylist())
    summary: dict[str, Any] = {
        "objects": known.routes,
        "skipped": known.skipped,
        "to_delete": table.num_rows,
        "to_delete_seen": seen,
        "by_source": {name or "": count for name, count in by_source.most_common()},
    }
    sources = ", ".join(f"{name or 'no source'}: {count:,}" for name, count in by_source.most_common(10))
    lines = [
        f"{several(known.routes, 'route object')}, {known.skipped:,} bad ones left out"
        + (f", first {known.first_skipped}" if known.skipped else ""),
        f"RPKI-invalid and to be deleted: {table.num_rows:,}" + (f" ({sources})" if sources else ""),
    ]
    more: list[Any] = []
    if ribs:
        lines.append(f"routes of {seen:,} of these are in the RIB nevertheless")
        more = ["", "Routes by what the IRRs say, and by state", table_grid(matrix, matrix.column_names, 8)]
    subject = Subject(verdicts, ribs, vrps)
    facts = {
        **subject.facts(),
        "matrix_schema": IRR_MATRIX.name,
        "matrix": matrix.to_pylist() if ribs else None,
    }
    shown = ("prefix", "origin", "reason", "source", "maintainer", "peers", "vrps")
    head = heading(subject) if ribs else [Text(f"{called(irr)} against {called([vrps])}", style="bold")]
    answer(
        Reply(table, IRR_OBJECTS, summary, lines, shown, "no object to delete", more),
        facts,
        head,
        **how,
    )
    return EXIT_FOUND if {"object": table.num_rows, "seen": seen}.get(fail_on or "", 0) else 0
