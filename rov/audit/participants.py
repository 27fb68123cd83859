"""The participants of MANRS: what is published of them, and what a RIB says, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rov._checks import as_optional, as_rows
from rov.audit.manrs import Match, Tally, Thresholds, score_types, scores, tally
from rov.audit.schemas import Schema
from rov.audit.tables import arrow
from rov.audit.verdicts import Verdicts
from rov.reference.participants import Participant
from rov.reference.rpsl import Irr

if TYPE_CHECKING:
    import pyarrow as pa

PARTICIPANTS = Schema("rov.manrs.table/1", "participants_table")


def participants_table(
    verdicts: Verdicts,
    participants: Sequence[Participant],
    *,
    irr: Irr | None = None,
    match: Match = "exact",
    thresholds: Thresholds | None = None,
) -> pa.Table:
    """One row a participant, the largest difference first: who it is, our scores over the routes of all its
    ASes together, the published ones, ours less theirs.

    id, name, areas and asns (lists), member_since; the columns of manrs_table from announced to
    severity_irr; published_rpki, published_rpki_severity, difference_rpki, and the same of irr; filtering,
    anti_spoofing, coordination, routing_information (published conformance; null: none); anti_spoofing_score
    and coordination_score. Shares are 0 to 1; null: no data. Differences are of the shown scores, m7rpki and
    m7irr.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> verdicts = judge(table, VrpIndex(Snapshot.empty()))
    >>> participants_table(verdicts, [Participant("1", "Example", (64496,))])["m7rpki"].to_pylist()
    [0.0]
    """
    limits = as_optional(thresholds, Thresholds, "thresholds") or Thresholds()
    known = as_rows(participants, Participant, "participants")
    found = tally(verdicts, sorted({asn for who in known for asn in who.asns}), irr, match)
    rows = [_row(who, found, limits) for who in known]
    rows.sort(key=lambda row: (-_largest(row), row["name"]))
    pyarrow = arrow()
    share, text = pyarrow.float64(), pyarrow.string()
    types: dict[str, Any] = {
        "id": text,
        "name": text,
        "areas": pyarrow.list_(text),
        "asns": pyarrow.list_(pyarrow.uint32()),
        "member_since": text,
        **score_types(),
    }
    for what in ("rpki", "irr"):
        types |= {f"published_{what}": share, f"published_{what}_severity": text, f"difference_{what}": share}
    types |= dict.fromkeys(("filtering", "anti_spoofing", "coordination", "routing_information"), text)
    types |= dict.fromkeys(("anti_spoofing_score", "coordination_score"), share)
    table: pa.Table = pyarrow.Table.from_pylist(rows, pyarrow.schema(types))
    return table


def _row(who: Participant, found: Tally, limits: Thresholds) -> dict[str, Any]:
    ours = scores(*found.of(who.asns), limits)
    row: dict[str, Any] = {
        "id": who.id,
        "name": who.name,
        "areas": list(who.areas),
        "asns": list(who.asns),
        "member_since": who.member_since or None,
        **ours,
    }
    published = {
        "rpki": (who.routing_information.score_rpki, ours["m7rpki"]),
        "irr": (who.routing_information.score_irr, ours["m7irr"]),
    }
    for what, (score, own) in published.items():
        both = score.value is not None and own is not None
        row[f"published_{what}"] = score.value
        row[f"published_{what}_severity"] = score.severity
        row[f"difference_{what}"] = own - score.value if both else None
    for what in ("filtering", "anti_spoofing", "coordination", "routing_information"):
        row[what] = getattr(who, what).conformance or None
    row["anti_spoofing_score"] = who.anti_spoofing.score.value
    row["coordination_score"] = who.coordination.score.value
    return row


def _largest(row: dict[str, Any]) -> float:
    """The larger of its differences, below 0 where there is none."""
    values = [row["difference_rpki"], row["difference_irr"]]
    return max((abs(value) for value in values if value is not None), default=-1.0)
