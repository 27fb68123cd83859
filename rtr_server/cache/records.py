"""Records: what the store writes, as msgpack, each sealed so that no other octets pass for it.

A seal is a hash over the record and the seal before it. The seal of the last record therefore stands
for all of them, in their order.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from itertools import chain, groupby
from typing import Any, Literal, TypeAlias, TypeVar

import msgpack
import msgspec
import numpy as np
import numpy.typing as npt

from rov import Aspa, Delta, RouterKey, Snapshot, VrpColumns

FORMAT = 1
"""Of everything in a state directory; any other is set aside."""

SEAL_OCTETS = 16
"""Against accidents, not against someone who can write to the directory: such a one can do worse."""

_REST = (("length", "u1"), ("max_length", "u1"), ("asn", "<u4"), ("expires", "<i8"), ("ta", "u1"))
_LAYOUT: dict[Literal[4, 6], tuple[tuple[str, str], ...]] = {
    4: (("address", "<u4"), *_REST),
    6: (("address", "<u8"), *_REST),
}
"""The columns as octets: numpy's, in the byte order that is stated here whatever the machine's own."""

LARGE = 1 << 16
"""Octets that are never copied: a copy of 16 MB would stop every other thread for ten milliseconds."""

_BIN_32 = struct.Struct(">BI")
"""How msgpack begins octets whose number takes four."""

Pieces: TypeAlias = list[bytes | memoryview]
"""Octets one after the other."""

Content = TypeVar("Content", bound=msgspec.Struct)


class RecordError(Exception):
    """Octets that are not what was written, or not by this version of the format."""


class Head(msgspec.Struct, frozen=True):
    """What holds: whose session ids, which serial, and how much of which journal says so."""

    format: int
    synthetic: bool
    session_ids: tuple[int, int, int]
    serial: int
    digest: bytes
    journal: str
    octets: int
    seal: bytes


class Remembered(msgspec.Struct, frozen=True):
    """Session ids that routers may have been told, oldest first."""

    session_ids: tuple[int, ...]


class SnapshotRecord(msgspec.Struct, frozen=True):
    """A Snapshot: its columns as octets, the rest as lists."""

    ipv4: tuple[bytes, ...]
    ipv6: tuple[bytes, ...]
    aspas: tuple[tuple[int, tuple[int, ...]], ...]
    aspa_expires: tuple[int, ...]
    router_keys: tuple[tuple[int, bytes, bytes], ...]
    router_key_expires: tuple[int, ...]
    trust_anchors: tuple[str, ...]
    generated: int | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> SnapshotRecord:
        """The record of a snapshot, times of expiry and trust anchors included."""
        return cls(
            _octets(snapshot.ipv4),
            _octets(snapshot.ipv6),
            tuple((aspa.customer, aspa.providers) for aspa in snapshot.aspas),
            tuple(snapshot.aspa_expires.tolist()),
            tuple((key.asn, key.ski, key.spki) for key in snapshot.router_keys),
            tuple(snapshot.router_key_expires.tolist()),
            snapshot.trust_anchors,
            snapshot.generated,
        )

    def snapshot(self) -> Snapshot:
        """The snapshot, checked as if it came from outside; ArgumentError or ValueError if it is none."""
        return Snapshot.build(
            VrpColumns.ipv4(*_columns(self.ipv4, 4)),
            VrpColumns.ipv6(*_columns(self.ipv6, 6)),
            aspas=[Aspa(*row) for row in self.aspas],
            aspa_expires=self.aspa_expires,
            router_keys=[RouterKey(*row) for row in self.router_keys],
            router_key_expires=self.router_key_expires,
            trust_anchors=self.trust_anchors,
            generated=self.generated,
        )


class Base(msgspec.Struct, frozen=True):
    """The first record of a journal: a whole set, how many of the steps led up to it, and its unix time."""

    written_at: float
    steps_before: int
    snapshot: SnapshotRecord


class Step(msgspec.Struct, frozen=True):
    """One serial to the next: the serial before, when it was made in unix seconds, what changed."""

    before: int
    made_at: float
    withdrawn: SnapshotRecord
    announced: SnapshotRecord

    @classmethod
    def of(cls, before: int, made_at: float, delta: Delta) -> Step:
        """The record of a step."""
        return cls(before, made_at, SnapshotRecord.of(delta.withdrawn), SnapshotRecord.of(delta.announced))

    def delta(self) -> Delta:
        """What changed; DeltaError, ArgumentError or ValueError if it is no delta."""
        return Delta(self.withdrawn.snapshot(), self.announced.snapshot())


def _octets(columns: VrpColumns) -> tuple[Any, ...]:
    """The columns as memoryviews, in place where the machine has their byte order."""
    stored = (
        np.ascontiguousarray(getattr(columns, name), layout) for name, layout in _LAYOUT[columns.family]
    )
    return tuple(column.reshape(-1).view(np.uint8).data for column in stored)


def _columns(octets: tuple[bytes, ...], family: Literal[4, 6]) -> list[npt.NDArray[Any]]:
    columns: list[npt.NDArray[Any]] = []
    for column, (_, layout) in zip(octets, _LAYOUT[family], strict=True):
        dtype = np.dtype(layout)
        columns.append(np.frombuffer(column, dtype).astype(dtype.newbyteorder("="), copy=False))
    if family == 6:
        columns[0] = columns[0].reshape(-1, 2)
    return columns


def seal(before: bytes, content: msgspec.Struct) -> tuple[bytes, Pieces]:
    """The seal of a record after the one that is sealed by ``before``, and the record's octets, in pieces.

    >>> len(seal(b"", Remembered((1, 2, 3)))[0]) == SEAL_OCTETS
    True
    """
    body = _packed(msgspec.to_builtins(content, builtin_types=(bytes, memoryview)))
    sealed = _seal(before, body)
    head = b"\x92" + msgpack.packb(sealed) + _BIN_32.pack(0xC6, size(body))
    return sealed, [head, *body]


def size(pieces: Pieces) -> int:
    """How many octets they are together.

    >>> size([b"abc", b"de"])
    5
    """
    return sum(map(len, pieces))


def joined(pieces: Pieces) -> Pieces:
    """The same octets, with the small ones put together.

    >>> joined([b"abc", b"de"])
    [b'abcde']
    """
    found: Pieces = []
    for is_large, group in groupby(pieces, lambda piece: len(piece) >= LARGE):
        run = list(group)
        found += run if is_large else [b"".join(run)]
    return found


def _packed(value: Any) -> Pieces:
    """A value as msgpack: maps and lists of octets taken apart, for there are the large ones."""
    packer = msgpack.Packer()
    match value:
        case dict():
            items = (_packed(key) + _packed(item) for key, item in value.items())
            return [packer.pack_map_header(len(value)), *chain.from_iterable(items)]
        case [memoryview(), *_]:
            return [packer.pack_array_header(len(value)), *chain.from_iterable(map(_packed, value))]
        case memoryview() if len(value) >= LARGE:
            return [_BIN_32.pack(0xC6, len(value)), value]
        case _:
            return [packer.pack(value)]


def _seal(before: bytes, body: Pieces) -> bytes:
    hashed = hashlib.blake2b(before, digest_size=SEAL_OCTETS)
    for piece in body:
        hashed.update(piece)
    return hashed.digest()


def bodies(octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The seals and bodies of a chain of records; RecordError at the first that its seal does not fit.

    >>> [len(body) for _, body in bodies(b"")]
    []
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(octets) + 1)
    unpacker.feed(octets)
    before = b""
    while unpacker.tell() < len(octets):
        try:
            sealed, body = unpacker.unpack()
            intact = sealed == _seal(before, [body])
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise RecordError(f"octet {unpacker.tell()}: no record: {error}") from error
        if not intact:
            raise RecordError(f"the record that ends at octet {unpacker.tell()} is not what was written")
        yield sealed, body
        before = sealed


def read(body: bytes, kind: type[Content]) -> Content:
    """The content of a record's body; RecordError where it is of another kind.

    >>> (_, body), = bodies(b"".join(seal(b"", Remembered((1, 2, 3)))[1]))
    >>> read(body, Remembered).session_ids
    (1, 2, 3)
    """
    try:
        return msgspec.convert(msgpack.unpackb(body), kind)
    except (ValueError, msgspec.MsgspecError, msgpack.UnpackException) as error:
        raise RecordError(f"no {kind.__name__} record: {error}") from error


def read_one(octets: bytes, kind: type[Content]) -> Content:
    """The content of a file that is one record; RecordError where it is anything else.

    >>> read_one(b"".join(seal(b"", Remembered((1, 2, 3)))[1]), Remembered).session_ids
    (1, 2, 3)
    """
    found = list(bodies(octets))
    if len(found) != 1:
        raise RecordError(f"expected one record, found {len(found)}")
    return read(found[0][1], kind)
