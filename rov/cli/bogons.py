"""``rov bogons``: routes of prefixes or AS numbers that nobody may use."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
from rich.text import Text

from rov.audit.bogon_paths import bogon_paths
from rov.audit.bogons import BOGONS, bogons_table
from rov.cli.answers import Reply, answer, limit_option
from rov.cli.dumps import output_option, read_dumps, reopened, spool_of_command
from rov.cli.shared import EXIT_FOUND, busy, json_option
from rov.reference import read_delegated
from rov.reference.special import VERSION
from rov.report.subject import called

LEVELS = ("full", "administrative")


@click.command("bogons")
@click.argument("ribs", nargs=-1, required=True, metavar="RIB...")
@click.option(
    "--min-peers", type=click.IntRange(1), default=1, show_default=True, help="Only routes of so many."
)
@click.option(
    "--delegated", multiple=True, metavar="FILE", help="Registries' files: finds administrative ones."
)
@click.option("--paths", is_flag=True, help="Look at every AS in the paths (MRT): parses the dumps twice.")
@click.option("--fail-on", multiple=True, type=click.Choice(LEVELS), help="Exit with 1 if there is such.")
@output_option("the bogons")
@limit_option
@json_option
def bogons_command(
    ribs: tuple[str, ...],
    min_peers: int,
    delegated: tuple[str, ...],
    paths: bool,
    fail_on: tuple[str, ...],
    **how: Any,
) -> int:
    """List routes whose prefix or AS is reserved, unassigned, or (--delegated) held by nobody.

    The AS is the origin, or with --paths any in the path.

    full: by the IANA registries, which is what MANRS counts. administrative: in the pool of a registry.
    """
    known = read_delegated(delegated) if delegated else None
    spool = spool_of_command()
    table = read_dumps(ribs, spool if paths else None).seen_by(min_peers)
    in_paths = None
    if paths:
        with reopened(ribs, "--paths", spool) as dumps:
            in_paths = bogon_paths(dumps, table, known)
    with busy("looking for bogons"):
        found = bogons_table(table, known, in_paths)
    looked_at = ("prefix", "origin", "path") if paths else ("prefix", "origin")
    counts = Counter(zip(found["level"].to_pylist(), found["what"].to_pylist(), strict=True))
    summary = {f"{level}_{what}": counts[level, what] for level in LEVELS for what in looked_at}
    lines = [
        f"{counts[level, what]:,} routes whose {what} is a bogon: {level}"
        for level in (LEVELS if known else LEVELS[:1])
        for what in looked_at
    ]
    facts = {"ribs": list(ribs), "min_peers": min_peers, "routes": len(table), "registries": VERSION}
    head = [
        Text(f"{called(ribs)} against the IANA registries of {VERSION}", style="bold"),
        Text(f"{len(table):,} routes of at least {min_peers} peers (min_peers {min_peers})"),
    ]
    shown: tuple[str, ...] = ("prefix", "origin", "peers", "what", "level", "block", "purpose", "source")
    shown += ("asn", "entries") if paths else ()
    shown += ("registry",) if known else ()
    answer(Reply(found, BOGONS, summary, lines, shown, "no bogon"), facts, head, **how)
    levels = {level for level, _ in counts}
    return EXIT_FOUND if levels & set(fail_on) else 0
