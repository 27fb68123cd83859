"""docs/operations.md names every event that an operator may see."""

import ast
from pathlib import Path

import rtr_server

SOURCE = Path(rtr_server.__file__).parent
PAGE = SOURCE.parent / "docs" / "operations.md"

NAME_AT = {"event": 2, "line": 1, "exception": 0}
"""Which argument of the functions that log is the name of the event."""


def logged():
    """The name of every event as the source has it, where it is a constant, with its place."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            at = NAME_AT.get(called)
            if at is None or len(node.args) <= at:
                continue
            match node.args[at]:
                case ast.Constant(value=str(name)):
                    yield name, f"{path.name}:{node.lineno}"


def test_every_event_is_documented():
    text = PAGE.read_text()
    found = list(logged())
    assert len(found) > 40, "the source logs otherwise now"
    assert [each for each in found if f"`{each[0]}`" not in text] == []


def test_nothing_is_documented_that_is_gone():
    names = {name for name, _ in logged()}
    source = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            cell = line.split(" | ")[0]
            for name in (each for each in cell.split("`")[1::2] if not each.endswith("...")):
                assert name in names or name in source, name
