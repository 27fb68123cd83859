"""What a change of VRPs would do to the routes: which change their state, by what, and what that breaks.

Only a route under a VRP that comes or goes can change (RFC 6811 §2), so only such routes are judged again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind
from rov.audit.impact import Impact, impact
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, joined, origins, prefix_texts, prefixes, words
from rov.audit.verdicts import REASON_WORDS, STATE_WORDS, Judged, Verdicts
from rov.causes import causes
from rov.delta import Delta
from rov.index import VrpIndex
from rov.snapshot import Snapshot
from rov.types import Prefix, State

if TYPE_CHECKING:
    import pyarrow as pa

WHATIF = Schema("rov.audit.whatif/1", "whatif_table")

Rows = npt.NDArray[np.int64]


class Change(NamedTuple):
    """The same routes before and after: row by row the same, with other states.

    ``withdrawn`` and ``announced`` answer for the VRPs that go and come.
    """

    before: Verdicts
    after: Verdicts
    withdrawn: VrpIndex
    announced: VrpIndex

    def rows(self) -> tuple[Rows, Rows]:
        """The rows whose state changes, IPv4 and IPv6.

        >>> from rov.audit import judge
        >>> from rov.rib import RouteColumns, RouteTable
        >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
        >>> [len(rows) for rows in change(judge(table, VrpIndex(Snapshot.empty())), Snapshot.empty()).rows()]
        [0, 0]
        """
        ipv4, ipv6 = (
            np.flatnonzero(before.states != after.states)
            for before, after in zip(self.before.families(), self.after.families(), strict=True)
        )
        return ipv4, ipv6

    def matrix(self) -> npt.NDArray[np.int64]:
        """How many routes go from which State (down) to which (across), int64 [3, 3].

        >>> from rov.audit import judge
        >>> from rov.rib import RouteColumns, RouteTable
        >>> table = RouteTable(RouteColumns(4, [0], [8], [1], [1]), RouteColumns.empty(6))
        >>> change(judge(table, VrpIndex(Snapshot.empty())), Snapshot.empty()).matrix()[0].tolist()
        [1, 0, 0]
        """
        counts = np.zeros(9, np.int64)
        for before, after in zip(self.before.families(), self.after.families(), strict=True):
            counts += np.bincount(before.states.astype(np.int64) * 3 + after.states, minlength=9)
        return counts.reshape(3, 3)


def change(verdicts: Verdicts, after: Snapshot) -> Change:
    """The verdicts that the same routes have under another set of VRPs.

    >>> from rov import Vrp
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> new = Snapshot.from_vrps([Vrp(Prefix.parse("0.0.0.0/8"), 8, 64496)])
    >>> change(judge(table, VrpIndex(Snapshot.empty())), new).after.counts()
    {'valid': 1, 'invalid': 0, 'not_found': 0}
    """
    as_kind(verdicts, Verdicts, "verdicts")
    delta = Delta.between(verdicts.index.snapshot, after)
    gone = Snapshot.empty() if delta is None else delta.withdrawn
    come = Snapshot.empty() if delta is None else delta.announced
    withdrawn, announced = VrpIndex(gone), VrpIndex(come)
    if not len(withdrawn) and not len(announced):
        return Change(verdicts, verdicts, withdrawn, announced)
    touched, index = VrpIndex(gone | come), VrpIndex(after)
    ipv4, ipv6 = (_again(judged, touched, index) for judged in verdicts.families())
    judged_again = Verdicts(verdicts.table, index, ipv4, ipv6, verdicts.min_peers)
    return Change(verdicts, judged_again, withdrawn, announced)


def _again(judged: Judged, touched: VrpIndex, index: VrpIndex) -> Judged:
    """The verdicts under ``index``; routes that no changed VRP covers keep theirs."""
    rows = np.flatnonzero(touched.validate_batch(judged.routes.routes) != State.NOT_FOUND)
    states, reasons = judged.states.copy(), judged.reasons.copy()
    states[rows], reasons[rows] = index.validate_batch(judged.routes.take(rows).routes, reasons=True)
    return Judged(judged.routes, states, reasons)


def whatif_table(changed: Change) -> pa.Table:
    """One row a route that changes its state: prefix, origin (null: none), before, after, reason (after),
    peers, class (of Impact, null unless it becomes invalid), causes (the VRPs that did it, as texts).

    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> whatif_table(change(judge(table, VrpIndex(Snapshot.empty())), Snapshot.empty())).num_rows
    0
    """
    as_kind(changed, Change, "changed")
    rows = changed.rows()
    before = list(zip(changed.before.families(), rows, strict=True))
    after = list(zip(changed.after.families(), rows, strict=True))
    pyarrow = arrow()
    columns = {
        "prefix": prefixes(judged.routes.take(picked) for judged, picked in after),
        "origin": origins(judged.routes.origins[picked] for judged, picked in after),
        "before": words((judged.states[picked] for judged, picked in before), STATE_WORDS),
        "after": words((judged.states[picked] for judged, picked in after), STATE_WORDS),
        "reason": words((judged.reasons[picked] for judged, picked in after), REASON_WORDS),
        "peers": joined(judged.routes.peers[picked] for judged, picked in after),
        "class": pyarrow.array(list(_classes(changed, rows)), pyarrow.string()),
        "causes": pyarrow.array(list(_causes(changed, rows)), pyarrow.list_(pyarrow.string())),
    }
    table: pa.Table = pyarrow.table(columns)
    return table


def _classes(changed: Change, rows: tuple[Rows, Rows]) -> Iterator[str | None]:
    """What becomes of the packets to each route that becomes invalid; None for the others."""
    for part, picked in zip(impact(changed.after), rows, strict=True):
        known = dict(zip(part.rows.tolist(), part.classes.tolist(), strict=True)) if len(picked) else {}
        for row in picked.tolist():
            yield Impact(known[row]).label if row in known else None


def _causes(changed: Change, rows: tuple[Rows, Rows]) -> Iterator[list[str]]:
    families = zip(changed.before.families(), changed.after.families(), rows, strict=True)
    for before, after, picked in families:
        routes = after.routes.take(picked)
        states = zip(before.states[picked].tolist(), after.states[picked].tolist(), strict=True)
        for text, origin, (old, new) in zip(
            prefix_texts(routes), routes.origins.tolist(), states, strict=True
        ):
            prefix = Prefix.parse(text)
            gone, come = changed.withdrawn.covering(prefix), changed.announced.covering(prefix)
            found = causes(State(old), State(new), (prefix.length, origin), gone, come)
            yield [str(vrp) for vrp in found]
