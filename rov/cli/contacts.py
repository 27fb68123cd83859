"""``rov contacts``: whom to write to about invalid routes, and what."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import click

from rov.audit.contacts import CONTACTS, contacts_table
from rov.cli.answers import Reply, answer_about, limit_option
from rov.cli.asked import Asked, dump_options
from rov.cli.dumps import output_option
from rov.cli.shared import EXIT_FOUND, AsnType, busy, json_option
from rov.formats.compression import write_file
from rov.reference.contacts import read_contacts
from rov.report.blocks import several
from rov.report.letters import letters as letters_of


@click.command("contacts")
@dump_options
@click.option(
    "--rpsl",
    multiple=True,
    metavar="FILE",
    help="RPSL dumps: aut-num, role, person, organisation; repeatable.",
)
@click.option("--peeringdb", metavar="FILE", help="JSON of PeeringDB: net with poc_set, or a whole dump.")
@click.option("--asn", "asns", type=AsnType(), multiple=True, metavar="AS", help="Only this AS; repeatable.")
@click.option("--letters", metavar="DIR", help="Write a text to each network into DIR, as AS64496.txt.")
@click.option("--templates", metavar="DIR", help="A directory with a letter.txt of your own.")
@click.option("--fail-on", type=click.Choice(["unreachable"]), help="Exit with 1 if one has no contact.")
@output_option("the rows")
@limit_option
@json_option
def contacts(
    asked: Asked,
    rpsl: tuple[str, ...],
    peeringdb: str | None,
    asns: tuple[int, ...],
    letters: str | None,
    templates: str | None,
    fail_on: str | None,
    **how: Any,
) -> int:
    """List who originates invalid routes, and whom to write to about them.

    --letters writes one ready text a network: its invalid routes, the VRPs in their way, what mends each.
    """
    if not rpsl and not peeringdb:
        raise click.UsageError("expected --rpsl or --peeringdb: where contacts are looked up")
    with busy("reading contacts"):
        known = read_contacts(rpsl, peeringdb)
    verdicts = asked.verdicts()
    today = datetime.datetime.now(datetime.UTC).date()
    table = contacts_table(verdicts, known, today, asns or None)
    written = 0
    if letters is not None:
        directory = Path(letters)
        directory.mkdir(parents=True, exist_ok=True)
        with busy("writing letters"):
            made = letters_of(
                verdicts, known, ribs=asked.ribs, vrps=asked.vrps, asns=asns or None, templates=templates
            )
            for asn, text in made:
                write_file(directory / f"AS{asn}.txt", [text.encode()])
                written += 1
    found = table["contacts"].to_pylist()
    unreachable = sum(not one for one in found)
    summary = {
        "networks": table.num_rows,
        "invalid": sum(table["invalid"].to_pylist()),
        "with_contact": table.num_rows - unreachable,
        "letters": written,
    }
    lines = [
        f"{several(summary['networks'], 'network')} with {several(summary['invalid'], 'invalid route')}",
        f"{summary['with_contact']:,} of them have a contact",
        *([f"{several(written, 'letter')} in {letters}"] if letters is not None else []),
    ]
    shown = ("asn", "name", "invalid", "contacts", "last_changed", "age_days", "m6", "m8")
    reply = Reply(table, CONTACTS, summary, lines, shown, "no invalid route")
    answer_about(reply, asked.subject(verdicts), **how)
    return EXIT_FOUND if fail_on and unreachable else 0
