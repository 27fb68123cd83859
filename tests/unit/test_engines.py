"""Engines: what comes back is what one reading of all dumps gives, however the work was shared out."""

import json
import os
import pickle
import sys

import numpy as np
import pyarrow as pa
import pytest

import rov
from rov import EngineError, ExtraError, RibFileError, Snapshot, VrpIndex, cli
from rov.audit import judge, verdict_table
from rov.engines import placing, spark, threads
from rov.engines.fold import fold, renumbered
from rov.engines.kernel import Kernel, pack, rows, unpack
from rov.rib import read_table
from tests import mrt_writer as w

PEERS = [("192.0.2.1", 64500), ("192.0.2.2", 64501), ("2001:db8::1", 64502)]


def dump(*peers, routes):
    """An MRT dump: routes are (subtype, prefix, [(place of the peer, origin)])."""
    table = [PEERS[number] for number in peers]
    return w.peer_table(*table) + b"".join(
        w.rib(
            kind, prefix, *(w.entry(at, w.attributes(w.segment(2, 64496, origin))) for at, origin in entries)
        )
        for kind, prefix, entries in routes
    )


@pytest.fixture
def dumps(tmp_path):
    """Three dumps with peers and routes in common, one of which states numbers of peers, and VRPs."""
    first = dump(0, 1, routes=[(2, "192.0.2.0/24", [(0, 1), (1, 1)]), (4, "2001:db8::/32", [(1, 7)])])
    second = dump(2, 1, routes=[(2, "192.0.2.0/24", [(0, 1), (1, 1)]), (2, "192.0.2.0/25", [(0, 2)])])
    third = "prefix,origin,peers\n192.0.2.0/24,1,30\n198.51.100.0/24,9,4\n"
    names = []
    for name, octets in (("a.mrt", first), ("b.mrt", second + bytes(3)), ("c.csv", third.encode())):
        (tmp_path / name).write_bytes(octets)
        names.append(str(tmp_path / name))
    vrps = Snapshot.from_vrps(
        rov.Vrp(rov.Prefix.parse(prefix), length, asn)
        for prefix, length, asn in (("192.0.2.0/24", 24, 1), ("2001:db8::/32", 32, 8))
    )
    return names, VrpIndex(vrps)


def same(found, expected):
    """Two Verdicts agree in everything that a report can tell."""
    assert found.table.peers == expected.table.peers
    assert found.table.counts == expected.table.counts
    assert found.table.warnings == expected.table.warnings
    assert verdict_table(found).equals(verdict_table(expected))
    for mine, theirs in zip(found.families(), expected.families(), strict=True):
        assert (mine.states == theirs.states).all()
        sets = [
            np.zeros(0) if part.routes.peer_sets is None else part.routes.peer_sets for part in (mine, theirs)
        ]
        assert np.array_equal(*sets)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_give_what_one_reading_gives(dumps, workers):
    names, index = dumps
    expected = judge(read_table(names), index)
    assert expected.counts() == {"valid": 1, "invalid": 2, "not_found": 1}
    assert expected.table.ipv4.peers.tolist() == [33, 1, 4]
    assert len(expected.table.warnings) == 1
    told = []
    same(
        threads.judge_files(names, index, threads=workers, progress=lambda *done: told.append(done)), expected
    )
    assert max(read for read, _ in told) == sum(map(os.path.getsize, names)) or workers == 1


def test_the_kernel_through_packing(dumps):
    names, index = dumps
    kernel = Kernel(lambda: index)
    files = [pa.record_batch({"file": [name]}) for name in names]
    same(fold(unpack(pack(kernel(iter(files)))), index), judge(read_table(names), index))


def test_rows_for_people(dumps):
    names, index = dumps
    table = pa.Table.from_batches(rows(Kernel(lambda: index)(iter([pa.record_batch({"file": names})]))))
    expected = [row for name in names for row in verdict_table(judge(read_table(name), index)).to_pylist()]
    assert table.drop_columns("file").to_pylist() == expected
    assert table["file"].unique().to_pylist() == names


def test_a_dump_that_cannot_be_read_is_named(dumps, tmp_path):
    names, index = dumps
    junk = tmp_path / "junk"
    junk.write_bytes(b"\0" * 3)
    with pytest.raises(RibFileError, match=f"{junk}: expected an MRT dump"):
        threads.judge_files([*names, str(junk)], index, threads=2)
    error = pickle.loads(pickle.dumps(RibFileError("rib.bz2", "cannot be read")))
    assert (str(error), error.path) == ("rib.bz2: cannot be read", "rib.bz2")


def test_peers_get_other_numbers():
    random = np.random.default_rng(6)
    for count in (1, 64, 65, 200):
        numbers = random.permutation(300)[:count].astype(np.int64)
        bits = random.random((40, count)) < 0.3
        sets = np.packbits(np.pad(bits, ((0, 0), (0, -count % 64))), axis=1, bitorder="little").view(
            np.uint64
        )
        moved = np.unpackbits(renumbered(sets, numbers).view(np.uint8), axis=1, bitorder="little")
        for row, found in zip(bits, moved, strict=True):
            assert np.flatnonzero(found).tolist() == sorted(numbers[row].tolist())


def test_a_snapshot_has_one_place_on_a_host(tmp_path, monkeypatch):
    monkeypatch.setattr(placing.tempfile, "gettempdir", lambda: str(tmp_path))
    snapshot = Snapshot.from_vrps([rov.Vrp(rov.Prefix.parse("192.0.2.0/24"), 24, 64496)])
    name = placing.place(snapshot)
    at = placing.folder() / name
    first = at.stat().st_ino
    assert placing.placed(name, lambda: pytest.fail("it is there")).stat().st_ino == first
    elsewhere = tmp_path / "sent"
    os.rename(at, elsewhere)
    assert Snapshot.open(placing.placed(name, lambda: str(elsewhere))) == snapshot
    old = placing.folder() / "old.snapshot"
    old.write_bytes(b"")
    os.utime(old, (1, 1))
    placing.placed(name, lambda: pytest.fail("it is there"))
    assert os.listdir(placing.folder()) == [name]


def test_a_place_that_others_can_write_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(placing.tempfile, "gettempdir", lambda: str(tmp_path))
    placing.folder().chmod(0o777)
    with pytest.raises(EngineError, match="expected a directory of this user"):
        placing.folder()


def test_without_pyspark_the_error_says_what_to_install(dumps, monkeypatch, capsys, tmp_path):
    names, index = dumps
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ExtraError, match=r"pip install 'rovkit\[spark\]'"):
        spark.judge_files(names, index)
    vrps = tmp_path / "vrps.snapshot"
    index.snapshot.save(vrps)
    assert cli.main(["audit", *names, "--vrps", str(vrps), "--engine", "spark"]) == 2
    assert capsys.readouterr().err == (
        "rov: error: the engine spark needs pyspark: pip install 'rovkit[spark]'\n"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--master", "local"], "--master: expected --engine spark with it"),
        (
            ["--engine", "spark", "--aspa", "upstream"],
            "--aspa: the paths are read here: expected --engine threads",
        ),
        (["--engine", "dask"], "'dask' is not one of 'threads', 'spark'"),
    ],
)
def test_options_that_do_not_go_together(dumps, tmp_path, capsys, options, expected):
    names, index = dumps
    index.snapshot.save(tmp_path / "vrps.snapshot")
    assert cli.main(["audit", *names, "--vrps", str(tmp_path / "vrps.snapshot"), *options]) == 2
    assert expected in capsys.readouterr().err


def test_standard_input_is_not_for_a_cluster(dumps):
    with pytest.raises(rov.ArgumentError, match="standard input"):
        spark.judge_files(["-"], dumps[1])


def test_audit_of_several_dumps(dumps, tmp_path, capsys):
    """Also with a neighbor and with min_peers, which narrow what was judged."""
    names, index = dumps
    vrps = str(tmp_path / "vrps.snapshot")
    index.snapshot.save(vrps)
    for options in ([], ["--min-peers", "4"], ["--neighbor", "64502"]):
        mrt = names[:2] if "--neighbor" in options else names
        assert cli.main(["audit", *mrt, "--vrps", vrps, "--json", *options]) == 0
        found = json.loads(capsys.readouterr().out)
        assert cli.main(["coverage", *mrt, "--vrps", vrps, "--json", *options]) == 0
        of_one_reading = json.loads(capsys.readouterr().out)
        assert found["routes"] == of_one_reading["routes"]
        assert found["sections"]["coverage"] == of_one_reading["sections"]["coverage"]


def test_a_pattern_in_a_url(dumps):
    names, _ = dumps
    pattern = f"file://{os.path.dirname(names[0])}/*.mrt"
    assert rov.rib.read.expand([pattern]) == [f"file://{name}" for name in names[:2]]
    assert len(read_table(pattern)) == len(read_table(names[:2]))
    with pytest.raises(RibFileError, match="no file matches this pattern"):
        read_table(pattern.replace("mrt", "none"))
    with pytest.raises(RibFileError, match="cannot be listed"):
        read_table("nonesuch://host/*.mrt")
