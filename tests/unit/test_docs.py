"""What the documents show of the library: it runs, and gives what they say."""

import ast
import doctest
import re
from pathlib import Path

import polars as pl
import pytest

import rov

ROOT = Path(rov.__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_library_page():
    blocks = BLOCK.findall((ROOT / "docs" / "library.md").read_text())
    assert len(blocks) > 8
    page = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "library.md", "library.md", 0)
    outcome = doctest.DocTestRunner().run(page)
    assert outcome.failed == 0
    assert outcome.attempted > 30


def test_the_page_on_rib_dumps():
    outcome = doctest.testfile(str(ROOT / "docs" / "rib.md"), module_relative=False)
    assert (outcome.failed, outcome.attempted) == (0, 13)


def test_the_page_names_every_column_as_it_is():
    text = (ROOT / "docs" / "library.md").read_text()
    for reason in rov.Reason:
        state = rov.State(min(reason, 2))
        assert f"| {reason.value} | {reason.label} | {state.label} |" in text


def test_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The block of Python is run; what a comment says is the repr of its line has to be it."""
    monkeypatch.chdir(tmp_path)
    rows = '[{"asn": "AS13335", "prefix": "1.1.1.0/24"}]'
    for name, content in (("vrps.json.gz", rows), ("old.json", rows), ("new.json", rows)):
        Path(name).write_text(content)
    names = {
        "addresses": [0x01010100],
        "lengths": [24],
        "origins": [13335],
        "frame": pl.DataFrame({"prefix": ["1.1.1.0/24"], "origin": [13335]}),
    }
    (block,) = BLOCK.findall((ROOT / "README.md").read_text())
    checked = 0
    for line in block.splitlines():
        code, _, comment = line.partition("  # ")
        if comment.startswith("<"):
            assert isinstance(ast.parse(code).body[0], ast.Expr)
            assert repr(eval(code, names)) == comment
            checked += 1
        else:
            exec(code, names)
    assert checked == 2
    assert names["delta"] is None
    assert names["table"]["state"].to_pylist() == ["valid"]
    assert (names["states"].tolist(), names["reasons"].tolist()) == ([1], [1])
