"""AS numbers in the paths of routes that nobody may use, from a second reading of MRT dumps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_optional
from rov.audit.bogons import Bogon, administrative, full
from rov.audit.entries import Entries, entries, finders
from rov.audit.nesting import distinct
from rov.reference import Delegations
from rov.reference.special import special_asns
from rov.rib import Dump, RouteTable

Keys = npt.NDArray[np.uint64]
"""A row and an AS number each."""

WORD, ASN = np.uint64(32), np.uint64(0xFFFFFFFF)


def bogon_paths(
    dumps: Iterable[Dump], table: RouteTable, delegations: Delegations | None = None
) -> dict[int, list[Bogon]]:
    """The bogons in the paths of the routes of a table, by family; its origin is none of a path.

    The dumps are those of the table, opened once more with their paths. One Bogon a route and AS number,
    with the entries that have it. Members of AS_SETs and confederations are not looked at. ArgumentError: a
    dump is no MRT, and has no paths.

    >>> from rov.rib import RouteColumns
    >>> bogon_paths([], RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)))
    {}
    """
    of = finders(as_kind(table, RouteTable, "table"))
    as_optional(delegations, Delegations, "delegations")
    held = _Held(delegations)
    origins = {routes.family: routes.origins for routes in (table.ipv4, table.ipv6)}
    keys: dict[int, list[Keys]] = defaultdict(list)
    for _, found in entries(dumps, of):
        family = found.batch.routes.family
        keys[family].append(_pairs(found, held.bad(found.attributes.paths.asns), origins[family]))
    return {family: list(_bogons(np.concatenate(parts), delegations)) for family, parts in keys.items()}


def _pairs(found: Entries, bad: npt.NDArray[np.bool_], origins: npt.NDArray[np.uint32]) -> Keys:
    """(row, AS number) of each entry and each bogon in its path that is not its origin, as one number."""
    paths = found.attributes.paths
    at = np.flatnonzero(bad)
    of = np.searchsorted(paths.offsets, at, "right") - 1
    # an AS that stands several times in a path counts once
    once = distinct(of.astype(np.uint64) << WORD | paths.asns[at])
    ends = np.searchsorted(once, np.arange(len(paths) + 1, dtype=np.uint64) << WORD)
    counts = np.diff(ends)[found.paths_at]
    places = np.repeat(ends[found.paths_at] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    rows, asns = np.repeat(found.rows, counts), once[places] & ASN
    pairs = rows.astype(np.uint64) << WORD | asns
    kept: Keys = pairs[asns != origins[rows]]
    return kept


def _bogons(pairs: Keys, delegations: Delegations | None) -> Iterator[Bogon]:
    """A Bogon for each pair, with how often it is there."""
    distinct, counts = np.unique(pairs, return_counts=True)
    asns = (distinct & ASN).astype(np.uint32)
    columns = (distinct >> WORD, asns, special_asns(asns), counts)
    for row, asn, special, count in zip(*(column.tolist() for column in columns), strict=True):
        if special or delegations is None:
            yield full(row, "path", asn, count)
        else:
            yield administrative(row, "path", delegations.of_asn(asn), asn, count)


class _Held:
    """Says which AS numbers are bogons; each is looked up in the delegations once."""

    def __init__(self, delegations: Delegations | None) -> None:
        self._delegations = delegations
        self._known: dict[int, bool] = {}

    def bad(self, asns: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Which of the AS numbers nobody may use."""
        bad = special_asns(asns)
        if self._delegations is not None:
            distinct, places = np.unique(asns, return_inverse=True)
            free = np.array([not self._held(asn) for asn in distinct.tolist()], np.bool_)
            bad = bad | free[places]
        return bad

    def _held(self, asn: int) -> bool:
        held = self._known.get(asn)
        if held is None:
            assert self._delegations is not None
            held = self._known[asn] = self._delegations.of_asn(asn).delegated
        return held
