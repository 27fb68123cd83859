"""The pages for one task each name the columns of their tables, and commands and options that are there."""

import datetime
import json
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
from rov.cli import app, main
from rov.formats.compression import write_file
from rov.reference.contacts import Contacts
from rov.rib import RouteColumns, RouteTable
from tests import mrt_writer as mrt
from tests.unit import test_ixp

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

RUN = [
    "contacts", "customer-filters", "incidents", "irr", "ixp", "manrs", "manrs-overview", "router-config",
    "source-addresses",
]  # fmt: skip
"""Pages whose commands are run as they stand there."""

NOT_HERE = {"/var/spool/updates/", "--bmp", "<"}
"""Commands with these wait for what no test has; test_watch has their like."""


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


VRPS_JSON = {
    "metadata": {"buildtime": "2026-11-01T00:00:00Z"},
    "roas": [
        {"prefix": "12.0.2.0/24", "maxLength": 24, "asn": 501, "ta": "ripe"},
        {"prefix": "18.51.100.0/24", "maxLength": 24, "asn": 502, "ta": "apnic"},
        {"prefix": "2a00:db8::/32", "maxLength": 48, "asn": 501, "ta": "arin"},
    ],
    "aspas": [{"customer_asid": 64511, "providers": [64500]}],
}
RPSL = """as-set: AS-EXAMPLE
members: AS64511
source: RADB

aut-num: AS501
tech-c: TT1
source: RADB

role: Ops
nic-hdl: TT1
e-mail: noc@one.example
source: RADB

route: 99.0.0.0/16
origin: AS64511
source: RADB

route: 18.51.100.0/24
origin: AS70000
source: RADB
"""
EVENTS = "type,start,victim_as,culprit_as,country\nleak,{}-01-02,1,2,JP\n"


@pytest.fixture(scope="module")
def at_hand(tmp_path_factory):
    """Made data under the names that the pages use."""
    folder = tmp_path_factory.mktemp("pages")
    peers = [("192.0.2.1", 64511), ("192.0.2.9", 64512), ("2001:db8::9", 64512)]

    def rib(*more):
        octets = mrt.peer_table(*peers)
        for prefix, *path in [("12.0.2.0/24", 64511, 501), ("2a00:db8::/32", 64511, 501), *more]:
            entries = [mrt.entry(number, mrt.path(*path)) for number in range(3)]
            octets += mrt.rib(4 if ":" in prefix else 2, prefix, *entries)
        return octets

    old, new = rib(), rib(("12.0.2.0/25", 64511, 501), ("18.51.100.0/24", 64511, 70000))
    update = mrt.bgp4mp(4, mrt.message(mrt.update(mrt.prefix("12.0.2.0/25"), mrt.path(64511, 666))), size=4)
    octets = {
        "rib.mrt": new, "rib.mrt.bz2": new, "rib.today.mrt": new, "rib.yesterday.mrt": old,
        "rib.20261101.0000.gz": old, "updates.mrt": update, "updates.20261101.0000.gz": update,
        "updates/1.mrt": update, "rs.mrt.gz": test_ixp.dump(), "rs.mrt": test_ixp.dump(),
    }  # fmt: skip
    texts = {
        "vrps.json": json.dumps(VRPS_JSON), "ours.txt": "501\n70000\n", "2017.csv": EVENTS.format(2017),
        "2018.csv": EVENTS.format(2018),
        "participants.json": json.dumps({"participants": [{"name": "One", "ASNs": [501]}]}),
        "observatory.csv": "ASN,Holder,Country,Global Validation RPKI\n501,One,JP,0.5\n",
        "net.json": json.dumps({"data": [{"asn": 501, "name": "One"}]}),
        "customers.txt": "AS64511 192.0.2.7\n", "ixf.json": json.dumps(test_ixp.EXPORT),
        "asns.json": '{"asns": [501]}',
        "delegated-apnic-extended-latest": "apnic|JP|ipv4|12.0.2.0|256|20110811|allocated|x\n",
    }  # fmt: skip
    texts |= dict.fromkeys(["irr.db", "ripe.db", "ripe.db.gz", "ripe.db.route.gz", "ripe.db.aut-num.gz",
                            "radb.db.gz"], RPSL)  # fmt: skip
    (folder / "updates").mkdir()
    for name, content in {**octets, **{name: text.encode() for name, text in texts.items()}}.items():
        write_file(folder / name, [content])
    return folder


@pytest.mark.parametrize("page", RUN)
def test_commands_of_the_pages_run_as_they_stand(page, at_hand, monkeypatch, capsys):
    """With a file for each name; the exit code of ``rov ixp verify`` is what it found."""
    monkeypatch.chdir(at_hand)
    text = (DOCS / f"{page}.md").read_text()
    lines = [line.strip() for line in re.findall(r"^ *(?:\$ )?(rov [^\n]+)", text, re.M)]
    lines += [line for line in re.findall(r"`(rov [^`\n]+)`", text) if page == "manrs-overview"]
    ran = 0
    for line in lines:
        words = shlex.split(line)[1:]
        if words == ["audit"] or NOT_HERE & {*words}:
            continue
        words += ["--once"] if words[0] == "watch" else []
        del words[words.index(">") if ">" in words else len(words) :]
        code = main(words)
        assert code == (1 if words[:2] == ["ixp", "verify"] else 0), (line, capsys.readouterr().err)
        ran += 1
    assert ran


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
