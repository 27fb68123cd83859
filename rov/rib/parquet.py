"""Tables as Parquet: their named columns become lines of CSV, which the reader of text takes from there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from rov.errors import ExtraError, RibFileError

MAGIC = b"PAR1"

ROWS = 65_536
"""Rows turned into text at a time: some 2 MB."""


def as_csv(file: IO[bytes], name: str, wanted: frozenset[str]) -> Iterator[bytes]:
    """The columns whose names, in lower case, are wanted: a line of names, then a line a row.

    RibFileError: the file is damaged. ExtraError: pyarrow is not installed.

    >>> list(as_csv(__import__("io").BytesIO(b"PAR1"), "x", frozenset()))
    Traceback (most recent call last):
    rov.errors.RibFileError: x: no sound Parquet: Parquet file size is 4 bytes, smaller than the minimum ...
    """
    try:
        import pyarrow as pa
        from pyarrow import csv, parquet
    except ImportError as error:
        raise ExtraError("Parquet needs pyarrow: pip install 'rovkit[arrow]'") from error
    try:
        table = parquet.ParquetFile(file)
        names = [column for column in table.schema_arrow.names if column.strip().lower() in wanted]
        yield ",".join(names).encode() + b"\n"
        for batch in table.iter_batches(ROWS, columns=names) if names else ():
            yield _lines(pa, csv, batch)
    except (pa.ArrowException, OSError) as error:
        raise RibFileError(name, f"no sound Parquet: {str(error).splitlines()[0]}") from error


def _lines(pa: Any, csv: Any, batch: Any) -> bytes:
    """The rows of a record batch as text; dictionaries and string views are plain text there."""
    columns = [
        column if pa.types.is_integer(column.type) else column.cast(pa.string()) for column in batch.columns
    ]
    sink = pa.BufferOutputStream()
    plain = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    csv.write_csv(plain, sink, csv.WriteOptions(include_header=False))
    lines: bytes = sink.getvalue().to_pybytes()
    return lines
