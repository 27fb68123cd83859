"""The report as one page: no script, no outside request, light or dark as its reader likes; needs jinja2."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from rov._render import iso
from rov._templates import environment
from rov.formats.compression import write_file
from rov.report.blocks import NUMBER, Answer
from rov.report.charts import SLIM, WIDTH, drawn
from rov.report.subject import Subject, called


def page(subject: Subject, answers: Mapping[str, Answer]) -> str:
    """The page as text; ExtraError where jinja2 is not installed.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> page(Subject(judge(table, VrpIndex(Snapshot.empty())), ("<rib>",), "vrps"), {})[:15]
    '<!doctype html>'
    """
    environment = _environment()
    # a style sheet of our own, into which nothing is put
    environment.globals["style"] = environment.filters["safe"](_file("style.css"))
    named = {"ribs": called(subject.ribs), "vrps": called([subject.vrps])}
    text: str = environment.from_string(_file("page.html")).render(
        facts=subject.facts(), named=named, answers=answers
    )
    return text


def write_page(path: str | os.PathLike[str], subject: Subject, answers: Mapping[str, Answer]) -> None:
    """Write the page to a file; OSError, ExtraError."""
    write_file(path, [page(subject, answers).encode("utf-8")])


def _file(name: str) -> str:
    return files("rov.report").joinpath("templates", name).read_text("utf-8")


def _environment() -> Any:
    made = environment(escape=True)
    made.filters |= {"drawn": drawn, "iso": iso, "count": "{:,}".format, "numbers": _numbers}
    made.globals |= {"WIDTH": WIDTH, "SLIM": SLIM, "kind": lambda block: type(block).__name__}
    return made


def _numbers(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns are numbers, and stand right."""
    return [all(NUMBER.match(cell) for cell in column) for column in zip(*rows, strict=True)]
