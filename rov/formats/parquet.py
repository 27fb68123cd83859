"""VRPs as a Parquet file: one row a VRP, for DuckDB, polars, pandas and Spark; needs pyarrow.

The columns are those of a Snapshot as an Arrow table (rov.arrow.VRP_SCHEMA). What has no rows there
(ASPAs, router keys, the data's own time) stands packed in the metadata of the file under "rovkit", so
that the file reads back as the whole Snapshot.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rov._packed import pack, unpack
from rov._rows import ABSENT_NUMBER, asn_of
from rov.errors import ArgumentError, ExtraError, VrpFileError
from rov.formats.lines import Request
from rov.formats.report import VRPS, Intake
from rov.snapshot import Snapshot

MAGIC = b"PAR1"

MAX_ROWS = 64 * 2**20
"""Rows of a file read: 60 times today's global set."""

NO_NUMBER = -1
"""In a column of numbers: what Rows.add has to look at."""

_Numbers: TypeAlias = npt.NDArray[np.int64]

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
        # the rows of an answer, as `rov suggest --output` writes them, have JSON about these there
        if packed is not None and not packed.startswith(b"{"):
            _take_rest(unpack(packed), intake)
    except (pa.ArrowException, OSError, ArgumentError) as error:
        raise VrpFileError(intake.name, f"damaged Parquet data: {error}") from error
    return "Parquet"


def _take_rest(rest: Snapshot, intake: Intake) -> None:
    intake.generated = rest.generated
    intake.aspas, intake.aspa_expires = list(rest.aspas), rest.aspa_expires.tolist()
    intake.router_keys, intake.router_key_expires = list(rest.router_keys), rest.router_key_expires.tolist()


def _take(batch: Any, intake: Intake) -> None:
    """The rows of a batch: what is plain by columns, the rest one by one, as add tells its faults."""
    from rov import arrow

    columns = {name: batch.column(name) for name in batch.schema.names}
    anchors = columns.get("trust_anchor", columns.get("ta"))
    before, count = intake.vrp_rows, batch.num_rows
    taken = np.zeros(count, np.uint8)
    if arrow.is_text(columns["prefix"].type) and (anchors is None or arrow.is_text(anchors.type)):
        codes, prefixes = arrow.texts_of(columns["prefix"])
        intake.rows.extend_columns(
            prefixes,
            codes,
            _as_numbers(columns["asn"]),
            _numbers(columns["max_length"], ABSENT_NUMBER),
            _anchor_indices(anchors, intake) if anchors is not None else _anchor_of_none(count, intake),
            _numbers(columns["expires"], 0) if "expires" in columns else np.zeros(count, np.int64),
            taken,
        )
    for row in np.flatnonzero(taken == 0).tolist():
        asn, prefix, max_length = (_value(columns[name], row) for name in ("asn", "prefix", "max_length"))
        fault = intake.rows.add(
            asn, prefix, max_length, _value(anchors, row), _value(columns.get("expires"), row)
        )
        intake.vrp_rows = before + row + 1
        if fault is not None:
            intake.bad(VRPS, intake.vrp_rows, fault)
    intake.vrp_rows = before + count


def _seconds(column: Any) -> Any:
    """Times as unix seconds; any other column as it is."""
    pa, _ = _pyarrow()
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("s", tz=column.type.tz), safe=False).cast(pa.int64())
    return column


def _numbers(column: Any, absent: int) -> _Numbers:
    """Whole numbers, ``absent`` for null; NO_NUMBER for what is below 0 or no number, such as a text."""
    pa, _ = _pyarrow()
    column = _seconds(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return np.full(len(column), absent, np.int64)
    if not pa.types.is_integer(column.type):
        return np.full(len(column), NO_NUMBER, np.int64)
    # of uint64, what does not fit comes out below 0
    numbers = column.fill_null(0).cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
    numbers = np.where(numbers < 0, NO_NUMBER, numbers)
    if column.null_count:
        numbers[column.is_null().to_numpy(zero_copy_only=False)] = absent
    return numbers


def _as_numbers(column: Any) -> _Numbers:
    """AS numbers, of texts such as AS64496 too; NO_NUMBER for what is none."""
    pa, _ = _pyarrow()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return _numbers(column, NO_NUMBER)
    codes, texts = _distinct(column)
    numbers = [asn_of(text) for text in texts]
    return _looked_up(codes, [NO_NUMBER if number is None else number for number in numbers], NO_NUMBER)


def _anchor_indices(column: Any, intake: Intake) -> _Numbers:
    """The index of the trust anchor of each row, "" for null; NO_NUMBER where there are too many."""
    codes, texts = _distinct(column)
    if not len(codes):
        return codes
    used, first = np.unique(codes, return_index=True)
    indices = [NO_NUMBER] * (len(texts) + 1)
    # those in use only, in the order of the rows
    for code in used[np.argsort(first)].tolist():
        text = "" if code < 0 else texts[code]
        index = None if text is None else intake.rows.trust_anchor(text)
        indices[code] = NO_NUMBER if index is None else index
    return _looked_up(codes, indices[:-1], indices[-1])


def _anchor_of_none(count: int, intake: Intake) -> _Numbers:
    index = intake.rows.trust_anchor("") if count else 0
    return np.full(count, NO_NUMBER if index is None else index, np.int64)


def _distinct(column: Any) -> tuple[_Numbers, list[str | None]]:
    """Which distinct text each row has, -1 for null, and the texts: None for one that is no UTF-8."""
    pa, _ = _pyarrow()
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    try:
        return codes, column.dictionary.to_pylist()
    except UnicodeDecodeError:
        texts = (_value(column.dictionary, row) for row in range(len(column.dictionary)))
        return codes, [text if isinstance(text, str) else None for text in texts]


def _looked_up(codes: _Numbers, numbers: list[int], absent: int) -> _Numbers:
    table = np.array([*numbers, absent], np.int64)
    return table[codes]


def _value(column: Any, row: int) -> Any:
    """The Python value in a row; its octets where it is a text that is no UTF-8."""
    if column is None:
        return None
    scalar = _seconds(column.slice(row, 1))[0]
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes()
