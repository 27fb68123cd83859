"""VRPs as a Parquet file: one row a VRP, for DuckDB, polars, pandas and Spark; needs pyarrow.

The columns are those of a Snapshot as an Arrow table (rov.arrow.VRP_SCHEMA). What has no rows there
(ASPAs, router keys, the data's own time) stands packed in the metadata of the file under "rovkit", so
that the file reads back as the whole Snapshot.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from rov._packed import pack, unpack
from rov.errors import ArgumentError, ExtraError, VrpFileError
from rov.formats.lines import Request
from rov.formats.report import VRPS, Intake
from rov.snapshot import Snapshot

MAGIC = b"PAR1"

MAX_ROWS = 64 * 2**20
"""Rows of a file read: 60 times today's global set."""

_NEEDED = ("prefix", "asn", "max_length")
_TAKEN = ("trust_anchor", "ta", "expires")
_KEY = b"rovkit"


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ExtraError("Parquet needs pyarrow: pip install 'rovkit[arrow]'") from error
    return pyarrow, pyarrow.parquet


def write_parquet(request: Request) -> Iterator[bytes]:
    """The file in one piece; ExtraError where pyarrow is not installed."""
    _, parquet = _pyarrow()
    from rov import arrow

    rest = Snapshot.build(
        aspas=[aspa for aspa, _ in request.aspas()],
        aspa_expires=[until for _, until in request.aspas()],
        router_keys=[key for key, _ in request.router_keys()],
        router_key_expires=[until for _, until in request.router_keys()],
        generated=request.snapshot.generated,
    )
    table = arrow.vrp_batches(request.columns(), request.snapshot.trust_anchors).read_all()
    out = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata({_KEY: pack(rest)}), out, compression="zstd")
    yield out.getvalue()


def read_parquet(data: bytes, intake: Intake) -> str:
    """Put the rows of a file of whatever program into intake; the name of its format.

    It needs the columns prefix, asn and max_length; trust_anchor (or ta) and expires are taken if they
    are there. VrpFileError: no such file, or, if strict, a row that is no VRP. ExtraError: pyarrow is
    not installed.
    """
    pa, parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        missing = [name for name in _NEEDED if name not in names]
        if missing:
            raise VrpFileError(intake.name, f"Parquet, but no column {missing[0]!r}")
        if file.metadata.num_rows > MAX_ROWS:
            raise VrpFileError(intake.name, f"expected {MAX_ROWS:,} rows at most")
        present = [name for name in (*_NEEDED, *_TAKEN) if name in names]
        for batch in file.iter_batches(columns=present):
            _take(batch, intake)
        packed = (file.schema_arrow.metadata or {}).get(_KEY)
        if packed is not None:
            _take_rest(unpack(packed), intake)
    except (pa.ArrowException, OSError, ArgumentError) as error:
        raise VrpFileError(intake.name, f"damaged Parquet data: {error}") from error
    return "Parquet"


def _take_rest(rest: Snapshot, intake: Intake) -> None:
    intake.generated = rest.generated
    intake.aspas, intake.aspa_expires = list(rest.aspas), rest.aspa_expires.tolist()
    intake.router_keys, intake.router_key_expires = list(rest.router_keys), rest.router_key_expires.tolist()


def _values(column: Any) -> list[Any]:
    """Python values of a column; numbers by way of numpy, which is faster."""
    pa, _ = _pyarrow()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("s", tz=column.type.tz), safe=False).cast(pa.int64())
    if pa.types.is_integer(column.type) and not column.null_count:
        numbers: list[Any] = column.to_numpy().tolist()
        return numbers
    if pa.types.is_dictionary(column.type):
        texts = column.dictionary.to_pylist()
        return [None if code is None else texts[code] for code in _values(column.indices)]
    values: list[Any] = column.to_pylist()
    return values


def _take(batch: Any, intake: Intake) -> None:
    columns = {name: _values(batch.column(name)) for name in batch.schema.names}
    absent: list[Any] = [None] * batch.num_rows
    anchors = columns.get("trust_anchor", columns.get("ta", absent))
    needed = (columns[name] for name in _NEEDED)
    rows = zip(*needed, anchors, columns.get("expires", absent), strict=True)
    for prefix, asn, max_length, anchor, expires in rows:
        intake.vrp_rows += 1
        fault = intake.rows.add(asn, prefix, max_length, anchor, expires)
        if fault is not None:
            intake.bad(VRPS, intake.vrp_rows, fault)
