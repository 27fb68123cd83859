"""Arrow tables in and out, batch by batch, for whatever speaks the Arrow PyCapsule interface.

pyarrow is needed here and for Parquet only: it streams what Python makes, nanoarrow cannot. The texts of
prefixes are read where they lie in the Arrow buffers, without a Python object for any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, shown
from rov._texts import LAYOUTS, Routes, TextColumn, format_column
from rov._threads import in_slices
from rov._trie import Trie
from rov.columns import NO_EXPIRY, VrpColumns
from rov.errors import ArgumentError, ExtraError
from rov.types import MAX_ASN, Reason, State

try:
    import pyarrow as pa
except ImportError as error:
    raise ExtraError("Arrow tables need pyarrow: pip install 'rovkit[arrow]'") from error

ROWS_PER_BATCH = 1 << 16
"""Rows of a batch of VRPs: 4 MB at most, and few enough batches for a reader to go fast."""

_U1: TypeAlias = npt.NDArray[np.uint8]
_U4: TypeAlias = npt.NDArray[np.uint32]

_TABLE = "expected a table with __arrow_c_stream__ or __arrow_c_array__ (pyarrow, polars, duckdb, pandas)"

STATES = pa.array([state.label for state in State])
REASONS = pa.array([reason.label for reason in Reason])
LABELS = pa.dictionary(pa.uint8(), pa.string())

VRP_SCHEMA = pa.schema(
    [
        pa.field("prefix", pa.string(), nullable=False),
        pa.field("max_length", pa.uint8(), nullable=False),
        pa.field("asn", pa.uint32(), nullable=False),
        pa.field("trust_anchor", LABELS, nullable=False),
        pa.field("expires", pa.timestamp("s", "UTC")),
    ]
)
"""What a Snapshot looks like as a table; expires is null where it is not stated."""


class Names(NamedTuple):
    """The columns that are read, and those that are added."""

    prefix: str = "prefix"
    origin: str = "origin"
    state: str = "state"
    reason: str = "reason"


def validated(
    tries: tuple[Trie, Trie], table: Any, names: Names, *, strict: bool, workers: int
) -> pa.RecordBatchReader:
    """The batches of a table with the state and the reason of each route: see VrpIndex.validate_table.

    >>> import pyarrow as pa
    >>> nothing = np.zeros(0, "u1")
    >>> tries = Trie(4, np.zeros(0, "u4"), nothing, nothing, np.zeros(0, "u4")), Trie(
    ...     6, np.zeros((0, 2), "u8"), nothing, nothing, np.zeros(0, "u4")
    ... )
    >>> table = pa.table({"prefix": ["10.0.0.0/8", None], "origin": [1, None]})
    >>> validated(tries, table, Names(), strict=True, workers=1).read_all()["state"].to_pylist()
    ['not_found', None]
    """
    reader = _reader(table)
    _check_schema(reader.schema, names)
    schema = reader.schema.append(pa.field(names.state, LABELS)).append(pa.field(names.reason, LABELS))
    return pa.RecordBatchReader.from_batches(
        schema, _validated_batches(tries, reader, schema, names, strict, workers)
    )


def vrp_batches(families: Sequence[VrpColumns], trust_anchors: Sequence[str]) -> pa.RecordBatchReader:
    """VRPs as a stream of VRP_SCHEMA, family after family, in their order.

    >>> vrp_batches([VrpColumns.ipv4([0], [0], [8], [64496])], ["ripe"]).read_all()["prefix"].to_pylist()
    ['0.0.0.0/0']
    """
    anchors = pa.array(list(trust_anchors), pa.string())
    parts = (
        columns.take(slice(at, at + ROWS_PER_BATCH))
        for columns in families
        for at in range(0, len(columns), ROWS_PER_BATCH)
    )
    return pa.RecordBatchReader.from_batches(VRP_SCHEMA, (_vrp_batch(part, anchors) for part in parts))


def _vrp_batch(columns: VrpColumns, anchors: pa.Array) -> pa.RecordBatch:
    offsets, text = format_column(columns.family, columns.address, columns.length)
    prefixes = pa.StringArray.from_buffers(len(columns), pa.py_buffer(offsets), pa.py_buffer(text))
    expires = pa.array(columns.expires, mask=columns.expires == NO_EXPIRY)
    arrays = [
        prefixes,
        pa.array(columns.max_length),
        pa.array(columns.asn),
        pa.DictionaryArray.from_arrays(pa.array(columns.ta), anchors),
        expires.cast(VRP_SCHEMA.field("expires").type),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=VRP_SCHEMA)


# --- a table of routes


def _reader(table: Any) -> pa.RecordBatchReader:
    """The batches of whatever speaks the Arrow PyCapsule interface."""
    try:
        if hasattr(table, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(table)
        if hasattr(table, "__arrow_c_array__"):
            batch = pa.record_batch(table)
            return pa.RecordBatchReader.from_batches(batch.schema, [batch])
    except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(f"{_TABLE}: {str(error)[:200]}") from error
    raise ArgumentError(f"{_TABLE}, found {type(table).__name__}")


def _check_schema(schema: pa.Schema, names: Names) -> None:
    """ArgumentError unless the columns to be read are there and fit, and those to be added are not there."""
    for name in names:
        try:
            as_kind(name, str, "column").encode()
        except UnicodeEncodeError:
            raise ArgumentError(f"column {shown(name)}: expected a name in Unicode") from None
    for name in names[:2]:
        if len(schema.get_all_field_indices(name)) != 1:
            raise ArgumentError(f"column {shown(name)}: expected one, among {', '.join(schema.names)[:200]}")
    for name in names[2:]:
        if name in schema.names:
            raise ArgumentError(f"column {shown(name)}: is there already; expected a name for a new column")
    if names.state == names.reason:
        raise ArgumentError(f"column {shown(names.state)}: expected another name for the reason")
    prefix, origin = schema.field(names.prefix).type, schema.field(names.origin).type
    if not is_text(prefix):
        raise ArgumentError(f"column {names.prefix!r}: expected {', '.join(LAYOUTS)}, found {prefix}")
    numbers = origin.value_type if pa.types.is_dictionary(origin) else origin
    if not pa.types.is_integer(numbers) and not pa.types.is_null(origin):
        raise ArgumentError(f"column {names.origin!r}: expected integers, null for no origin, found {origin}")


def _validated_batches(
    tries: tuple[Trie, Trie],
    reader: pa.RecordBatchReader,
    schema: pa.Schema,
    names: Names,
    strict: bool,
    workers: int,
) -> Iterator[pa.RecordBatch]:
    before = 0
    for batch in reader:
        found = _Batch(batch, names, before, strict)
        in_slices(partial(found.judge, tries), batch.num_rows, workers)
        yield pa.RecordBatch.from_arrays([*batch.columns, *found.labels()], schema=schema)
        before += batch.num_rows


class _Batch:
    """One batch of routes, and room for their reasons; ``before`` rows of the table stand above it."""

    def __init__(self, batch: pa.RecordBatch, names: Names, before: int, strict: bool) -> None:
        prefixes = batch.column(batch.schema.get_field_index(names.prefix))
        origins = batch.column(batch.schema.get_field_index(names.origin))
        self._before = before
        self._strict = strict
        self._codes, self._texts = texts_of(prefixes)
        self._origins, self._wrong = self._origins_of(origins, names.origin)
        self._reasons = np.zeros(batch.num_rows, np.uint8)
        self._known = np.zeros(batch.num_rows, np.uint8)

    def _origins_of(self, column: pa.Array, name: str) -> tuple[_U4, npt.NDArray[np.bool_] | None]:
        """AS numbers, 0 for null, and which are none if there are such; ArgumentError then, if strict."""
        if pa.types.is_null(column.type):
            return np.zeros(len(column), np.uint32), None
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if column.null_count:
            column = column.fill_null(0)
        numbers = column.to_numpy(zero_copy_only=False)
        if numbers.dtype == np.uint32:
            return numbers, None
        wrong = (numbers < 0) | (numbers > MAX_ASN)
        if not wrong.any():
            return numbers.astype(np.uint32), None
        if self._strict:
            row = int(np.argmax(wrong))
            raise ArgumentError(
                f"row {self._before + row}: {name} {numbers[row]}: expected an AS number of 0 to {MAX_ASN}"
            )
        return np.where(wrong, 0, numbers).astype(np.uint32), wrong

    def judge(self, tries: tuple[Trie, Trie], rows: slice) -> None:
        """Find the reason of each route of these rows; for the most part without the GIL."""
        routes = Routes(rows.stop - rows.start)
        fault = routes.fill(
            self._texts, self._codes, rows.start, self._origins[rows], self._known[rows], self._strict
        )
        if fault is not None:
            row, error = fault
            raise type(error)(f"row {self._before + row}: {error}")
        tries[0].judge_ipv4(*routes.ipv4(), True)
        tries[1].judge_ipv6(*routes.ipv6(), True)
        routes.scatter(self._reasons[rows])

    def labels(self) -> tuple[pa.Array, pa.Array]:
        """The columns of states and reasons, null where there is no verdict."""
        unknown = self._known == 0
        if self._wrong is not None:
            unknown |= self._wrong
        mask = unknown if unknown.any() else None
        states = np.minimum(self._reasons, np.uint8(State.INVALID))
        return (
            pa.DictionaryArray.from_arrays(pa.array(states, mask=mask), STATES, safe=False),
            pa.DictionaryArray.from_arrays(pa.array(self._reasons, mask=mask), REASONS, safe=False),
        )


def is_text(kind: pa.DataType) -> bool:
    """Whether texts_of takes a column of this type.

    >>> is_text(pa.string()), is_text(pa.dictionary(pa.int8(), pa.string())), is_text(pa.binary())
    (True, True, False)
    """
    texts = kind.value_type if pa.types.is_dictionary(kind) else kind
    return str(texts) in LAYOUTS or pa.types.is_null(kind)


def texts_of(column: pa.Array) -> tuple[npt.NDArray[np.int64] | None, TextColumn]:
    """The rows of a dictionary (-1 for null) or None, and the texts, where they lie in the Arrow buffers.

    >>> codes, texts = texts_of(pa.array(["10.0.0.0/8", None, "10.0.0.0/8"]).dictionary_encode())
    >>> codes.tolist(), len(texts)
    ([0, -1, 0], 1)
    """
    codes = None
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if pa.types.is_dictionary(column.type):
        indices = column.indices.cast(pa.int64())
        codes = np.ascontiguousarray(indices.fill_null(-1).to_numpy(zero_copy_only=False))
        column = column.dictionary
    validity, index, *data = (_octets(buffer) for buffer in column.buffers())
    return codes, TextColumn(
        LAYOUTS[str(column.type)],
        len(column),
        column.offset,
        validity,
        index if index is not None else np.zeros(8, np.uint8),
        [octets if octets is not None else np.zeros(0, np.uint8) for octets in data],
    )


def _octets(buffer: pa.Buffer | None) -> _U1 | None:
    if buffer is None:
        return None
    return np.frombuffer(buffer, np.uint8) if buffer.size else np.zeros(0, np.uint8)
