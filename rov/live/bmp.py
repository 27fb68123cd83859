"""BMP (RFC 7854) without input or output: octets of a router in, MRT records out.

Route Monitoring becomes BGP4MP records (RFC 6396 §4.4), which the reader of MRT takes; what a session says of
peers and of itself becomes events. Whether prefixes have path ids (RFC 7911) the OPENs of a Peer Up tell; the
records tell it by their subtype (RFC 8050 §3).
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from rov.errors import ArgumentError
from rov.live.add_path import Families, families_of, parts

VERSION = 3

MAX_MESSAGE = 1 << 17
"""Octets of a message: a BGP message has 65,535 at most (RFC 8654), Peer Up has two."""

MAX_PEERS = 4096
"""Peers of one router: as many as one dump has."""

ROUTE_MONITORING, STATISTICS, PEER_DOWN, PEER_UP, INITIATION, TERMINATION, MIRRORING = range(7)

_COMMON = struct.Struct(">BIB")
_PEER = struct.Struct(">BBQ16sI4sII")
_MRT = struct.Struct(">IHHI")
_BGP4MP = 16
_SHORT_SUBTYPES, _SUBTYPES = (1, 8), (4, 9)
"""MESSAGE and MESSAGE_AS4, without and with path ids."""
_V, _A, _O = 0x80, 0x20, 0x10
_LOC_RIB = 3


class PeerDown(NamedTuple):
    """A peer's session ended: none of its routes is left."""

    address: str
    asn: int


class Bmp:
    """A session of a router: feed it with ``receive_data``, then ``take`` what it says.

    Adj-RIB-Out (RFC 8671) is passed over.

    >>> bmp = Bmp()
    >>> bmp.receive_data(bytes.fromhex("03 00000006 04"))
    >>> bmp.take()
    []
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._said: list[bytearray | PeerDown] = []
        self._add_path: dict[bytes, Families] = {}
        self.passed = 0
        """Messages that tell nothing of routes."""

    def receive_data(self, octets: bytes) -> None:
        """Take octets as they came, in whatever pieces.

        ArgumentError: they are no BMP of version 3 (RFC 7854 §4.1); the session is to be closed.
        """
        self._buffer += octets
        at = 0
        while len(self._buffer) - at >= _COMMON.size:
            version, size, kind = _COMMON.unpack_from(self._buffer, at)
            if version != VERSION or not _COMMON.size <= size <= MAX_MESSAGE:
                raise ArgumentError(
                    f"BMP: expected version 3 and {_COMMON.size} to {MAX_MESSAGE} octets, "
                    f"found version {version} and {size}"
                )
            if len(self._buffer) - at < size:
                break
            self._message(kind, bytes(self._buffer[at + _COMMON.size : at + size]))
            at += size
        del self._buffer[:at]

    def take(self) -> list[bytes | PeerDown]:
        """MRT records and ends of sessions since the last call, in their order.

        >>> Bmp().take()
        []
        """
        said, self._said = self._said, []
        return [one if isinstance(one, PeerDown) else bytes(one) for one in said]

    def _message(self, kind: int, body: bytes) -> None:
        if kind not in (ROUTE_MONITORING, PEER_DOWN, PEER_UP):
            self.passed += 1
            return
        if len(body) < _PEER.size:
            raise ArgumentError(f"BMP: message of kind {kind}: expected a peer header of {_PEER.size} octets")
        peer_kind, flags, _, address, asn, _, seconds, _ = _PEER.unpack_from(body)
        if flags & _O and peer_kind != _LOC_RIB:
            self.passed += 1
            return
        # the V flag says nothing of the local table (RFC 9069), whose address is zero
        wide = bool(flags & _V) and peer_kind != _LOC_RIB
        session = body[:1] + body[2:26]
        if kind == PEER_UP:
            self._peer_up(session, families_of(body[_PEER.size :], local=peer_kind == _LOC_RIB))
            return
        packed = address if wide else address[12:]
        if kind == PEER_DOWN:
            self._add_path.pop(session, None)
            self._said.append(PeerDown(str(IPv6Address(packed) if wide else ip_address(packed)), asn))
            return
        short = bool(flags & _A) and peer_kind != _LOC_RIB
        numbers = struct.pack(">HH" if short else ">II", min(asn, 0xFFFF) if short else asn, 0)
        head = numbers + struct.pack(">HH", 0, 2 if wide else 1) + packed + bytes(len(packed))
        if not self._said or isinstance(self._said[-1], PeerDown):
            self._said.append(bytearray())
        records = self._said[-1]
        assert isinstance(records, bytearray)
        for message, has_ids in parts(body[_PEER.size :], self._add_path.get(session, frozenset())):
            plain, with_ids = _SHORT_SUBTYPES if short else _SUBTYPES
            subtype = with_ids if has_ids else plain
            records += _MRT.pack(seconds, _BGP4MP, subtype, len(head) + len(message)) + head + message

    def _peer_up(self, session: bytes, families: Families) -> None:
        self.passed += 1
        self._add_path.pop(session, None)
        if families:
            if len(self._add_path) >= MAX_PEERS:
                raise ArgumentError(f"BMP: more than {MAX_PEERS:,} peers with ADD-PATH")
            self._add_path[session] = families
