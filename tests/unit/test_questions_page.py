"""docs/questions.md names each table of these questions, each column, and each subcommand."""

import re
from pathlib import Path

import pytest

from rov import Snapshot, VrpIndex
from rov.audit import judge
from rov.audit.bogons import BOGONS, bogons_table
from rov.audit.hijacks import HIJACKS, hijacks_table
from rov.audit.invalid_paths import Seen
from rov.audit.leaks import AS_LEAKS, PEER_LEAKS, as_leaks_table, peer_leaks_table
from rov.audit.suggest import SUGGEST, suggest, suggest_table
from rov.audit.whatif import WHATIF, change, whatif_table
from rov.cli import SUBCOMMANDS
from rov.rib import RouteColumns, RouteTable

PAGE = (Path(__file__).parents[2] / "docs" / "questions.md").read_text()

EMPTY = judge(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)), VrpIndex(Snapshot.empty()))

TABLES = {
    WHATIF: lambda: whatif_table(change(EMPTY, Snapshot.empty())),
    SUGGEST: lambda: suggest_table(suggest(EMPTY)),
    BOGONS: lambda: bogons_table(EMPTY.table),
    HIJACKS: lambda: hijacks_table(EMPTY),
    PEER_LEAKS: lambda: peer_leaks_table(EMPTY),
    AS_LEAKS: lambda: as_leaks_table(EMPTY, Seen()),
}


@pytest.mark.parametrize("schema", TABLES, ids=lambda schema: schema.name)
def test_the_columns_of_each_table(schema):
    part = PAGE.split(f"`{schema.name}`, one row", 1)[1]
    part = part.split("\n## ", 1)[0].split("\n`rov.audit.", 1)[0]
    stated = [name for row in re.findall(r"^\| ([a-z_0-9, ]+) \|", part, re.M) for name in row.split(", ")]
    assert [name for name in stated if name != "column"] == TABLES[schema]().column_names


def test_commands_of_the_page_are_there():
    assert {*re.findall(r"^## .*`rov ([a-z]+)`", PAGE, re.M)} <= {*SUBCOMMANDS}
