"""What customers may announce: their ROAs, and their route objects that no ROA speaks against."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_int, as_kind, as_optional, as_rows
from rov.audit.bogons import reserved
from rov.audit.nesting import words
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, joined, origins, prefix_column
from rov.audit.tables import words as as_words
from rov.audit.verdicts import REASON_WORDS
from rov.columns import VrpColumns
from rov.index import VrpIndex
from rov.reference.rpsl import Irr
from rov.rib import RouteColumns
from rov.types import Family, Reason, as_asn

if TYPE_CHECKING:
    import pyarrow as pa

ALLOW = Schema("rov.filter.allow/1", "allow_table")

LONGEST_IPV4, LONGEST_IPV6 = 24, 48
"""Longer prefixes are rejected nearly everywhere, so that a filter need not let them in."""

SOURCES = ["", "roa", "irr", "both"]
"""Where an entry comes from, by its bits."""

ROA, IRR = 1, 2

CONFLICTS = [*REASON_WORDS, "bogon", "too_specific"]
"""Why an entry is none: the Reason of a route object that is RPKI-invalid, or one of two more."""

BOGON, TOO_SPECIFIC = len(REASON_WORDS), len(REASON_WORDS) + 1

Rows = npt.NDArray[Any]


class _Entries(NamedTuple):
    """Entries of one family: distinct (origin, prefix), ascending."""

    family: Family
    addresses: Rows
    lengths: Rows
    most: Rows
    origins: Rows
    sources: Rows
    conflicts: Rows

    def take(self, rows: Rows) -> _Entries:
        columns: list[Any] = [column[rows] for column in self[1:]]
        return self._replace(**dict(zip(self._fields[1:], columns, strict=True)))


def allow_table(
    customers: Mapping[int, AbstractSet[int]],
    index: VrpIndex,
    irr: Irr | None = None,
    *,
    longest_ipv4: int = LONGEST_IPV4,
    longest_ipv6: int = LONGEST_IPV6,
) -> pa.Table:
    """One row an entry of a customer's list: customer (its AS), origin, prefix, le (the longest prefix under
    it that is allowed), source (roa, irr, both), conflict (null: the entry is in the list).

    customers: the ASes whose routes each may announce, by its AS. From VRPs come prefixes up to their max
    length, from route objects exact prefixes. What is not to be let in keeps its row, with a conflict: asn,
    length, as0 (a route object that is RPKI-invalid), bogon (reserved by IANA, or a default route),
    too_specific (longer than longest_ipv4, longest_ipv6, at which le ends too). ArgumentError: arguments of
    other types, lengths that are none.

    >>> from rov import Prefix, Snapshot, Vrp
    >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("1.0.0.0/8"), 32, 64496)]))
    >>> allow_table({64496: {64496}}, index).to_pylist()[0]["le"]
    24
    """
    as_kind(index, VrpIndex, "index")
    as_optional(irr, Irr, "irr")
    lists = {
        as_asn(asn, "customer", 1): np.array(
            sorted({as_asn(origin) for origin in as_rows(members, object, "ASNs")} - {0}), np.uint32
        )
        for asn, members in as_kind(customers, Mapping, "customers").items()  # type: ignore[type-abstract]
    }
    longest = as_int(longest_ipv4, "longest_ipv4", 1, 32), as_int(longest_ipv6, "longest_ipv6", 1, 128)
    wanted = np.unique(np.concatenate([np.zeros(0, np.uint32), *lists.values()]))
    known = index.snapshot
    objects = None if irr is None else irr.exact.snapshot
    families = [
        _entries(index, known.ipv4, None if objects is None else objects.ipv4, wanted, longest[0]),
        _entries(index, known.ipv6, None if objects is None else objects.ipv6, wanted, longest[1]),
    ]
    parts = [
        (asn, found.take(np.isin(found.origins, members)))
        for asn, members in lists.items()
        for found in families
    ]
    return _table(parts)


def _entries(
    index: VrpIndex, vrps: VrpColumns, objects: VrpColumns | None, wanted: Rows, longest: int
) -> _Entries:
    """The entries of one family for all customers together."""
    own = vrps.take(np.isin(vrps.asn, wanted))
    columns: list[Rows] = [own.address, own.length, own.max_length, own.asn, np.full(len(own), ROA, np.uint8)]
    reasons = np.full(len(own), Reason.MATCHED, np.uint8)
    if objects is not None:
        found = objects.take(np.isin(objects.asn, wanted))
        routes = RouteColumns(
            found.family, found.address, found.length, found.asn, np.zeros(len(found), np.uint32)
        )
        _, judged = index.validate_batch(routes.routes, reasons=True)
        # a VRP that makes it valid says the same of it
        bits = np.where(judged == Reason.MATCHED, ROA | IRR, IRR).astype(np.uint8)
        more: list[Rows] = [found.address, found.length, found.length, found.asn, bits]
        columns = [np.concatenate([a, b]) for a, b in zip(columns, more, strict=True)]
        reasons = np.concatenate([reasons, judged])
    addresses, lengths, most, asns, sources = columns
    merged = _merged(_Entries(vrps.family, addresses, lengths, most, asns, sources, reasons))
    return _checked(merged, longest)


def _merged(entries: _Entries) -> _Entries:
    """One entry for each origin and prefix: the longest max length, all sources."""
    high, low = words(entries.family, entries.addresses)
    order = np.lexsort((entries.lengths, low, high, entries.origins))
    entries = entries.take(order)
    if not len(order):
        return entries
    keys = np.stack([entries.origins.astype(np.uint64), high[order], low[order], entries.lengths], axis=1)
    starts = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)]))
    return _Entries(
        entries.family,
        entries.addresses[starts],
        entries.lengths[starts],
        np.maximum.reduceat(entries.most, starts),
        entries.origins[starts],
        np.bitwise_or.reduceat(entries.sources, starts),
        entries.conflicts[starts],
    )


def _checked(entries: _Entries, longest: int) -> _Entries:
    """With conflicts of all kinds as codes of CONFLICTS; 0 and 1 (not covered, matched) are none."""
    nobody = np.zeros(len(entries.lengths), np.uint32)
    routes = RouteColumns(entries.family, entries.addresses, entries.lengths, entries.origins, nobody)
    conflicts = np.where(entries.lengths > longest, TOO_SPECIFIC, entries.conflicts)
    conflicts = np.where(reserved(routes) | (entries.lengths == 0), BOGON, conflicts)
    most = np.maximum(np.minimum(entries.most, longest), entries.lengths)
    return entries._replace(most=most.astype(np.uint8), conflicts=conflicts.astype(np.uint8))


def _table(parts: list[tuple[int, _Entries]]) -> pa.Table:
    pyarrow = arrow()
    conflicts = [part.conflicts for _, part in parts]
    mask = np.concatenate([np.zeros(0, np.bool_), *(codes <= Reason.MATCHED for codes in conflicts)])
    none = np.zeros(0, np.uint8)
    texts = pyarrow.array(CONFLICTS, pyarrow.string())
    codes = pyarrow.array(np.concatenate([none, *conflicts]).astype(np.int8), mask=mask)
    table: pa.Table = pyarrow.table(
        {
            "customer": joined(
                [np.zeros(0, np.uint32), *(np.full(len(p.lengths), asn, np.uint32) for asn, p in parts)]
            ),
            "origin": origins([np.zeros(0, np.uint32), *(part.origins for _, part in parts)]),
            "prefix": prefix_column((part.family, part.addresses, part.lengths) for _, part in parts),
            "le": joined([none, *(part.most for _, part in parts)]),
            "source": as_words([none, *(part.sources for _, part in parts)], SOURCES),
            "conflict": pyarrow.DictionaryArray.from_arrays(codes, texts),
        }
    )
    return table
