"""Arrow tables as files: Parquet, CSV, JSON, told by the suffix; each carries or names its schema."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from rov._checks import as_kind, as_path
from rov.audit.rows import csv_rows, json_rows
from rov.audit.tables import arrow
from rov.errors import ArgumentError
from rov.formats.compression import write_file

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("parquet", "csv", "json", "jsonl")

PACKINGS = (".gz", ".bz2", ".xz", ".zst")

ROWS_PER_BATCH = 1 << 16
"""Rows written at a time: a few MB."""

UNIQUE = "prefix"
"""The column whose values hardly repeat: a dictionary of them costs a quarter of the file and its time."""

METADATA_KEY = b"rovkit"
"""Where a Parquet file has its facts, as JSON."""


def format_of(path: str) -> str:
    """The format that the name of a file asks for, packed or not; ``-`` is CSV on standard output.

    ArgumentError: the name ends in none that is known.

    >>> format_of("routes.csv.zst")
    'csv'
    """
    path = as_path(path)
    if path == "-":
        return "csv"
    stem, suffix = os.path.splitext(path)
    if suffix in PACKINGS:
        suffix = os.path.splitext(stem)[1]
    kind = suffix[1:].lower()
    if kind not in FORMATS or (kind == "parquet" and path.endswith(PACKINGS)):
        expected = ", ".join(f".{name}" for name in FORMATS)
        raise ArgumentError(f"{path}: expected a name that ends in {expected}, or - for CSV on stdout")
    return kind


def write_table(table: pa.Table, path: str, schema: str, facts: Mapping[str, Any]) -> None:
    """Write a table to a file; ``schema`` is its name and version, ``facts`` what it was made from.

    Parquet is packed with zstd and has both in its metadata under "rovkit". A CSV file has a line of names
    and nothing where there is no value; a list is joined with "; ". A JSON file is an array with one object
    a line (.jsonl: without the brackets). ArgumentError: no known format, no table; OSError.

    >>> import pyarrow, tempfile
    >>> from pathlib import Path
    >>> with tempfile.NamedTemporaryFile(suffix=".csv") as file:
    ...     write_table(pyarrow.table({"prefix": ["::/0"], "peers": [1]}), file.name, "x/1", {})
    ...     Path(file.name).read_text()
    'prefix,peers\\n::/0,1\\n'
    """
    as_kind(table, arrow().Table, "table")
    as_kind(facts, Mapping, "facts")  # type: ignore[type-abstract]
    write_tables(iter([table]), path, schema, lambda: facts)


def write_tables(
    tables: Iterator[pa.Table], path: str, schema: str, facts: Callable[[], Mapping[str, Any]]
) -> None:
    """As ``write_table`` of tables that make one, at least one, as they come; ``facts`` is asked at the end.

    >>> import pyarrow, tempfile
    >>> from pathlib import Path
    >>> with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
    ...     write_tables(iter([pyarrow.table({"peers": [1]})] * 2), file.name, "x/1", dict)
    ...     Path(file.name).read_text()
    '{"peers":1}\\n{"peers":1}\\n'
    """
    as_kind(schema, str, "schema")
    kind = format_of(path)
    if kind == "parquet":
        chunks = _parquet(tables, schema, facts)
    else:
        chunks = _csv(tables) if kind == "csv" else _json(tables, lines=kind == "jsonl")
    if path == "-":
        sys.stdout.buffer.writelines(chunks)
        sys.stdout.buffer.flush()
    else:
        write_file(path, chunks)


class _Sink:
    """What a ParquetWriter writes to: keeps octets until they are taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, octets: Any) -> int:
        self._parts.append(bytes(octets))
        self._written += len(octets)
        return len(octets)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def take(self) -> list[bytes]:
        taken, self._parts = self._parts, []
        return taken


def _parquet(
    tables: Iterator[pa.Table], schema: str, facts: Callable[[], Mapping[str, Any]]
) -> Iterator[bytes]:
    """A group of rows a table, or several of a long one."""
    from pyarrow import parquet

    sink = _Sink()
    first = next(tables)
    repeated = [_path(field) for field in first.schema if field.name != UNIQUE]
    # the Arrow schema has the facts, as where a whole table is written: so it is stored by us, at the end
    with parquet.ParquetWriter(
        sink, first.schema, compression="zstd", use_dictionary=repeated, store_schema=False
    ) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
            yield from sink.take()
        about = {METADATA_KEY: msgspec.json.encode({"schema": schema, **facts()})}
        stored = base64.b64encode(first.schema.with_metadata(about).serialize())
        writer.add_key_value_metadata({**about, b"ARROW:schema": stored})
    yield from sink.take()


def _path(field: pa.Field) -> str:
    """The name that Parquet has for a column: that of a list is the one of its values."""
    return f"{field.name}.list.element" if arrow().types.is_list(field.type) else field.name


def _batches(tables: Iterator[pa.Table]) -> Iterator[pa.RecordBatch]:
    for table in tables:
        yield from table.to_batches(ROWS_PER_BATCH)


def _csv(tables: Iterator[pa.Table]) -> Iterator[bytes]:
    first = next(tables)
    yield ",".join(first.column_names).encode() + b"\n"
    for batch in _batches(chain([first], tables)):
        yield csv_rows(batch)


def _json(tables: Iterator[pa.Table], *, lines: bool) -> Iterator[bytes]:
    if lines:
        for batch in _batches(tables):
            yield json_rows(batch, b"\n")
        return
    yield b"["
    first = True
    for batch in _batches(tables):
        if batch.num_rows:
            # the separator stands before each row but the first, so that the end needs no care
            yield (b"\n" if first else b",\n") + json_rows(batch, b",\n")[:-2]
            first = False
    yield b"\n]\n"
