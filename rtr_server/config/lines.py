"""On which line of a TOML file a key stands: the standard parser does not say, an operator wants to know.

It knows headers, keys at the beginning of a line and multi-line strings, which is how people write
configuration. A key that is written otherwise is found at its table's line; nothing but messages depends
on it.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]
"""Keys from the top; entries of lists by number, from 0."""

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=(.*)""")
_QUOTES = re.compile(r"\"\"\"|\'\'\'")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def find_lines(text: str) -> dict[Path, int]:
    """The line, from 1, of each table and key that stands at the beginning of a line.

    >>> find_lines("[log]\\nlevel = 'info'")[("log", "level")]
    2
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    quoted = False
    for number, line in enumerate(text.splitlines(), 1):
        inside, quoted = quoted, quoted ^ bool(len(_QUOTES.findall(line)) % 2)
        if inside:
            continue
        if header := _HEADER.match(line):
            table = _table(header, counts)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_parts(key[1])), number)
    return lines


def line_of(path: Path, lines: dict[Path, int]) -> int | None:
    """The line of the key, else that of the nearest table around it.

    >>> line_of(("log", "level", 0), {("log",): 1})
    1
    """
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def _table(header: re.Match[str], counts: dict[Path, int]) -> Path:
    """The path of a header; [[name]] is the next entry of a list, and [name.x] is in its last entry."""
    table: Path = ()
    parts = _parts(header[2])
    for part in parts[:-1]:
        table = (*table, part)
        if table in counts:
            table = (*table, counts[table])
    table = (*table, parts[-1])
    if header[1] == "[[":
        counts[table] = counts.get(table, -1) + 1
        table = (*table, counts[table])
    return table


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)] or [dotted]
