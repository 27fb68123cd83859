"""Charts as numbers that templates draw as SVG: no script, no style of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

WIDTH = HEIGHT = 1_000
"""Of the drawing, which is stretched to its place."""

MAX_STEPS = 400
"""Points of a line: more than that a screen does not tell apart."""

MAX_LAYERS = 7
"""Colours that are told apart; the smallest parts share one more."""

REST = "others"


class Point(NamedTuple):
    """How many VRPs each trust anchor had from a time on (unix seconds)."""

    time: int
    vrps: dict[str, int]


class Layer(NamedTuple):
    """One part of a stack: ``path`` is its outline, ``number`` that of its colour, from 0."""

    name: str
    number: int
    path: str


class Tick(NamedTuple):
    """A mark of an axis: where, in percent, and its text; ``anchor`` as SVG has it."""

    at: float
    text: str
    anchor: str = "start"


class Stack(NamedTuple):
    """A chart of parts on top of each other. ``begin``, ``end``: unix seconds."""

    begin: int
    end: int
    layers: list[Layer]
    rows: list[Tick]
    columns: list[Tick]


class Row(NamedTuple):
    """A trust anchor in figures: now, its share in percent, its change since the begin, a line."""

    name: str
    number: int
    vrps: int
    share: float
    change: int
    line: str


def thinned(points: Sequence[Point], end: int, most: int = MAX_STEPS) -> list[Point]:
    """The last point of each of so many equal spans; the first point always.

    >>> [point.time for point in thinned([Point(t, {}) for t in range(100)], 100, 4)]
    [0, 24, 49, 74, 99]
    """
    if len(points) <= most:
        return list(points)
    begin = points[0].time
    width = max(1.0, (end - begin) / most)
    last = {int((point.time - begin) / width): point for point in points}
    return list({point.time: point for point in (points[0], *last.values())}.values())


def names_of(points: Sequence[Point]) -> list[str]:
    """The trust anchors by their size now, largest first.

    >>> names_of([Point(0, {"a": 1, "b": 2})])
    ['b', 'a']
    """
    seen = {name for point in points for name, found in point.vrps.items() if found}
    return sorted(seen, key=lambda name: (-points[-1].vrps.get(name, 0), name))


def stacked(points: Sequence[Point], end: int) -> Stack:
    """The chart from the first point to ``end``; each point holds until the next.

    >>> chart = stacked([Point(0, {"a": 10}), Point(50, {"a": 5})], 100)
    >>> chart.layers[0].path
    'M0,1000V0H500V500H1000V1000H500V1000H0V1000Z'
    """
    begin = points[0].time
    end = max(end, begin + 1)
    names = names_of(points)
    kept = names[:MAX_LAYERS] if len(names) > MAX_LAYERS + 1 else names
    parts: list[tuple[str, list[int]]] = [
        (name, [point.vrps.get(name, 0) for point in points]) for name in kept
    ]
    if len(kept) < len(names):
        rest = [sum(found for name, found in point.vrps.items() if name not in kept) for point in points]
        parts.append((REST, rest))
    top, marks = scale(max((sum(point.vrps.values()) for point in points), default=0))
    xs = [round(WIDTH * (point.time - begin) / (end - begin)) for point in points]
    below = [0] * len(points)
    layers = []
    for number, (name, values) in enumerate(parts):
        above = [low + value for low, value in zip(below, values, strict=True)]
        layers.append(Layer(name, number, _outline(xs, below, above, top)))
        below = above
    rows = [Tick(100 - 100 * mark / top, f"{mark:,}") for mark in marks]
    return Stack(begin, end, layers, rows, _times(begin, end))


def _outline(xs: Sequence[int], below: Sequence[int], above: Sequence[int], top: float) -> str:
    """Along the upper edge, and back along the lower one."""

    def y(value: float) -> int:
        return round(HEIGHT * (1 - value / top))

    steps = [f"M{xs[0]},{y(below[0])}V{y(above[0])}"]
    steps += [f"H{x}V{y(value)}" for x, value in zip(xs[1:], above[1:], strict=True)]
    steps.append(f"H{WIDTH}V{y(below[-1])}")
    back = list(zip(xs, below, strict=True))[::-1]
    steps += [f"H{x}V{y(low)}" for (x, _), (_, low) in zip(back, [*back[1:], back[-1]], strict=True)]
    return "".join(steps) + "Z"


def scale(most: int) -> tuple[int, list[int]]:
    """The top of an axis and its marks, 0 left out.

    >>> scale(723_521), scale(0), scale(5)
    ((800000, [200000, 400000, 600000]), (4, [1, 2, 3]), (5, [1, 2, 3, 4]))
    """
    most = max(most, 4)
    step = 10 ** int(math.log10(most / 4)) if most >= 40 else 1
    step *= next(factor for factor in (1, 2, 5, 10, 20, 50) if most / (step * factor) <= 5)
    top = step * math.ceil(most / step)
    return top, list(range(step, top, step))


def _times(begin: int, end: int) -> list[Tick]:
    """Begin, middle and end, as exact as the span allows."""
    form = "%Y-%m-%d" if end - begin > 3 * 86_400 else "%m-%d %H:%M" if end - begin > 600 else "%H:%M:%S"
    places = ((0, "start"), (50, "middle"), (100, "end"))
    return [
        Tick(at, f"{datetime.fromtimestamp(begin + (end - begin) * at // 100, UTC):{form}}", anchor)
        for at, anchor in places
    ]


def table(points: Sequence[Point], end: int) -> list[Row]:
    """The trust anchors in figures, largest first, under the colours of ``stacked``."""
    now = points[-1].vrps
    total = sum(now.values())
    return [
        Row(
            name,
            min(number, MAX_LAYERS),
            now.get(name, 0),
            100 * now.get(name, 0) / total if total else 0.0,
            now.get(name, 0) - points[0].vrps.get(name, 0),
            line(points, name, end),
        )
        for number, name in enumerate(names_of(points))
    ]


def line(points: Sequence[Point], name: str, end: int) -> str:
    """One trust anchor between its least and its most, as the outline of a step line.

    >>> line([Point(0, {"a": 10}), Point(50, {"a": 5})], "a", 100)
    'M0,100H500V900H1000'
    """
    values = [point.vrps.get(name, 0) for point in points]
    least, most = min(values), max(values)
    begin = points[0].time
    wide = max(end - begin, 1)

    def y(value: int) -> int:
        return 500 if least == most else round(900 - 800 * (value - least) / (most - least))

    steps = [f"M0,{y(values[0])}"]
    for point, before, value in zip(points[1:], values, values[1:], strict=False):
        if value != before:
            steps.append(f"H{round(WIDTH * (point.time - begin) / wide)}V{y(value)}")
    return "".join(steps) + f"H{WIDTH}"
