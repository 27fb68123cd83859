"""The verdict on each route of a table: what every other audit starts from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_int, as_kind
from rov.index import VrpIndex
from rov.rib import RouteColumns, RouteTable
from rov.types import Family, Reason, State

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


class Judged(NamedTuple):
    """The routes of one family with their State and Reason, uint8 [n] each, row by row."""

    routes: RouteColumns
    states: Bytes
    reasons: Bytes

    @property
    def family(self) -> Family:
        """4 or 6."""
        return self.routes.family

    def having(self, state: State) -> Bools:
        """Which routes have this state, as bool [n]; ArgumentError: no State.

        >>> Judged(RouteColumns.empty(4), np.empty(0, np.uint8), np.empty(0, np.uint8)).having(State.VALID)
        array([], dtype=bool)
        """
        mask: Bools = self.states == as_kind(state, State, "state")
        return mask

    def __len__(self) -> int:
        return len(self.routes)


class Verdicts:
    """The routes that enough peers carry, judged by an index: ``ipv4`` and ``ipv6`` as Judged.

    ``table`` is the RouteTable of these routes, ``min_peers`` the visibility asked for, which belongs
    beside every figure: the fewer peers carry a route, the likelier it is invalid.

    >>> from rov import Snapshot
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> judge(table, VrpIndex(Snapshot.empty()))
    <Verdicts: 1 routes of at least 1 peers: 0 valid, 0 invalid, 1 not_found>
    """

    __slots__ = ("index", "ipv4", "ipv6", "min_peers", "table")

    def __init__(
        self, table: RouteTable, index: VrpIndex, ipv4: Judged, ipv6: Judged, min_peers: int
    ) -> None:
        self.table = table
        self.index = index
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.min_peers = min_peers

    def families(self) -> Iterator[Judged]:
        """IPv4, then IPv6."""
        yield self.ipv4
        yield self.ipv6

    def count(self, state: State) -> int:
        """How many routes of both families have this state; ArgumentError: no State."""
        return sum(int(judged.having(state).sum()) for judged in self.families())

    def counts(self) -> dict[str, int]:
        """How many routes each state has, by its label."""
        return {state.label: self.count(state) for state in (State.VALID, State.INVALID, State.NOT_FOUND)}

    def __len__(self) -> int:
        return len(self.ipv4) + len(self.ipv6)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {label}" for label, count in self.counts().items())
        return f"<Verdicts: {len(self):,} routes of at least {self.min_peers} peers: {counts}>"


def judge(table: RouteTable, index: VrpIndex, *, min_peers: int = 1, threads: int = 1) -> Verdicts:
    """The State and Reason of each route that at least ``min_peers`` peers carry (RFC 6811 §2).

    Routes without an origin (AS_SET, empty path) can be invalid or not_found only. ArgumentError:
    min_peers below 1, or arguments of other types.

    >>> from rov import Prefix, Snapshot, Vrp
    >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("0.0.0.0/8"), 8, 64496)]))
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> judge(table, index).counts()
    {'valid': 1, 'invalid': 0, 'not_found': 0}
    """
    as_kind(table, RouteTable, "table")
    as_kind(index, VrpIndex, "index")
    min_peers = as_int(min_peers, "min_peers", 1)
    seen = table if min_peers == 1 else table.seen_by(min_peers)
    ipv4, ipv6 = (
        Judged(columns, *index.validate_batch(columns.routes, reasons=True, threads=threads))
        for columns in (seen.ipv4, seen.ipv6)
    )
    return Verdicts(seen, index, ipv4, ipv6, min_peers)


REASON_WORDS = ["not_covered", "matched", "asn", "length", "as0"]
"""How reports write a Reason, by its number."""

STATE_WORDS = [state.label for state in State]
"""How reports write a State, by its number."""

assert len(REASON_WORDS) == len(Reason)
