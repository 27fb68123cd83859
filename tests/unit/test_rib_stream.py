"""Octets of dumps: every packing, whole and cut short, standard input, URLs, threads that end."""

import bz2
import gzip
import io
import lzma
import os
import threading

import polars as pl
import pytest
import zstandard

import rov
from rov.rib import open as open_dump
from rov.rib import read_table, stream
from rov.rib.stream import MANY_BZIP2_BYTES, Source, ahead
from tests import mrt_writer as w

PLAIN = w.peer_table(("192.0.2.1", 64500)) + b"".join(
    w.rib(2, f"10.{i >> 8}.{i & 255}.0/24", w.entry(0, w.path(64500, 1000 + i))) for i in range(20_000)
)

PACKINGS = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, 1),
    "bzip2": lambda data: bz2.compress(data, 1),  # blocks of 100 kB: several
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_whatever_the_name(tmp_path, packing):
    file = tmp_path / "dump.txt"
    file.write_bytes(PACKINGS[packing](PLAIN))
    table = read_table(file)
    assert (len(table.ipv4), table.warnings) == (20_000, ())


@pytest.mark.parametrize("packing", ["gzip", "bzip2", "xz", "zstd"])
def test_concatenated_streams(tmp_path, packing):
    pack, middle = PACKINGS[packing], len(PLAIN) // 2 + 1
    (tmp_path / "dump").write_bytes(pack(PLAIN[:middle]) + pack(b"") + pack(PLAIN[middle:]))
    table = read_table(tmp_path / "dump")
    assert (len(table.ipv4), table.warnings) == (20_000, ())


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_is_cut_short_keeps_its_start(tmp_path, packing):
    packed = PACKINGS[packing](PLAIN)
    (tmp_path / "dump").write_bytes(packed[: len(packed) * 3 // 4])
    table = read_table(tmp_path / "dump")
    assert 1_000 < len(table.ipv4) < 20_000
    assert any("cut short" in text for text in table.warnings)


def test_what_unpacks_to_nothing_says_why(tmp_path):
    (tmp_path / "dump").write_bytes(bz2.compress(PLAIN)[:1000])
    with pytest.raises(rov.RibFileError, match="the bzip2 data is cut short"):
        read_table(tmp_path / "dump")


@pytest.mark.parametrize("packing", ["gzip", "bzip2", "xz", "zstd"])
def test_damage_keeps_what_was_before(tmp_path, packing):
    packed = bytearray(PACKINGS[packing](PLAIN) + PACKINGS[packing](PLAIN))
    at = len(packed) * 3 // 4
    packed[at : at + 64] = bytes(octet ^ 0xFF for octet in packed[at : at + 64])
    (tmp_path / "dump").write_bytes(packed)
    table = read_table(tmp_path / "dump")
    assert len(table.ipv4) == 20_000
    assert any(f"damaged {packing} data" in text for text in table.warnings), table.warnings


@pytest.mark.parametrize("packing", ["gzip", "bzip2"])
def test_what_follows_the_packed_data(tmp_path, packing):
    packed = PACKINGS[packing](PLAIN)
    (tmp_path / "a").write_bytes(packed + bytes(100))
    assert read_table(tmp_path / "a").warnings == ()
    (tmp_path / "b").write_bytes(packed + b"something else")
    assert f"what follows the {packing} data is left out" in read_table(tmp_path / "b").warnings[0]


def incompressible(count):
    """Records whose packed form is long: origins and path ids without order."""
    state, entries = 1, []
    for i in range(count):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        entries.append(
            w.rib(8, f"10.{i >> 8 & 255}.{i & 255}.0/24", w.entry(0, w.path(state >> 32), state & 0xFFFFFFFF))
        )
    return w.peer_table(("192.0.2.1", 64500)) + b"".join(entries)


@pytest.mark.parametrize("whole", [True, False])
def test_large_bzip2_on_all_processors(tmp_path, whole, monkeypatch):
    plain = incompressible(90_000)
    packed = bz2.compress(plain)
    assert len(packed) > MANY_BZIP2_BYTES
    file = tmp_path / "dump"
    file.write_bytes(packed if whole else packed[:-100_000])
    parallel = read_table(file)
    monkeypatch.setitem(__import__("sys").modules, "rapidgzip", None)
    single = read_table(file)
    assert parallel.counts == single.counts
    assert (parallel.ipv4.origins == single.ipv4.origins).all()
    assert parallel.counts.entries == 90_000 if whole else 50_000 < parallel.counts.entries < 90_000
    assert any("bzip2 data is cut short" in text for text in parallel.warnings) is not whole


def test_progress_counts_packed_octets(tmp_path):
    file = tmp_path / "dump"
    file.write_bytes(gzip.compress(PLAIN))
    seen = []
    read_table(file, progress=lambda read, size: seen.append((read, size)))
    size = file.stat().st_size
    assert seen[-1] == (size, size)
    assert [read for read, _ in seen] == sorted(read for read, _ in seen)


def test_standard_input(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(gzip.compress(PLAIN))

    monkeypatch.setattr("sys.stdin", Stdin)
    with open_dump("-") as dump:
        assert sum(map(len, dump)) == 20_000
        assert dump.name == "standard input"


def test_urls(tmp_path, monkeypatch):
    import fsspec

    with fsspec.open("memory://dump.gz", "wb") as file:
        file.write(gzip.compress(PLAIN))
    assert len(read_table("memory://dump.gz")) == 20_000
    with pytest.raises(rov.RibFileError, match="memory://none: cannot be read"):
        read_table("memory://none")
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(rov.ExtraError, match=r"pip install 'rovkit\[url\]'"):
        read_table("memory://dump.gz")


def test_parquet_by_its_names(tmp_path, monkeypatch):
    frame = pl.DataFrame(
        {
            "how": ["x", "y", "z"],
            "Origin": [64496, None, 64497],
            "prefix": ["192.0.2.0/24", "2001:db8::/32", "192.0.2.0/24"],
            "peers": [3, 2, 1],
        }
    )
    frame.write_parquet(tmp_path / "a")
    frame.with_columns(
        pl.col("prefix").cast(pl.Categorical), Origin=pl.Series(["AS64496", "{1,2}", "64497"])
    ).write_parquet(tmp_path / "b")
    for name in "ab":
        table = read_table(tmp_path / name)
        assert table.ipv4.origins.tolist() == [64496, 64497]
        assert table.ipv4.peers.tolist() == [3, 1]
        assert (table.ipv6.origins.tolist(), table.ipv6.peers.tolist()) == ([0], [2])
    frame.drop("Origin").write_parquet(tmp_path / "c")
    with pytest.raises(rov.RibFileError, match="expected an MRT dump"):
        read_table(tmp_path / "c")
    (tmp_path / "d").write_bytes((tmp_path / "a").read_bytes()[:-20])
    with pytest.raises(rov.RibFileError, match="no sound Parquet"):
        read_table(tmp_path / "d")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(rov.ExtraError, match="pyarrow"):
        read_table(tmp_path / "a")


ROWS = [
    '{"prefix":"192.0.2.0/24","Origin":64496,"state":"valid","peers":3}',
    '{"prefix":"2001:db8::/32","Origin":null,"state":"invalid","peers":2}',
    '{"prefix":"198.51.100.0/24","Origin":"AS64497","state":"not_found","peers":1}',
    '{"prefix":"203.0.113.0/24","Origin":"{1,2}","state":"not_found","peers":1}',
]


@pytest.mark.parametrize("text", ["\n".join(ROWS), "[\n" + ",\n".join(ROWS) + "\n]\n"])
def test_json_with_an_object_a_line(tmp_path, text):
    (tmp_path / "a.gz").write_bytes(gzip.compress(text.encode()))
    table = read_table(tmp_path / "a.gz")
    assert table.ipv4.origins.tolist() == [64496, 64497, 0]
    assert (table.ipv4.peers.tolist(), table.ipv6.peers.tolist()) == ([3, 1, 1], [2])
    assert table.warnings == ()
    with open_dump(tmp_path / "a.gz") as dump:
        assert (dump.format, sum(map(len, dump))) == ("JSON lines", 4)


def test_bad_objects_are_left_out_and_named_by_line(tmp_path):
    bad = ['{"prefix":"1.0.0.0/8\\n2.0.0.0/8","Origin":1}', '{"prefix":7}']
    (tmp_path / "a").write_text("[\n" + ",\n".join([ROWS[0], *bad, *ROWS[1:]]) + "\n]\n")
    table = read_table(tmp_path / "a")
    assert (len(table), table.counts.skipped) == (4, 2)
    assert ["line 3" in table.warnings[0], "line 4" in table.warnings[1]] == [True, True], table.warnings
    (tmp_path / "b").write_text('{"prefix":"1.0.0.0/8"}\n')
    with pytest.raises(rov.RibFileError, match="expected an MRT dump"):
        read_table(tmp_path / "b")


def test_patterns(tmp_path):
    for name in ("a.gz", "b.gz"):
        (tmp_path / name).write_bytes(gzip.compress(PLAIN))
    assert read_table(f"{tmp_path}/*.gz").counts.files == 2
    with pytest.raises(rov.RibFileError, match="no file matches this pattern"):
        read_table(f"{tmp_path}/*.bz2")


def test_directories_and_missing_files(tmp_path):
    with pytest.raises(rov.RibFileError, match="cannot be read: Is a directory"):
        read_table(tmp_path)
    with pytest.raises(rov.RibFileError, match="cannot be read: No such file"):
        read_table(tmp_path / "none")


def test_a_dump_that_is_left_early_ends_its_threads(tmp_path):
    (tmp_path / "dump").write_bytes(PLAIN * 20)
    with open_dump(tmp_path / "dump") as dump:
        next(iter(dump))
    assert [thread for thread in threading.enumerate() if thread.name == "rib-ahead"] == []


def test_an_error_comes_where_its_item_would_stand():
    def items():
        yield 1
        raise OSError("x")

    given = ahead(items(), 2)
    assert next(given) == 1
    with pytest.raises(OSError, match="x"):
        next(given)


def test_pieces_are_bounded_however_well_they_are_packed(tmp_path):
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(64 << 20)))
    source = Source(tmp_path / "bomb")
    assert max(len(piece) for piece in source.pieces()) <= 4 << 20


def test_a_reader_that_waits_for_what_never_comes_does_not_hold_who_stops(monkeypatch):
    monkeypatch.setattr(stream, "LOOKS", 10)
    go_on = threading.Event()

    def items():
        yield 1
        go_on.wait(60)
        yield 2

    given = ahead(items(), 2)
    assert next(given) == 1
    closing = threading.Thread(target=given.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
    [left] = [thread for thread in threading.enumerate() if thread.name == "rib-ahead"]
    go_on.set()
    left.join(20)
    assert not left.is_alive()


def test_a_dump_whose_pipe_falls_silent_can_be_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "LOOKS", 10)
    pipe = tmp_path / "rib"
    os.mkfifo(pipe)
    keep_open = os.open(pipe, os.O_RDWR)
    lines = b"192.0.2.0/24\t64496\n" * 120_000

    def feed():
        with open(pipe, "wb") as file:
            file.write(lines)

    def read():
        with open_dump(pipe) as dump:
            next(iter(dump))

    threads = [threading.Thread(target=work, daemon=True) for work in (feed, read)]
    for thread in threads:
        thread.start()
    threads[1].join(20)
    stopped = not threads[1].is_alive()
    os.close(keep_open)
    assert stopped
