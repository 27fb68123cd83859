"""Arrow IPC streams from strangers: each message is looked at before pyarrow reads it.

What pyarrow would take at its word (lengths of messages, rows without octets, sizes of what is compressed) is
bounded here; the columns that are used are validated in full before anything follows their offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from rov._checks import shown
from rov.arrow import LABELS, REASONS, STATES, Names, _Batch, _check_schema
from rov.bulk.columns import Columns
from rov.errors import ArgumentError, PrefixError
from rov.index import VrpIndex
from rov.types import State

MAX_METADATA = 1 << 20
"""Octets that say what a message has: a schema of thousands of columns takes less."""

MAX_ROWS = 1 << 22
"""Rows of a batch, and of any of its columns."""

ROWS_AT_ONCE = 1 << 16
"""Rows judged at a time."""

_CONTINUES = 0xFFFFFFFF
_HEAD = struct.Struct("<Ii")
_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3
"""Kinds of message in Arrow's Message.fbs."""

SCHEMA = pa.schema(
    [
        pa.field("prefix", pa.string(), nullable=False),
        pa.field("origin", pa.uint32()),
        pa.field("state", LABELS, nullable=False),
        pa.field("reason", LABELS, nullable=False),
    ]
)
"""What the verdicts look like."""


class _Octets:
    """A file of messages for pyarrow to read, which are there before it asks."""

    closed = False

    def __init__(self) -> None:
        self._held: list[memoryview] = []

    def put(self, octets: bytes) -> None:
        self._held.append(memoryview(octets))

    def read(self, size: int = -1) -> Any:
        """So many octets at most, of one message."""
        if not self._held:
            return b""
        first = self._held[0]
        found, rest = (first, first[:0]) if size < 0 else (first[:size], first[size:])
        if len(rest):
            self._held[0] = rest
        else:
            self._held.pop(0)
        return found

    def close(self) -> None:
        self.closed = True


class Stream:
    """Reads a stream of record batches; ``most`` octets of a message.

    >>> from rov.snapshot import Snapshot
    >>> Stream(VrpIndex(Snapshot.empty()), 1000).feed(b"no Arrow at all")
    Traceback (most recent call last):
    rov.errors.ArgumentError: row 0: expected a stream of Arrow IPC
    """

    head = b""

    def __init__(self, index: VrpIndex, most: int) -> None:
        self._tries = index._ipv4, index._ipv6
        self._most = most
        self._buffer = bytearray()
        self._wanted = _HEAD.size
        self._file = _Octets()
        self._reader: Any = None
        self._names: Names | None = None
        self._ended = False
        self.rows = 0

    def feed(self, octets: bytes) -> list[Columns]:
        """The routes of the batches that are whole with these octets, judged."""
        self._buffer += octets
        found: list[Columns] = []
        while len(self._buffer) >= self._wanted:
            if self._ended:
                raise self._fault("expected nothing after the end of the stream")
            size, kind = self._message()
            if kind is None:
                self._wanted = size
                continue
            message = bytes(memoryview(self._buffer)[:size])
            del self._buffer[:size]
            self._wanted = _HEAD.size
            found += self._take(message, kind)
        return found

    def end(self) -> list[Columns]:
        """Nothing more; ArgumentError where the stream is not whole."""
        if self._buffer or self._reader is None:
            raise self._fault("the stream ends early")
        return []

    def _fault(self, text: str) -> ArgumentError:
        return ArgumentError(f"row {self.rows}: {text}")

    def _message(self) -> tuple[int, int | None]:
        """Octets of the message at the head of the buffer, and its kind, None while too few are there."""
        sign, size = _HEAD.unpack_from(self._buffer)
        if sign != _CONTINUES or not 0 <= size <= MAX_METADATA:
            raise self._fault("expected a stream of Arrow IPC")
        if size == 0:
            self._ended = True
            return _HEAD.size, 0
        if len(self._buffer) < _HEAD.size + size:
            return _HEAD.size + size, None
        try:
            kind, body = _looked_at(bytes(self._buffer[_HEAD.size : _HEAD.size + size]))
        except (struct.error, IndexError) as error:
            raise self._fault(f"a message of Arrow IPC that is none: {error}") from None
        except ValueError as error:
            raise self._fault(str(error)) from None
        whole = _HEAD.size + size + body
        if whole > self._most:
            raise self._fault(
                f"a message of {whole:,} octets: expected {self._most:,} at most; smaller batches"
            )
        return whole, kind if len(self._buffer) >= whole else None

    def _take(self, message: bytes, kind: int) -> list[Columns]:
        """One message; a dictionary waits for the batch that needs it."""
        self._file.put(message)
        try:
            if kind == _SCHEMA:
                self._open()
            elif kind == _RECORDS and self._reader is None:
                raise self._fault("expected a schema first")
            elif kind == _RECORDS:
                return list(self._judged(self._reader.read_next_batch()))
        except (pa.ArrowException, StopIteration, OSError, ValueError, KeyError) as error:
            if isinstance(error, ArgumentError | PrefixError):
                raise
            raise self._fault(f"a message of Arrow IPC that is none: {str(error)[:200]}") from None
        return []

    def _open(self) -> None:
        if self._reader is not None:
            raise self._fault("expected one schema")
        self._reader = pa.ipc.open_stream(pa.PythonFile(self._file, mode="r"))
        schema = self._reader.schema
        origin = "asn" if "origin" not in schema.names and "asn" in schema.names else "origin"
        fields = []
        for name in ("prefix", origin):
            places = schema.get_all_field_indices(name)
            if len(places) != 1:
                found = shown(", ".join(schema.names))
                raise self._fault(f"expected the columns prefix and origin, found {found}")
            fields.append(schema.field(places[0]))
        self._names = Names("prefix", origin)
        _check_schema(pa.schema(fields), self._names)

    def _judged(self, batch: pa.RecordBatch) -> Iterator[Columns]:
        assert self._names is not None, "opened"
        columns = [batch.column(batch.schema.get_field_index(name)) for name in self._names[:2]]
        for column in columns:
            column.validate(full=True)
        routes = pa.record_batch(columns, names=list(self._names[:2]))
        for at in range(0, routes.num_rows, ROWS_AT_ONCE):
            part = routes.slice(at, ROWS_AT_ONCE)
            found = _Batch(part, self._names, self.rows, True)
            found.judge(self._tries, slice(0, part.num_rows))
            offsets, text = self._texts(part.column(0))
            yield Columns(offsets, text, found._origins, found._reasons)
            self.rows += part.num_rows

    def _texts(self, column: pa.Array) -> tuple[Any, Any]:
        """The texts, which are all prefixes, in one piece."""
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise ArgumentError(f"row {self.rows + row}: expected a prefix, found null")
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        column = column.cast(pa.string())
        _, offsets, text = column.buffers()
        ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
        return ends, np.frombuffer(text, np.uint8) if text is not None else np.zeros(0, np.uint8)


class Writer:
    """Verdicts as record batches.

    >>> Writer().end()[:4]
    b'\\xff\\xff\\xff\\xff'
    """

    def __init__(self) -> None:
        self._sink = _Sink()
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._sink, mode="w"), SCHEMA)

    def write(self, columns: Columns) -> bytes:
        """One batch."""
        count = len(columns.origins)
        ends = np.ascontiguousarray(columns.offsets)
        states = np.minimum(columns.reasons, np.uint8(State.INVALID))
        arrays = [
            pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(columns.text)),
            pa.array(columns.origins, mask=columns.origins == 0),
            pa.DictionaryArray.from_arrays(pa.array(states), STATES),
            pa.DictionaryArray.from_arrays(pa.array(columns.reasons), REASONS),
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
        return self._sink.taken()

    def end(self) -> bytes:
        """The end of the stream."""
        self._writer.close()
        return self._sink.taken()


class _Sink:
    """A file that keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._place = 0

    def write(self, octets: bytes) -> int:
        self._pieces.append(bytes(octets))
        self._place += len(octets)
        return len(octets)

    def tell(self) -> int:
        return self._place

    def flush(self) -> None:
        """All is there."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


# --- what a message says of itself: tables of flatbuffers, as far as they are needed


def _looked_at(metadata: bytes) -> tuple[int, int]:
    """Its kind and the octets that follow; ValueError: more than is allowed, struct.error: no flatbuffer."""
    (root,) = struct.unpack_from("<I", metadata)
    kind_at, header_at, body_at = (_field(metadata, root, number) for number in (1, 2, 3))
    kind = metadata[kind_at] if kind_at else 0
    (body,) = struct.unpack_from("<q", metadata, body_at) if body_at else (0,)
    if kind not in (_SCHEMA, _DICTIONARY, _RECORDS) or body < 0 or not header_at:
        raise ValueError("expected a schema, a dictionary or a record batch")
    batch = _followed(metadata, header_at)
    if kind == _DICTIONARY:
        data_at = _field(metadata, batch, 1)
        batch = _followed(metadata, data_at) if data_at else -1
    if kind != _SCHEMA and batch >= 0:
        _check_batch(metadata, batch)
    return kind, body


def _check_batch(metadata: bytes, batch: int) -> None:
    """A RecordBatch: length, nodes, buffers, compression."""
    length_at, nodes_at, compression_at = (_field(metadata, batch, number) for number in (0, 1, 3))
    if compression_at:
        raise ValueError("compressed buffers: expected plain ones, and Content-Encoding for the whole")
    lengths = [struct.unpack_from("<q", metadata, length_at)[0]] if length_at else []
    if nodes_at:
        nodes = _followed(metadata, nodes_at)
        (count,) = struct.unpack_from("<I", metadata, nodes)
        lengths += [struct.unpack_from("<q", metadata, nodes + 4 + 16 * node)[0] for node in range(count)]
    if any(not 0 <= length <= MAX_ROWS for length in lengths):
        raise ValueError(f"a batch of {max(lengths):,} rows: expected {MAX_ROWS:,} at most")


def _followed(metadata: bytes, at: int) -> int:
    """Where the offset at a place leads to."""
    found: int = at + struct.unpack_from("<I", metadata, at)[0]
    return found


def _field(metadata: bytes, table: int, number: int) -> int:
    """Where a field of a table is, 0 if it is not there."""
    if table < 0:
        raise IndexError("a table before the octets")
    fields = table - struct.unpack_from("<i", metadata, table)[0]
    if fields < 0:
        raise IndexError("a table before the octets")
    (size,) = struct.unpack_from("<H", metadata, fields)
    place = 4 + 2 * number
    if place + 2 > size:
        return 0
    (offset,) = struct.unpack_from("<H", metadata, fields + place)
    return table + offset if offset else 0
