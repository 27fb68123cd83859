"""Snapshots and deltas to PDUs in one buffer, and runs of prefix PDUs back to columns, all by numpy.

Payload order is that of 8210bis §11.2 in every version: by type, announcements before withdrawals;
prefixes by address, max_length, length, asn, falling in announcements and rising in withdrawals; router
keys by SKI, length of SPKI, SPKI, asn; ASPAs by customer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from rov import Aspa, Delta, RouterKey, Snapshot, VrpColumns
from rtr_server.protocol.errors import ErrorCode, PduError
from rtr_server.protocol.pdu import (
    ANNOUNCE,
    MAX_PDU_OCTETS,
    MAX_PROVIDERS,
    AspaPdu,
    PduType,
    RouterKeyPdu,
)

Family = Literal[4, 6]

_COMMON = [
    ("version", "u1"),
    ("type", "u1"),
    ("zero", ">u2"),
    ("size", ">u4"),
    ("flags", "u1"),
    ("length", "u1"),
    ("max_length", "u1"),
    ("zero_too", "u1"),
]
PREFIX_PDU: dict[Family, np.dtype[Any]] = {
    4: np.dtype([*_COMMON, ("address", ">u4"), ("asn", ">u4")]),
    6: np.dtype([*_COMMON, ("address", ">u8", (2,)), ("asn", ">u4")]),
}
"""The layouts of RFC 8210 §5.6 and §5.7: 20 and 32 octets."""

PREFIX_TYPES: dict[Family, PduType] = {4: PduType.IPV4_PREFIX, 6: PduType.IPV6_PREFIX}

MAX_SPKI = MAX_PDU_OCTETS - 32
"""Octets of SubjectPublicKeyInfo that a Router Key PDU can hold."""


class Payload(msgspec.Struct, frozen=True):
    """PDUs in one read-only buffer, and how many they are."""

    octets: memoryview
    count: int


NOTHING = Payload(memoryview(b""), 0)
"""The payload of a response in which nothing changed."""


class PrefixRows(NamedTuple):
    """Decoded prefix PDUs in the order in which they came; ``announce`` is bool [n]."""

    announce: npt.NDArray[np.bool_]
    columns: VrpColumns


def encode_snapshot(snapshot: Snapshot, version: int) -> Payload:
    """All payload that the version carries, as announcements in order.

    >>> encode_snapshot(Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496])), 1).octets.nbytes
    20
    """
    return encode(snapshot, Snapshot.empty(), version)


def encode_delta(delta: Delta, version: int) -> Payload:
    """A change in order; a replaced ASPA is announced only (8210bis §5.12).

    >>> new = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496]))
    >>> encode_delta(Delta.between(new, Snapshot.empty()), 1).octets[8]
    0
    """
    return encode(delta.announced, delta.withdrawn, version)


def encode(announced: Snapshot, withdrawn: Snapshot, version: int) -> Payload:
    """Announcements and withdrawals in order; what the version cannot carry is left out.

    >>> encode(Snapshot.empty(), Snapshot.empty(), 2).count
    0
    """
    columns = [announced.ipv4, withdrawn.ipv4, announced.ipv6, withdrawn.ipv6]
    objects = _encode_objects(announced, withdrawn, version)
    sizes = [len(part) * PREFIX_PDU[part.family].itemsize for part in columns]
    tail = b"".join(objects)
    buffer = np.empty(sum(sizes) + len(tail), np.uint8)
    start = 0
    for part, size, announce in zip(columns, sizes, (True, False, True, False), strict=True):
        rows = buffer[start : start + size].view(PREFIX_PDU[part.family])
        _fill(rows, part, version, announce)
        start += size
    buffer[start:] = np.frombuffer(tail, np.uint8)
    return Payload(buffer.data.toreadonly(), sum(map(len, columns)) + len(objects))


def _fill(rows: npt.NDArray[Any], columns: VrpColumns, version: int, announce: bool) -> None:
    """Write prefix PDUs into rows, a structured view of the buffer."""
    if not len(columns):
        return
    rising = _rising(columns)
    falling: Any = slice(None, None, -1) if rising is None else rising[::-1]
    order = falling if announce else slice(None) if rising is None else rising
    head = np.zeros((), rows.dtype)
    head["version"], head["type"] = version, PREFIX_TYPES[columns.family]
    head["size"], head["flags"] = rows.dtype.itemsize, announce
    whole = np.dtype((np.void, rows.dtype.itemsize))  # as one piece: field by field takes ten times as long
    rows.view(whole)[:] = head.view(whole)
    for name in ("address", "length", "max_length", "asn"):
        rows[name] = getattr(columns, name)[order]


def _rising(columns: VrpColumns) -> npt.NDArray[np.int64] | None:
    """The order by address, max_length, length, asn; None if the columns have it already.

    They are sorted by address, length, max_length, asn, so that only rows of one address can move.
    """
    changed = columns.address[1:] != columns.address[:-1]
    if columns.family == 6:
        changed = changed.any(axis=1)
    lengths = (columns.max_length.astype(np.uint16) << 8) | columns.length
    if not (~changed & (lengths[1:] < lengths[:-1])).any():
        return None
    key = np.zeros(len(columns), np.uint64)
    np.cumsum(changed, out=key[1:])
    key <<= np.uint64(16)
    key |= lengths
    return np.argsort(key, kind="stable")


def _encode_objects(announced: Snapshot, withdrawn: Snapshot, version: int) -> list[bytes]:
    """Router keys and ASPAs, which are thousands, not hundreds of thousands."""
    pdus: list[RouterKeyPdu | AspaPdu] = []
    if version >= 1:
        pdus += [RouterKeyPdu(version, True, key) for key in _sorted_keys(announced.router_keys)]
        pdus += [RouterKeyPdu(version, False, key) for key in _sorted_keys(withdrawn.router_keys)]
    if version >= 2:
        aspas = _sendable(announced.aspas)
        pdus += [AspaPdu(version, True, aspa) for aspa in aspas]
        replaced = {aspa.customer for aspa in aspas}
        gone = [aspa for aspa in _sendable(withdrawn.aspas) if aspa.customer not in replaced]
        pdus += [AspaPdu(version, False, aspa) for aspa in gone]
    return [pdu.encode() for pdu in pdus]


def _sorted_keys(keys: Iterable[RouterKey]) -> list[RouterKey]:
    sendable = (key for key in keys if len(key.spki) <= MAX_SPKI)
    return sorted(sendable, key=router_key_order)


def router_key_order(key: RouterKey) -> tuple[bytes, int, bytes, int]:
    """What router keys are sorted by.

    >>> router_key_order(RouterKey(64496, b"", b"ab"))
    (b'', 2, b'ab', 64496)
    """
    return key.ski, len(key.spki), key.spki, key.asn


def _sendable(aspas: Sequence[Aspa]) -> list[Aspa]:
    """By customer, without those that fit no PDU: half of a provider list would reject good paths."""
    return sorted(aspa for aspa in aspas if len(aspa.providers) <= MAX_PROVIDERS)


def decode_prefixes(data: bytes | memoryview, family: Family) -> PrefixRows:
    """Whole prefix PDUs of one family, n times 20 or 32 octets, to columns in the order of arrival.

    PduError: lengths out of range, or host bits set; its ``pdu`` is the first such PDU. Versions, types
    and sizes in the headers are the framing's business and not looked at.

    >>> octets = encode_snapshot(Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496])), 1).octets
    >>> decode_prefixes(octets, 4).announce.tolist()
    [True]
    """
    rows = np.frombuffer(data, PREFIX_PDU[family])
    make = VrpColumns.ipv4 if family == 4 else VrpColumns.ipv6
    address = np.ascontiguousarray(rows["address"], np.uint32 if family == 4 else np.uint64)
    length, max_length = np.ascontiguousarray(rows["length"]), np.ascontiguousarray(rows["max_length"])
    bits = 32 if family == 4 else 128
    wrong = (max_length > bits) | (length > max_length)
    wrong |= _host_bits(address, np.minimum(length, bits), family)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        text = f"IPv{family} prefix: lengths {length[first]} and {max_length[first]}, or host bits"
        raise PduError(ErrorCode.CORRUPT_DATA, text, rows[first].tobytes())
    columns = make(address, length, max_length, np.ascontiguousarray(rows["asn"], np.uint32))
    return PrefixRows((rows["flags"] & ANNOUNCE).astype(np.bool_), columns)


def _host_bits(address: npt.NDArray[Any], length: npt.NDArray[np.uint8], family: Family) -> Any:
    """Which addresses have bits set beyond their length; a shift by a whole word leaves no bit in numpy."""
    if family == 4:
        return _beyond(address, length, 32)
    high, low = address[:, 0], address[:, 1]
    return _beyond(high, np.minimum(length, 64), 64) | _beyond(low, np.maximum(length, 64) - 64, 64)


def _beyond(words: npt.NDArray[Any], kept: npt.NDArray[np.uint8], bits: int) -> Any:
    shifted = np.left_shift(words, np.minimum(kept, bits - 1).astype(words.dtype))
    return (shifted != 0) & (kept < bits)
