"""Who passed invalid routes on: the peers of a collector that carry them, the ASes in their paths."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind
from rov.audit.invalid_paths import Seen
from rov.audit.nesting import group_starts
from rov.audit.schemas import Schema
from rov.audit.tables import arrow
from rov.audit.verdicts import Verdicts
from rov.errors import ArgumentError
from rov.rib import RouteColumns
from rov.types import Reason

if TYPE_CHECKING:
    import pyarrow as pa

PEER_LEAKS = Schema("rov.audit.peer_leaks/1", "peer_leaks_table")
AS_LEAKS = Schema("rov.audit.as_leaks/1", "as_leaks_table")


def peer_leaks_table(verdicts: Verdicts) -> pa.Table:
    """One row a peer, most invalid routes first: peer (address, null: not named), asn, routes, invalid,
    invalid_asn, invalid_length, invalid_as0, share (of its routes).

    A peer that filters has next to none. ArgumentError: the dumps do not tell which peers carry a route.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> peer_leaks_table(judge(table, VrpIndex(Snapshot.empty()))).num_rows
    0
    """
    as_kind(verdicts, Verdicts, "verdicts")
    if any(len(judged) and judged.routes.peer_sets is None for judged in verdicts.families()):
        raise ArgumentError("expected MRT dumps, which tell which peers carry a route")
    pyarrow = arrow()
    rows: list[tuple[Any, ...]] = []
    for number, peer in enumerate(verdicts.table.peers):
        by_reason = np.zeros(len(Reason), np.int64)
        for judged in verdicts.families():
            if len(judged):
                carried = judged.routes.carried_by(number)
                by_reason += np.bincount(judged.reasons[carried], minlength=len(Reason))
        routes = int(by_reason.sum())
        if routes:
            bad = [int(by_reason[reason]) for reason in (Reason.AS, Reason.LENGTH, Reason.AS0)]
            address = str(peer.address).partition("/")[0] if peer.address else None
            invalid = sum(bad)
            rows.append((address, peer.asn, routes, invalid, *bad, invalid / routes))
    rows.sort(key=lambda row: (-row[3], row[1], row[0] or ""))
    names = ("peer", "asn", "routes", "invalid", "invalid_asn", "invalid_length", "invalid_as0", "share")
    types = [pyarrow.string(), pyarrow.uint32(), *[pyarrow.int64()] * 5, pyarrow.float64()]
    columns = [[row[place] for row in rows] for place in range(len(names))]
    arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    table: pa.Table = pyarrow.table(dict(zip(names, arrays, strict=True)))
    return table


def as_leaks_table(verdicts: Verdicts, seen: Seen) -> pa.Table:
    """One row an AS in the paths of invalid routes, most of them first: asn, propagated (routes that it
    passed on), prefixes (distinct ones), first_hop (routes that it took from the origin itself), share (of
    all invalid routes that were seen with a path).

    The origin passes nothing on; ``seen`` is what invalid_paths gave for the same verdicts. ArgumentError:
    it is not.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> as_leaks_table(judge(table, VrpIndex(Snapshot.empty())), Seen()).num_rows
    0
    """
    as_kind(verdicts, Verdicts, "verdicts")
    as_kind(seen, Seen, "seen")
    pyarrow = arrow()
    prefix_of: dict[int, npt.NDArray[np.int64]] = {
        judged.family: _prefix_numbers(judged.routes) for judged in verdicts.families()
    }
    propagated: dict[int, int] = defaultdict(int)
    first_hops: dict[int, int] = defaultdict(int)
    prefixes: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for (family, row), paths in seen.items():
        own = {path[-1] for path in paths if path}
        for asn in {asn for path in paths for asn in path[:-1]} - own:
            propagated[asn] += 1
            prefixes[asn].add((family, int(prefix_of[family][row])))
        for asn in {path[-2] for path in paths if len(path) > 1} - own:
            first_hops[asn] += 1
    order = sorted(propagated, key=lambda asn: (-propagated[asn], asn))
    table: pa.Table = pyarrow.table(
        {
            "asn": pyarrow.array(order, pyarrow.uint32()),
            "propagated": pyarrow.array([propagated[asn] for asn in order], pyarrow.int64()),
            "prefixes": pyarrow.array([len(prefixes[asn]) for asn in order], pyarrow.int64()),
            "first_hop": pyarrow.array([first_hops[asn] for asn in order], pyarrow.int64()),
            "share": pyarrow.array([propagated[asn] / len(seen) for asn in order], pyarrow.float64()),
        }
    )
    return table


def _prefix_numbers(routes: RouteColumns) -> npt.NDArray[np.int64]:
    """A number for each distinct prefix, row by row."""
    of = np.zeros(len(routes), np.int64)
    of[group_starts(routes.addresses, routes.lengths)] = 1
    numbers: npt.NDArray[np.int64] = np.cumsum(of)
    return numbers
