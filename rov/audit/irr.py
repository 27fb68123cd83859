"""IRRs beside the RPKI: how the routes of a table stand in both, and route objects that ROAs contradict."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_rows
from rov.audit.covering import covering_column
from rov.audit.entries import finders
from rov.audit.nesting import words as as_words
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, joined, origins, prefixes, words
from rov.audit.verdicts import REASON_WORDS, Judged, Verdicts
from rov.reference.rpsl import Irr, RouteObjects
from rov.rib import RouteColumns
from rov.types import State

if TYPE_CHECKING:
    import pyarrow as pa

IRR_MATRIX = Schema("rov.irr.matrix/1", "irr_matrix")
IRR_OBJECTS = Schema("rov.irr.objects/1", "irr_objects_table")


class Registered(IntEnum):
    """What IRRs say of a route: an object of its own, one of its origin over it, others only, nothing.

    >>> Registered.LESS_SPECIFIC.label
    'less_specific'
    """

    MATCH = 0
    LESS_SPECIFIC = 1
    MISMATCH = 2
    NONE = 3

    @property
    def label(self) -> str:
        """The word that reports use."""
        return self.name.lower()


def registered(judged: Judged, irr: Irr) -> npt.NDArray[np.uint8]:
    """What the IRRs say of each route, as uint8 [n] of Registered.

    >>> from rov.rib import RouteColumns
    >>> one = np.zeros(1, np.uint8)
    >>> registered(Judged(RouteColumns(4, [0], [8], [64496], [1]), one, one), Irr.of([])).tolist()
    [3]
    """
    routes = judged.routes.routes
    covering = irr.covering.validate_batch(routes)
    found = np.full(len(judged), Registered.NONE, np.uint8)
    found[covering == State.INVALID] = Registered.MISMATCH
    found[covering == State.VALID] = Registered.LESS_SPECIFIC
    found[irr.exact.validate_batch(routes) == State.VALID] = Registered.MATCH
    return found


def irr_matrix(verdicts: Verdicts, irr: Irr) -> pa.Table:
    """One row a family and word of Registered: family, irr, routes, valid, invalid, not_found.

    The rows of a family add up to its routes.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteTable
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> irr_matrix(judge(table, VrpIndex(Snapshot.empty())), Irr.of([]))["not_found"].to_pylist()
    [0, 0, 0, 1, 0, 0, 0, 0]
    """
    as_kind(verdicts, Verdicts, "verdicts")
    as_kind(irr, Irr, "irr")
    rows = []
    for judged in verdicts.families():
        counts = np.zeros((len(Registered), len(State)), np.int64)
        np.add.at(counts, (registered(judged, irr), judged.states), 1)
        rows += [
            {
                "family": judged.family,
                "irr": word.label,
                "routes": int(counts[word].sum()),
                **{state.label: int(counts[word, state]) for state in (State.VALID, State.INVALID)},
                "not_found": int(counts[word, State.NOT_FOUND]),
            }
            for word in Registered
        ]
    pyarrow = arrow()
    names = ("routes", "valid", "invalid", "not_found")
    types = {"family": pyarrow.uint8(), "irr": pyarrow.string(), **dict.fromkeys(names, pyarrow.int64())}
    table: pa.Table = pyarrow.Table.from_pylist(rows, pyarrow.schema(types))
    return table


def irr_objects_table(verdicts: Verdicts, irr: Irr, *, sources: Collection[str] = ()) -> pa.Table:
    """One row a route object that is RPKI-invalid, and so to be deleted: prefix, origin, reason, source,
    maintainer (null: not stated), peers (how many carry that very route in the table; 0: none), vrps (those
    that cover it, as texts).

    An object is judged as a route of its prefix and origin (RFC 6811 §2). Most seen ones first, then IPv4
    before IPv6, each by prefix. sources: only objects of these, such as RADB; empty: of all.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteTable
    >>> verdicts = judge(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)), VrpIndex(Snapshot.empty()))
    >>> irr_objects_table(verdicts, Irr.of([])).num_rows
    0
    """
    as_kind(verdicts, Verdicts, "verdicts")
    as_kind(irr, Irr, "irr")
    wanted = {source.upper() for source in as_rows(sources, str, "sources")}
    pyarrow = arrow()
    parts: list[Judged] = []
    names: list[tuple[str, str]] = []
    peers: list[npt.NDArray[np.uint32]] = []
    found = finders(verdicts.table)
    for objects, seen in ((irr.ipv4, verdicts.table.ipv4), (irr.ipv6, verdicts.table.ipv6)):
        states, reasons = verdicts.index.validate_batch(objects.routes, reasons=True)
        rows = np.flatnonzero((states == State.INVALID) & _of(objects, wanted))
        routes = objects.routes
        # sorted, as what looks for the covering VRPs needs it
        high, low = as_words(routes.family, routes.addresses)
        rows = rows[np.lexsort((routes.origins[rows], routes.lengths[rows], low[rows], high[rows]))]
        at = found[routes.family].find(routes)[rows]
        carried = np.where(at >= 0, seen.peers[at] if len(seen) else 0, 0).astype(np.uint32)
        columns = RouteColumns(
            routes.family, routes.addresses[rows], routes.lengths[rows], routes.origins[rows], carried
        )
        parts.append(Judged(columns, states[rows], reasons[rows]))
        peers.append(carried)
        texts = objects.texts
        names += [
            (texts[source], texts[maintainer])
            for source, maintainer in zip(
                objects.sources[rows].tolist(), objects.maintainers[rows].tolist(), strict=True
            )
        ]
    table: pa.Table = pyarrow.table(
        {
            "prefix": prefixes(part.routes for part in parts),
            "origin": origins(part.routes.origins for part in parts),
            "reason": words((part.reasons for part in parts), REASON_WORDS),
            "source": pyarrow.array([source or None for source, _ in names], pyarrow.string()),
            "maintainer": pyarrow.array([who or None for _, who in names], pyarrow.string()),
            "peers": joined(peers),
            "vrps": covering_column(tuple(parts), verdicts.index.snapshot),
        }
    )
    return table.take(np.argsort(-table["peers"].to_numpy().astype(np.int64), kind="stable"))


def _of(objects: RouteObjects, wanted: set[str]) -> npt.NDArray[np.bool_]:
    """Which objects are of some sources."""
    if not wanted:
        return np.ones(len(objects.routes), np.bool_)
    numbers = [number for number, text in enumerate(objects.texts) if text in wanted]
    return np.isin(objects.sources, np.array(numbers, np.uint32))
