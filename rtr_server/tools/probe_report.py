"""The results of the probe as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rtr_server.endpoint import Endpoint
from rtr_server.tools.probe import Result

STYLES = {"pass": "green", "fail": "bold red", "skip": "dim"}

PIPE_WIDTH = 160
"""Columns where standard output is no terminal."""


def write_table(results: Sequence[Result], out: TextIO) -> None:
    """A row for each check, wrapped to the terminal."""
    console = Console(file=out, highlight=False)
    if not console.is_terminal:
        console = Console(file=out, highlight=False, width=PIPE_WIDTH)
    table = Table(box=None, pad_edge=False)
    for name in ("no.", "level", "result", "requirement", "seen", "section"):
        table.add_column(name, no_wrap=name in ("no.", "level", "result"))
    for check, outcome, why in results:
        # Texts of the cache are in there: Text, so that none of it is taken for markup.
        cells = (check.number, check.level, outcome, check.what, why, check.section)
        styles = ("", "", STYLES[outcome], "", "", "dim")
        table.add_row(*(Text(cell, style) for cell, style in zip(cells, styles, strict=True)))
    console.print(table)


def write_json(results: Sequence[Result], endpoint: Endpoint, out: TextIO) -> None:
    """One object: the cache, the counts, and the results in the order of their numbers."""
    rows = [
        {
            "number": check.number,
            "level": check.level,
            "result": outcome,
            "requirement": check.what,
            "why": why,
            "section": check.section,
        }
        for check, outcome, why in results
    ]
    json.dump({"cache": str(endpoint), **counts(results), "results": rows}, out, indent=2)
    out.write("\n")


def counts(results: Sequence[Result]) -> dict[str, int]:
    """How many passed, failed, were skipped.

    >>> counts([])
    {'pass': 0, 'fail': 0, 'skip': 0}
    """
    found = Counter(result.outcome for result in results)
    return {name: found[name] for name in ("pass", "fail", "skip")}
