"""What is wrong with VRPs, seen from the table that they should protect (RFC 9319, BCP 185).

A VRP that allows more prefixes than its AS announces lets anybody announce the rest with a forged origin.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import MAX_INT64, as_int, as_kind
from rov._nesting import count_upto, cover_max, first_gap, ranges
from rov._prefix import format_ipv4, format_ipv6
from rov.audit.bogons import reserved
from rov.audit.nesting import Sorted, words
from rov.audit.tables import arrow, prefix_column
from rov.audit.verdicts import Judged, Verdicts
from rov.columns import NO_EXPIRY, VrpColumns
from rov.reference.special import special_asns
from rov.rib import RouteColumns
from rov.types import Family, State

if TYPE_CHECKING:
    import pyarrow as pa

TOO_SPECIFIC = {4: 24, 6: 48}
"""Longer prefixes are filtered by most networks, so that a VRP for one protects nothing."""

DAY = 86_400


class Fault(IntFlag):
    """What may be said of a VRP; one may have several, MINIMAL stands alone.

    MINIMAL: every prefix that it allows is announced by its AS. LOOSE: max_length allows prefixes that are
    not. UNUSED: it makes no route valid. DISALLOWING: unused, and it covers invalid routes. REDUNDANT:
    another VRP of its AS covers it and allows as much. AS0: for AS 0. AS0_ANNOUNCED: for AS 0, and routes
    lie under it. TOO_SPECIFIC: longer than /24 or /48. EXPIRES_SOON: within the time asked for. BOGON: not
    for AS 0, and its prefix or its AS is reserved or not assigned by IANA.
    """

    MINIMAL = 1
    LOOSE = 2
    UNUSED = 4
    DISALLOWING = 8
    REDUNDANT = 16
    AS0 = 32
    AS0_ANNOUNCED = 64
    TOO_SPECIFIC = 128
    EXPIRES_SOON = 256
    BOGON = 512


class Checked(NamedTuple):
    """The VRPs of one family with their Faults; columns of one length, row by row.

    ``allowed`` is how many prefixes the VRP allows (float64: 2^97 of them at most), ``announced`` how many
    of those its AS announces, ``invalid`` how many invalid routes lie under its prefix. ``exposed`` is the
    text of a prefix that it allows and its AS does not announce, "" where it is not LOOSE.
    """

    vrps: VrpColumns
    faults: npt.NDArray[np.uint16]
    allowed: npt.NDArray[np.float64]
    announced: npt.NDArray[np.int64]
    invalid: npt.NDArray[np.int64]
    exposed: list[str]

    def taken(self, rows: slice) -> Checked:
        """Some of the rows.

        >>> from rov import Snapshot, VrpIndex
        >>> from rov.audit.verdicts import judge
        >>> from rov.rib import RouteColumns, RouteTable
        >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
        >>> len(check_vrps(judge(table, VrpIndex(Snapshot.empty())))[0].taken(slice(0)).vrps)
        0
        """
        return Checked(
            self.vrps.take(rows),
            self.faults[rows],
            self.allowed[rows],
            self.announced[rows],
            self.invalid[rows],
            self.exposed[rows],
        )


def check_vrps(verdicts: Verdicts, *, now: int | None = None, soon: int = DAY) -> tuple[Checked, Checked]:
    """The Faults of each VRP of the index, IPv4 and IPv6; ``now`` in unix seconds, None: no expiry checked.

    >>> from rov import Prefix, Snapshot, VrpIndex, Vrp
    >>> from rov.audit.verdicts import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("5.0.0.0/8"), 9, 13335)]))
    >>> table = RouteTable(RouteColumns(4, [5 << 24], [8], [13335], [1]), RouteColumns.empty(6))
    >>> checked, _ = check_vrps(judge(table, index))
    >>> Fault(checked.faults[0]), checked.exposed
    (<Fault.LOOSE: 2>, ['5.0.0.0/9'])
    """
    as_kind(verdicts, Verdicts, "verdicts")
    soon = as_int(soon, "soon")
    now = None if now is None else as_int(now, "now", most=MAX_INT64 - soon)
    snapshot = verdicts.index.snapshot
    ipv4, ipv6 = (
        _check(vrps, judged, now, soon)
        for vrps, judged in ((snapshot.ipv4, verdicts.ipv4), (snapshot.ipv6, verdicts.ipv6))
    )
    return ipv4, ipv6


def _check(vrps: VrpColumns, judged: Judged, now: int | None, soon: int) -> Checked:
    routes = judged.routes
    by_origin = Sorted.of(routes.family, routes.origins, routes.addresses, routes.lengths)
    high, low = words(vrps.family, vrps.address)
    asked = (vrps.asn, high, low, vrps.length)
    first, end = ranges(*by_origin, *asked)
    announced = count_upto(first, end, by_origin.lengths, vrps.max_length)
    announced[vrps.asn == 0] = 0
    allowed = np.exp2(vrps.max_length.astype(np.float64) - vrps.length + 1) - 1
    covered, invalid = _under(judged, high, low, vrps.length)
    as0 = vrps.asn == 0
    loose = ~as0 & (announced < allowed) & (vrps.max_length > vrps.length)
    unused = ~as0 & (announced == 0)
    marks = {
        Fault.LOOSE: loose,
        Fault.UNUSED: unused,
        Fault.DISALLOWING: unused & (invalid > 0),
        Fault.REDUNDANT: ~as0 & _redundant(vrps, high, low),
        Fault.AS0: as0,
        Fault.AS0_ANNOUNCED: as0 & (covered > 0),
        Fault.BOGON: ~as0 & (reserved(_as_routes(vrps)) | special_asns(vrps.asn)),
        Fault.TOO_SPECIFIC: vrps.length > TOO_SPECIFIC[vrps.family],
    }
    if now is not None:
        marks[Fault.EXPIRES_SOON] = (vrps.expires != NO_EXPIRY) & (vrps.expires < now + soon)
    faults = np.zeros(len(vrps), np.uint16)
    for fault, mask in marks.items():
        faults[mask] |= np.uint16(fault)
    faults[(faults & ~np.uint16(Fault.EXPIRES_SOON) == 0) & (announced == allowed)] |= np.uint16(
        Fault.MINIMAL
    )
    exposed = _exposed(vrps, np.flatnonzero(loose), by_origin)
    return Checked(vrps, faults, allowed, announced, invalid, exposed)


def _as_routes(vrps: VrpColumns) -> RouteColumns:
    """The prefixes, as routes that nobody carries."""
    return RouteColumns(vrps.family, vrps.address, vrps.length, vrps.asn, np.zeros(len(vrps), np.uint32))


def _under(judged: Judged, high: Any, low: Any, lengths: Any) -> tuple[Any, Any]:
    """How many routes lie under each prefix, and how many of them are invalid."""
    routes = judged.routes
    no_key = np.zeros(len(routes), np.uint32)
    base = (no_key, *words(routes.family, routes.addresses), routes.lengths)
    first, end = ranges(*base, np.zeros(len(lengths), np.uint32), high, low, lengths)
    so_far = np.concatenate([[0], np.cumsum(judged.having(State.INVALID))])
    return end - first, (so_far[end] - so_far[first]).astype(np.int64)


def _redundant(vrps: VrpColumns, high: Any, low: Any) -> npt.NDArray[np.bool_]:
    """Whether another VRP of the AS covers the prefix and allows at least as much."""
    order = np.argsort(vrps.asn, kind="stable")
    by_asn = (vrps.asn[order], high[order], low[order], vrps.length[order])
    covered = np.empty(len(vrps), np.int64)
    covered[order] = cover_max(*by_asn, vrps.max_length[order])
    same = np.zeros(len(vrps), np.bool_)
    # of equal (asn, prefix) the rows ascend by max_length: all but the last are redundant
    equal_next = np.ones(max(len(vrps) - 1, 0), np.bool_)
    for column in by_asn:
        equal_next &= column[1:] == column[:-1]
    same[order[:-1][equal_next]] = True
    return (covered >= vrps.max_length) | same


def _exposed(vrps: VrpColumns, rows: npt.NDArray[np.int64], by_origin: Sorted) -> list[str]:
    """For each row asked for, a prefix that it allows and its AS does not announce; "" elsewhere."""
    texts = [""] * len(vrps)
    wanted = vrps.max_length[rows].copy()
    while len(rows):
        part = vrps.take(rows)
        high, low = words(vrps.family, part.address)
        first, end = ranges(*by_origin, part.asn, high, low, part.length)
        gap_high, gap_low, found = first_gap(
            first, end, by_origin.high, by_origin.low, by_origin.lengths, high, low, part.length, wanted
        )
        hit = found == 1
        for row, text in zip(
            rows[hit].tolist(), _texts(vrps.family, gap_high[hit], gap_low[hit], wanted[hit]), strict=True
        ):
            texts[row] = text
        left = ~hit & (wanted > part.length)
        rows, wanted = rows[left], wanted[left] - np.uint8(1)
    return texts


def _texts(family: Family, high: Any, low: Any, lengths: npt.NDArray[np.uint8]) -> list[str]:
    if family == 4:
        return format_ipv4((high >> np.uint64(32)).astype(np.uint32), lengths)
    return format_ipv6(np.column_stack([high, low]), lengths)


def hygiene_table(verdicts: Verdicts, *, now: int | None = None, soon: int = DAY) -> pa.Table:
    """One row a VRP: prefix, max_length, asn, ta, faults (a list of words), allowed, announced,
    invalid_routes, exposed (null where nothing is), expires (unix seconds, null where not stated).

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit.verdicts import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> hygiene_table(judge(table, VrpIndex(Snapshot.empty()))).num_rows
    0
    """
    pyarrow = arrow()
    parts = check_vrps(verdicts, now=now, soon=soon)
    names = verdicts.index.snapshot.trust_anchors
    text = pyarrow.string()
    faults = np.concatenate([part.faults for part in parts])
    expires = np.concatenate([part.vrps.expires for part in parts])
    anchors = np.concatenate([part.vrps.ta for part in parts]).astype(np.int16)
    exposed = [written or None for part in parts for written in part.exposed]
    columns = {
        "prefix": prefix_column((part.vrps.family, part.vrps.address, part.vrps.length) for part in parts),
        "max_length": np.concatenate([part.vrps.max_length for part in parts]),
        "asn": np.concatenate([part.vrps.asn for part in parts]),
        "ta": pyarrow.DictionaryArray.from_arrays(anchors, pyarrow.array(names)),
        "faults": pyarrow.array(_spelled(faults), pyarrow.list_(text)),
        "allowed": np.concatenate([part.allowed for part in parts]),
        "announced": np.concatenate([part.announced for part in parts]),
        "invalid_routes": np.concatenate([part.invalid for part in parts]),
        "exposed": pyarrow.array(exposed, text),
        "expires": pyarrow.array(expires, mask=expires == NO_EXPIRY),
    }
    table: pa.Table = pyarrow.table(columns)
    return table


def _spelled(faults: npt.NDArray[np.uint16]) -> list[list[str]]:
    """Each mask of Faults as words."""
    words_of = {
        int(mask): [(fault.name or "").lower() for fault in Fault if fault & int(mask)]
        for mask in np.unique(faults)
    }
    return [words_of[mask] for mask in faults.tolist()]
