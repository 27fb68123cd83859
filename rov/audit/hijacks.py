"""Invalid routes that may be hijacks: somebody else announces the prefix, or one that covers it, validly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_optional
from rov.audit.invalid_paths import Seen
from rov.audit.nesting import group_starts, nesting
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, joined, prefix_texts, route_columns, taken
from rov.audit.verdicts import Judged, Verdicts
from rov.reference.rpsl import Irr
from rov.reference.special import special_asn
from rov.types import Reason, State

if TYPE_CHECKING:
    import pyarrow as pa

HIJACKS = Schema("rov.audit.hijacks/1", "hijacks_table")

MOAS, SUB_MOAS = 40, 60
"""Where it starts: a more specific prefix takes all packets, one of equal length those of near networks."""

STEALTHY = 20
"""Added if few peers carry it, so that most networks, and most monitors, see nothing of it."""

OUTWEIGHED = 20
"""Added if more peers carry what is expected."""

FEW = 10
"""Stealthy: so many times fewer peers than what is expected has."""


class Evidence(NamedTuple):
    """What may clear a candidate; None: not asked.

    ``relations`` are pairs of ASes that do business (read_relations), ``irr`` route objects (read_irr),
    ``paths`` the paths of invalid routes (invalid_paths).
    """

    relations: frozenset[tuple[int, int]] | None = None
    irr: Irr | None = None
    paths: Seen | None = None


class Candidate(NamedTuple):
    """An invalid row, the row that covers it validly, the valid origins there, and what clears it."""

    row: int
    cover: int
    expected: tuple[int, ...]
    kind: str
    cleared: tuple[str, ...]
    stealthy: bool
    score: int
    path_has_expected: bool | None
    irr_ok: bool | None


def candidates(judged: Judged, evidence: Evidence | None = None) -> list[Candidate]:
    """The candidates of one family in table order.

    An invalid route is one if its own prefix (moas), or else the nearest that covers it (sub_moas), is
    announced validly, and by other origins only.

    >>> from rov.rib import RouteColumns
    >>> routes = RouteColumns(4, [0, 0], [8, 9], [1, 2], [9, 1])
    >>> judged = Judged(routes, np.array([1, 2], np.uint8), np.array([1, 2], np.uint8))
    >>> [(found.kind, found.expected, found.score) for found in candidates(judged)]
    [('sub_moas', (1,), 80)]
    """
    evidence = evidence or Evidence()
    routes, valid = judged.routes, judged.having(State.VALID)
    rows = np.flatnonzero(judged.having(State.INVALID) & (routes.origins != 0))
    cover = nesting(routes.family, routes.addresses, routes.lengths, valid & (routes.lengths > 0)).cover
    starts = group_starts(routes.addresses, routes.lengths)
    registered = None
    if evidence.irr is not None:
        registered = evidence.irr.exact.validate_batch(routes.take(rows).routes) == State.VALID
    found = []
    for place, row in enumerate(rows.tolist()):
        first, end = _group(starts, row, len(routes))
        kind = "moas"
        if not valid[first:end].any():
            kind, first = "sub_moas", int(cover[row])
            if first < 0:
                continue
            first, end = _group(starts, first, len(routes))
        expected = (np.flatnonzero(valid[first:end]) + first).tolist()
        if any(routes.origins[other] == routes.origins[row] for other in expected):
            continue
        irr_ok = None if registered is None else bool(registered[place])
        found.append(_candidate(judged, row, expected, kind, irr_ok, evidence))
    return found


def _group(starts: npt.NDArray[np.int64], row: int, count: int) -> tuple[int, int]:
    """The rows that have the prefix of a row: first to before end."""
    at = int(np.searchsorted(starts, row, "right"))
    return int(starts[at - 1]), int(starts[at]) if at < len(starts) else count


def _candidate(
    judged: Judged, row: int, expected: list[int], kind: str, irr_ok: bool | None, evidence: Evidence
) -> Candidate:
    routes = judged.routes
    origin, peers = int(routes.origins[row]), int(routes.peers[row])
    known = tuple(sorted({int(routes.origins[other]) for other in expected}))
    widest = max(expected, key=lambda other: int(routes.peers[other]))
    most = int(routes.peers[widest])
    through = None
    if evidence.paths is not None:
        through = any(asn in path for path in evidence.paths.get((judged.family, row), ()) for asn in known)
    marks = {
        "own_vrp": judged.reasons[row] == Reason.LENGTH,
        "special_asn": special_asn(origin) is not None,
        "related": evidence.relations is not None
        and any((origin, asn) in evidence.relations for asn in known),
        "irr": irr_ok,
        "path": through,
    }
    cleared = tuple(name for name, met in marks.items() if met)
    stealthy = peers * FEW <= most
    score = (SUB_MOAS if kind == "sub_moas" else MOAS) + STEALTHY * stealthy + OUTWEIGHED * (most > peers)
    return Candidate(
        row, widest, known, kind, cleared, stealthy, 0 if cleared else min(score, 100), through, irr_ok
    )


def hijacks_table(verdicts: Verdicts, evidence: Evidence | None = None) -> pa.Table:
    """One row a candidate, the highest score first: the columns of verdict_table, then kind (moas or
    sub_moas), expected_origins, cover_prefix, cover_peers, stealthy, path_has_expected, irr_ok (null: not
    asked), cleared (why it is none), score (0 to 100, 0 if cleared).

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> hijacks_table(judge(table, VrpIndex(Snapshot.empty()))).num_rows
    0
    """
    as_kind(verdicts, Verdicts, "verdicts")
    as_optional(evidence, Evidence, "evidence")
    parts = [(judged, candidates(judged, evidence)) for judged in verdicts.families()]
    pyarrow = arrow()
    every = [found for _, part in parts for found in part]
    rows = [np.array([found.row for found in part], np.int64) for _, part in parts]
    covers = [np.array([found.cover for found in part], np.int64) for _, part in parts]
    columns = route_columns([taken(judged, own) for (judged, _), own in zip(parts, rows, strict=True)])
    columns |= {
        "kind": pyarrow.array([found.kind for found in every], pyarrow.string()),
        "expected_origins": pyarrow.array(
            [found.expected for found in every], pyarrow.list_(pyarrow.uint32())
        ),
        "cover_prefix": pyarrow.array(list(_texts(parts, covers)), pyarrow.string()),
        "cover_peers": joined(
            judged.routes.peers[own] for (judged, _), own in zip(parts, covers, strict=True)
        ),
        "stealthy": pyarrow.array([found.stealthy for found in every], pyarrow.bool_()),
        "path_has_expected": pyarrow.array([found.path_has_expected for found in every], pyarrow.bool_()),
        "irr_ok": pyarrow.array([found.irr_ok for found in every], pyarrow.bool_()),
        "cleared": pyarrow.array([found.cleared for found in every], pyarrow.list_(pyarrow.string())),
        "score": pyarrow.array([found.score for found in every], pyarrow.uint8()),
    }
    order = np.argsort([-found.score for found in every], kind="stable")
    table: pa.Table = pyarrow.table(columns).take(pyarrow.array(order.astype(np.int64)))
    return table


def _texts(parts: list[tuple[Judged, list[Candidate]]], rows: list[npt.NDArray[np.int64]]) -> Iterator[str]:
    for (judged, _), own in zip(parts, rows, strict=True):
        yield from prefix_texts(judged.routes.take(own))
