"""docs/audit.md beside what the program does: columns, keys, words, the example."""

import json
import re
from pathlib import Path

import pytest

import rov
from rov.audit import Impact, coverage_table, impact_table, judge, schemas, verdict_table
from rov.audit.hygiene import Fault, hygiene_table
from rov.audit.neighbor import UNFILTERED, Unfiltered, unfiltered, unfiltered_table
from rov.audit.verdicts import REASON_WORDS
from rov.report import SECTIONS, Subject, document
from rov.rib import read_table

PAGE = (Path(rov.__file__).parent.parent / "docs" / "audit.md").read_text()

ROW = re.compile(r"^\| `([a-z0-9_]+)` \| ([^|]*?) \|", re.MULTILINE)

TYPES = {"word": "dictionary<values=string", "list of string": "list<"}

MAKERS = {
    schemas.VERDICTS: verdict_table,
    schemas.IMPACT: impact_table,
    schemas.COVERAGE: coverage_table,
    schemas.HYGIENE: hygiene_table,
    UNFILTERED: unfiltered_table,
}


def part(title):
    """What stands under a heading."""
    return re.split(r"^#{2,3} ", PAGE.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.fixture
def verdicts(tmp_path):
    """Those of two routes, one of them invalid."""
    (tmp_path / "rib.csv").write_text("prefix,origin\n192.0.2.0/24,64496\n192.0.2.0/25,64496\n")
    (tmp_path / "vrps.json").write_text('[{"asn": "AS64496", "prefix": "192.0.2.0/24"}]')
    return judge(read_table(tmp_path / "rib.csv"), rov.load(tmp_path / "vrps.json"))


@pytest.mark.parametrize("schema", MAKERS, ids=lambda schema: schema.name)
def test_columns_and_their_types(verdicts, schema):
    table = MAKERS[schema](verdicts, *([unfiltered(verdicts)] if schema is UNFILTERED else []))
    assert MAKERS[schema].__name__ == schema.function
    described = ROW.findall(part(schema.name))
    assert [name for name, _ in described] == table.column_names
    for name, kind in described:
        assert str(table.schema.field(name).type).startswith(TYPES.get(kind, kind))


def test_keys_of_the_document(verdicts):
    found = document(Subject(verdicts, ("rib.csv",), "vrps.json"), {})
    assert [name for name, _ in ROW.findall(part("rov.audit/1"))] == list(found)
    json.dumps(found)
    for name in (*SECTIONS, *found["met"], *found["vrps"]):
        assert re.search(rf"\b{name}\b", part("rov.audit/1"))


def test_words():
    assert [name for name, _ in ROW.findall(part("Impact"))] == [kind.label for kind in Impact]
    assert {name for name, _ in ROW.findall(part("What counts"))} == set(REASON_WORDS)
    assert set(re.findall(r"`(\w+)`", part("Hygiene of VRPs"))) >= {fault.name.lower() for fault in Fault}


def test_reasons_of_a_neighbour():
    cells = re.findall(r"^\|([^|]+)\|", part("One neighbour"), re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert named == [why.label for why in Unfiltered]


def test_the_example(tmp_path, monkeypatch, verdicts):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    checked = 0
    for line in block.splitlines():
        code, _, comment = line.partition("  # ")
        if comment:
            assert repr(eval(code, names)) == comment
            checked += 1
        else:
            exec(code, names)
    assert checked == 3
