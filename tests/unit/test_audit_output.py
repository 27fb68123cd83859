"""Tables as files: what was written reads back, by readers of others."""

import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from rov import ArgumentError
from rov.audit.output import ROWS_PER_BATCH, format_of, write_table
from rov.formats.compression import read_file, unpack

TABLE = pa.table(
    {
        "prefix": pa.array(["::/0", 'a"b\\\n,', None, "d"]),
        "state": pa.array(["valid", None, "in,valid", "valid"]).dictionary_encode(),
        "origin": pa.array([1, None, 2**32 - 1, 4], pa.uint32()),
        "share": [0.5, 1.0, 1e20, None],
        "total": [True, False, None, True],
        "vrps": pa.array([["a", 'b"'], [], None, ["c"]]),
    }
)


@pytest.mark.parametrize("rows", [slice(0, 4), slice(1, 3), slice(0, 0)])
@pytest.mark.parametrize("suffix", [".json", ".json.gz", ".jsonl"])
def test_json_reads_back(tmp_path, suffix, rows):
    table = TABLE.slice(rows.start, rows.stop - rows.start)
    path = str(tmp_path / f"x{suffix}")
    write_table(table, path, "x/1", {})
    text = unpack(read_file(path), path).decode()
    found = json.loads(text) if suffix != ".jsonl" else [json.loads(line) for line in text.splitlines()]
    assert found == table.to_pylist()


def test_csv_reads_back(tmp_path):
    path = tmp_path / "x.csv"
    write_table(TABLE, str(path), "x/1", {})
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == TABLE.column_names
    assert rows == [
        ["::/0", "valid", "1", "0.5", "true", 'a; b"'],
        ['a"b\\\n,', "", "", "1", "false", ""],
        ["", "in,valid", "4294967295", "1e+20", "", ""],
        ["d", "valid", "4", "", "true", "c"],
    ]


def test_parquet_reads_back_and_says_what_it_is(tmp_path):
    path = tmp_path / "x.parquet"
    write_table(TABLE, str(path), "x/1", {"min_peers": 3})
    found = parquet.read_table(path)
    assert found.to_pylist() == TABLE.to_pylist()
    assert json.loads(found.schema.metadata[b"rovkit"]) == {"schema": "x/1", "min_peers": 3}
    assert parquet.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_more_than_one_batch(tmp_path):
    count = ROWS_PER_BATCH + 1
    table = pa.table({"n": range(count)})
    write_table(table, str(tmp_path / "x.json"), "x/1", {})
    assert [row["n"] for row in json.loads((tmp_path / "x.json").read_text())] == list(range(count))
    write_table(table, str(tmp_path / "x.csv"), "x/1", {})
    assert (tmp_path / "x.csv").read_text().splitlines() == ["n", *map(str, range(count))]


@pytest.mark.parametrize("name", ["x", "x.txt", "x.gz", "x.parquet.gz", ""])
def test_other_names_are_refused(name):
    with pytest.raises(ArgumentError, match="expected a name that ends in"):
        format_of(name)
