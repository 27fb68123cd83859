"""The PDUs of RTR versions 0, 1 and 2: one struct each, with ``encode``; ``decode`` has the way back.

RFC 6810 §5, RFC 8210 §5, draft-ietf-sidrops-8210bis-27 §5. Fields that must be zero are written as zero
and ignored when read. Integers are big-endian; ``length`` in the header counts the whole PDU.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import msgspec

from rov import Aspa, RouterKey, Vrp

VERSIONS = (0, 1, 2)

HEADER_OCTETS = 8

MAX_PDU_OCTETS = 65_535
"""8210bis §5.1; older versions state no limit, and no PDU of theirs needs more."""

MAX_ENCAPSULATED = 200
"""Octets of an erroneous PDU that we send back: early BIRD reads no PDU longer than 848."""

MAX_TEXT = 128
"""Octets of diagnostic text that we send, for the same reason."""

MAX_PROVIDERS = (MAX_PDU_OCTETS - 12) // 4
"""How many providers an ASPA PDU can hold: 16380."""

SKI_OCTETS = 20
KEY_OCTETS = 32
ANNOUNCE = 1
"""Bit 0 of the flags; the other bits are reserved."""


class PduType(IntEnum):
    """The PDU types of all versions (8210bis §14)."""

    SERIAL_NOTIFY = 0
    SERIAL_QUERY = 1
    RESET_QUERY = 2
    CACHE_RESPONSE = 3
    IPV4_PREFIX = 4
    IPV6_PREFIX = 6
    END_OF_DATA = 7
    CACHE_RESET = 8
    ROUTER_KEY = 9
    ERROR_REPORT = 10
    ASPA = 11


QUERIES = frozenset({PduType.SERIAL_QUERY, PduType.RESET_QUERY})

_COMMON = frozenset(PduType) - {PduType.ROUTER_KEY, PduType.ASPA}
TYPES = {0: _COMMON, 1: _COMMON | {PduType.ROUTER_KEY}, 2: frozenset(PduType)}
"""Which types each version defines."""

HEADER_LAYOUT = struct.Struct("!BBHI")
SERIAL_LAYOUT = struct.Struct("!BBHII")
END_OF_DATA_LAYOUT = struct.Struct("!BBHIIIII")
PREFIX_LAYOUT = {4: struct.Struct("!BBHIBBBx4sI"), 6: struct.Struct("!BBHIBBBx16sI")}
ROUTER_KEY_LAYOUT = struct.Struct("!BBBxI20sI")
ASPA_LAYOUT = struct.Struct("!BBBxII")

FIXED_LENGTHS = {
    PduType.SERIAL_NOTIFY: 12,
    PduType.SERIAL_QUERY: 12,
    PduType.RESET_QUERY: 8,
    PduType.CACHE_RESPONSE: 8,
    PduType.IPV4_PREFIX: 20,
    PduType.IPV6_PREFIX: 32,
    PduType.CACHE_RESET: 8,
}


class Header(NamedTuple):
    """The eight octets that begin each PDU; ``field`` is session id, error code, flags or zero."""

    version: int
    type: int
    field: int
    length: int


def read_header(data: bytes | bytearray | memoryview, offset: int = 0) -> Header:
    """The header at offset; struct.error if there are fewer than eight octets.

    >>> read_header(bytes.fromhex("0103123400000008")).field == 0x1234
    True
    """
    return Header._make(HEADER_LAYOUT.unpack_from(data, offset))


class SerialNotify(msgspec.Struct, frozen=True):
    """Cache to router: something is new (type 0).

    >>> SerialNotify(1, 0x1234, 5).encode().hex(" ", 4)
    '01001234 0000000c 00000005'
    """

    version: int
    session_id: int
    serial: int

    def encode(self) -> bytes:
        """The twelve octets."""
        return SERIAL_LAYOUT.pack(self.version, PduType.SERIAL_NOTIFY, self.session_id, 12, self.serial)


class SerialQuery(msgspec.Struct, frozen=True):
    """Router to cache: what changed since serial (type 1).

    >>> len(SerialQuery(1, 0x1234, 5).encode())
    12
    """

    version: int
    session_id: int
    serial: int

    def encode(self) -> bytes:
        """The twelve octets."""
        return SERIAL_LAYOUT.pack(self.version, PduType.SERIAL_QUERY, self.session_id, 12, self.serial)


class ResetQuery(msgspec.Struct, frozen=True):
    """Router to cache: all payload, please (type 2).

    >>> ResetQuery(2).encode().hex()
    '0202000000000008'
    """

    version: int

    def encode(self) -> bytes:
        """The eight octets."""
        return HEADER_LAYOUT.pack(self.version, PduType.RESET_QUERY, 0, 8)


class CacheResponse(msgspec.Struct, frozen=True):
    """Cache to router: payload follows (type 3).

    >>> len(CacheResponse(1, 0x1234).encode())
    8
    """

    version: int
    session_id: int

    def encode(self) -> bytes:
        """The eight octets."""
        return HEADER_LAYOUT.pack(self.version, PduType.CACHE_RESPONSE, self.session_id, 8)


class PrefixPdu(msgspec.Struct, frozen=True):
    """Cache to router: announce or withdraw one VRP (types 4 and 6).

    >>> from rov import Prefix
    >>> len(PrefixPdu(1, True, Vrp(Prefix.parse("2001:db8::/32"), 48, 64496)).encode())
    32
    """

    version: int
    announce: bool
    vrp: Vrp

    def encode(self) -> bytes:
        """20 octets in IPv4, 32 in IPv6."""
        prefix = self.vrp.prefix
        layout = PREFIX_LAYOUT[prefix.family]
        return layout.pack(
            self.version,
            PduType.IPV4_PREFIX if prefix.family == 4 else PduType.IPV6_PREFIX,
            0,
            layout.size,
            self.announce,
            prefix.length,
            self.vrp.max_length,
            prefix.address.to_bytes(prefix.bits // 8, "big"),
            self.vrp.asn,
        )


class EndOfData(msgspec.Struct, frozen=True):
    """Cache to router: the payload is complete (type 7); the intervals, in seconds, are None in version 0.

    >>> len(EndOfData(0, 0x1234, 5).encode()), len(EndOfData(1, 0x1234, 5, 3600, 600, 7200).encode())
    (12, 24)
    """

    version: int
    session_id: int
    serial: int
    refresh: int | None = None
    retry: int | None = None
    expire: int | None = None

    def encode(self) -> bytes:
        """12 octets in version 0, 24 in versions 1 and 2."""
        head = (self.version, PduType.END_OF_DATA, self.session_id)
        if self.version == 0:
            return SERIAL_LAYOUT.pack(*head, SERIAL_LAYOUT.size, self.serial)
        return END_OF_DATA_LAYOUT.pack(
            *head, END_OF_DATA_LAYOUT.size, self.serial, self.refresh, self.retry, self.expire
        )


class CacheReset(msgspec.Struct, frozen=True):
    """Cache to router: no diff from your serial, send a Reset Query (type 8).

    >>> CacheReset(1).encode().hex()
    '0108000000000008'
    """

    version: int

    def encode(self) -> bytes:
        """The eight octets."""
        return HEADER_LAYOUT.pack(self.version, PduType.CACHE_RESET, 0, 8)


class RouterKeyPdu(msgspec.Struct, frozen=True):
    """Cache to router: announce or withdraw one BGPsec router key (type 9, from version 1 on).

    >>> len(RouterKeyPdu(1, True, RouterKey(64496, bytes(20), bytes(91))).encode())
    123
    """

    version: int
    announce: bool
    key: RouterKey

    def encode(self) -> bytes:
        """32 octets and the SubjectPublicKeyInfo."""
        key = self.key
        length = KEY_OCTETS + len(key.spki)
        head = (self.version, PduType.ROUTER_KEY, self.announce, length)
        return ROUTER_KEY_LAYOUT.pack(*head, key.ski, key.asn) + key.spki


class AspaPdu(msgspec.Struct, frozen=True):
    """Cache to router: announce (or replace) or withdraw the ASPA of one customer (type 11, version 2).

    A withdrawal carries no providers.

    >>> AspaPdu(2, False, Aspa(64496, ())).encode().hex(" ", 4)
    '020b0000 0000000c 0000fbf0'
    """

    version: int
    announce: bool
    aspa: Aspa

    def encode(self) -> bytes:
        """12 octets and 4 for each provider."""
        providers = self.aspa.providers if self.announce else ()
        head = (self.version, PduType.ASPA, self.announce, ASPA_LAYOUT.size + 4 * len(providers))
        return ASPA_LAYOUT.pack(*head, self.aspa.customer) + struct.pack(f"!{len(providers)}I", *providers)


class ErrorReport(msgspec.Struct, frozen=True):
    """Either way: what was wrong (type 10), with a copy of the erroneous PDU, or its beginning, and a text.

    >>> ErrorReport(1, 2).encode().hex(" ", 4)
    '010a0002 00000010 00000000 00000000'
    """

    version: int
    code: int
    pdu: bytes = b""
    text: str = ""

    def encode(self) -> bytes:
        """The octets, with PDU and text cut to what even old routers read."""
        pdu = self.pdu[:MAX_ENCAPSULATED]
        text = self.text.encode()[:MAX_TEXT].decode(errors="ignore").encode()
        length = HEADER_OCTETS + 8 + len(pdu) + len(text)
        header = HEADER_LAYOUT.pack(self.version, PduType.ERROR_REPORT, self.code, length)
        return header + len(pdu).to_bytes(4, "big") + pdu + len(text).to_bytes(4, "big") + text


Pdu: TypeAlias = (
    SerialNotify
    | SerialQuery
    | ResetQuery
    | CacheResponse
    | PrefixPdu
    | EndOfData
    | CacheReset
    | RouterKeyPdu
    | AspaPdu
    | ErrorReport
)
