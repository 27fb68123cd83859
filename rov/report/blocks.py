"""What a section is made of; terminal and page each know how to show these, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

NUMBER = re.compile(r"[-<]?[\d,.]+( %)?$|-$")
"""A cell of a Grid that is a number, or stands for none."""

LEAST_PERCENT = 0.0001
"""What is less is not told more precisely: it would not be read as next to nothing."""

Tone = Literal["good", "bad", "open", "plain", "warn"]
"""valid; invalid; not known; no judgement; to be looked at."""


class Figures(NamedTuple):
    """Numbers that matter most: (label, value as text, what it is a part of or "")."""

    rows: Sequence[tuple[str, str, str]]


class Bars(NamedTuple):
    """A bar a row, parted: ``parts`` are (name, Tone), ``rows`` (label, a number for each part, unit)."""

    title: str
    parts: Sequence[tuple[str, Tone]]
    rows: Sequence[tuple[str, Sequence[float], str]]


class Grid(NamedTuple):
    """A table of texts: cells that are numbers stand right."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Note(NamedTuple):
    """A sentence or two that explain what is shown."""

    text: str


Block: TypeAlias = Figures | Bars | Grid | Note


class Answer(NamedTuple):
    """A section: its title, one sentence for who reads no further, its summary as plain values, its blocks.

    >>> Answer("Verdicts", "All is well.", {"valid": 1}, []).title
    'Verdicts'
    """

    title: str
    lead: str
    summary: Mapping[str, Any]
    blocks: Sequence[Block]


def several(count: int, noun: str, plural: str = "") -> str:
    """A count and what is counted; the plural where it is not the noun and an s.

    >>> several(1, "route"), several(2_000, "route"), several(0, "entry", "entries")
    ('1 route', '2,000 routes', '0 entries')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def percent(part: float, whole: float) -> str:
    """A share as text, "-" of nothing.

    >>> percent(1, 3), percent(1, 10_000), percent(1, 10**9), percent(0, 0)
    ('33.3 %', '0.01 %', '<0.0001 %', '-')
    """
    if not whole:
        return "-"
    share = 100 * part / whole
    if share >= 0.1 or not part:
        return f"{share:.1f} %"
    return f"{share:.2g} %" if share >= LEAST_PERCENT else f"<{LEAST_PERCENT} %"
