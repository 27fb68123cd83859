"""VRPs that would make an operator's own routes valid, and what else they would do.

Minimal (RFC 9319): one VRP a route, without a longer max_length; several routes share one only where every
prefix that it then allows is announced. Each is told with the routes that it would make invalid.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_rows, shown
from rov._nesting import count_upto, cover_max, ranges
from rov.audit.bogons import reserved
from rov.audit.nesting import words
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, list_column, number_column, origins, prefixes
from rov.audit.tables import words as as_words
from rov.audit.verdicts import REASON_WORDS, Judged, Verdicts
from rov.audit.whatif import change
from rov.columns import VrpColumns
from rov.errors import ArgumentError
from rov.reference.special import special_asns
from rov.rib import RouteColumns
from rov.snapshot import Snapshot
from rov.types import IPV4_BITS, IPV6_BITS, Prefix, State, as_asn

if TYPE_CHECKING:
    import pyarrow as pa

SUGGEST = Schema("rov.audit.suggest/1", "suggest_table")

Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


class RowLists(NamedTuple):
    """For each suggestion some rows of the family's routes: ``rows[offsets[i]:offsets[i + 1]]``."""

    rows: Rows
    offsets: Rows

    def take(self, mask: Bools) -> RowLists:
        """The same lists, without the members that the mask leaves out.

        >>> RowLists(np.array([4, 5]), np.array([0, 2])).take(np.array([False, True])).rows.tolist()
        [5]
        """
        kept = np.concatenate([[0], np.cumsum(mask)])
        return RowLists(self.rows[mask], kept[self.offsets])

    def owner(self) -> Rows:
        """Whose each member is.

        >>> RowLists(np.array([4, 5]), np.array([0, 0, 2])).owner().tolist()
        [1, 1]
        """
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


class Suggested(NamedTuple):
    """The suggestions of one family; columns of one length.

    ``why`` is the Reason of the route that has the VRP's own prefix. ``makes_valid`` and
    ``would_invalidate`` are what the VRP alone would do, rows of ``judged``. ``safe``: the safe ones of both
    families together make no route invalid; one that would invalidate a route is safe where others that are
    safe make that route valid.
    """

    judged: Judged
    vrps: VrpColumns
    why: npt.NDArray[np.uint8]
    makes_valid: RowLists
    would_invalidate: RowLists
    safe: Bools


def suggest(
    verdicts: Verdicts, *, asns: Collection[int] | None = None, within: Collection[Prefix] | None = None
) -> tuple[Suggested, Suggested]:
    """VRPs for the routes that are not valid, IPv4 and IPv6: those of ``asns``, and ``within`` prefixes.

    None: all. Default routes, routes without an origin, and those whose prefix or origin the IANA registries
    reserve get none. Where a route is invalid by somebody
    else's VRP, a suggestion is a question to the holder of the prefix, who alone can have it made.

    >>> from rov import VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteTable
    >>> columns = RouteColumns(4, [1 << 24, 1 << 24, 3 << 23], [8, 9, 9], [13335] * 3, [1] * 3)
    >>> table = RouteTable(columns, RouteColumns.empty(6))
    >>> found, _ = suggest(judge(table, VrpIndex(Snapshot.empty())), asns=[13335])
    >>> [str(vrp) for vrp in found.vrps.vrps()]
    ['1.0.0.0/8-9 AS13335']
    """
    as_kind(verdicts, Verdicts, "verdicts")
    wanted = None if asns is None else [as_asn(asn) for asn in as_rows(asns, object, "ASNs")]
    blocks = None if within is None else as_rows(within, Prefix, "within")
    parts = [_family(judged, wanted, blocks) for judged in verdicts.families()]
    ipv4, ipv6 = _safe(verdicts, parts)
    return parts[0]._replace(safe=ipv4), parts[1]._replace(safe=ipv6)


def _safe(verdicts: Verdicts, parts: list[Suggested]) -> list[Bools]:
    """Which suggestions may be followed together: those that harm a route fall out until none does."""
    safe = [np.ones(len(part.vrps), np.bool_) for part in parts]
    while any(mask.any() for mask in safe):
        chosen = [part.vrps.take(np.flatnonzero(mask)) for part, mask in zip(parts, safe, strict=True)]
        changed = change(verdicts, verdicts.index.snapshot | Snapshot.build(chosen[0], chosen[1]))
        harmless = True
        for part, mask, after in zip(parts, safe, changed.after.families(), strict=True):
            harmed = after.having(State.INVALID) & ~part.judged.having(State.INVALID)
            harming = part.would_invalidate.owner()[harmed[part.would_invalidate.rows]]
            harmless = harmless and not mask[harming].any()
            mask[harming] = False
        if harmless:
            break
    return safe


def _family(judged: Judged, asns: Collection[int] | None, within: Collection[Prefix] | None) -> Suggested:
    routes = judged.routes
    wanted = ~judged.having(State.VALID) & (routes.origins != 0) & (routes.lengths > 0)
    # nobody can have such a ROA made: the route is a bogon, and should go
    wanted &= ~reserved(routes) & ~special_asns(routes.origins)
    if asns is not None:
        wanted &= np.isin(routes.origins, np.array([*asns], np.uint32))
    if within is not None:
        wanted &= _inside(routes, within)
    # by (origin, address, length): a stable sort of what is sorted by the latter two
    order = np.argsort(routes.origins, kind="stable")
    rows = order[wanted[order]]
    most = _allowed(routes, order, rows)
    asked = (routes.origins[rows], *words(routes.family, routes.addresses[rows]), routes.lengths[rows])
    needed = cover_max(*asked, most) < most.astype(np.int64)
    rows, most = rows[needed], most[needed]
    rows, most = (column[np.argsort(rows, kind="stable")] for column in (rows, most))
    vrps = VrpColumns(
        routes.family, routes.addresses[rows], routes.lengths[rows], most, routes.origins[rows], None, None
    )
    own = _lists(routes, order, vrps, by_origin=True)
    matched = routes.lengths[own.rows] <= most[own.owner()]
    makes_valid = own.take(matched & ~judged.having(State.VALID)[own.rows])
    under = _lists(routes, np.flatnonzero(judged.having(State.NOT_FOUND)), vrps, by_origin=False)
    whose = under.owner()
    other = (routes.origins[under.rows] != vrps.asn[whose]) | (routes.lengths[under.rows] > most[whose])
    none = np.zeros(len(rows), np.bool_)
    return Suggested(judged, vrps, judged.reasons[rows], makes_valid, under.take(other), none)


def _inside(routes: RouteColumns, within: Collection[Prefix]) -> Bools:
    """Which routes lie in one of the prefixes, or are one."""
    inside = np.zeros(len(routes), np.bool_)
    own = [prefix for prefix in within if prefix.family == routes.family]
    shift = IPV6_BITS - IPV4_BITS if routes.family == 4 else 0
    addresses = [prefix.address << shift for prefix in own]
    asked = (
        np.array([address >> 64 for address in addresses], np.uint64),
        np.array([address & (1 << 64) - 1 for address in addresses], np.uint64),
        np.array([prefix.length for prefix in own], np.uint8),
    )
    base = (np.zeros(len(routes), np.uint32), *words(routes.family, routes.addresses), routes.lengths)
    for first, end in zip(*ranges(*base, np.zeros(len(own), np.uint32), *asked), strict=True):
        inside[first:end] = True
    return inside


def _allowed(routes: RouteColumns, order: Rows, rows: Rows) -> npt.NDArray[np.uint8]:
    """For each row the longest max_length of which its origin announces every prefix."""
    lengths = np.ascontiguousarray(routes.lengths[order])
    base = (routes.origins[order], *words(routes.family, routes.addresses[order]), lengths)
    asked = (routes.origins[rows], *words(routes.family, routes.addresses[rows]), routes.lengths[rows])
    first, end = ranges(*base, *asked)
    most = routes.lengths[rows].copy()
    growing = np.arange(len(rows))
    while len(growing):
        next_most = most[growing] + np.uint8(1)
        whole = np.exp2(next_most.astype(np.float64) - routes.lengths[rows[growing]] + 1) - 1
        # rows are distinct, so that a count that is full means that none is missing
        enough = (end[growing] - first[growing] >= whole) & (next_most <= _bits(routes))
        growing, next_most, whole = growing[enough], next_most[enough], whole[enough]
        full = count_upto(first[growing], end[growing], lengths, next_most) == whole
        growing = growing[full]
        most[growing] = next_most[full]
    return most


def _bits(routes: RouteColumns) -> int:
    return IPV4_BITS if routes.family == 4 else IPV6_BITS


def _lists(routes: RouteColumns, rows: Rows, vrps: VrpColumns, *, by_origin: bool) -> RowLists:
    """Of the rows, sorted as needed, those under the prefix of each VRP; by_origin: of its AS only."""
    keys = routes.origins[rows] if by_origin else np.zeros(len(rows), np.uint32)
    asked_keys = vrps.asn if by_origin else np.zeros(len(vrps), np.uint32)
    base = (keys, *words(routes.family, routes.addresses[rows]), np.ascontiguousarray(routes.lengths[rows]))
    first, end = ranges(*base, asked_keys, *words(vrps.family, vrps.address), vrps.length)
    offsets = np.concatenate([[0], np.cumsum(end - first)])
    places = np.repeat(first - offsets[:-1], end - first) + np.arange(offsets[-1])
    return RowLists(rows[places], offsets)


def suggest_table(suggested: tuple[Suggested, Suggested]) -> pa.Table:
    """One row a suggestion: prefix, max_length, asn, why (the reason of its route), safe, makes_valid and
    would_invalidate (lists of routes as "PREFIX ASn").

    >>> from rov import VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteTable
    >>> table = RouteTable(RouteColumns(4, [1 << 24], [8], [13335], [1]), RouteColumns.empty(6))
    >>> suggest_table(suggest(judge(table, VrpIndex(Snapshot.empty()))))["makes_valid"].to_pylist()
    [['1.0.0.0/8 AS13335']]
    """
    suggested = _as_suggested(suggested)
    pyarrow = arrow()
    columns = {
        "prefix": prefixes(_as_routes(part.vrps) for part in suggested),
        "max_length": np.concatenate([part.vrps.max_length for part in suggested]),
        "asn": origins(part.vrps.asn for part in suggested),
        "why": as_words((part.why for part in suggested), REASON_WORDS),
        "safe": np.concatenate([part.safe for part in suggested]),
    }
    for name in ("makes_valid", "would_invalidate"):
        lists = [_texts(part.judged.routes, getattr(part, name)) for part in suggested]
        columns[name] = pyarrow.concat_arrays(lists)
    table: pa.Table = pyarrow.table(columns)
    return table


def _as_suggested(suggested: object) -> tuple[Suggested, Suggested]:
    """What suggest gave."""
    match suggested:
        case (Suggested() as ipv4, Suggested() as ipv6):
            return ipv4, ipv6
    raise ArgumentError(f"suggested: expected what suggest gives, found {shown(suggested)}")


def _as_routes(vrps: VrpColumns) -> RouteColumns:
    return RouteColumns(vrps.family, vrps.address, vrps.length, vrps.asn, np.zeros(len(vrps), np.uint32))


def _texts(routes: RouteColumns, lists: RowLists) -> pa.Array:
    from pyarrow import compute

    part = routes.take(lists.rows)
    texts = prefixes([part]).combine_chunks()
    asns = number_column(part.origins).cast(arrow().string())
    return list_column(lists.offsets, compute.binary_join_element_wise(texts, asns, " AS"))


def krill_lines(suggested: tuple[Suggested, Suggested]) -> str:
    """The safe suggestions as a delta for ``krillc roas update --delta``; the others as comments.

    >>> from rov import VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteTable
    >>> table = RouteTable(RouteColumns(4, [1 << 24], [8], [13335], [1]), RouteColumns.empty(6))
    >>> krill_lines(suggest(judge(table, VrpIndex(Snapshot.empty()))))
    'A: 1.0.0.0/8 => 13335\\n'
    """
    lines = []
    for part in _as_suggested(suggested):
        harm = np.diff(part.would_invalidate.offsets).tolist()
        for vrp, safe, count in zip(part.vrps.vrps(), part.safe.tolist(), harm, strict=True):
            most = f"-{vrp.max_length}" if vrp.max_length > vrp.prefix.length else ""
            line = f"A: {vrp.prefix}{most} => {vrp.asn}\n"
            routes = "1 route" if count == 1 else f"{count} routes"
            lines.append(line if safe else f"# not safe, would make {routes} invalid: {line}")
    return "".join(lines)


def slurm_json(suggested: tuple[Suggested, Suggested]) -> str:
    """The safe suggestions as local assertions (RFC 8416 §3.4.1), to be tried before ROAs are made.

    >>> from rov import VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteTable
    >>> table = RouteTable(RouteColumns(4, [1 << 24], [8], [13335], [1]), RouteColumns.empty(6))
    >>> '"prefix": "1.0.0.0/8"' in slurm_json(suggest(judge(table, VrpIndex(Snapshot.empty()))))
    True
    """
    assertions = [
        {
            "asn": vrp.asn,
            "prefix": str(vrp.prefix),
            "maxPrefixLength": vrp.max_length,
            "comment": "suggested by rov",
        }
        for part in _as_suggested(suggested)
        for vrp in part.vrps.take(np.flatnonzero(part.safe)).vrps()
    ]
    document = {
        "slurmVersion": 1,
        "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": []},
        "locallyAddedAssertions": {"prefixAssertions": assertions, "bgpsecAssertions": []},
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
