"""Packed VRP files: told apart, bounded, damaged, cut; written so that nobody reads half of one."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from rov import VrpFileError
from rov.formats import compression, read, read_bytes, read_report
from rov.formats.rpki_client import encode
from tests.vrp_texts import PUBKEY, RPKI_CLIENT, SKI, TWO, fault

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("packing", PACKERS)
class TestCompression:
    def test_told_by_content(self, packing: str) -> None:
        assert read_bytes(PACKERS[packing](RPKI_CLIENT.encode()), "wrong.name.zip").snapshot == TWO

    def test_streams_one_after_the_other(self, packing: str) -> None:
        pack = PACKERS[packing]
        middle = len(RPKI_CLIENT) // 2
        data = pack(RPKI_CLIENT[:middle].encode()) + pack(b"") + pack(RPKI_CLIENT[middle:].encode())
        assert read_bytes(data, "x").snapshot == TWO
        assert read_bytes(data + bytes(512), "x").snapshot == TWO

    def test_cut_short_anywhere(self, packing: str) -> None:
        data = PACKERS[packing](RPKI_CLIENT.encode())
        for end in range(len(data)):
            fault(data[:end])
        assert "cut short" in fault(data[:-1])

    def test_followed_by_something_else(self, packing: str) -> None:
        data = PACKERS[packing](RPKI_CLIENT.encode())
        assert fault(data + b"xyz") == f"3 octets follow the end of the {packing} data"

    def test_damaged(self, packing: str) -> None:
        data = bytearray(PACKERS[packing](os.urandom(1000)))
        data[len(data) // 2] ^= 0xFF
        data[6] ^= 0xFF
        fault(bytes(data))

    def test_bomb(self, packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compression, "MAX_FILE_BYTES", 3_000_000)
        monkeypatch.setattr(compression, "CHUNK_BYTES", 1_000_000)
        pack = PACKERS[packing]
        assert compression.unpack(pack(bytes(3_000_000)), "x") == bytes(3_000_000)
        assert "longer than 3,000,000 octets" in fault(pack(bytes(3_000_001)))
        assert "longer than 3,000,000 octets" in fault(pack(bytes(2_000_000)) * 2)

    def test_too_many_streams(self, packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compression, "MAX_STREAMS", 3)
        assert "more than 3" in fault(PACKERS[packing](b"x") * 4)


def test_a_plain_file_has_the_same_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MAX_FILE_BYTES", 100)
    path = tmp_path / "x.json"
    path.write_bytes(bytes(101))
    with pytest.raises(VrpFileError, match="longer than 100 octets"):
        read(path)


def test_a_pipe_states_no_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "CHUNK_BYTES", 100)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for limit, fits in ((len(RPKI_CLIENT), True), (len(RPKI_CLIENT) - 1, False)):
        monkeypatch.setattr(compression, "MAX_FILE_BYTES", limit)
        writer = threading.Thread(target=fifo.write_text, args=(RPKI_CLIENT,))
        writer.start()
        if fits:
            assert read(fifo) == TWO
        else:
            with pytest.raises(VrpFileError, match="longer than"):
                read(fifo)
        writer.join()


FULL = json.dumps(
    {
        "metadata": {"buildtime": "2025-07-20T09:31:33Z"},
        "roas": [
            {"asn": 1, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": 'a"b', "expires": 1753453058},
            {"asn": 0, "prefix": "2001:db8::/32", "maxLength": 48},
        ],
        "bgpsec_keys": [{"asn": 15562, "ski": SKI, "pubkey": PUBKEY, "expires": 1781212587}],
        "aspas": [{"customer_asid": 5, "providers": [6, 7], "expires": 1753070425}],
    }
)


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_what_is_written_reads_as_the_same(tmp_path: Path, suffix: str) -> None:
    snapshot = read_bytes(FULL.encode(), "x").snapshot
    path = tmp_path / f"out.json{suffix}"
    for _ in range(2):
        compression.write_file(path, encode(snapshot, {"buildtime": "2025-07-20T09:31:33Z"}))
    assert path.read_bytes().startswith(b"{") == (suffix == "")
    again = read_report(path)
    assert again.snapshot == snapshot
    assert again.format == "rpki-client JSON"
    assert again.snapshot.generated == snapshot.generated
    for family in ("ipv4", "ipv6"):
        ours, theirs = getattr(again.snapshot, family), getattr(snapshot, family)
        assert ours.expires.tolist() == theirs.expires.tolist()
        assert again.snapshot.trust_anchors[ours.ta[0]] == snapshot.trust_anchors[theirs.ta[0]]
    assert again.snapshot.aspa_expires.tolist() == [1753070425]
    assert again.snapshot.router_key_expires.tolist() == [1781212587]
    assert os.listdir(tmp_path) == [path.name]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    def chunks() -> list[bytes]:
        raise KeyboardInterrupt

    path = tmp_path / "out.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        compression.write_file(path, (chunk for chunk in chunks()))
    with pytest.raises(TypeError):
        compression.write_file(path, ["text"])  # type: ignore[list-item]
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["out.json"])


def test_a_special_file_is_written_in_place() -> None:
    compression.write_file(os.devnull, [b"x"])
    assert not os.path.isfile(os.devnull)


@pytest.mark.parametrize("name", ["out.json", "out.json.gz", "out.json.zst"])
def test_where_there_is_no_room_is_told(name: str, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            compression.write_file(tmp_path / name, [os.urandom(1_000_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
def test_a_full_device_is_told() -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        compression.write_file("/dev/full", [b"x"])


PEAK = """
import sys
import rov

def kilobytes(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))

before = kilobytes("VmRSS")
count = len(rov.read(sys.argv[1]))
print(count, 1024 * (kilobytes("VmHWM") - before))
"""


@pytest.mark.memory
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_neither_the_text_nor_its_rows_are_held_whole(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    row = '{{ "asn": {0}, "prefix": "10.{1}.{2}.0/24", "maxLength": 24, "ta": "x", "expires": 1753453058 }}'
    rows = [row.format(i >> 16, i >> 8 & 255, i & 255) for i in range(300_000)]
    text = ('{"roas": [\n' + ",\n".join(rows) + "\n]}").encode()
    path = tmp_path / "vrps"
    path.write_bytes(pack(text))
    command = [sys.executable, "-c", PEAK, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    count, octets = map(int, output.split())
    assert count == 300_000
    # held whole, the text and its rows take five times the text
    assert octets < 1.5 * len(text), f"{octets} octets for a text of {len(text)}"
