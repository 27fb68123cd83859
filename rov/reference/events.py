"""Events of a year as CSV or JSON lines: of ``rov incidents detect``, or of others."""

from __future__ import annotations

import csv
import datetime
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from rov._checks import as_paths
from rov._rows import asn_of
from rov.errors import ReferenceFileError
from rov.reference.lines import numbered_lines

MAX_EVENTS = 1 << 24
"""Of all files: a thousand times those of the year 2018."""


class Event(NamedTuple):
    """An event: its type, the year it began in, who suffered and who did it (0: nobody is named), a country.

    >>> Event("hijack", 2018, 64496, 64497, "JP").year
    2018
    """

    type: str
    year: int
    victim: int
    culprit: int
    country: str


def read_events(paths: Iterable[str | os.PathLike[str]]) -> list[Event]:
    """The events of files, CSV with a line of names, JSON lines or a JSON list of such, plain or packed.

    Columns: type, start (unix seconds, or a date such as 2018-05-01), and victim_as, culprit_as, country,
    which may be empty; others are passed over. ReferenceFileError: a file is none, or a row is bad.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("type,start,victim_as,culprit_as\\nleak,2018-01-02,,64497", file=file, flush=True)
    ...     read_events([file.name])
    [Event(type='leak', year=2018, victim=0, culprit=64497, country='')]
    """
    found: list[Event] = []
    for name in as_paths(paths):
        before = len(found)
        for number, row in _rows(name):
            found.append(_event(name, number, row))
            if len(found) > MAX_EVENTS:
                raise ReferenceFileError(name, f"more than {MAX_EVENTS:,} events", number)
        if len(found) == before:
            raise ReferenceFileError(name, "expected events, found none")
    return found


def _rows(name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = iter(numbered_lines(name))
    _, first = next(lines, (0, ""))
    if first.startswith("{"):
        yield from _objects(name, ((1, first), *lines))
        return
    if first.strip() == "[":
        yield from _objects(name, _listed(name, lines))
        return
    names = next(csv.reader([first]), [])
    if not {"type", "start"} <= {*names}:
        raise ReferenceFileError(name, "expected CSV with columns type and start, or JSON lines", 1)
    for number, line in lines:
        try:
            fields = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise ReferenceFileError(name, str(error), number) from error
        if fields:
            yield number, dict(zip(names, fields, strict=False))


def _objects(name: str, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines:
        if line.strip():
            try:
                row = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError as error:
                raise ReferenceFileError(name, f"expected a JSON object: {error}", number) from error
            yield number, row


def _listed(name: str, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines of a JSON list that has an object on each, as --output FILE.json writes it."""
    number = 1
    for number, line in lines:
        if line.strip() == "]":
            return
        yield number, line.strip().removesuffix(",")
    raise ReferenceFileError(name, 'expected "]" after the last event', number)


def _event(name: str, number: int, row: dict[str, Any]) -> Event:
    kind = str(row.get("type") or "")
    year = _year(str(row.get("start") or ""))
    if not kind or year is None:
        expected = "expected a type and a start, unix seconds or a date such as 2018-05-01"
        raise ReferenceFileError(name, f"{expected}, found {kind[:40]!r} and {row.get('start')!r}", number)
    asns = []
    for column in ("victim_as", "culprit_as"):
        text = str(row.get(column) or "")
        asn = asn_of(text) if text else 0
        if asn is None:
            raise ReferenceFileError(name, f"{column} {text[:40]!r}: expected an AS number", number)
        asns.append(asn)
    return Event(kind, year, asns[0], asns[1], str(row.get("country") or ""))


def _year(text: str) -> int | None:
    try:
        if text.isascii() and text.isdigit() and len(text) > 4:
            return datetime.datetime.fromtimestamp(int(text), datetime.UTC).year
        return datetime.datetime.fromisoformat(text).year
    except (ValueError, OverflowError, OSError):
        return None
