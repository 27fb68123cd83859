"""Arrow tables in and out: every layout of texts, every library that speaks Arrow, every refusal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rov
from rov import ArgumentError, Prefix, PrefixError, Snapshot, State, Vrp, VrpColumns, VrpIndex
from rov._texts import LAYOUTS, Routes, TextColumn, format_column
from rov._threads import SLICE

VRPS = [
    Vrp(Prefix.parse("10.1.0.0/16"), 24, 64496),
    Vrp(Prefix.parse("198.51.100.0/24"), 32, 0),
    Vrp(Prefix.parse("2001:db8::/32"), 48, 64496),
]
INDEX = VrpIndex(Snapshot.from_vrps(VRPS))
ROUTES = {
    "prefix": [
        "10.1.0.0/16", "2001:db8:1111:2222::/64", None, "10.1.0.0/25", "10.2.0.0/16",
        "198.51.100.0/24", "2001:db8::/32", "2001:0db8:0000:0000:0000:0000:0000:0000/33",
    ],
    "origin": [64496, 64496, 64496, 64496, 64496, 1, None, 64496],
}  # fmt: skip
STATES = ["valid", "invalid", None, "invalid", "not_found", "invalid", "invalid", "valid"]
REASONS = ["matched", "length", None, "length", "not_covered", "as0", "as", "matched"]

TEXT_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.uint32(), pa.large_string()),
]
NUMBER_TYPES = [pa.uint32(), pa.int64(), pa.uint64(), pa.dictionary(pa.int32(), pa.int64())]


def verdicts(table: Any, **options: Any) -> tuple[list[str], list[str]]:
    found = INDEX.validate_table(table, **options).read_all()
    return found["state"].to_pylist(), found["reason"].to_pylist()


@pytest.mark.parametrize("text", TEXT_TYPES, ids=str)
@pytest.mark.parametrize("number", NUMBER_TYPES, ids=str)
def test_every_layout(text: pa.DataType, number: pa.DataType) -> None:
    origins = pa.array(ROUTES["origin"], pa.int64())
    origins = origins.dictionary_encode() if pa.types.is_dictionary(number) else origins.cast(number)
    table = pa.table({"prefix": pa.array(ROUTES["prefix"]).cast(text), "origin": origins})
    assert table.schema.types == [text, number]
    assert verdicts(table) == (STATES, REASONS)
    # a slice has an offset into its buffers
    assert verdicts(table.slice(3, 4)) == (STATES[3:7], REASONS[3:7])
    assert verdicts(pa.concat_tables([table, table])) == (STATES * 2, REASONS * 2)
    assert verdicts(table.slice(0, 0)) == ([], [])


@pytest.mark.parametrize("number", [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32()], ids=str)
def test_narrow_origins(number: pa.DataType) -> None:
    index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("10.0.0.0/8"), 8, 23)]))
    table = pa.table({"prefix": ["10.0.0.0/8"] * 3, "origin": pa.array([23, None, 24], number)})
    found = index.validate_table(table).read_all()
    assert found["state"].to_pylist() == ["valid", "invalid", "invalid"]


def test_nothing_but_nulls() -> None:
    table = pa.table({"prefix": [None, None], "origin": [None, None]})
    assert verdicts(table) == ([None, None], [None, None])
    assert verdicts(pa.table({"prefix": ["10.1.0.0/16"], "origin": [None]})) == (["invalid"], ["as"])
    nulls = pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), pa.array(["10.1.0.0/16", None]))
    assert verdicts(pa.table({"prefix": nulls, "origin": [64496] * 3}))[0] == ["valid", None, None]


def test_the_codes_are_states_and_reasons() -> None:
    found = INDEX.validate_table(pa.table(ROUTES)).read_all()
    for name, kind in (("state", State), ("reason", rov.Reason)):
        column = found[name].combine_chunks()
        assert column.type == pa.dictionary(pa.uint8(), pa.string())
        assert column.dictionary.to_pylist() == [member.label for member in kind]
        assert column.indices.type == pa.uint8()
    assert found.filter(pc.equal(found["state"], "valid")).num_rows == 2


def test_the_rest_of_the_table_is_untouched() -> None:
    table = pa.table({"seen": list(range(8)), **ROUTES}).replace_schema_metadata({"made": "by me"})
    found = INDEX.validate_table(table).read_all()
    assert found.column_names == ["seen", "prefix", "origin", "state", "reason"]
    assert found.drop_columns(["state", "reason"]).equals(table, check_metadata=True)
    for name in table.column_names:
        ours, theirs = (t[name].chunk(0).buffers()[1].address for t in (found, table))
        assert ours == theirs, "nothing was copied"


def test_other_names() -> None:
    table = pa.table(ROUTES).rename_columns(["net", "state"])
    found = INDEX.validate_table(
        table, prefix="net", origin="state", state="verdict", reason="why"
    ).read_all()
    assert found.column_names == ["net", "state", "verdict", "why"]
    assert found["verdict"].to_pylist() == STATES


@pytest.mark.parametrize("threads", [1, 3])
def test_many_rows(threads: int) -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 8, 2 * SLICE + 77).tolist()
    table = pa.table({name: [values[row] for row in rows] for name, values in ROUTES.items()})
    expected = [STATES[row] for row in rows], [REASONS[row] for row in rows]
    assert verdicts(table, threads=threads) == expected
    parts = pa.Table.from_batches(table.to_batches(max_chunksize=1000))
    assert verdicts(parts, threads=threads) == expected


def test_batch_by_batch() -> None:
    """Nothing is read ahead: the table may be longer than memory."""
    read = 0

    def batches() -> Any:
        nonlocal read
        for _ in range(100):
            read += 1
            yield pa.record_batch(ROUTES)

    source = pa.RecordBatchReader.from_batches(pa.record_batch(ROUTES).schema, batches())
    stream = INDEX.validate_table(source)
    assert read == 0
    for number in range(1, 100):
        assert stream.read_next_batch()["state"].to_pylist() == STATES
        assert read == number


def test_polars() -> None:
    frame = pl.DataFrame({**ROUTES, "seen": range(8)})
    found = pl.DataFrame(INDEX.validate_table(frame))
    assert found.columns == ["prefix", "origin", "seen", "state", "reason"]
    assert found["state"].cast(pl.String).to_list() == STATES
    assert found.filter(pl.col("reason").cast(pl.String) == "length")["seen"].to_list() == [1, 3]
    categories = frame.with_columns(pl.col("prefix").cast(pl.Categorical))
    assert pl.DataFrame(INDEX.validate_table(categories))["reason"].cast(pl.String).to_list() == REASONS


def test_duckdb() -> None:
    connection = duckdb.connect()
    routes = pa.table({**ROUTES, "seen": list(range(8))})
    relation = connection.sql("select prefix, origin::ubigint as origin, seen from routes order by seen")
    # the relation is read while the answer is: one connection does one at a time, a cursor is another
    other = connection.cursor()
    other.register("found", INDEX.validate_table(relation))
    rows = other.sql("select state, reason from found order by seen").fetchall()
    assert rows == list(zip(STATES, REASONS, strict=True))
    table = INDEX.validate_table(relation).read_all()
    query = "select count(*) from table where state = 'invalid' and reason = 'length'"
    assert connection.register("table", table).sql(query.replace("table", '"table"')).fetchall() == [(2,)]
    assert routes.num_rows == 8


def test_pandas() -> None:
    frame = pd.DataFrame({"prefix": ROUTES["prefix"], "origin": pd.array(ROUTES["origin"], "Int64")})
    found = pd.DataFrame.from_arrow(INDEX.validate_table(frame))
    assert found["state"].astype(object).where(found["state"].notna(), None).tolist() == STATES
    with pytest.raises(ArgumentError, match="'origin': expected integers"):
        INDEX.validate_table(pd.DataFrame(ROUTES))


def test_one_batch_by_the_array_interface() -> None:
    class Batch:
        def __arrow_c_array__(self, requested_schema: object = None) -> object:
            return pa.record_batch(ROUTES).__arrow_c_array__(requested_schema)

    assert verdicts(Batch()) == (STATES, REASONS)
    assert verdicts(pa.record_batch(ROUTES)) == (STATES, REASONS)


BAD = [
    ("10.1.0.1/16", 1, PrefixError, "row 9: '10.1.0.1/16': host bits"),
    ("nonsense", 1, PrefixError, "row 9: 'nonsense': expected ADDRESS/LENGTH"),
    ("10.0.0.0/33", 1, PrefixError, "row 9: .* 32 at most"),
    ("", 1, PrefixError, "row 9: ''"),
    ("\u00e4" * 100, 1, PrefixError, r"row 9: '\u00e4+\.\.\.': expected"),
    ("10.1.0.0/16", -1, ArgumentError, "row 9: origin -1: expected an AS number of 0 to 4294967295"),
    ("10.1.0.0/16", 2**32, ArgumentError, "row 9: origin 4294967296"),
]


@pytest.mark.parametrize(("prefix", "origin", "error", "message"), BAD)
@pytest.mark.parametrize(
    "text", [pa.string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_a_bad_row(prefix: str, origin: int, error: type[Exception], message: str, text: pa.DataType) -> None:
    good = pa.table(ROUTES).cast(pa.schema({"prefix": text, "origin": pa.int64()}))
    bad = pa.table({"prefix": ["10.1.0.0/16", prefix], "origin": [64496, origin]}).cast(good.schema)
    table = pa.concat_tables([good, bad, good])
    with pytest.raises(error, match=message):
        INDEX.validate_table(table).read_all()
    with pytest.raises(error, match=message):
        INDEX.validate_table(table, threads=2).read_all()
    expected = [*STATES, "valid", None, *STATES], [*REASONS, "matched", None, *REASONS]
    assert verdicts(table, strict=False) == expected
    with pytest.raises(pl.exceptions.ComputeError, match="row 9"):
        pl.DataFrame(INDEX.validate_table(table))


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (None, {}, "expected a table .*, found NoneType"),
        ([("10.0.0.0/8", 1)], {}, "expected a table .*, found list"),
        (pa.chunked_array([["10.0.0.0/8"]]), {}, "expected a table"),
        (pa.array(["10.0.0.0/8"]), {}, "expected a table"),
        (pa.table({"prefix": ["10.0.0.0/8"]}), {}, "column 'origin': expected one, among prefix"),
        (pa.table(ROUTES), {"prefix": "net"}, "column 'net': expected one"),
        (pa.table([["x"], ["y"], [1]], ["prefix", "prefix", "origin"]), {}, "column 'prefix': expected one"),
        (pa.table({**ROUTES, "state": [0] * 8}), {}, "column 'state': is there already"),
        (pa.table(ROUTES), {"state": "x", "reason": "x"}, "expected another name"),
        (pa.table(ROUTES), {"state": 1}, "column: expected str, found 1"),
        (pa.table({"prefix": [b"x"], "origin": [1]}), {}, "'prefix': expected string.* found binary"),
        (pa.table({"prefix": [8], "origin": [1]}), {}, "'prefix': expected string.* found int64"),
        (pa.table({"prefix": ["x"], "origin": ["1"]}), {}, "'origin': expected integers.* found string"),
        (pa.table({"prefix": ["x"], "origin": [True]}), {}, "'origin': expected integers.* found bool"),
        (pa.table(ROUTES), {"threads": -1}, "threads -1"),
    ],
)  # fmt: skip
def test_no_such_table(table: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        INDEX.validate_table(table, **options)


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-20, 20), min_size=4, max_size=4),
    st.sampled_from(sorted(LAYOUTS.values())),
    st.integers(0, 2),
)
def test_no_buffer_is_read_beyond_its_end(words: list[int], layout: int, buffers: int) -> None:
    data = [np.frombuffer(b"10.0.0.0/8 10.0.0.0/8", "u1")] * (buffers if layout == 2 else 1)
    index = np.array(words, "i4").view("u1")
    routes, known = Routes(1), np.zeros(1, "u1")
    try:
        column = TextColumn(layout, 1, 0, None, index, data)
        fault = routes.fill(column, None, 0, np.zeros(1, "u4"), known, True)
    except ArgumentError:
        return
    assert known[0] == 1
    if fault is None:
        assert len(routes.ipv4()[0]) + len(routes.ipv6()[0]) == 1
    else:
        assert isinstance(fault[1], PrefixError)


@pytest.mark.parametrize(
    ("layout", "count", "offset", "validity", "index", "data"),
    [
        (3, 0, 0, None, 8, 1),
        (-1, 0, 0, None, 8, 1),
        (0, -1, 0, None, 8, 1),
        (0, 1, -1, None, 8, 1),
        (0, 1, 0, None, 7, 1),
        (1, 1, 0, None, 15, 1),
        (2, 1, 0, None, 15, 1),
        (0, 1, 1, None, 8, 1),
        (0, 9, 0, 1, 40, 1),
        (0, 1, 0, None, 8, 2),
        (0, 1, 0, None, 8, 0),
    ],
)
def test_buffers_that_are_too_short(
    layout: int, count: int, offset: int, validity: int | None, index: int, data: int
) -> None:
    octets: Callable[[int], Any] = lambda size: np.zeros(size, "u1")  # noqa: E731
    with pytest.raises(ArgumentError):
        TextColumn(
            layout, count, offset, octets(validity) if validity else None, octets(index), [octets(8)] * data
        )


def test_a_dictionary_code_beyond_its_texts() -> None:
    column = TextColumn(
        0, 1, 0, None, np.array([0, 10], "i4").view("u1"), [np.frombuffer(b"10.0.0.0/8", "u1")]
    )
    routes, one = Routes(1), np.zeros(1, "u4")
    for code in (1, -2, 2**62):
        with pytest.raises(ArgumentError, match="outside of the Arrow buffers"):
            routes.fill(column, np.array([code]), 0, one, np.zeros(1, "u1"), True)
    for codes, first, count in ((None, 1, 1), (np.array([0]), 1, 1), (None, -1, 1), (None, 0, 2)):
        with pytest.raises(ArgumentError):
            routes.fill(column, codes, first, np.zeros(count, "u4"), np.zeros(count, "u1"), True)
    with pytest.raises(ArgumentError):
        Routes(1).scatter(np.zeros(2, "u1"))


# --- a Snapshot as a table

STORED = Snapshot.build(
    VrpColumns.ipv4([0, 0x0A000000], [0, 8], [8, 24], [1, 2**32 - 1], [100, 0], [1, 0]),
    VrpColumns.ipv6([[1 << 63, 0], [1 << 63, 1]], [1, 128], [64, 128], [3, 0], None, [1, 1]),
    trust_anchors=["ripe", "arin"],
)


def test_a_snapshot_is_a_table() -> None:
    table = pa.table(STORED)
    table.validate(full=True)
    assert table["prefix"].to_pylist() == [str(vrp.prefix) for vrp in STORED]
    assert table["max_length"].to_pylist() == [vrp.max_length for vrp in STORED]
    assert table["asn"].to_pylist() == [vrp.asn for vrp in STORED]
    assert table["trust_anchor"].to_pylist() == ["arin", "ripe", "arin", "arin"]
    assert table["expires"].cast(pa.int64()).to_pylist() == [100, None, None, None]
    assert pa.table(Snapshot.empty()).schema == table.schema
    assert pl.DataFrame(STORED)["prefix"].to_list() == table["prefix"].to_pylist()
    assert len(pd.DataFrame.from_arrow(STORED)) == 4
    stored = STORED
    query = "select count(*), sum(asn) from stored where trust_anchor = 'arin'"
    assert duckdb.connect().sql(query).fetchall() == [(3, 4)]
    assert stored.generated is None


def test_what_a_snapshot_holds_is_valid_by_it() -> None:
    snapshot = rov.synth.vrps(5000, 1)
    table = pa.table(snapshot).rename_columns({"asn": "origin"})
    found = VrpIndex(snapshot).validate_table(table).read_all()
    as0 = pc.equal(found["origin"], 0)
    assert set(found.filter(pc.invert(as0))["state"].to_pylist()) == {"valid"}
    assert "valid" not in found.filter(as0)["state"].to_pylist()


def test_format_column_refuses_columns_that_do_not_fit() -> None:
    for family, addresses, count in ((4, np.zeros(2, "u4"), 1), (6, np.zeros((1, 3), "u8"), 1), (5, [], 0)):
        with pytest.raises(ArgumentError):
            format_column(family, addresses, np.zeros(count, "u1"))


@pytest.mark.parametrize("layout", LAYOUTS.values())
@pytest.mark.parametrize("rows", [(1 << 60, 0), (1 << 62, 0), (1, 1 << 60), (1 << 62, 1 << 62)])
def test_rows_whose_octets_cannot_be_counted(layout: int, rows: tuple[int, int]) -> None:
    """16 octets each of 2^60 rows are 2^64: none, in a number of 64 bits."""
    with pytest.raises(ArgumentError, match="rows at most"):
        TextColumn(layout, *rows, None, np.zeros(64, "u1"), [np.zeros(1, "u1")])


def test_without_pyarrow() -> None:
    """The rest of the library does without; what needs it says what to install."""
    program = """
import sys
sys.modules["pyarrow"] = None
import rov
index = rov.VrpIndex(rov.Snapshot.empty())
assert index.validate("10.0.0.0/8", 1) is rov.State.NOT_FOUND
for ask in (lambda: index.validate_table(object()), index.snapshot.__arrow_c_stream__):
    try:
        ask()
    except rov.ExtraError as error:
        assert "pip install 'rovkit[arrow]'" in str(error), error
    else:
        raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
