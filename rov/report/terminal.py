"""Sections for a terminal: what rich prints."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any

from rich.table import Table
from rich.text import Text

from rov.report.blocks import NUMBER, Answer, Bars, Block, Figures, Grid, Tone, percent
from rov.report.subject import Subject, called

STYLES: dict[Tone, str] = {
    "good": "green",
    "bad": "red",
    "open": "yellow",
    "plain": "blue",
    "warn": "magenta",
}

BAR_CELLS = 24


def heading(subject: Subject) -> list[Text]:
    """What the figures below it were drawn from.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> str(heading(Subject(judge(table, VrpIndex(Snapshot.empty())), ("a.gz",), "vrps.json"))[0])
    'a.gz against vrps.json (0 VRPs)'
    """
    facts = subject.facts()
    named = f" of {facts['peers']:,}" if facts["peers"] else ""
    seen = f"routes of {facts['min_peers']} or more{named} peers"
    if subject.neighbor is not None:
        seen += f", those in AS{subject.neighbor}"
    met, vrps = facts["met"], facts["vrps"]["count"]
    left_out = {name.replace("_", " "): met[name] for name in ("malformed", "skipped") if met[name]}
    lines = [
        Text(f"{called(subject.ribs)} against {called([subject.vrps])} ({vrps:,} VRPs)", "bold"),
        Text(f"{met['entries']:,} entries; {seen} (min_peers {facts['min_peers']})"),
    ]
    if left_out:
        lines.append(
            Text("left out: " + ", ".join(f"{n:,} {what}" for what, n in left_out.items()), "yellow")
        )
    return lines


def shown(answer: Answer) -> Iterator[Any]:
    """A section as what rich prints.

    >>> [str(item) for item in shown(Answer("Title", "All is well.", {}, []))]
    ['', 'Title', 'All is well.']
    """
    yield Text("")
    yield Text(answer.title, style="bold underline")
    yield Text(answer.lead)
    for block in answer.blocks:
        yield Text("")
        yield from _block(block)


def _block(block: Block) -> Iterator[Any]:
    if isinstance(block, Figures):
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column()
        table.add_column(justify="right")
        table.add_column(style="dim")
        for row in block.rows:
            table.add_row(*map(Text, row))
        yield table
    elif isinstance(block, Bars):
        yield Text(block.title, style="italic")
        yield _bars(block)
    elif isinstance(block, Grid):
        if block.rows:
            yield Text(block.title, style="italic")
            yield grid(block)
    else:
        yield Text(block.text, style="dim")


def grid(block: Grid) -> Table:
    """A table without its title; columns of numbers stand right.

    >>> grid(Grid("", ["AS", "routes"], [["AS64496", "1,000"]])).columns[1].justify
    'right'
    """
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(block.head):
        numbers = all(NUMBER.match(row[place]) for row in block.rows)
        table.add_column(name, justify="right" if numbers else "left")
    for row in block.rows:
        table.add_row(*map(Text, row))
    return table


def _bars(block: Bars) -> Table:
    """A bar of shares a row, or, where there is one part only, of sizes."""
    table = Table(box=None, pad_edge=False)
    table.add_column()
    table.add_column()
    for name, tone in block.parts:
        table.add_column(name, justify="right", style=STYLES[tone] if len(block.parts) > 1 else "")
    table.add_column("")
    widest = max((sum(values) for _, values, _ in block.rows), default=0)
    for label, values, unit in block.rows:
        whole = sum(values) if len(block.parts) > 1 else widest
        bar = Text()
        # each part up to where it ends, so that all bars of shares are equally long
        ends = [round(BAR_CELLS * end / whole) if whole else 0 for end in accumulate(values, initial=0)]
        for (_, tone), (start, end) in zip(block.parts, pairwise(ends), strict=True):
            bar.append("█" * (end - start), style=STYLES[tone])
        cells = [percent(value, whole) for value in values] if len(block.parts) > 1 else []
        counts = f"{sum(values):,.0f} {unit}"
        table.add_row(Text(label), bar, *(cells or [""]), Text(counts))
    return table
