"""``rov hijacks``: invalid routes that take the traffic of somebody who announces the prefix validly."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from rov.audit.hijacks import HIJACKS, Evidence, hijacks_table
from rov.audit.invalid_paths import invalid_paths
from rov.cli.answers import Reply, answer_about, limit_option
from rov.cli.asked import Asked, dump_options
from rov.cli.dumps import output_option, reopened, spool_of_command
from rov.cli.shared import EXIT_FOUND, busy, json_option
from rov.reference.relations import read_relations
from rov.reference.rpsl import read_irr


@click.command()
@dump_options
@click.option("--as-rel", "relations", metavar="FILE", help="AS relations (CAIDA as-rel): clear customers.")
@click.option("--irr", multiple=True, metavar="FILE", help="RPSL dumps: clear what has a route object.")
@click.option("--paths", is_flag=True, help="Read AS paths too (MRT): clear what leads through the holder.")
@click.option(
    "--fail-on", type=click.IntRange(1, 100), metavar="SCORE", help="Exit with 1 from this score on."
)
@output_option("the candidates")
@limit_option
@json_option
def hijacks(
    asked: Asked,
    relations: str | None,
    irr: tuple[str, ...],
    paths: bool,
    fail_on: int | None,
    **how: Any,
) -> int:
    """List invalid routes whose prefix, or one that covers it, another AS announces validly.

    The score is 0 where something clears it: a VRP of the origin, a reserved origin, a relation, a route
    object, a path through the holder.
    """
    spool = spool_of_command()
    verdicts = asked.verdicts(spool if paths else None)
    with busy("reading evidence"):
        evidence = Evidence(read_relations(relations) if relations else None, read_irr(irr) if irr else None)
    if paths:
        with reopened(asked.ribs, "--paths", spool) as dumps:
            evidence = evidence._replace(paths=invalid_paths(dumps, verdicts, asked.neighbor))
    with busy("looking for hijacks"):
        table = hijacks_table(verdicts, evidence)
    cleared = Counter(word for words in table["cleared"].to_pylist() for word in words)
    open_ones = sum(score > 0 for score in table["score"].to_pylist())
    lines = [
        f"{table.num_rows:,} invalid routes beside or under a valid one of another origin",
        f"{open_ones:,} that nothing clears",
        *(f"  {count:,} cleared by {word}" for word, count in cleared.most_common()),
    ]
    summary = {"candidates": table.num_rows, "not_cleared": open_ones, "cleared": dict(cleared)}
    shown = (
        "score",
        "kind",
        "prefix",
        "origin",
        "peers",
        "expected_origins",
        "cover_prefix",
        "cover_peers",
        "stealthy",
        "cleared",
    )
    reply = Reply(table, HIJACKS, summary, lines, shown, "no candidate")
    answer_about(reply, asked.subject(verdicts), **how)
    scores = table["score"].to_pylist()
    return EXIT_FOUND if fail_on and any(score >= fail_on for score in scores) else 0
