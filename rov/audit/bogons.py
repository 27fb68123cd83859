"""Routes that should be in no table: their prefix or origin is reserved, unassigned or not delegated."""

from __future__ import annotations

from collections.abc import Iterator
from socket import AF_INET6
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pytricia

from rov._prefix import parse
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, prefix_texts
from rov.index import VrpIndex
from rov.reference import Delegation, Delegations
from rov.reference.special import ASSIGNED_IPV6, PREFIXES, REACHABLE, UNASSIGNED, Special, special_asn
from rov.rib import RouteColumns, RouteTable
from rov.snapshot import Snapshot
from rov.types import Prefix, State, Vrp

if TYPE_CHECKING:
    import pyarrow as pa

BOGONS = Schema("rov.audit.bogons/1", "bogons_table")

Level = Literal["full", "administrative"]


class Bogon(NamedTuple):
    """A row of a family's routes, what of it is a bogon (prefix or origin), and why.

    full: the IANA registries say so, MANRS counts these only. administrative: a registry has it and has
    delegated it to nobody.
    """

    row: int
    what: Literal["prefix", "origin"]
    level: Level
    why: Special
    registry: str
    status: str


def _over(blocks: list[str]) -> VrpIndex:
    """An index that says of each prefix whether one of the blocks covers it: not_found if none does."""
    prefixes = [Prefix.parse(block) for block in blocks]
    return VrpIndex(Snapshot.from_vrps([Vrp(prefix, prefix.length, 0) for prefix in prefixes]))


def bogons(routes: RouteColumns, delegations: Delegations | None = None) -> list[Bogon]:
    """The bogons of one family, in table order; default routes are none.

    A less specific route that only contains a reserved block is none either.

    >>> [found.why.source for found in bogons(RouteColumns(4, [10 << 24], [24], [13335], [1]))]
    ['RFC 1918']
    """
    found = [*_special_prefixes(routes), *_special_origins(routes)]
    if delegations is not None:
        full = {(bogon.row, bogon.what) for bogon in found}
        found += [bogon for bogon in _undelegated(routes, delegations) if (bogon.row, bogon.what) not in full]
    return sorted(found, key=lambda bogon: (bogon.row, bogon.what == "origin"))


def _special_prefixes(routes: RouteColumns) -> Iterator[Bogon]:
    batch = routes.routes
    known = routes.lengths > 0
    known &= _over(REACHABLE).validate_batch(batch) == State.NOT_FOUND
    bad = _over([special.block for special in PREFIXES]).validate_batch(batch) != State.NOT_FOUND
    if routes.family == 6:
        bad |= _over(ASSIGNED_IPV6).validate_batch(batch) == State.NOT_FOUND
    rows = np.flatnonzero(known & bad)
    of = {4: pytricia.PyTricia(32), 6: pytricia.PyTricia(128, AF_INET6)}[routes.family]
    for special in PREFIXES:
        if parse(special.block)[0] == routes.family:
            of[special.block] = special
    for row, text in zip(rows.tolist(), prefix_texts(routes.take(rows)), strict=True):
        yield Bogon(row, "prefix", "full", of.get(text, UNASSIGNED), "iana", "")


def _special_origins(routes: RouteColumns) -> Iterator[Bogon]:
    asns, place = np.unique(routes.origins, return_inverse=True)
    # 0 stands for no origin here
    why = [special_asn(asn) if asn else None for asn in asns.tolist()]
    marked = np.array([special is not None for special in why], np.bool_)
    for row in np.flatnonzero(marked[place]).tolist() if len(asns) else []:
        special = why[place[row]]
        assert special is not None
        yield Bogon(row, "origin", "full", special, "iana", "")


def _undelegated(routes: RouteColumns, delegations: Delegations) -> Iterator[Bogon]:
    """What no registry has delegated: in the pool of one (available, reserved), or in no file."""
    held = np.array([kind.delegated for kind in delegations.kinds], np.bool_)
    numbers = delegations.of_prefixes(prefix_texts(routes))
    for row in np.flatnonzero(~held[numbers] & (routes.lengths > 0)).tolist():
        yield _administrative(row, "prefix", delegations.kinds[numbers[row]])
    asns, place = np.unique(routes.origins, return_inverse=True)
    kinds = [delegations.of_asn(asn) for asn in asns.tolist()]
    free: npt.NDArray[np.bool_] = np.array([not kind.delegated for kind in kinds], np.bool_) & (asns != 0)
    for row in np.flatnonzero(free[place]).tolist() if len(asns) else []:
        yield _administrative(row, "origin", kinds[place[row]])


def _administrative(row: int, what: Literal["prefix", "origin"], kind: Delegation) -> Bogon:
    status = kind.status or "not listed"
    return Bogon(row, what, "administrative", Special("", status, "delegated files"), kind.registry, status)


def bogons_table(table: RouteTable, delegations: Delegations | None = None) -> pa.Table:
    """One row a bogon: prefix, origin (null: none), peers, what (prefix or origin), level (full or
    administrative), block, purpose, source (the document), registry, status (null for full ones).

    A route whose prefix and origin both are has two rows.

    >>> bogons_table(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))).num_rows
    0
    """
    parts = [(routes, bogons(routes, delegations)) for routes in (table.ipv4, table.ipv6)]
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
    }
    found: pa.Table = pyarrow.table(columns)
    return found
