"""What an audit says: sections with figures, charts and tables, for a terminal, a browser or a program."""

from __future__ import annotations

from rov.report.blocks import Answer, Bars, Figures, Grid, Note
from rov.report.sections import DEFAULT, SECTIONS, document, sections
from rov.report.subject import Subject

__all__ = [
    "DEFAULT",
    "SECTIONS",
    "Answer",
    "Bars",
    "Figures",
    "Grid",
    "Note",
    "Subject",
    "document",
    "sections",
]
