"""A Snapshot as msgpack: a map whose columns are octets, little-endian, in the order of the rows.

rovkit          1, the version of this layout
generated       unix seconds of the data's own time, or nil
trust_anchors   [name, ...]
ipv4, ipv6      {address, length, max_length, asn, expires, ta}: uint32 (IPv6: pairs of uint64, high and
                low word), uint8, uint8, uint32, int64, uint8
aspas           [[customer, [provider, ...], expires], ...]
router_keys     [[asn, ski, spki, expires], ...]
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from rov.columns import VrpColumns
from rov.errors import ArgumentError
from rov.snapshot import Snapshot
from rov.types import Aspa, RouterKey

VERSION = 1

MAGIC = b"\x87\xa6rovkit"
"""How such data begins: a map of seven, "rovkit" first."""

MAX_TIME = 2**62
"""Of ``generated``: far beyond any date, and a number that every part of the library can hold."""


class _Family(msgspec.Struct):
    """The columns of one family, as octets."""

    address: bytes
    length: bytes
    max_length: bytes
    asn: bytes
    expires: bytes
    ta: bytes


class _Packed(msgspec.Struct):
    """The map; msgspec keeps the order of the fields, so that MAGIC holds."""

    rovkit: int
    generated: int | None
    trust_anchors: tuple[str, ...]
    ipv4: _Family
    ipv6: _Family
    aspas: list[tuple[int, tuple[int, ...], int]]
    router_keys: list[tuple[int, bytes, bytes, int]]


_DECODER = msgspec.msgpack.Decoder(_Packed)


def _octets(column: npt.NDArray[Any]) -> bytes:
    return column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes()


def _family(columns: VrpColumns) -> _Family:
    return _Family(*map(_octets, (*columns.keys, columns.expires, columns.ta)))


def pack(snapshot: Snapshot) -> bytes:
    """The octets of a snapshot; ArgumentError where a name or ``generated`` does not fit.

    >>> unpack(pack(Snapshot.empty())) == Snapshot.empty()
    True
    """
    aspas = zip(snapshot.aspas, snapshot.aspa_expires.tolist(), strict=True)
    keys = zip(snapshot.router_keys, snapshot.router_key_expires.tolist(), strict=True)
    packed = _Packed(
        rovkit=VERSION,
        generated=snapshot.generated,
        trust_anchors=snapshot.trust_anchors,
        ipv4=_family(snapshot.ipv4),
        ipv6=_family(snapshot.ipv6),
        aspas=[(aspa.customer, aspa.providers, expires) for aspa, expires in aspas],
        router_keys=[(key.asn, key.ski, key.spki, expires) for key, expires in keys],
    )
    try:
        return msgspec.msgpack.encode(packed)
    except (OverflowError, UnicodeEncodeError) as error:
        raise ArgumentError(f"a Snapshot that cannot be packed: {error}") from error


def unpack(data: bytes) -> Snapshot:
    """The snapshot in the octets, checked as if it came from outside; ArgumentError where there is none.

    >>> unpack(b"")
    Traceback (most recent call last):
    rov.errors.ArgumentError: no packed Snapshot: Input data was truncated
    """
    try:
        packed = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArgumentError(f"no packed Snapshot: {error}") from error
    if packed.rovkit != VERSION:
        raise ArgumentError(f"no packed Snapshot of layout {VERSION}, but of {packed.rovkit}")
    if packed.generated is not None and not 0 <= packed.generated < MAX_TIME:
        raise ArgumentError(f"generated {packed.generated}: expected a time in unix seconds")
    return Snapshot.build(
        VrpColumns(4, *_columns(packed.ipv4, "<u4")),
        VrpColumns(6, *_columns(packed.ipv6, "<u8")),
        aspas=[Aspa(customer, providers) for customer, providers, _ in packed.aspas],
        aspa_expires=[expires for *_, expires in packed.aspas],
        router_keys=[RouterKey(asn, ski, spki) for asn, ski, spki, _ in packed.router_keys],
        router_key_expires=[expires for *_, expires in packed.router_keys],
        trust_anchors=packed.trust_anchors,
        generated=packed.generated,
    )


def _columns(family: _Family, word: str) -> list[npt.NDArray[Any]]:
    """The columns of a family; ArgumentError where octets are left over."""
    layout = (word, "u1", "u1", "<u4", "<i8", "u1")
    columns = []
    for octets, dtype in zip(msgspec.structs.astuple(family), layout, strict=True):
        size = np.dtype(dtype).itemsize * (2 if dtype == "<u8" else 1)
        if len(octets) % size:
            raise ArgumentError(f"no packed Snapshot: {len(octets)} octets are no column of {size} each")
        column = np.frombuffer(octets, dtype)
        columns.append(column.astype(column.dtype.newbyteorder("="), copy=False))
    if word == "<u8":
        columns[0] = columns[0].reshape(-1, 2)
    return columns
