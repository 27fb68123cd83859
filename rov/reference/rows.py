"""Rows of tables as the commands write them: CSV with a line of names, JSON, Parquet."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from rov._checks import as_path
from rov.errors import ExtraError, ReferenceFileError
from rov.reference.lines import read_octets

PARQUET = b"PAR1"


def rows_of_file(
    path: str | os.PathLike[str], columns: Sequence[str], needed: frozenset[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file, each with its line, or its number where a file has no lines; values as they stand.

    CSV and JSON (lines, a list, or the answer of --json, whose ``rows`` they are) may be packed. columns:
    what is taken of Parquet; needed: what a line of names has to have. An empty file is one without rows if
    it is named .jsonl. ReferenceFileError: it cannot be read, or is none of these. ExtraError: Parquet
    without pyarrow.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("asn,name\\n64496,Example", file=file, flush=True)
    ...     list(rows_of_file(file.name, ("asn",), frozenset({"asn"})))
    [(2, {'asn': '64496', 'name': 'Example'})]
    """
    name = as_path(path)
    octets = read_octets(name)
    if octets.startswith(PARQUET):
        yield from _of_parquet(name, octets, columns)
        return
    if not octets and ".jsonl" in os.path.basename(name):
        # lines of JSON without a line: what is written has no rows
        return
    lines = [line.decode("utf-8", "replace") for line in octets.splitlines()]
    first = lines[0].strip() if lines else ""
    if first.startswith("[") or first == "{":
        yield from enumerate(_of_document(name, octets), 1)
    elif first.startswith("{"):
        yield from _objects(name, lines)
    else:
        named = " and ".join(sorted(needed))
        yield from rows_of_csv(name, lines, needed, f"expected CSV with columns {named}, JSON or Parquet")


def rows_of_csv(
    name: str, lines: list[str], needed: frozenset[str], expected: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of CSV, each with its line; ``expected`` says what a file is to be whose names lack needed.

    >>> list(rows_of_csv("x.csv", ["name,asn", "Example,64496"], frozenset({"asn"}), "expected CSV"))
    [(2, {'name': 'Example', 'asn': '64496'})]
    """
    names = _fields(name, 1, lines[0]) if lines else []
    if not needed <= {*names}:
        raise ReferenceFileError(name, expected, 1)
    for number, line in enumerate(lines[1:], 2):
        fields = _fields(name, number, line)
        if fields:
            yield number, dict(zip(names, fields, strict=False))


def _fields(name: str, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise ReferenceFileError(name, f"no line of CSV as expected: {error}", number) from error


def _objects(name: str, lines: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """JSON lines."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.DecodeError, RecursionError) as error:
                raise ReferenceFileError(name, f"expected a JSON object: {error}", number) from error
            yield number, row


class _Answer(msgspec.Struct):
    rows: list[dict[str, Any]]


def _of_document(name: str, octets: bytes) -> list[dict[str, Any]]:
    """A list of rows, as --output FILE.json writes it, or the whole answer of --json."""
    try:
        if octets.lstrip().startswith(b"["):
            return msgspec.json.decode(octets, type=list[dict[str, Any]])
        return msgspec.json.decode(octets, type=_Answer).rows
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReferenceFileError(name, f'expected a list of rows, or one as "rows": {error}') from error


def _of_parquet(name: str, octets: bytes, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ExtraError("Parquet needs pyarrow: pip install 'rovkit[arrow]'") from error
    try:
        file = parquet.ParquetFile(io.BytesIO(octets))
        names = [column for column in columns if column in file.schema_arrow.names]
        batches = file.iter_batches(columns=names)
        yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ReferenceFileError(name, f"no sound Parquet: {str(error).splitlines()[0]}") from error
