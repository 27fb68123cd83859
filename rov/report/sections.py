"""The sections that there are; a new one is a function from Subject to Answer and a line in SECTIONS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rov.audit.neighbor import UNFILTERED, unfiltered_table
from rov.report.blocks import Answer
from rov.report.coverage import coverage_answer
from rov.report.hygiene import hygiene_answer
from rov.report.impact import impact_answer
from rov.report.neighbor import neighbor_answer
from rov.report.paths import paths_answer
from rov.report.subject import Subject
from rov.report.verdicts import verdicts_answer

DOCUMENT_SCHEMA = "rov.audit/1"
"""Name and version of the JSON document; the number grows when a name goes or changes its meaning."""

SECTIONS: Mapping[str, Callable[[Subject], Answer]] = {
    "verdicts": verdicts_answer,
    "neighbor": neighbor_answer,
    "impact": impact_answer,
    "paths": paths_answer,
    "coverage": coverage_answer,
    "hygiene": hygiene_answer,
}
"""In the order of a report."""

DEFAULT = ("verdicts", "impact", "coverage", "hygiene")
"""Those that need no more than verdicts."""


def sections(subject: Subject, names: Iterable[str] = DEFAULT) -> dict[str, Answer]:
    """The Answers of some sections by name, in the order of SECTIONS.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> list(sections(Subject(judge(table, VrpIndex(Snapshot.empty())), (), ""), ["impact"]))
    ['impact']
    """
    wanted = set(names)
    return {name: answer(subject) for name, answer in SECTIONS.items() if name in wanted}


def document(subject: Subject, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """All that was found as plain values: what ``rov audit --json`` writes; docs/audit.md has the schema.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> document(Subject(judge(table, VrpIndex(Snapshot.empty())), (), ""), {})["schema"]
    'rov.audit/1'
    """
    found = {name: dict(answer.summary) for name, answer in answers.items()}
    if subject.unfiltered and "neighbor" in found:
        rows = unfiltered_table(subject.verdicts, subject.unfiltered).to_pylist()
        found["neighbor"] |= {"rows_schema": UNFILTERED.name, "rows": rows}
    return {"schema": DOCUMENT_SCHEMA, **subject.facts(), "sections": found}
