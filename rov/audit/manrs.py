"""Scores by the formulas of the MANRS Observatory, as far as a RIB, VRPs and IRR dumps tell.

MANRS publishes no thresholds: those used are stated in every answer, and may be changed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from math import inf
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_optional, as_rows, shown
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, as_names, name_column
from rov.audit.verdicts import Verdicts
from rov.errors import ArgumentError
from rov.reference import Delegations
from rov.reference.rpsl import Irr
from rov.types import State, as_asn

if TYPE_CHECKING:
    import pyarrow as pa

MANRS = Schema("rov.manrs.score/1", "manrs_table")

FRAMEWORK = "2024-01"
"""Which formulas these are: since then leaks (M1) do not count, and M6 is not in the public score."""

INVALID_WEIGHT = 10
"""An invalid route costs as much as ten valid ones bring (M7RPKI)."""

Match = Literal["exact", "covering"]

HALF_HOUR, DAY = 1_800, 86_400


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which score on an AS is ready, and aspiring; below, it is lagging.

    >>> Thresholds().severity(0.7)
    'aspiring'
    """

    ready: float = 0.8
    aspiring: float = 0.6

    def __post_init__(self) -> None:
        if not (
            _is_number(self.aspiring) and _is_number(self.ready) and 0 <= self.aspiring <= self.ready <= 1
        ):
            raise ArgumentError("thresholds: expected 0 <= aspiring <= ready <= 1")

    def severity(self, score: float | None) -> str:
        """The word for a score; None: there are no data.

        >>> Thresholds().severity(None)
        'no_data_available'
        """
        if score is None:
            return "no_data_available"
        return "ready" if score >= self.ready else "aspiring" if score >= self.aspiring else "lagging"


def incident_weight(seconds: float) -> float:
    """What an incident counts: 0.5 below half an hour, 1 below a day, and 1 for each further day.

    >>> [incident_weight(60 * minutes) for minutes in (29, 13 * 60, 25 * 60)]
    [0.5, 1, 2]
    """
    if not _is_number(seconds) or seconds < 0:
        raise ArgumentError(f"duration {shown(seconds)}: expected a number of seconds, 0 or more")
    return 0.5 if seconds < HALF_HOUR else 1 + int(seconds // DAY)


def incidents_weight(events: Sequence[tuple[float, float]]) -> float:
    """What events of one metric, as (start, end) in seconds, count; those that overlap are one incident.

    >>> day = 86_400
    >>> incidents_weight([(0, 29 * 60), (day, day + 13 * 3600), (9 * day, 10 * day + 3600)])
    3.5
    """
    total, begin, end = 0.0, None, 0.0
    for first, last in sorted(map(_as_event, as_rows(events, tuple, "events"))):
        if begin is not None and first <= end:
            end = max(end, last)
            continue
        if begin is not None:
            total += incident_weight(end - begin)
        begin, end = first, last
    return total if begin is None else total + incident_weight(end - begin)


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number of whatever type."""
    return isinstance(value, Real) and value == value and abs(value) != inf


def _as_event(event: tuple[Any, ...]) -> tuple[float, float]:
    """Start and end of an event."""
    if len(event) == 2:
        first, last = event
        if _is_number(first) and _is_number(last) and first <= last:
            return first, last
    raise ArgumentError(f"event {shown(event)}: expected (start, end) in seconds")


class Tally(NamedTuple):
    """Routes of ASes: ``asns`` ascending uint32 [n], ``counts`` int64 [n, 5] by the number of the Reason.

    ``registered`` int64 [n]: those that an IRR has, None without one.
    """

    asns: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.int64]
    registered: npt.NDArray[np.int64] | None

    def of(self, asns: Collection[int]) -> tuple[list[int], int | None]:
        """The counts of some of these ASes together, and how many of their routes are registered.

        >>> Tally(np.array([1], np.uint32), np.ones((1, 5), np.int64), None).of([1])
        ([1, 1, 1, 1, 1], None)
        """
        rows = np.searchsorted(self.asns, np.array(sorted(asns), np.uint32))
        known = None if self.registered is None else int(self.registered[rows].sum())
        return self.counts[rows].sum(axis=0).tolist(), known


def tally(verdicts: Verdicts, asns: Collection[int], irr: Irr | None, match: Match) -> Tally:
    """How many routes each of some ASes announces, by Reason, and how many of them an IRR has.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> tally(judge(table, VrpIndex(Snapshot.empty())), [64496], None, "exact").counts.tolist()
    [[1, 0, 0, 0, 0]]
    """
    as_kind(verdicts, Verdicts, "verdicts")
    as_optional(irr, Irr, "irr")
    if as_kind(match, str, "match") not in ("exact", "covering"):
        raise ArgumentError(f"match {shown(match)}: expected exact or covering")
    wanted = np.unique(np.array([as_asn(asn) for asn in as_rows(asns, object, "ASNs")], np.uint32))
    counts = np.zeros((len(wanted), 5), np.int64)
    registered = np.zeros(len(wanted), np.int64)
    for judged in verdicts.families():
        rows = np.flatnonzero(np.isin(judged.routes.origins, wanted) & (judged.routes.origins != 0))
        place = np.searchsorted(wanted, judged.routes.origins[rows])
        np.add.at(counts, (place, judged.reasons[rows]), 1)
        if irr is not None:
            index = irr.exact if match == "exact" else irr.covering
            known = index.validate_batch(judged.routes.take(rows).routes) == State.VALID
            np.add.at(registered, place[known], 1)
    return Tally(wanted, counts, None if irr is None else registered)


def manrs_table(
    verdicts: Verdicts,
    asns: Collection[int],
    *,
    irr: Irr | None = None,
    match: Match = "exact",
    thresholds: Thresholds | None = None,
    delegations: Delegations | None = None,
    names: Mapping[int, str] | None = None,
) -> pa.Table:
    """One row an AS of ``asns``, ascending: asn, announced (routes), valid, invalid_asn (and as0),
    invalid_len, notfound, m7rpki_raw (valid/n - 10 invalid/n), m7rpki (the same within 0 to 1), m7rpkin
    (invalid/n), severity (of m7rpki), irr_registered, m7irr (registered/n), severity_irr, m6 and m8 (policy
    and contact in the aut-num); null: no data, as of an AS that announces nothing, or without ``irr``. With
    ``delegations`` country, and rank_in_country (by m7rpki_raw, among these ASes, from 1), too; with
    ``names`` (read_names) name of the AS, after asn.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> manrs_table(judge(table, VrpIndex(Snapshot.empty())), [64496])["severity"].to_pylist()
    ['lagging']
    """
    limits = as_optional(thresholds, Thresholds, "thresholds") or Thresholds()
    known_by = as_optional(delegations, Delegations, "delegations")
    called = as_names(names)
    found = tally(verdicts, asns, irr, match)
    rows = []
    registered = [None] * len(found.asns) if found.registered is None else found.registered.tolist()
    for asn, counts, known in zip(found.asns.tolist(), found.counts.tolist(), registered, strict=True):
        autnum = None if irr is None else irr.autnums.get(asn)
        policy = None if autnum is None else autnum.states_policy
        contact = None if autnum is None else bool(autnum.contacts)
        rows.append({"asn": asn, **scores(counts, known, limits), "m6": policy, "m8": contact})
    pyarrow = arrow()
    types = {"asn": pyarrow.uint32(), **score_types(), "m6": pyarrow.bool_(), "m8": pyarrow.bool_()}
    if known_by is not None:
        types |= {"country": pyarrow.string(), "rank_in_country": pyarrow.int64()}
        _rank(rows, known_by)
    table: pa.Table = pyarrow.Table.from_pylist(rows, pyarrow.schema(types))
    return table if called is None else table.add_column(1, "name", name_column(found.asns, called))


def _rank(rows: list[dict[str, Any]], delegations: Delegations) -> None:
    """Give each row its country, and where it stands there; those of one score share a place."""
    better = defaultdict(list)
    for row in rows:
        row["country"] = delegations.of_asn(row["asn"]).country or None
        if row["m7rpki_raw"] is not None:
            better[row["country"]].append(-row["m7rpki_raw"])
    for scored in better.values():
        scored.sort()
    for row in rows:
        raw, country = row["m7rpki_raw"], row["country"]
        known = raw is not None and country is not None
        row["rank_in_country"] = 1 + bisect_left(better[country], -raw) if known else None


def score_types() -> dict[str, Any]:
    """The Arrow types of what ``scores`` gives, by name.

    >>> str(score_types()["m7rpki"])
    'double'
    """
    pyarrow = arrow()
    number, share, text = pyarrow.int64(), pyarrow.float64(), pyarrow.string()
    return {
        **dict.fromkeys(("announced", "valid", "invalid_asn", "invalid_len", "notfound"), number),
        **dict.fromkeys(("m7rpki_raw", "m7rpki", "m7rpkin"), share),
        "severity": text,
        "irr_registered": number,
        "m7irr": share,
        "severity_irr": text,
    }


def scores(counts: list[int], registered: int | None, limits: Thresholds) -> dict[str, Any]:
    """Counts by the number of the Reason, and the scores drawn from them, under the names of the columns.

    >>> scores([1, 3, 0, 0, 0], None, Thresholds())["m7rpki"]
    0.75
    """
    notfound, valid, invalid_asn, invalid_len, as0 = counts
    total, invalid = sum(counts), invalid_asn + invalid_len + as0
    raw = (valid - INVALID_WEIGHT * invalid) / total if total else None
    score = None if raw is None else min(max(raw, 0.0), 1.0)
    m7irr = registered / total if registered is not None and total else None
    return {
        "announced": total,
        "valid": valid,
        "invalid_asn": invalid_asn + as0,
        "invalid_len": invalid_len,
        "notfound": notfound,
        "m7rpki_raw": raw,
        "m7rpki": score,
        "m7rpkin": invalid / total if total else None,
        "severity": limits.severity(score),
        "irr_registered": registered,
        "m7irr": m7irr,
        "severity_irr": limits.severity(m7irr),
    }
