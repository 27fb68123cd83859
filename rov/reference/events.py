"""Events of a year: all that ``rov incidents detect`` writes, or CSV and JSON lines of others."""

from __future__ import annotations

import csv
import datetime
import io
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from rov._checks import as_paths
from rov._rows import asn_of
from rov.errors import ExtraError, ReferenceFileError
from rov.reference.lines import read_octets

MAX_EVENTS = 1 << 24
"""Of all files: a thousand times those of the year 2018."""

PARQUET = b"PAR1"

COLUMNS = ("type", "start", "victim_as", "culprit_as", "country")
"""What is read of an event."""


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
    """The events of files: CSV with a line of names, JSON lines, a JSON list, an answer of --json, Parquet.

    Columns: type, start (unix seconds, or a date such as 2018-05-01), and victim_as, culprit_as, country,
    which may be empty; others are passed over. CSV and JSON may be packed. ReferenceFileError: a file is
    none, or a row is bad; it names the line, where a file has no lines the event. ExtraError: Parquet
    without pyarrow.

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
    octets = read_octets(name)
    if octets.startswith(PARQUET):
        yield from _of_parquet(name, octets)
        return
    lines = [line.decode("utf-8", "replace") for line in octets.splitlines()]
    first = lines[0].strip() if lines else ""
    if first in ("[", "{") or first.startswith("["):
        yield from enumerate(_of_document(name, octets), 1)
    elif first.startswith("{"):
        yield from _objects(name, lines)
    else:
        yield from _of_csv(name, lines)


def _of_csv(name: str, lines: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    names = next(csv.reader(lines[:1]), [])
    if not {"type", "start"} <= {*names}:
        raise ReferenceFileError(name, "expected CSV with columns type and start, JSON or Parquet", 1)
    for number, line in enumerate(lines[1:], 2):
        try:
            fields = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise ReferenceFileError(name, str(error), number) from error
        if fields:
            yield number, dict(zip(names, fields, strict=False))


def _objects(name: str, lines: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """JSON lines."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError as error:
                raise ReferenceFileError(name, f"expected a JSON object: {error}", number) from error
            yield number, row


class _Answer(msgspec.Struct):
    rows: list[dict[str, Any]]


def _of_document(name: str, octets: bytes) -> list[dict[str, Any]]:
    """A list of events, as --output FILE.json writes it, or the whole answer of --json."""
    try:
        if octets.lstrip().startswith(b"["):
            return msgspec.json.decode(octets, type=list[dict[str, Any]])
        return msgspec.json.decode(octets, type=_Answer).rows
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReferenceFileError(name, f'expected a list of events, or one as "rows": {error}') from error


def _of_parquet(name: str, octets: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ExtraError("Parquet needs pyarrow: pip install 'rovkit[arrow]'") from error
    try:
        file = parquet.ParquetFile(io.BytesIO(octets))
        names = [column for column in COLUMNS if column in file.schema_arrow.names]
        batches = file.iter_batches(columns=names)
        yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ReferenceFileError(name, f"no sound Parquet: {str(error).splitlines()[0]}") from error


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
