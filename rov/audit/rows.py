"""Rows of an Arrow batch as JSON or CSV, column by column, without a Python object for a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from rov.audit.tables import arrow

if TYPE_CHECKING:
    import pyarrow as pa

_ESCAPED = r"[\x00-\x1f\"\\]"
"""What makes a text differ from its JSON."""

_QUOTED = r"[\",\r\n]"
"""What CSV has in quotation marks only (RFC 4180 §2)."""


def json_rows(batch: pa.RecordBatch, end: bytes) -> bytes:
    """Each row as an object, followed by ``end``; null where there is no value.

    >>> import pyarrow
    >>> json_rows(pyarrow.record_batch({"prefix": ["::/0"], "origin": [None]}), b"\\n")
    b'{"prefix":"::/0","origin":null}\\n'
    """
    if not batch.num_rows:
        return b""
    pieces: list[Any] = []
    for at, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        key = msgspec.json.encode(name).decode()
        pieces += [f"{',' if at else '{'}{key}:", _values(column)]
    return _octets(_glued(*pieces, f"}}{end.decode()}"))


def csv_rows(batch: pa.RecordBatch) -> bytes:
    """Each row as a line of CSV (RFC 4180, but for the end of lines); nothing where there is no value.

    >>> import pyarrow
    >>> csv_rows(pyarrow.record_batch({"prefix": ["::/0"], "origin": [None], "vrps": [["a", "b"]]}))
    b'::/0,,a; b\\n'
    """
    if not batch.num_rows:
        return b""
    pieces: list[Any] = []
    for at, column in enumerate(batch.columns):
        pieces += [",", _fields(column)] if at else [_fields(column)]
    return _octets(_glued(*pieces, "\n"))


def _octets(texts: pa.Array) -> bytes:
    """All texts of a column that was just made, one after the other."""
    _, _, octets = texts.buffers()
    joined: bytes = octets.to_pybytes()
    return joined


def _glued(*pieces: Any) -> pa.Array:
    """Columns and constant texts joined row by row; null where one is. 64-bit offsets: rows may be long."""
    from pyarrow import compute

    large = arrow().large_string()
    wide = [arrow().scalar(piece, large) if isinstance(piece, str) else piece.cast(large) for piece in pieces]
    return compute.binary_join_element_wise(*wide, arrow().scalar("", large))


def _values(column: pa.Array) -> pa.Array:
    """The values of a column as JSON, as large strings."""
    from pyarrow import compute

    pyarrow = arrow()
    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        texts = _texts(column.dictionary).take(column.indices)
    elif pyarrow.types.is_list(kind):
        inner = pyarrow.LargeListArray.from_arrays(
            column.offsets.cast(pyarrow.int64()), _values(column.values)
        )
        whole = _glued("[", compute.binary_join(inner, pyarrow.scalar(",", pyarrow.large_string())), "]")
        texts = compute.if_else(column.is_valid(), whole, pyarrow.scalar(None, pyarrow.large_string()))
    elif pyarrow.types.is_string(kind):
        texts = _texts(column)
    else:
        texts = column.cast(pyarrow.string()).cast(pyarrow.large_string())
    return compute.fill_null(texts, "null")


def _texts(column: pa.Array) -> pa.Array:
    """Texts in quotation marks."""
    from pyarrow import compute

    if compute.any(compute.match_substring_regex(column, _ESCAPED)).as_py():
        written = [
            None if text is None else msgspec.json.encode(text).decode() for text in column.to_pylist()
        ]
        return arrow().array(written, arrow().large_string())
    return _glued('"', column, '"')


def _fields(column: pa.Array) -> pa.Array:
    """The values of a column as fields of CSV, as large strings."""
    from pyarrow import compute

    pyarrow = arrow()
    if pyarrow.types.is_dictionary(column.type):
        texts = _quoted(column.dictionary).take(column.indices)
    elif pyarrow.types.is_list(column.type):
        texts = _quoted(compute.binary_join(column.cast(pyarrow.list_(pyarrow.string())), "; "))
    elif pyarrow.types.is_string(column.type):
        texts = _quoted(column)
    else:
        texts = column.cast(pyarrow.string()).cast(pyarrow.large_string())
    return compute.fill_null(texts, "")


def _quoted(column: pa.Array) -> pa.Array:
    """Texts, in quotation marks where they must be."""
    from pyarrow import compute

    column = column.cast(arrow().large_string())
    marked = compute.match_substring_regex(column, _QUOTED)
    if not compute.any(marked).as_py():
        return column
    return compute.if_else(marked, _glued('"', compute.replace_substring(column, '"', '""'), '"'), column)
