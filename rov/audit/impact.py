"""What dropping the invalid routes breaks: where the packets to each invalid prefix would go instead.

All invalid routes are dropped, and the prefix of each is looked up, by the longest match, in what remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_flag, as_kind, as_optional
from rov.audit.covering import covering_column
from rov.audit.invalid_paths import Path, Seen
from rov.audit.nesting import group_starts, nesting
from rov.audit.tables import (
    arrow,
    as_names,
    joined,
    name_column,
    number_column,
    origins,
    prefix_texts,
    route_columns,
    taken,
    text_column,
)
from rov.audit.tables import words as as_words
from rov.audit.verdicts import STATE_WORDS, Judged, Verdicts
from rov.reference import Delegations
from rov.rib import RouteColumns
from rov.types import State

if TYPE_CHECKING:
    import pyarrow as pa

Bools = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


class Impact(IntEnum):
    """What becomes of the packets to the prefix of an invalid route.

    SAME_PREFIX: another AS announces it validly. RESCUED: a less specific prefix of the same origin takes
    them, so that nothing breaks. DIVERTED: a less specific prefix of another origin does. UNREACHABLE: none.
    VALID and NOT_FOUND tell the state of what takes them.

    >>> Impact.UNREACHABLE.label
    'unreachable'
    """

    SAME_PREFIX_VALID_OTHER_ORIGIN = 0
    RESCUED_SAME_ORIGIN_VALID = 1
    RESCUED_SAME_ORIGIN_NOTFOUND = 2
    DIVERTED_OTHER_ORIGIN_VALID = 3
    DIVERTED_OTHER_ORIGIN_NOTFOUND = 4
    UNREACHABLE = 5

    @property
    def label(self) -> str:
        """The class as reports write it."""
        return self.name.lower()


IMPACT_WORDS = [impact.label for impact in Impact]

DIVERTED = (Impact.DIVERTED_OTHER_ORIGIN_VALID, Impact.DIVERTED_OTHER_ORIGIN_NOTFOUND)

NO_HOPS = 0
"""The cover's origin is in no path, or nothing was asked."""


class FamilyImpact(NamedTuple):
    """The invalid routes of one family: ``rows`` into it, their Impact, what takes the packets, what stays.

    ``cover`` is the row of the route that takes over (-1: none), ``inside`` the share of the prefix's
    addresses that remaining routes more specific than it still reach. All are columns of one length.
    """

    judged: Judged
    rows: npt.NDArray[np.int64]
    classes: npt.NDArray[np.uint8]
    cover: npt.NDArray[np.int64]
    inside: npt.NDArray[np.float64]


def impact(verdicts: Verdicts, *, default_routes: bool = False) -> tuple[FamilyImpact, FamilyImpact]:
    """What becomes of each invalid route, IPv4 and IPv6; with default_routes, 0/0 and ::/0 cover all.

    >>> from rov import Prefix, Snapshot, VrpIndex, Vrp
    >>> from rov.audit.verdicts import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("0.0.0.0/8"), 8, 64496)]))
    >>> table = RouteTable(RouteColumns(4, [0, 0], [8, 9], [64496, 64497], [1, 1]), RouteColumns.empty(6))
    >>> Impact(impact(judge(table, index))[0].classes[0]).label
    'diverted_other_origin_valid'
    """
    as_kind(verdicts, Verdicts, "verdicts")
    default_routes = as_flag(default_routes, "default_routes")
    ipv4, ipv6 = (_family_impact(judged, default_routes) for judged in verdicts.families())
    return ipv4, ipv6


def _family_impact(judged: Judged, default_routes: bool) -> FamilyImpact:
    routes = judged.routes
    invalid = judged.having(State.INVALID)
    rows = np.flatnonzero(invalid)
    stays = ~invalid if default_routes else ~invalid & (routes.lengths > 0)
    nested = nesting(routes.family, routes.addresses, routes.lengths, stays)
    groups = _Groups(routes, stays)
    same_prefix = groups.remains[groups.of[rows]]
    covered = np.where(same_prefix, rows, nested.cover[rows])
    taker = groups.takers(covered, routes.origins[rows])
    classes = _classes(judged, rows, taker)
    classes[same_prefix] = Impact.SAME_PREFIX_VALID_OTHER_ORIGIN
    return FamilyImpact(judged, rows, classes, taker, nested.inside[rows])


def _classes(judged: Judged, rows: npt.NDArray[np.int64], taker: npt.NDArray[np.int64]) -> Classes:
    """The Impact of each row that the route ``taker`` takes over from; -1: none does."""
    own = judged.routes.origins[rows]
    found = taker >= 0
    same = found & (own != 0) & (judged.routes.origins[taker] == own)
    valid = found & (judged.states[taker] == State.VALID)
    classes = np.full(len(rows), Impact.UNREACHABLE, np.uint8)
    classes[found] = Impact.DIVERTED_OTHER_ORIGIN_NOTFOUND
    classes[valid] = Impact.DIVERTED_OTHER_ORIGIN_VALID
    classes[same] = Impact.RESCUED_SAME_ORIGIN_NOTFOUND
    classes[same & valid] = Impact.RESCUED_SAME_ORIGIN_VALID
    return classes


class _Groups:
    """The rows of one prefix as a group, and which of them takes over: what remains of it decides."""

    def __init__(self, routes: RouteColumns, stays: Bools) -> None:
        self._starts = group_starts(routes.addresses, routes.lengths)
        self.of = np.zeros(len(routes), np.int64)
        self.of[self._starts] = 1
        self.of = np.cumsum(self.of) - 1
        """The group of each row."""
        self.remains: Bools = np.zeros(len(self._starts), np.bool_)
        """Whether a route of the group remains."""
        self.remains[self.of[stays]] = True
        self._stays = stays
        self._keys = (self.of.astype(np.uint64) << np.uint64(32)) | routes.origins
        # of each group the remaining route that most peers carry, the lowest origin among equals
        order = np.lexsort((routes.origins, -routes.peers.astype(np.int64), ~stays, self.of))
        self._widest = order[np.searchsorted(self.of[order], np.arange(len(self._starts)))]

    def takers(
        self, covered: npt.NDArray[np.int64], origins: npt.NDArray[np.uint32]
    ) -> npt.NDArray[np.int64]:
        """The row that takes over where the group of row ``covered`` (-1: none) does.

        A route of the same origin if one remains there, else the one that most peers carry.
        """
        if not len(self.of):
            return np.full(len(covered), -1, np.int64)
        group = self.of[covered]
        asked = (group.astype(np.uint64) << np.uint64(32)) | origins
        at = np.minimum(np.searchsorted(self._keys, asked), len(self._keys) - 1)
        own = (self._keys[at] == asked) & self._stays[at] & (origins != 0)
        return np.where(covered < 0, -1, np.where(own, at, self._widest[group]))


def cover_hops(part: FamilyImpact, seen: Seen) -> npt.NDArray[np.uint32]:
    """Of each row of a FamilyImpact the least number of ASes by which the cover's origin stands before the
    route's own in a path, uint32 [n]: 1 is the AS that the origin hands the route to; NO_HOPS: in none.

    Only diverted routes have such a number: others go to the same origin, or have no cover. Where a path ends
    in an AS_SET, that stands for the origin. ``seen`` is what invalid_paths gave for the same verdicts.

    >>> from rov.rib import RouteColumns
    >>> routes = RouteColumns(4, [0, 0], [8, 9], [64496, 64497], [1, 1])
    >>> judged = Judged(routes, np.array([1, 2], np.uint8), np.array([1, 2], np.uint8))
    >>> one = np.ones(1, np.int64)
    >>> part = FamilyImpact(judged, one, np.full(1, 3, np.uint8), one - 1, np.zeros(1))
    >>> cover_hops(part, Seen({(4, 1): {(64500, 64496, 64499, 64497)}})).tolist()
    [2]
    """
    routes = part.judged.routes
    hops = np.zeros(len(part.rows), np.uint32)
    diverted = np.flatnonzero(np.isin(part.classes, DIVERTED))
    rows, covers = part.rows[diverted], routes.origins[part.cover[diverted]]
    columns = (column.tolist() for column in (diverted, rows, covers, routes.origins[rows]))
    for place, row, cover, origin in zip(*columns, strict=True):
        if cover:
            hops[place] = _least(seen.get((routes.family, row), ()), cover, ends_in_origin=bool(origin))
    return hops


def _least(paths: Iterable[Path], asn: int, *, ends_in_origin: bool) -> int:
    """How near to the end of any of the paths an AS stands; NO_HOPS if it is in none."""
    found = (path[::-1].index(asn) + (not ends_in_origin) for path in paths if asn in path)
    return min(found, default=NO_HOPS)


def impact_table(
    verdicts: Verdicts,
    *,
    default_routes: bool = False,
    delegations: Delegations | None = None,
    names: Mapping[int, str] | None = None,
    paths: Seen | None = None,
) -> pa.Table:
    """One row an invalid route: the columns of verdict_table, then class, cover_prefix, cover_origin,
    cover_state (null: no cover), reachable_share (0 to 1, by more specific routes that remain), vrps (those
    that cover it, as texts), cover_hops (of diverted routes, by ``paths``, which invalid_paths gave for the
    same verdicts: as the function; null: in none). With ``delegations`` country and registry of the prefix
    (null: not known), too; with ``names`` (read_names) asname, that of the origin.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit.verdicts import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> impact_table(judge(table, VrpIndex(Snapshot.empty()))).num_rows
    0
    """
    parts = impact(verdicts, default_routes=default_routes)
    known_by = as_optional(delegations, Delegations, "delegations")
    called, seen = as_names(names), as_optional(paths, Seen, "paths") or Seen()
    pyarrow = arrow()
    invalid = tuple(taken(part.judged, part.rows) for part in parts)
    columns = route_columns(invalid)
    columns["class"] = as_words((part.classes for part in parts), IMPACT_WORDS)
    texts: list[str | None] = []
    for part in parts:
        known = iter(prefix_texts(part.judged.routes.take(part.cover[part.cover >= 0])))
        texts += [next(known) if row >= 0 else None for row in part.cover.tolist()]
    columns["cover_prefix"] = pyarrow.array(texts, pyarrow.string())
    columns["cover_origin"] = origins(
        np.where(part.cover >= 0, part.judged.routes.origins[part.cover], 0) for part in parts
    )
    states = np.concatenate([part.judged.states[part.cover] for part in parts]).astype(np.int8)
    none = np.concatenate([part.cover < 0 for part in parts])
    columns["cover_state"] = pyarrow.DictionaryArray.from_arrays(
        number_column(states, none), text_column(STATE_WORDS)
    )
    columns["reachable_share"] = joined(part.inside for part in parts)
    columns["vrps"] = covering_column(invalid, verdicts.index.snapshot)
    hops = np.concatenate([cover_hops(part, seen) for part in parts])
    columns["cover_hops"] = number_column(hops, hops == NO_HOPS)
    if known_by is not None:
        columns |= _holders(invalid, known_by)
    if called is not None:
        columns["asname"] = name_column(np.concatenate([part.routes.origins for part in invalid]), called)
    table: pa.Table = pyarrow.table(columns)
    return table


def _holders(parts: Iterable[Judged], delegations: Delegations) -> dict[str, pa.Array]:
    """In which country each prefix is, and which registry has delegated it; null where that is not known."""
    numbers = np.concatenate([delegations.of_prefixes(prefix_texts(judged.routes)) for judged in parts])
    found = {}
    for name in ("country", "registry"):
        words = [getattr(kind, name) or None for kind in delegations.kinds]
        found[name] = arrow().array(words, arrow().string()).take(number_column(numbers))
    return found
