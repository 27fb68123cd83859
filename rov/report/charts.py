"""Bars as numbers that a page draws: where each part begins, how wide it is, what is written on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rov.report.blocks import Bars, Tone, percent

WIDTH = 1000
"""Of a whole bar, in the units of the drawing."""

LABELLED = 80
"""Parts that are narrower have no room for their share."""

SLIM = 180
"""Parts that are narrower have none on a phone, whose bars are a third as long."""


class Part(NamedTuple):
    """A rectangle of a bar; label "" where there is no room, hint what it stands for."""

    x: float
    width: float
    tone: Tone
    label: str
    hint: str


class Bar(NamedTuple):
    """A row: what it is about, its parts, how many of what."""

    label: str
    parts: list[Part]
    total: str


def drawn(block: Bars) -> Iterator[Bar]:
    """The bars of a block: parts of a whole, or, where there is one part only, sizes beside the largest.

    >>> [bar] = drawn(Bars("", [("valid", "good"), ("invalid", "bad")], [("IPv4", [3, 1], "routes")]))
    >>> [(part.x, part.width, part.label) for part in bar.parts], bar.total
    ([(0.0, 750.0, '75.0 %'), (750.0, 250.0, '25.0 %')], '4 routes')
    """
    shares = len(block.parts) > 1
    largest = max((sum(values) for _, values, _ in block.rows), default=0)
    for label, values, unit in block.rows:
        whole = sum(values) if shares else largest
        parts: list[Part] = []
        x = 0.0
        for (name, tone), value in zip(block.parts, values, strict=True):
            width = WIDTH * value / whole if whole else 0.0
            text = percent(value, whole)
            hint = f"{name}: {value:,.0f} {unit}" + (f" ({text})" if shares else "")
            if width:
                parts.append(Part(x, width, tone, text if shares and width >= LABELLED else "", hint))
            x += width
        yield Bar(label, parts, f"{sum(values):,.0f} {unit}")
