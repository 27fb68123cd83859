"""One file of the archive: a full set, then what changed, record after record, each with its checksum.

    frame    magic, length and CRC-32 of the record
    record   msgpack, an array: time, serial, source, why, then one or two packed Snapshots (zstd):
             the whole set, or what was withdrawn and what was announced

Times of expiry are left out: they change with every renewal and are no part of the payload.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import zstandard
from isal import isal_zlib

from rov._packed import pack, unpack
from rov.columns import VrpColumns
from rov.delta import Delta
from rov.errors import ArchiveError, ArgumentError
from rov.snapshot import Snapshot

NAME = re.compile(r"(\d{8})-(\d{1,19})\.rovlog")
"""A number that counts up, and the time of the first record."""

MAX_SEGMENT_OCTETS = 1 << 30
"""Read at once. Segments are closed long before, at twice the size of their full set."""

MAX_SET_OCTETS = 1 << 30
"""A Snapshot unpacked: 60 times today's global set."""

_MAGIC = b"rovA"
_FRAME = struct.Struct("<4sII")

Parts = tuple[bytes, ...]


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One update that was accepted: when (unix seconds), under which serial, from where and why.

    >>> Record(1700000000, 7, "vrps.json", "", (b"", b"")).whole
    False
    """

    time: int
    serial: int
    source: str
    why: str
    parts: Parts

    @property
    def whole(self) -> bool:
        """Whether it has the whole set, as the first of each segment has, not a change."""
        return len(self.parts) == 1

    def snapshot(self) -> Snapshot:
        """The whole set; ArgumentError where it is damaged or the record has none."""
        if len(self.parts) != 1:
            raise ArgumentError("the record has a change, no whole set")
        return _unpacked(self.parts[0])

    def delta(self) -> Delta:
        """The change; ArgumentError where it is damaged or the record has a whole set."""
        if len(self.parts) != 2:
            raise ArgumentError("the record has a whole set, no change")
        return Delta(_unpacked(self.parts[0]), _unpacked(self.parts[1]))


_DECODER = msgspec.msgpack.Decoder(Record)


def _timeless(columns: VrpColumns) -> VrpColumns:
    address, length, max_length, asn = columns.keys
    return VrpColumns(columns.family, address, length, max_length, asn, None, columns.ta)


def packed(snapshot: Snapshot) -> bytes:
    """A Snapshot without its times of expiry, compressed."""
    bare = Snapshot.build(
        _timeless(snapshot.ipv4),
        _timeless(snapshot.ipv6),
        aspas=snapshot.aspas,
        router_keys=snapshot.router_keys,
        trust_anchors=snapshot.trust_anchors,
        generated=snapshot.generated,
    )
    return zstandard.ZstdCompressor().compress(pack(bare))


def _unpacked(octets: bytes) -> Snapshot:
    try:
        size = zstandard.frame_content_size(octets)
        if not 0 <= size <= MAX_SET_OCTETS:
            raise ArgumentError(f"expected {MAX_SET_OCTETS:,} octets unpacked at most, found {size:,}")
        return unpack(zstandard.ZstdDecompressor().decompress(octets))
    except zstandard.ZstdError as error:
        raise ArgumentError(f"no zstd data: {error}") from error


def frame(record: Record) -> bytes:
    """A record as it stands in the file."""
    body = msgspec.msgpack.encode(record)
    return _FRAME.pack(_MAGIC, len(body), isal_zlib.crc32(body)) + body


class Segment(NamedTuple):
    """A file of the archive by its name."""

    path: Path
    number: int
    first_time: int

    def read(self) -> tuple[list[Record], int, int]:
        """The sound records, where they end, and the size of the file; ArchiveError if it cannot be read.

        What follows the end is torn or damaged, or being written at this moment.
        """
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > MAX_SEGMENT_OCTETS:
                    raise ArchiveError(
                        f"{self.path}: expected {MAX_SEGMENT_OCTETS:,} octets at most, found {size:,}"
                    )
                octets = file.read(size)
        except OSError as error:
            raise ArchiveError(f"{self.path}: cannot be read: {error.strerror}") from error
        records: list[Record] = []
        end = 0
        for record, after in _frames(octets):
            if record.whole != (not records):
                break
            records.append(record)
            end = after
        return records, end, len(octets)


def _frames(octets: bytes) -> Iterator[tuple[Record, int]]:
    """The records up to the first that is not sound, each with where it ends."""
    place = 0
    while place + _FRAME.size <= len(octets):
        magic, length, crc = _FRAME.unpack_from(octets, place)
        body = octets[place + _FRAME.size : place + _FRAME.size + length]
        if magic != _MAGIC or len(body) != length or isal_zlib.crc32(body) != crc:
            return
        try:
            record = _DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        place += _FRAME.size + length
        yield record, place


def segments(directory: Path) -> list[Segment]:
    """The files of the archive, oldest first; ArchiveError where the directory cannot be read."""
    try:
        names = os.listdir(directory)
    except (OSError, ValueError) as error:
        raise ArchiveError(
            f"{directory}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    found = ((name, NAME.fullmatch(name)) for name in names)
    return sorted(
        (Segment(directory / name, int(match[1]), int(match[2])) for name, match in found if match),
        key=lambda segment: segment.number,
    )


def state(records: list[Record]) -> Snapshot:
    """The set after all records: the changes are joined first, as they are small and the set is not."""
    snapshot = records[0].snapshot()
    change: Delta | None = None
    for record in records[1:]:
        step = record.delta()
        change = step if change is None else change.compose(step)
    return snapshot if change is None else change.apply(snapshot)
