"""The VRPs that cover each route of a table: what a verdict rests on, as a column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rov._nesting import ranges
from rov.audit.nesting import distinct, words
from rov.audit.tables import arrow, list_column, number_column, prefix_column
from rov.audit.verdicts import Judged
from rov.columns import VrpColumns
from rov.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

Places = npt.NDArray[np.int64]

MAX_COVERING = 64
"""VRPs that are listed of a route: some prefixes have VRPs for hundreds of ASes, hostile ones for all."""

ROUTES_AT_ONCE = 1 << 16
"""Routes whose VRPs are found at a time: 50 MB at most."""


def covering(judged: Judged, vrps: VrpColumns) -> Iterator[tuple[Places, Places]]:
    """The rows of the VRPs that cover each route, ROUTES_AT_ONCE routes at a time: offsets, rows.

    Those of route i are ``rows[offsets[i]:offsets[i + 1]]``, the shortest first, MAX_COVERING at most.

    >>> from rov.rib import RouteColumns
    >>> routes = RouteColumns(4, [0], [8], [64496], [1])
    >>> judged = Judged(routes, np.zeros(1, np.uint8), np.zeros(1, np.uint8))
    >>> [(offsets, rows)] = covering(judged, VrpColumns.ipv4([0, 0], [0, 9], [8, 9], [1, 1]))
    >>> offsets.tolist(), rows.tolist()
    ([0, 1], [0])
    """
    routes = judged.routes
    kept = np.flatnonzero(_depth(vrps) < MAX_COVERING)
    first, end = _under(routes.family, routes.addresses, routes.lengths, vrps)
    first, end = first[kept], end[kept]
    for at in range(0, len(routes), ROUTES_AT_ONCE):
        stop = min(at + ROUTES_AT_ONCE, len(routes))
        here = np.flatnonzero((first < stop) & (end > at))
        begins, ends = np.maximum(first[here], at), np.minimum(end[here], stop)
        counts = ends - begins
        pairs = np.repeat(begins - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        places = pairs + np.arange(len(pairs)) - at if len(here) else np.empty(0, np.int64)
        order = np.argsort(places, kind="stable")
        offsets = np.zeros(stop - at + 1, np.int64)
        np.cumsum(np.bincount(places, minlength=stop - at), out=offsets[1:])
        yield offsets, np.repeat(kept[here], counts)[order]


def _under(family: Any, addresses: Any, lengths: Any, vrps: VrpColumns) -> tuple[Places, Places]:
    """For each VRP the sorted rows that lie under its prefix: the first, and where they end."""
    keys, asked = np.zeros(len(lengths), np.uint32), np.zeros(len(vrps), np.uint32)
    high, low = words(vrps.family, vrps.address)
    return ranges(keys, *words(family, addresses), lengths, asked, high, low, vrps.length)


def _depth(vrps: VrpColumns) -> Places:
    """How many VRPs before each cover it: what covers a route covers all VRPs further down that do so."""
    _, end = _under(vrps.family, vrps.address, vrps.length, vrps)
    steps = np.ones(len(vrps) + 1, np.int64)
    steps[0] = 0
    steps -= np.bincount(end, minlength=len(vrps) + 1)
    return np.cumsum(steps)[:-1]


def vrp_texts(vrps: VrpColumns) -> pa.Array:
    """Each VRP as str(Vrp) writes it.

    >>> vrp_texts(VrpColumns.ipv4([0], [8], [9], [64496])).to_pylist()
    ['0.0.0.0/8-9 AS64496']
    """
    from pyarrow import compute

    pyarrow = arrow()
    numbers = (number_column(column).cast(pyarrow.string()) for column in (vrps.max_length, vrps.asn))
    prefixes = prefix_column([(vrps.family, vrps.address, vrps.length)]).combine_chunks()
    longest, asns = numbers
    return compute.binary_join_element_wise(
        compute.binary_join_element_wise(prefixes, longest, "-"), asns, " AS"
    )


def covering_column(parts: tuple[Judged, ...], snapshot: Snapshot) -> pa.ChunkedArray:
    """The VRPs that cover each route of several families, as lists of texts.

    >>> from rov.rib import RouteColumns
    >>> routes = RouteColumns(4, [0], [8], [64496], [1])
    >>> judged = Judged(routes, np.zeros(1, np.uint8), np.zeros(1, np.uint8))
    >>> covering_column((judged,), Snapshot.empty()).to_pylist()
    [[]]
    """
    pyarrow = arrow()
    chunks = []
    for judged in parts:
        vrps = snapshot.ipv4 if judged.family == 4 else snapshot.ipv6
        for offsets, rows in covering(judged, vrps):
            used = distinct(rows)
            texts = vrp_texts(vrps.take(used)).take(number_column(np.searchsorted(used, rows)))
            chunks.append(list_column(offsets, texts))
    return pyarrow.chunked_array(chunks, pyarrow.list_(pyarrow.string()))
