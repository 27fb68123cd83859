"""Which part of a set a request wants: select-asn, select-prefix, include, exclude, as in Routinator."""

from __future__ import annotations

from functools import reduce

import msgspec
import numpy as np
from starlette.requests import Request

from rov import Prefix, Snapshot, VrpColumns, VrpIndex
from rtr_server.web import query
from rtr_server.web.problems import Problem, shown

ARGUMENTS = ("select-asn", "select-prefix", "include", "exclude", "filter-asn", "filter-prefix")
PARTS = {"routeOrigins": "vrps", "routerKeys": "router_keys", "aspas": "aspas"}

MAX_SELECTED = 100
"""Selections of a request: each is a pass over the set."""


class Selection(msgspec.Struct, frozen=True):
    """What is asked for; without ASNs and prefixes, everything.

    A prefix selects the VRPs that cover it, with ``more_specifics`` those under it too; router keys and
    ASPAs are selected by ASN alone. ``exclude``: parts by the names of ``rov.encode``.
    """

    asns: tuple[int, ...] = ()
    prefixes: tuple[Prefix, ...] = ()
    more_specifics: bool = False
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: Request) -> Selection:
        """From the query; 400 where it has what is not known."""
        asns, prefixes, more, exclude = [], [], False, set()
        for name, value in query.arguments(request, ARGUMENTS):
            if name.endswith("-asn"):
                asns.append(query.asn(value))
            elif name.endswith("-prefix"):
                prefixes.append(query.prefix(value))
            elif name == "include":
                _known(name, value, {"more-specifics"})
                more = True
            else:
                exclude |= {PARTS[part] for part in _known(name, value, set(PARTS))}
        if len(asns) + len(prefixes) > MAX_SELECTED:
            raise Problem(400, f"more than {MAX_SELECTED} selections")
        return cls(tuple(asns), tuple(prefixes), more, tuple(sorted(exclude)))

    def apply(self, index: VrpIndex) -> Snapshot:
        """The part of the set; in a thread."""
        if not self.asns and not self.prefixes:
            return index.snapshot
        parts = [index.by_asn(asn) for asn in self.asns]
        parts += [covering(index, prefix) for prefix in self.prefixes]
        if self.more_specifics:
            parts += [index.covered(prefix) for prefix in self.prefixes]
        return reduce(Snapshot.__or__, parts)


def _known(name: str, value: str, names: set[str]) -> list[str]:
    found = value.split(",")
    for each in found:
        if each not in names:
            raise Problem(400, f"{name} {shown(each)}: expected {', '.join(sorted(names))}")
    return found


def covering(index: VrpIndex, prefix: Prefix) -> Snapshot:
    """The VRPs that cover a prefix, with trust anchor and expiry, as a Snapshot without the rest.

    >>> covering(VrpIndex(Snapshot.empty()), Prefix.parse("192.0.2.0/24"))
    <Snapshot: 0 VRPs (0 IPv4, 0 IPv6), 0 ASPAs, 0 router keys>
    """
    snapshot = index.snapshot
    columns = snapshot.ipv4 if prefix.family == 4 else snapshot.ipv6
    found = sorted({vrp.prefix for vrp in index.covering(prefix)})
    rows = np.concatenate([np.zeros(0, np.int64), *(_rows(columns, each) for each in found)])
    picked = columns.take(rows)
    four, six = (picked, None) if prefix.family == 4 else (None, picked)
    return Snapshot.build(four, six, trust_anchors=snapshot.trust_anchors, generated=snapshot.generated)


def _rows(columns: VrpColumns, prefix: Prefix) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The rows of exactly this prefix: addresses are sorted."""
    if columns.family == 4:
        first, last = _equal(columns.address, np.uint32(prefix.address))
    else:
        high, low = np.uint64(prefix.address >> 64), np.uint64(prefix.address & (2**64 - 1))
        start, end = _equal(columns.address[:, 0], high)
        first, last = _equal(columns.address[start:end, 1], low)
        first, last = start + first, start + last
    return first + np.flatnonzero(columns.length[first:last] == prefix.length)


def _equal(column: np.ndarray, value: np.generic) -> tuple[int, int]:
    return int(np.searchsorted(column, value, "left")), int(np.searchsorted(column, value, "right"))
