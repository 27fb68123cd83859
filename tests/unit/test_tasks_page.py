"""The pages for one task each name the columns of their tables, and commands and options that are there."""

import datetime
import re
import shlex
from pathlib import Path

import click
import pytest

from rov import Snapshot, VrpIndex
from rov.audit import judge
from rov.audit.allow import ALLOW, allow_table
from rov.audit.contacts import CONTACTS, contacts_table
from rov.audit.incident_summary import SUMMARY, summary_table
from rov.audit.incidents import INCIDENTS, incidents_table
from rov.audit.sav import SAV, sav_table
from rov.audit.sav_heard import Learnt
from rov.cli import app
from rov.reference.contacts import Contacts
from rov.rib import RouteColumns, RouteTable

DOCS = Path(__file__).parents[2] / "docs"

INDEX = VrpIndex(Snapshot.empty())
EMPTY = judge(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)), INDEX)

TABLES = {
    ALLOW: ("customer-filters", lambda: allow_table({}, INDEX)),
    CONTACTS: ("contacts", lambda: contacts_table(EMPTY, Contacts(), datetime.date(2026, 1, 1))),
    INCIDENTS: ("incidents", lambda: incidents_table([])),
    SUMMARY: ("incidents", lambda: summary_table([])),
    SAV: ("source-addresses", lambda: sav_table(Learnt.of((), (), (), {}), [], "efp-b", Snapshot.empty())),
}

PAGES = sorted({page for page, _ in TABLES.values()} | {"watch"})


@pytest.mark.parametrize("schema", TABLES, ids=lambda schema: schema.name)
def test_the_columns_of_each_table(schema):
    page, table = TABLES[schema]
    part = (DOCS / f"{page}.md").read_text().split(f"`{schema.name}`, one row", 1)[1]
    part = part.split("\n## ", 1)[0].split("\n`rov.", 1)[0]
    stated = [name for row in re.findall(r"^\| ([a-z_0-9, ]+) \|", part, re.M) for name in row.split(", ")]
    assert [name for name in stated if name != "column"] == table().column_names


def command(words):
    """The subcommand that words name, and how many of them did."""
    found, context = app, click.Context(app)
    for count, word in enumerate(words):
        below = found.get_command(context, word) if isinstance(found, click.Group) else None
        if below is None:
            return found, count
        found = below
    return found, len(words)


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_the_pages_are_there(page):
    lines = re.findall(r"^ *(?:\$ )?rov ([^\n|>]+)", (DOCS / f"{page}.md").read_text(), re.M)
    assert lines
    for line in lines:
        words = line.split()
        words = words[: words.index("<")] if "<" in words else words
        found, count = command(words)
        assert not isinstance(found, click.Group), line
        assert count, line
        known = {option for parameter in found.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, line


def test_the_overview_and_its_translation_say_the_same():
    """The same commands and pages in the same order, all of which are there."""
    english, japanese = ((DOCS / name).read_text() for name in ("manrs-overview.md", "manrs.ja.md"))
    commands = re.findall(r"`(rov [^`]+)`", english)
    assert len(commands) > 9
    assert re.findall(r"`(rov [^`]+)`", japanese) == commands
    pages = re.findall(r"\]\(([a-z-]+\.md)\)", english)
    assert re.findall(r"\]\(([a-z-]+\.md)\)", japanese) == ["manrs-overview.md", *pages]
    for page in pages:
        assert (DOCS / page).is_file(), page
    assert english.count("|\n") == japanese.count("|\n")
    for line in commands:
        words = shlex.split(line)[1:]
        found, _ = command(words)
        assert not isinstance(found, click.Group), line
        known = {option for parameter in found.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, line
