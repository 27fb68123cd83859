"""Saved Snapshots: what comes back, what is refused, and that columns stay in the file."""

import gzip
import lzma
import os
import pickle
import stat
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rov
from rov import cli, snapshot_file
from rov.columns import VrpColumns
from rov.errors import ArgumentError, SnapshotFileError
from rov.snapshot import Snapshot
from rov.types import Aspa, RouterKey

SMALL = Snapshot.build(
    VrpColumns.ipv4([0, 0x0A000000], [0, 8], [8, 24], [1, 2**32 - 1], [100, 0], [1, 0]),
    VrpColumns.ipv6(np.array([[2**63, 1]], np.uint64), [128], [128], [3], [-1], [1]),
    aspas=[Aspa(1, (2, 3)), Aspa(2, (0,))], aspa_expires=[11, 0],
    router_keys=[RouterKey(1, bytes(range(20)), b"k"), RouterKey(2, bytes(20), b"")],
    router_key_expires=[13, 2**62],
    trust_anchors=["ripe", "\u00e4"], generated=1234,
)  # fmt: skip
PREAMBLE = struct.Struct("<8sIIIQ")


def saved(snapshot: Snapshot, folder: Path) -> bytes:
    snapshot.save(folder / "saved.rov")
    return (folder / "saved.rov").read_bytes()


def opened(octets: bytes, folder: Path) -> Snapshot:
    path = folder / "given.rov"
    path.write_bytes(octets)
    return Snapshot.open(path)


def sealed(octets: bytes, header: object = None, **fields: int) -> bytes:
    """A file as a forger would make it: changed at will, its checksum right."""
    magic, _, version, header_size, size = PREAMBLE.unpack_from(octets)
    packed = octets[PREAMBLE.size : PREAMBLE.size + header_size]
    rest = octets[PREAMBLE.size + header_size :]
    if header is not None:
        packed = header if isinstance(header, bytes) else msgspec.msgpack.encode(header)
        rest = octets[-(-(PREAMBLE.size + header_size) // 64) * 64 :]
        rest = bytes(-(PREAMBLE.size + len(packed)) % 64) + rest
    size = PREAMBLE.size + len(packed) + len(rest)
    fields = {"version": version, "header_size": len(packed), "size": size} | fields
    body = struct.pack("<IIQ", *fields.values()) + packed + rest
    return magic + struct.pack("<I", zlib.crc32(body)) + body


def header_of(octets: bytes) -> list:
    size = PREAMBLE.unpack_from(octets)[3]
    return msgspec.msgpack.decode(octets[PREAMBLE.size : PREAMBLE.size + size])


def everything(snapshot: Snapshot) -> list:
    families = [
        [column.tolist() for column in (*columns.keys, columns.expires, columns.ta)]
        for columns in (snapshot.ipv4, snapshot.ipv6)
    ]
    elements = [snapshot.aspas, snapshot.router_keys, snapshot.trust_anchors, snapshot.generated]
    return [*families, *elements, snapshot.aspa_expires.tolist(), snapshot.router_key_expires.tolist()]


@pytest.mark.parametrize("snapshot", [SMALL, Snapshot.empty(), SMALL.within("10.0.0.0/8"), SMALL.by_asn(2)])
def test_saved_and_opened(snapshot: Snapshot, tmp_path: Path) -> None:
    octets = saved(snapshot, tmp_path)
    back = Snapshot.open(tmp_path / "saved.rov")
    assert back == snapshot
    assert back.digest == snapshot.digest
    assert everything(back) == everything(snapshot)
    assert saved(back, tmp_path) == octets


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=40),
    st.dictionaries(st.integers(1, 9), st.sets(st.integers(1, 99), min_size=1), max_size=5),
    st.lists(st.binary(max_size=70), max_size=5),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)
def test_any_snapshot_comes_back(tmp_path_factory, rows, aspas, spkis, generated) -> None:
    address, asn = [row[0] for row in rows], [row[1] for row in rows]
    snapshot = Snapshot.build(
        VrpColumns.ipv4(address, [32] * len(rows), [32] * len(rows), asn),
        aspas=[Aspa(customer, tuple(providers)) for customer, providers in aspas.items()],
        router_keys=[RouterKey(1, bytes(20), spki) for spki in spkis],
        generated=generated,
    )
    path = tmp_path_factory.getbasetemp() / "any.rov"
    snapshot.save(path)
    assert everything(Snapshot.open(path)) == everything(snapshot)


def test_columns_are_in_the_file_aligned_and_read_only(tmp_path: Path) -> None:
    SMALL.save(tmp_path / "saved.rov")
    back = Snapshot.open(tmp_path / "saved.rov")
    maps = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
    held = [fields for fields in maps if fields[-1] == str(tmp_path / "saved.rov")]
    # "r--s": shared with whoever maps the same file, and not writable
    assert [fields[1] for fields in held] == ["r--s"]
    begin, end = (int(address, 16) for address in held[0][0].split("-"))
    for columns in (back.ipv4, back.ipv6):
        for column in (*columns.keys, columns.expires, columns.ta):
            assert begin <= column.ctypes.data < end
            assert column.ctypes.data % 64 == 0
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 0
            with pytest.raises(ValueError, match="WRITEABLE"):
                column.flags.writeable = True


def test_columns_outlive_the_snapshot_and_the_name(tmp_path: Path) -> None:
    path = tmp_path / "saved.rov"
    SMALL.save(path)
    asn = Snapshot.open(path).ipv4.asn
    path.unlink()
    assert asn.tolist() == [1, 2**32 - 1]


def test_saving_again_leaves_an_open_snapshot_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "saved.rov"
    SMALL.save(path)
    old = Snapshot.open(path)
    Snapshot.empty().save(str(path))
    assert old == SMALL
    assert Snapshot.open(os.fsencode(path)) == Snapshot.empty()


def test_every_flipped_octet_is_refused(tmp_path: Path) -> None:
    octets = saved(SMALL, tmp_path)
    for place in range(len(octets)):
        flipped = bytearray(octets)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(SnapshotFileError, match=r"given\.rov: expected "):
            opened(flipped, tmp_path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    octets = saved(SMALL, tmp_path)
    for size in range(len(octets)):
        with pytest.raises(SnapshotFileError, match=rf"given\.rov: expected .*found {size:,}"):
            opened(octets[:size], tmp_path)
    with pytest.raises(SnapshotFileError, match=f"expected {len(octets):,} octets"):
        opened(octets + b"\0", tmp_path)


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """The file of SMALL, and a folder: made once, as every save waits for the disk."""
    folder = tmp_path_factory.mktemp("forged")
    return saved(SMALL, folder), folder


@given(st.lists(st.tuples(st.integers(32), st.integers(0, 255)), min_size=1, max_size=3))
def test_forged_octets_are_refused_or_give_the_normal_form(forged, changes) -> None:
    whole, folder = forged
    octets = bytearray(whole)
    for place, value in changes:
        octets[PREAMBLE.size + place % (len(octets) - PREAMBLE.size)] = value
    try:
        snapshot = opened(sealed(octets), folder)
    except SnapshotFileError:
        return
    rows = list(snapshot)
    assert rows == sorted(set(rows))
    assert everything(snapshot) == everything(snapshot | snapshot)


@given(st.binary(max_size=200))
def test_a_forged_header_is_refused(forged, header) -> None:
    octets, folder = forged
    with pytest.raises(SnapshotFileError, match="expected"):
        opened(sealed(octets, header), folder)


def counts(place: int, value: int) -> Callable[[bytes], bytes]:
    def forge(octets: bytes) -> bytes:
        header = header_of(octets)
        header[place] = value
        return sealed(octets, header)

    return forge


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda _: b'{"roas": []}' * 9, "magic"),
        (lambda o: o.replace(b"\r\n", b"\n", 1), "magic"),
        (lambda o: sealed(o, version=2), "expected format version 1, found 2"),
        (lambda o: sealed(o, size=2**64 - 1), "expected 18,446,744,073,709,551,615 octets"),
        (lambda o: sealed(o, header_size=2**32 - 1), "header of 1,048,576 octets at most"),
        (lambda o: sealed(o, header_size=len(o)), "header of 1,048,576 octets at most"),
        (counts(0, 2**64 - 1), "octets by the counts"),
        (counts(5, 2**63), "octets by the counts"),
        (counts(1, 5), "octets by the counts"),
        (counts(0, -1), "header of this format"),
        (counts(3, 2), "expected lists of 2 entries"),
        (counts(5, 0), "octets by the counts"),
        (lambda o: sealed(o, b"\xdd\xff\xff\xff\xff"), "header of this format"),
        (lambda o: sealed(o, [*header_of(o)[:7], ["x"] * 257]), "trust anchors"),
        (lambda o: sealed(o, [*header_of(o)[:7], ["x"]]), "ta 1: expected an index"),
        (lambda o: sealed(o, [*header_of(o), 1]), "header of this format"),
        (lambda o: sealed(o, msgspec.msgpack.encode(header_of(o)) + b"\0"), "header of this format"),
        (lambda o: sealed(o, b"\x98\0\0\0\0\0\0\xc0\xdd\xff\xff\xff\xff"), "header of this format"),
        (lambda o: sealed(o, b"\x98\0\0\0\0\0\0\xc0\x91\xa1\xff"), "header of this format"),
        (lambda o: sealed(o.replace(struct.pack("<II", 0, 0x0A000000), struct.pack("<II", 0, 0x0A000001))),
         "IPv4 row 1: host bits"),
    ],
)  # fmt: skip
def test_forged_and_foreign_files(forge: Callable[[bytes], bytes], message: str, tmp_path: Path) -> None:
    octets = saved(SMALL, tmp_path)
    assert sealed(octets, header_of(octets)) == sealed(octets) == octets
    with pytest.raises(SnapshotFileError, match=message) as caught:
        opened(forge(octets), tmp_path)
    assert str(tmp_path / "given.rov") in str(caught.value)


def test_read_recognises_it(tmp_path: Path) -> None:
    octets = saved(SMALL, tmp_path)
    for name, pack in (("plain.rov", bytes), ("packed.rov.gz", gzip.compress), ("packed.xz", lzma.compress)):
        path = tmp_path / name
        path.write_bytes(pack(octets))
        report = rov.read_report(path)
        assert everything(report.snapshot) == everything(SMALL)
        assert (report.format, report.rows, report.skipped_count) == ("saved Snapshot", len(SMALL), 0)
        assert rov.read(path) == SMALL
    assert rov.VrpIndex(SMALL) == rov.load(tmp_path / "plain.rov")
    assert rov.read_bytes(octets, "x").snapshot == SMALL


@pytest.mark.parametrize("change", [lambda o: o[:-1], lambda o: o + b"\0", lambda o: o[:40], lambda o: o[:8]])
def test_a_damaged_one_is_a_bad_vrp_file(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    octets = change(saved(SMALL, tmp_path))
    with pytest.raises(rov.VrpFileError, match=r"^fetched: expected .*octets") as caught:
        rov.read_bytes(octets, "fetched")
    assert isinstance(caught.value, SnapshotFileError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.path) == (SnapshotFileError, str(caught.value), "fetched")


def test_commands_take_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "saved.rov")
    SMALL.save(path)
    vrp = next(SMALL.vrps())
    assert cli.main(["info", path]) == 0
    assert "saved Snapshot" in capsys.readouterr().out
    assert cli.main(["validate", str(vrp.prefix), f"AS{vrp.asn}", "--vrps", path]) == 0
    assert " valid" in capsys.readouterr().out


def test_rows_out_of_order_are_sorted(tmp_path: Path) -> None:
    octets = saved(SMALL, tmp_path)
    forged = octets.replace(struct.pack("<II", 0, 0x0A000000), struct.pack("<II", 0x0A000000, 0))
    forged = sealed(forged.replace(b"\x00\x08" + bytes(62), b"\x08\x00" + bytes(62), 1))
    assert [vrp.prefix.length for vrp in opened(forged, tmp_path).ipv4.vrps()] == [0, 8]


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SnapshotFileError, match=r"none: expected .* No such file"):
        Snapshot.open(tmp_path / "none")
    with pytest.raises(SnapshotFileError, match="no regular file"):
        Snapshot.open(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SnapshotFileError, match="no regular file"):
        Snapshot.open(tmp_path / "pipe")
    with pytest.raises(SnapshotFileError, match="cannot be read"):
        Snapshot.open("a\0b")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"generated": 2**70}, "cannot be saved"),
        ({"trust_anchors": ["\udc80"]}, "cannot be saved"),
        ({"trust_anchors": ["x" * snapshot_file.MAX_HEADER]}, "octets in all at most"),
    ],
)
def test_what_the_header_cannot_hold(parts: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        Snapshot.build(**parts).save(tmp_path / "saved.rov")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SMALL.save(tmp_path / "saved.rov")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match="No space"):
        Snapshot.empty().save(tmp_path / "saved.rov")
    assert [path.name for path in tmp_path.iterdir()] == ["saved.rov"]
    assert Snapshot.open(tmp_path / "saved.rov") == SMALL


def test_a_file_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    SMALL.save(tmp_path / "saved.rov")
    assert done == ["file", "rename", "folder"]


def test_the_mode_is_the_one_the_umask_gives(tmp_path: Path) -> None:
    SMALL.save(tmp_path / "saved.rov")
    (tmp_path / "plain").touch()
    assert (tmp_path / "saved.rov").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_big_columns_come_back(tmp_path: Path) -> None:
    count = 100_000
    rows = np.arange(count, dtype=np.uint64)
    address = np.stack([rows // 7, rows], axis=1)
    full = [128] * count
    snapshot = Snapshot.build(None, VrpColumns.ipv6(address, full, full, rows, rows.astype(np.int64)))
    octets = saved(snapshot, tmp_path)
    back = Snapshot.open(tmp_path / "saved.rov")
    assert back == snapshot
    assert np.array_equal(back.ipv6.expires, snapshot.ipv6.expires)
    assert len(octets) < 31 * count + 4096


@pytest.mark.realdata
def test_the_real_set(first_snapshot: Snapshot, tmp_path: Path) -> None:
    first_snapshot.save(tmp_path / "saved.rov")
    back = Snapshot.open(tmp_path / "saved.rov")
    assert back == first_snapshot
    assert back.aspa_expires.tolist() == first_snapshot.aspa_expires.tolist()
    for name in ("ipv4", "ipv6"):
        one, two = getattr(first_snapshot, name), getattr(back, name)
        assert np.array_equal(one.expires, two.expires)
        assert np.array_equal(one.ta, two.ta)
