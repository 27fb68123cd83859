"""VRPs as a Parquet file: one row a VRP, for DuckDB, polars, pandas and Spark; needs pyarrow.

    prefix text, family uint8, length uint8, max_length uint8, asn uint32, ta dictionary of text,
    expires timestamp in seconds UTC, null where none is stated

What has no rows there (ASPAs, router keys, the data's own time) stands packed in the metadata of the
file under "rovkit", so that the file reads back as the whole Snapshot.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from rov._packed import pack, unpack
from rov._prefix import format_ipv4, format_ipv6
from rov.errors import ArgumentError, RovError, VrpFileError
from rov.formats.lines import Request
from rov.formats.report import VRPS, Intake
from rov.snapshot import Snapshot

MAGIC = b"PAR1"

MAX_ROWS = 64 * 2**20
"""Rows of a file read: 60 times today's global set."""

_COLUMNS = ("prefix", "max_length", "asn", "ta", "expires")
_KEY = b"rovkit"


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise RovError("Parquet needs pyarrow: install rovkit[arrow]") from error
    return pyarrow, pyarrow.parquet


def _table(request: Request) -> Any:
    pa, _ = _pyarrow()
    snapshot = request.snapshot
    families = request.columns()
    texts = [
        (format_ipv4 if columns.family == 4 else format_ipv6)(columns.address, columns.length)
        for columns in families
    ]

    def column(name: str, dtype: Any) -> Any:
        parts = [getattr(columns, name) for columns in families]
        return np.concatenate([np.zeros(0, dtype), *parts])

    expires = column("expires", np.int64)
    rest = Snapshot.build(
        aspas=[aspa for aspa, _ in request.aspas()],
        aspa_expires=[until for _, until in request.aspas()],
        router_keys=[key for key, _ in request.router_keys()],
        router_key_expires=[until for _, until in request.router_keys()],
        trust_anchors=snapshot.trust_anchors,
        generated=snapshot.generated,
    )
    families_column = np.repeat([4, 6][: len(families)], [len(columns) for columns in families])
    return pa.table(
        {
            "prefix": pa.array([text for part in texts for text in part], pa.string()),
            "family": pa.array(families_column.astype(np.uint8)),
            "length": pa.array(column("length", np.uint8)),
            "max_length": pa.array(column("max_length", np.uint8)),
            "asn": pa.array(column("asn", np.uint32)),
            "ta": pa.DictionaryArray.from_arrays(
                pa.array(column("ta", np.uint8).astype(np.int32)),
                pa.array(snapshot.trust_anchors, pa.string()),
            ),
            "expires": pa.array(expires, pa.timestamp("s", tz="UTC"), mask=expires == 0),
        }
    ).replace_schema_metadata({_KEY: pack(rest)})


def write_parquet(request: Request) -> Iterator[bytes]:
    """The file in one piece; RovError where pyarrow is not installed."""
    _, parquet = _pyarrow()
    out = io.BytesIO()
    parquet.write_table(_table(request), out, compression="zstd")
    yield out.getvalue()


def read_parquet(data: bytes, intake: Intake) -> str:
    """Put the rows of a file with the columns above, of whatever program, into intake; its format.

    VrpFileError: no such file, or a row that is no VRP. RovError: pyarrow is not installed.
    """
    pa, parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        missing = [name for name in _COLUMNS[:3] if name not in file.schema_arrow.names]
        if missing:
            raise VrpFileError(intake.name, f"Parquet, but no column {missing[0]!r}")
        if file.metadata.num_rows > MAX_ROWS:
            raise VrpFileError(intake.name, f"expected {MAX_ROWS:,} rows at most")
        present = [name for name in _COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=present):
            _take(batch, present, intake)
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


def _take(batch: Any, present: list[str], intake: Intake) -> None:
    pa, _ = _pyarrow()
    if "expires" in present:
        place = batch.schema.get_field_index("expires")
        column = batch.column(place)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("s", tz=column.type.tz)).cast(pa.int64())
        batch = batch.set_column(place, "expires", column)
    columns = {name: batch.column(name).to_pylist() for name in present}
    absent: list[Any] = [None] * batch.num_rows
    picked = (columns.get(name, absent) for name in ("asn", "prefix", "max_length", "ta", "expires"))
    for asn, prefix, max_length, ta, expires in zip(*picked, strict=True):
        intake.vrp_rows += 1
        fault = intake.rows.add(asn, prefix, max_length, ta, expires)
        if fault is not None:
            intake.bad(VRPS, intake.vrp_rows, fault)
