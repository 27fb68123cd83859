"""Routes that should be in no table: their prefix or origin is reserved, unassigned or not delegated.

So may be an AS number further on in their paths: ``rov.audit.bogon_paths`` finds those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from socket import AF_INET6
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pytricia

from rov._checks import as_kind, as_optional
from rov._prefix import parse
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, prefix_texts
from rov.index import VrpIndex
from rov.reference import Delegation, Delegations
from rov.reference.special import (
    ASSIGNED_IPV6,
    PREFIXES,
    REACHABLE,
    UNASSIGNED,
    Special,
    special_asn,
    special_asns,
)
from rov.rib import RouteColumns, RouteTable
from rov.snapshot import Snapshot
from rov.types import Prefix, State, Vrp

if TYPE_CHECKING:
    import pyarrow as pa

BOGONS = Schema("rov.audit.bogons/1", "bogons_table")

Level = Literal["full", "administrative"]

What = Literal["prefix", "origin", "path"]

_ORDER: dict[What, int] = {"prefix": 0, "origin": 1, "path": 2}


class Bogon(NamedTuple):
    """A row of a family's routes, what of it is a bogon, and why.

    full: the IANA registries say so, MANRS counts these only. administrative: a registry has it and has
    delegated it to nobody. ``asn`` is the AS number, 0 if the prefix is the bogon; ``entries`` how many
    entries of the dump have it in their path, 0 if it was not looked for there.
    """

    row: int
    what: What
    level: Level
    why: Special
    registry: str
    status: str
    asn: int = 0
    entries: int = 0


@cache
def _over(blocks: tuple[str, ...]) -> VrpIndex:
    """An index that says of each prefix whether one of the blocks covers it: not_found if none does."""
    prefixes = [Prefix.parse(block) for block in blocks]
    return VrpIndex(Snapshot.from_vrps([Vrp(prefix, prefix.length, 0) for prefix in prefixes]))


def bogons(routes: RouteColumns, delegations: Delegations | None = None) -> list[Bogon]:
    """The bogons of one family, in table order; default routes are none.

    A less specific route that only contains a reserved block is none either.

    >>> [found.why.source for found in bogons(RouteColumns(4, [10 << 24], [24], [13335], [1]))]
    ['RFC 1918']
    """
    as_kind(routes, RouteColumns, "routes")
    as_optional(delegations, Delegations, "delegations")
    found = [*_special_prefixes(routes), *_special_origins(routes)]
    if delegations is not None:
        full = {(bogon.row, bogon.what) for bogon in found}
        found += [bogon for bogon in _undelegated(routes, delegations) if (bogon.row, bogon.what) not in full]
    return in_order(found)


def in_order(found: list[Bogon]) -> list[Bogon]:
    """Bogons by row; of one row its prefix, its origin, what is in its paths.

    >>> in_order([])
    []
    """
    return sorted(found, key=lambda bogon: (bogon.row, _ORDER[bogon.what], bogon.asn))


def reserved(routes: RouteColumns) -> npt.NDArray[np.bool_]:
    """Which prefixes are reserved or not assigned by the IANA registries, as bool [n]; default routes are
    not.

    >>> reserved(RouteColumns(4, [10 << 24, 1 << 24], [24, 24], [13335, 13335], [1, 1])).tolist()
    [True, False]
    """
    batch = routes.routes
    bad: npt.NDArray[np.bool_] = (
        _over(tuple(special.block for special in PREFIXES)).validate_batch(batch) != State.NOT_FOUND
    )
    if routes.family == 6:
        bad |= _over(tuple(ASSIGNED_IPV6)).validate_batch(batch) == State.NOT_FOUND
    bad &= _over(tuple(REACHABLE)).validate_batch(batch) == State.NOT_FOUND
    bad &= routes.lengths > 0
    return bad


def _special_prefixes(routes: RouteColumns) -> Iterator[Bogon]:
    rows = np.flatnonzero(reserved(routes))
    if not len(rows):
        return
    of = {4: pytricia.PyTricia(32), 6: pytricia.PyTricia(128, AF_INET6)}[routes.family]
    for special in PREFIXES:
        if parse(special.block)[0] == routes.family:
            of[special.block] = special
    for row, text in zip(rows.tolist(), prefix_texts(routes.take(rows)), strict=True):
        yield Bogon(row, "prefix", "full", of.get(text, UNASSIGNED), "iana", "")


def _special_origins(routes: RouteColumns) -> Iterator[Bogon]:
    # 0 stands for no origin here
    for row in np.flatnonzero(special_asns(routes.origins) & (routes.origins != 0)).tolist():
        yield full(row, "origin", int(routes.origins[row]))


def full(row: int, what: What, asn: int, entries: int = 0) -> Bogon:
    """The Bogon of an AS number that special_asn knows.

    >>> full(0, "path", 23456).why.purpose
    'AS_TRANS'
    """
    why = special_asn(asn)
    assert why is not None
    return Bogon(row, what, "full", why, "iana", "", asn, entries)


def _undelegated(routes: RouteColumns, delegations: Delegations) -> Iterator[Bogon]:
    """What no registry has delegated: in the pool of one (available, reserved), or in no file."""
    held = np.array([kind.delegated for kind in delegations.kinds], np.bool_)
    numbers = delegations.of_prefixes(prefix_texts(routes))
    for row in np.flatnonzero(~held[numbers] & (routes.lengths > 0)).tolist():
        yield administrative(row, "prefix", delegations.kinds[numbers[row]])
    asns, place = np.unique(routes.origins, return_inverse=True)
    kinds = [delegations.of_asn(asn) for asn in asns.tolist()]
    free: npt.NDArray[np.bool_] = np.array([not kind.delegated for kind in kinds], np.bool_) & (asns != 0)
    for row in np.flatnonzero(free[place]).tolist() if len(asns) else []:
        yield administrative(row, "origin", kinds[place[row]], int(routes.origins[row]))


def administrative(row: int, what: What, kind: Delegation, asn: int = 0, entries: int = 0) -> Bogon:
    """The Bogon of what a registry has delegated to nobody.

    >>> administrative(0, "prefix", Delegation("", "", "")).status
    'not listed'
    """
    status = kind.status or "not listed"
    why = Special("", status, "delegated files")
    return Bogon(row, what, "administrative", why, kind.registry, status, asn, entries)


def bogons_table(
    table: RouteTable,
    delegations: Delegations | None = None,
    paths: Mapping[int, Sequence[Bogon]] | None = None,
) -> pa.Table:
    """One row a bogon: prefix, origin (null: none), peers, what (prefix, origin or path), level (full or
    administrative), block, purpose, source (the document), registry, status (null for full ones), asn (the
    AS number that is one), entries (of the dump that have it in their path; null unless what is path).

    A route whose prefix and origin both are has two rows. ``paths``: what bogon_paths found in the paths.

    >>> bogons_table(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))).num_rows
    0
    """
    as_kind(table, RouteTable, "table")
    in_paths = as_optional(paths, Mapping, "paths") or {}  # type: ignore[type-abstract]
    parts = [
        (routes, in_order([*bogons(routes, delegations), *in_paths.get(routes.family, ())]))
        for routes in (table.ipv4, table.ipv6)
    ]
    pyarrow = arrow()
    every = [bogon for _, part in parts for bogon in part]
    text = pyarrow.string()
    rows = [routes.take(np.array([bogon.row for bogon in part], np.int64)) for routes, part in parts]
    columns = {
        "prefix": pyarrow.array([prefix for part in rows for prefix in prefix_texts(part)], text),
        "origin": pyarrow.array(
            [asn or None for part in rows for asn in part.origins.tolist()], pyarrow.uint32()
        ),
        "peers": pyarrow.array(np.concatenate([part.peers for part in rows])),
        "what": pyarrow.array([bogon.what for bogon in every], text),
        "level": pyarrow.array([bogon.level for bogon in every], text),
        "block": pyarrow.array([bogon.why.block or None for bogon in every], text),
        "purpose": pyarrow.array([bogon.why.purpose for bogon in every], text),
        "source": pyarrow.array([bogon.why.source for bogon in every], text),
        "registry": pyarrow.array([bogon.registry or None for bogon in every], text),
        "status": pyarrow.array([bogon.status or None for bogon in every], text),
        "asn": pyarrow.array([bogon.asn or None for bogon in every], pyarrow.uint32()),
        "entries": pyarrow.array([bogon.entries or None for bogon in every], pyarrow.int64()),
    }
    found: pa.Table = pyarrow.table(columns)
    return found
