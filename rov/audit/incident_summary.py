"""Incidents counted by year, and by what else is asked, with the change against the year before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from rov._checks import as_int, as_kind, as_rows, shown
from rov.audit.schemas import Schema
from rov.audit.tables import arrow
from rov.errors import ArgumentError
from rov.reference.events import Event

if TYPE_CHECKING:
    import pyarrow as pa

SUMMARY = Schema("rov.incidents.summary/1", "summary_table")

BY: dict[str, Callable[[Event], str]] = {
    "year": lambda event: "",
    "type": lambda event: event.type,
    "country": lambda event: event.country,
    "victim": lambda event: f"AS{event.victim}" if event.victim else "",
    "culprit": lambda event: f"AS{event.culprit}" if event.culprit else "",
}
"""What events may be counted by, besides their year."""


class Count(NamedTuple):
    """The events of a year and a group: how many, and how many ASes suffered and did it."""

    incidents: int
    victims: int
    culprits: int


def counted(events: Iterable[Event], by: str = "year") -> dict[tuple[int, str], Count]:
    """The Count of each year and group, ascending; an AS that is in several events counts once.

    ArgumentError: by is none of BY.

    >>> counted([Event("leak", 2018, 0, 64497, ""), Event("hijack", 2018, 64496, 64497, "")])
    {(2018, ''): Count(incidents=2, victims=1, culprits=1)}
    """
    if as_kind(by, str, "by") not in BY:
        raise ArgumentError(f"by {shown(by)}: expected one of {', '.join(BY)}")
    group = BY[by]
    totals: dict[tuple[int, str], int] = {}
    victims: dict[tuple[int, str], set[int]] = {}
    culprits: dict[tuple[int, str], set[int]] = {}
    for event in as_rows(events, Event, "events"):
        key = event.year, group(event)
        totals[key] = totals.get(key, 0) + 1
        victims.setdefault(key, set()).add(event.victim)
        culprits.setdefault(key, set()).add(event.culprit)
    return {
        key: Count(totals[key], len(victims[key] - {0}), len(culprits[key] - {0})) for key in sorted(totals)
    }


def percent(new: float, old: float | None) -> float | None:
    """The change in percent; None where there is nothing to compare with.

    >>> round(percent(12_600, 13_935), 2)
    -9.58
    """
    return 100 * (new - old) / old if old else None


def summary_table(
    events: Iterable[Event], by: str = "year", ases: Mapping[int, int] | None = None
) -> pa.Table:
    """One row a year and group, the newest year first, in it most incidents first: year, group (null: by
    year), incidents, victims, culprits (distinct ASes), each with its change in percent against the year
    before, share_of_ases (percent of all ASes that are victims; null where ``ases`` has no number for the
    year), share_change (in points). ArgumentError: by is none of BY, ases has no numbers.

    >>> summary_table([Event("leak", 2018, 1, 2, "")], ases={2018: 50}).to_pylist()[0]["share_of_ases"]
    2.0
    """
    known = {
        as_int(year, "year"): as_int(count, "ASes", 1)
        for year, count in as_kind({} if ases is None else ases, Mapping, "ases").items()  # type: ignore[type-abstract]
    }
    found = counted(events, by)
    rows = []
    for (year, group), count in sorted(
        found.items(), key=lambda one: (-one[0][0], -one[1].incidents, one[0])
    ):
        old = found.get((year - 1, group))
        share = 100 * count.victims / known[year] if year in known else None
        before = 100 * old.victims / known[year - 1] if old and year - 1 in known else None
        rows.append(
            (
                year,
                group or None,
                *count,
                *(percent(*pair) for pair in zip(count, old or (None, None, None), strict=True)),
                share,
                None if share is None or before is None else share - before,
            )
        )
    pyarrow = arrow()
    number, real = pyarrow.uint32(), pyarrow.float64()
    kinds = {
        "year": number,
        "group": pyarrow.string(),
        "incidents": number,
        "victims": number,
        "culprits": number,
        "incidents_change": real,
        "victims_change": real,
        "culprits_change": real,
        "share_of_ases": real,
        "share_change": real,
    }
    columns = zip(*rows, strict=True) if rows else ((),) * len(kinds)
    table: pa.Table = pyarrow.table(
        {name: pyarrow.array(list(column), kinds[name]) for name, column in zip(kinds, columns, strict=True)}
    )
    return table
