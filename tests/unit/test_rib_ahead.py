"""What begins before a dump is read to its end: routes that are settled, the file of verdicts, the spool."""

import bz2
import io
import lzma
import os
import subprocess
import sys

import numpy as np
import pytest
from pyarrow import csv, json, parquet

import rov
from rov import cli
from rov.audit import judge, verdict_table
from rov.audit.output import write_table
from rov.audit.verdict_file import VerdictFile
from rov.engines.threads import judge_files
from rov.rib import Spool, read_table, settled, stream
from rov.rib import open as open_dump
from rov.rib.spool import MAX_SPOOL_BYTES
from tests import mrt_writer as w

PEERS = w.peer_table(("192.0.2.1", 64500), ("192.0.2.2", 64501))
VRPS = [
    rov.Vrp(rov.Prefix.parse(text), 24, 1000 + i) for i, text in enumerate(["10.0.0.0/16", "10.1.0.0/16"])
]
INDEX = rov.VrpIndex(rov.Snapshot.from_vrps(VRPS))


def records(count, family=4):
    """A record each, of two peers and two origins at every seventh prefix."""
    made = []
    for i in range(count):
        prefix = f"10.{i >> 8}.{i & 255}.0/24" if family == 4 else f"2001:db8:{i:x}::/48"
        entries = [w.entry(0, w.path(64500, 1000 + i % 3)), w.entry(1, w.path(64501, 1000 + i % 3))]
        if i % 7 == 0:
            entries.append(w.entry(1, w.path(64501, 2000)))
        made.append(w.rib(2 if family == 4 else 4, prefix, *entries))
    return made


IPV4, IPV6 = records(1000), records(300, 6)
ORDERS = {
    "in order": (IPV4 + IPV6, True),
    "IPv4 alone": (IPV4, True),
    "IPv6 alone": (IPV6, True),
    "a prefix twice in a row": ([part for part in IPV4 for _ in "12"], True),
    "IPv6 first": (IPV6 + IPV4, False),
    "from its middle": (IPV4[500:] + IPV4[:500], False),
    "backwards": (IPV4[::-1] + IPV6[::-1], False),
    "a prefix again at the end": (IPV4 + IPV4[:1] + IPV6, False),
    "IPv4 again at the end": (IPV4 + IPV6 + IPV4[-1:], False),
}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """A few routes are a piece."""
    monkeypatch.setattr(settled, "SETTLED_ROWS", 100)
    monkeypatch.setattr(stream, "PIECE_BYTES", 4096)


@pytest.mark.parametrize("order", ORDERS)
def test_settled_routes_make_the_table(tmp_path, order):
    content, sound = ORDERS[order]
    (tmp_path / "rib").write_bytes(PEERS + b"".join(content))
    given = []
    table = read_table(tmp_path / "rib", settled=given.append)
    assert (None in given) is not sound
    if sound:
        assert len(given) >= 2
    else:
        given = given[given.index(None) + 1 :]
    for columns in (table.ipv4, table.ipv6):
        parts = [part for part in given if part.family == columns.family]
        for name in ("addresses", "lengths", "origins", "peers"):
            empty = getattr(columns, name)[:0]
            joined = np.concatenate([empty, *(getattr(part, name) for part in parts)])
            assert joined.tolist() == getattr(columns, name).tolist()
    families = [part.family for part in given]
    assert families == sorted(families)


def test_settled_routes_of_several_dumps_come_at_the_end(tmp_path):
    names = [tmp_path / "a", tmp_path / "b"]
    for name, part in zip(names, (IPV4[:600], IPV4[400:]), strict=True):
        name.write_bytes(PEERS + b"".join(part))
    for read in (read_table, lambda names, settled: judge_files([*map(str, names)], INDEX, settled=settled)):
        given = []
        read(names, settled=given.append)
        assert [len(part) for part in given] == [1000 + 143, 0]


def test_settled_must_be_a_function(tmp_path):
    with pytest.raises(rov.ArgumentError, match="settled: expected a function"):
        read_table(tmp_path / "rib", settled=3)


READ = {
    "parquet": parquet.read_table,
    "csv": csv.read_csv,
    "jsonl": json.read_json,
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", READ)
def test_a_file_written_ahead_equals_one_written_at_the_end(tmp_path, order, kind):
    (tmp_path / "rib").write_bytes(PEERS + b"".join(ORDERS[order][0]))
    ahead, after = str(tmp_path / f"ahead.{kind}"), str(tmp_path / f"after.{kind}")
    with VerdictFile(ahead, INDEX, min_peers=2) as file:
        verdicts = judge_files([str(tmp_path / "rib")], INDEX, settled=file.take)
        file.end({"min_peers": 2})
    expected = verdict_table(judge(verdicts.table, INDEX, min_peers=2))
    write_table(expected, after, "rov.audit.verdicts/1", {"min_peers": 2})
    assert READ[kind](ahead).equals(READ[kind](after), check_metadata=True)
    assert READ[kind](after).num_rows == expected.num_rows > 100


def test_the_file_is_there_at_the_end_or_not_at_all(tmp_path):
    name = str(tmp_path / "x.parquet")
    with VerdictFile(name, INDEX) as file:
        file.take(read_table_of(tmp_path).ipv4)
    assert not list(tmp_path.glob("x*"))
    with VerdictFile(name, INDEX) as file:
        file.end({})
    assert parquet.read_table(name).num_rows == 0


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    with VerdictFile(str(tmp_path / "none" / "x.parquet"), INDEX) as file:
        file.take(read_table_of(tmp_path).ipv4)
        with pytest.raises(FileNotFoundError):
            file.end({})


def read_table_of(folder):
    (folder / "rib").write_bytes(PEERS + b"".join(IPV4))
    return read_table(folder / "rib")


def test_the_command_writes_parquet_without_pandas(tmp_path):
    """pandas, where it is installed, takes longer to import than a RIB to read."""
    read_table_of(tmp_path)
    (tmp_path / "vrps.csv").write_text("ASN,IP Prefix,Max Length\nAS1000,10.0.0.0/16,24\n")
    code = (
        "import sys, rov\n"
        "from rov.audit.verdict_file import VerdictFile\n"
        "from rov.engines.threads import judge_files\n"
        "index = rov.load(sys.argv[2])\n"
        "with VerdictFile(sys.argv[3], index) as file:\n"
        "    judge_files([sys.argv[1]], index, settled=file.take)\n"
        "    file.end({})\n"
        "print('pandas' in sys.modules)\n"
    )
    names = [str(tmp_path / name) for name in ("rib", "vrps.csv", "x.parquet")]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert parquet.read_table(names[2]).num_rows == 1000 + 143


PACKED = {"bzip2": bz2.compress, "xz": lambda data: lzma.compress(data, preset=0)}


@pytest.mark.parametrize("packing", PACKED)
def test_what_is_slow_to_unpack_is_unpacked_once(tmp_path, packing):
    name = tmp_path / "rib"
    name.write_bytes(PACKED[packing](PEERS + b"".join(IPV4 + IPV6)))
    with Spool() as spool:
        table = read_table(name, spool=spool)
        assert spool.has(str(name))
        name.unlink()
        with open_dump(name, paths=True, spool=spool) as dump:
            rows = sum(len(batch) for batch in dump)
        assert rows == table.counts.entries == 2 * 1300 + 143 + 43
        assert dump.warnings == ()
    assert not spool.has(str(name))


def test_what_is_quick_to_read_is_not_kept(tmp_path):
    with Spool() as spool:
        (tmp_path / "rib").write_bytes(PEERS + b"".join(IPV4))
        read_table(tmp_path / "rib", spool=spool)
        assert not spool.has(str(tmp_path / "rib"))


@pytest.mark.parametrize("room", [1000, None])
def test_the_spool_keeps_no_more_than_it_may(tmp_path, monkeypatch, room):
    name = tmp_path / "rib.bz2"
    name.write_bytes(bz2.compress(PEERS + b"".join(IPV4)))
    if room is None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with Spool(room or MAX_SPOOL_BYTES) as spool:
        table = read_table(name, spool=spool)
        assert not spool.has(str(name))
        with open_dump(name, spool=spool) as dump:
            assert sum(len(batch) for batch in dump) == table.counts.entries


def test_an_unfinished_reading_is_not_kept():
    with Spool() as spool:
        pieces = spool.keep("rib", iter([b"a", b"b"]))
        next(pieces)
        pieces.close()
        assert not spool.has("rib")


ASPAS = b"""{"metadata": {}, "roas": [{"prefix": "10.0.0.0/16", "maxLength": 24, "asn": 1000}],
"aspas": [{"customer_asid": 1001, "providers": [64501]}]}"""


@pytest.mark.parametrize(
    "asked",
    ["audit RIB --aspa upstream --vrps VRPS", "hijacks RIB --paths --vrps VRPS", "bogons RIB --paths"],
)
def test_paths_of_standard_input(tmp_path, asked, monkeypatch, capsys):
    content = PEERS + b"".join(IPV4 + IPV6)
    (tmp_path / "rib").write_bytes(content)
    (tmp_path / "vrps").write_bytes(ASPAS)
    answers = []
    # an answer has the time at which what expires was judged
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    for name in (str(tmp_path / "rib"), "-"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(bz2.compress(content))))
        words = asked.replace("RIB", name).replace("VRPS", str(tmp_path / "vrps")).split()
        assert cli.main([*words, "--json"]) == 0
        answers.append(capsys.readouterr().out.replace(f'"{name}"', '"RIB"'))
    assert answers[0] == answers[1]
    assert "2001:db8" in answers[0] or "aspa" in answers[0]


def test_standard_input_without_room_to_keep_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "vrps").write_bytes(ASPAS)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PEERS + b"".join(IPV4))))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert cli.main(["audit", "-", "--vrps", str(tmp_path / "vrps"), "--aspa", "upstream"]) == 2
    assert "standard input could not be kept" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_disk_that_is_full_keeps_nothing(monkeypatch, size):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "w+b"))  # noqa: SIM115
    pieces = [os.urandom(size)] * 3
    with Spool() as spool:
        assert list(spool.keep("rib", iter(pieces))) == pieces
        assert not spool.has("rib")
