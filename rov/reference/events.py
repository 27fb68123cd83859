"""Events of a year: all that ``rov incidents detect`` writes, or CSV and JSON lines of others."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from rov._checks import as_paths
from rov._rows import asn_of
from rov.errors import ReferenceFileError
from rov.reference.rows import rows_of_file

MAX_EVENTS = 1 << 24
"""Of all files: a thousand times those of the year 2018."""

COLUMNS = ("type", "start", "victim_as", "culprit_as", "country")
"""What is read of an event."""

NEEDED = frozenset({"type", "start"})

ALERTS = ("invalid", "cleared")
"""What rov watch tells of a route: that it becomes invalid, and that it is so no more."""


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
    which may be empty; others are passed over. Alerts of ``rov watch`` are events of type invalid: the
    culprit is the origin, the victim the AS of the VRPs, if it is one. CSV and JSON may be packed. A file
    may have no event, as that of a quiet day. ReferenceFileError: a file is none, or a row is bad; it names
    the line, where a file has no lines the event. ExtraError: Parquet without pyarrow.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("type,start,victim_as,culprit_as\\nleak,2018-01-02,,64497", file=file, flush=True)
    ...     read_events([file.name])
    [Event(type='leak', year=2018, victim=0, culprit=64497, country='')]
    """
    found: list[Event] = []
    for name in as_paths(paths):
        for number, row in rows_of_file(name, COLUMNS, NEEDED):
            given = _of_alert(row) if row.get("event") in ALERTS and "type" not in row else row
            if given is not None:
                found.append(_event(name, number, given))
            if len(found) > MAX_EVENTS:
                raise ReferenceFileError(name, f"more than {MAX_EVENTS:,} events", number)
    return found


def _of_alert(row: dict[str, Any]) -> dict[str, Any] | None:
    """An alert of rov watch as an event; None: the end of one."""
    if row["event"] == "cleared":
        return None
    vrps = row.get("vrps")
    holders = {str(vrp).rpartition("AS")[2] for vrp in vrps} - {"0"} if isinstance(vrps, list) else set()
    victim = holders.pop() if len(holders) == 1 else ""
    return {"type": "invalid", "start": row.get("time"), "victim_as": victim, "culprit_as": row.get("origin")}


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
