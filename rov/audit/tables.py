"""Answers as Arrow tables: prefix and origin columns, words for codes. The only module that needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_optional
from rov._prefix import format_ipv4, format_ipv6
from rov._texts import format_column
from rov.audit.nesting import distinct
from rov.audit.verdicts import REASON_WORDS, STATE_WORDS, Judged, Verdicts
from rov.errors import ExtraError
from rov.reference.names import one_line
from rov.rib import RouteColumns
from rov.types import Family

if TYPE_CHECKING:
    import pyarrow as pa

Rows = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

TEXTS_PER_CHUNK = 1 << 22
"""Prefixes written into one buffer: their texts must stay below 2 GB."""


def arrow() -> Any:
    """The module pyarrow; ExtraError that says how to install it, where it is missing.

    >>> arrow().__name__
    'pyarrow'
    """
    try:
        import pyarrow
    except ImportError as error:
        raise ExtraError("audits give Arrow tables: pip install 'rovkit[audit]'") from error
    return pyarrow


def prefix_texts(routes: RouteColumns) -> list[str]:
    """The prefixes of a family's routes as texts.

    >>> prefix_texts(RouteColumns(4, [0xC0000200], [24], [64496], [1]))
    ['192.0.2.0/24']
    """
    if routes.family == 4:
        return format_ipv4(routes.addresses, routes.lengths)
    return format_ipv6(routes.addresses, routes.lengths)


def prefix_column(parts: Iterable[tuple[Family, Rows, Rows]]) -> pa.ChunkedArray:
    """The prefixes of (family, addresses, lengths), one part after the other, as strings.

    >>> prefix_column([(4, np.array([0xC0000200], np.uint32), np.array([24], np.uint8))]).to_pylist()
    ['192.0.2.0/24']
    """
    pyarrow = arrow()
    chunks = []
    for family, addresses, lengths in parts:
        for at in range(0, len(lengths), TEXTS_PER_CHUNK):
            rows = slice(at, at + TEXTS_PER_CHUNK)
            offsets, text = format_column(family, addresses[rows], lengths[rows])
            buffers = pyarrow.py_buffer(offsets), pyarrow.py_buffer(text)
            chunks.append(pyarrow.StringArray.from_buffers(len(offsets) - 1, *buffers))
    return pyarrow.chunked_array(chunks, pyarrow.string())


def prefixes(parts: Iterable[RouteColumns]) -> pa.ChunkedArray:
    """The prefixes of several families, one after the other, as strings."""
    return prefix_column((part.family, part.addresses, part.lengths) for part in parts)


def number_column(values: Rows, missing: Bools | None = None) -> pa.Array:
    """Numbers as they lie in memory, null where the mask says so.

    pyarrow.array would do, but looks whether it was given pandas, and for that imports it where it is
    installed: half a second, as much as a whole RIB takes.

    >>> number_column(np.array([1, 2], np.uint32), np.array([False, True])).to_pylist()
    [1, None]
    """
    pyarrow = arrow()
    valid = None if missing is None else pyarrow.py_buffer(np.packbits(~missing, bitorder="little"))
    buffers = [valid, pyarrow.py_buffer(np.ascontiguousarray(values))]
    return pyarrow.Array.from_buffers(pyarrow.from_numpy_dtype(values.dtype), len(values), buffers)


def list_column(offsets: Rows, values: pa.Array) -> pa.Array:
    """A column of lists: row i has ``values[offsets[i]:offsets[i + 1]]``.

    >>> list_column(np.array([0, 0, 1]), number_column(np.array([5]))).to_pylist()
    [[], [5]]
    """
    return arrow().ListArray.from_arrays(number_column(offsets.astype(np.int32)), values)


def text_column(texts: Sequence[str]) -> pa.Array:
    """A few texts, made as ``number_column`` makes numbers and for its reason.

    >>> text_column(["valid", ""]).to_pylist()
    ['valid', '']
    """
    pyarrow = arrow()
    octets = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, octets)], dtype=np.int32)
    return pyarrow.StringArray.from_buffers(
        len(octets), pyarrow.py_buffer(offsets), pyarrow.py_buffer(b"".join(octets))
    )


def origins(columns: Iterable[npt.NDArray[np.uint32]]) -> pa.Array:
    """Origins as uint32, null where there is none (0 stands for an AS_SET or an empty path)."""
    numbers = np.concatenate([np.asarray(column, np.uint32) for column in columns])
    return number_column(numbers, numbers == 0)


def as_names(names: Mapping[int, str] | None) -> Mapping[int, str] | None:
    """The names of ASes, which have to be a mapping.

    >>> as_names({64496: "EXAMPLE-AS"})
    {64496: 'EXAMPLE-AS'}
    """
    return as_optional(names, Mapping, "names")  # type: ignore[type-abstract]


def name_column(asns: npt.NDArray[np.uint32], names: Mapping[int, str]) -> pa.Array:
    """What each AS is called, as strings of one line (one_line); null where that is not known, and of AS 0.

    ArgumentError: a name is no text.

    >>> asns = np.array([64496, 0, 64497], np.uint32)
    >>> name_column(asns, {64496: "EXAMPLE-AS", 0: "-Reserved AS-"}).to_pylist()
    ['EXAMPLE-AS', None, None]
    """
    every = distinct(asns)
    known = [names.get(asn) if asn else None for asn in every.tolist()]
    lines = [None if text is None else one_line(text) or None for text in known]
    texts = arrow().array(lines, arrow().string())
    return texts.take(number_column(np.searchsorted(every, asns)))


def words(codes: Iterable[npt.NDArray[np.uint8]], names: Sequence[str]) -> pa.Array:
    """Codes as the words that they number: a dictionary of strings."""
    numbers = np.concatenate(list(codes)).astype(np.int8)
    return arrow().DictionaryArray.from_arrays(number_column(numbers), text_column(names))


def joined(columns: Iterable[Rows]) -> pa.Array:
    """Number columns of several families, one after the other."""
    return number_column(np.concatenate(list(columns)))


def route_columns(parts: Sequence[Judged]) -> dict[str, pa.Array]:
    """The columns that every table of routes begins with: prefix, origin, state, reason, peers."""
    return {
        "prefix": prefixes(part.routes for part in parts),
        "origin": origins(part.routes.origins for part in parts),
        "state": words((part.states for part in parts), STATE_WORDS),
        "reason": words((part.reasons for part in parts), REASON_WORDS),
        "peers": joined(part.routes.peers for part in parts),
    }


def taken(judged: Judged, rows: Rows) -> Judged:
    """The rows that a mask or an index column picks."""
    return Judged(judged.routes.take(rows), judged.states[rows], judged.reasons[rows])


def verdict_table(verdicts: Verdicts) -> pa.Table:
    """One row a route: prefix, origin (null: none), state, reason, peers; IPv4 first, in table order.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit.verdicts import judge
    >>> from rov.rib import RouteTable
    >>> table = RouteTable(RouteColumns(4, [0xC0000200], [24], [64496], [3]), RouteColumns.empty(6))
    >>> verdict_table(judge(table, VrpIndex(Snapshot.empty()))).to_pylist()
    [{'prefix': '192.0.2.0/24', 'origin': 64496, 'state': 'not_found', 'reason': 'not_covered', 'peers': 3}]
    """
    as_kind(verdicts, Verdicts, "verdicts")
    table: pa.Table = arrow().table(route_columns([verdicts.ipv4, verdicts.ipv6]))
    return table
