"""``rov suggest``: the ROAs that an operator's routes lack, and whether making them is safe."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from rov.audit.suggest import SUGGEST, krill_lines, slurm_json, suggest, suggest_table
from rov.cli.answers import Reply, answer_about, limit_option
from rov.cli.asked import Asked, dump_options
from rov.cli.forms import check_form, form_options, write_text
from rov.cli.shared import EXIT_FOUND, AsnType, PrefixType, busy, json_option
from rov.report.blocks import several
from rov.types import Prefix

FORMATS = {"slurm": slurm_json, "krill": krill_lines}


@click.command("suggest")
@dump_options
@click.option("--asn", "asns", type=AsnType(), multiple=True, metavar="AS", help="Of this AS; repeatable.")
@click.option(
    "--prefix", "within", type=PrefixType(), multiple=True, metavar="PREFIX", help="In this prefix."
)
@form_options(
    FORMATS, "Write the safe ones for a program.", "the suggestions, or with --format the safe ones"
)
@click.option("--fail-on", multiple=True, type=click.Choice(["missing", "unsafe"]), help="Exit with 1 then.")
@limit_option
@json_option
def suggest_command(
    asked: Asked,
    asns: tuple[int, ...],
    within: tuple[Prefix, ...],
    form: str | None,
    fail_on: tuple[str, ...],
    **how: Any,
) -> int:
    """Suggest the ROAs that would make the routes of --asn or within --prefix valid.

    One for each route, with a longer max length only where all that it allows is announced (RFC 9319). A
    suggestion that would make another route invalid is shown, but is not safe: --format leaves it out.
    """
    if not asns and not within:
        raise click.UsageError("expected --asn or --prefix: whose routes are to be made valid")
    check_form(form, how)
    verdicts = asked.verdicts()
    with busy("looking for suggestions"):
        found = suggest(verdicts, asns=asns or None, within=within or None)
        table = suggest_table(found)
    total, safe = table.num_rows, sum(int(part.safe.sum()) for part in found)
    valid = sum(len(np.unique(part.makes_valid.rows)) for part in found)
    harmed = sum(len(np.unique(part.would_invalidate.rows)) for part in found)
    summary = {"suggestions": total, "safe": safe, "makes_valid": valid, "would_invalidate": harmed}
    lines = [
        f"{several(total, 'ROA')} would make {several(valid, 'route')} valid",
        f"{total - safe:,} of them are not safe: other routes would become invalid, see would invalidate",
    ]
    shown = ("prefix", "max_length", "asn", "why", "safe", "would_invalidate")
    reply = Reply(table, SUGGEST, summary, lines, shown, "no route lacks a ROA")
    if form:
        write_text(FORMATS[form](found), how["output"])
        click.echo(f"rov: {total - safe:,} of {total:,} suggestions are not safe and left out", err=True)
    else:
        answer_about(reply, asked.subject(verdicts), **how)
    met = {"missing": total, "unsafe": total - safe}
    return EXIT_FOUND if any(met[name] for name in fail_on) else 0
