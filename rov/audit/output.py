"""Arrow tables as files: Parquet, CSV, JSON, told by the suffix; each carries or names its schema."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
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
    as_kind(schema, str, "schema")
    as_kind(facts, Mapping, "facts")  # type: ignore[type-abstract]
    kind = format_of(path)
    if kind == "parquet":
        write_file(path, _parquet(table, schema, facts))
        return
    chunks = _csv(table) if kind == "csv" else _json(table, lines=kind == "jsonl")
    if path == "-":
        sys.stdout.buffer.writelines(chunks)
        sys.stdout.buffer.flush()
    else:
        write_file(path, chunks)


def _parquet(table: pa.Table, schema: str, facts: Mapping[str, Any]) -> Iterator[bytes]:
    from pyarrow import parquet

    about = msgspec.json.encode({"schema": schema, **facts})
    out = arrow().BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata({METADATA_KEY: about}), out, compression="zstd")
    yield memoryview(out.getvalue())  # type: ignore[misc]


def _csv(table: pa.Table) -> Iterator[bytes]:
    yield ",".join(table.column_names).encode() + b"\n"
    for batch in table.to_batches(ROWS_PER_BATCH):
        yield csv_rows(batch)


def _json(table: pa.Table, *, lines: bool) -> Iterator[bytes]:
    if lines:
        for batch in table.to_batches(ROWS_PER_BATCH):
            yield json_rows(batch, b"\n")
        return
    yield b"["
    first = True
    for batch in table.to_batches(ROWS_PER_BATCH):
        if batch.num_rows:
            # the separator stands before each row but the first, so that the end needs no care
            yield (b"\n" if first else b",\n") + json_rows(batch, b",\n")[:-2]
            first = False
    yield b"\n]\n"
