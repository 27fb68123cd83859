"""A BGP neighbour that says what it is told to: for paths that router software does not make any more."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence

OPEN, UPDATE, KEEPALIVE = 1, 2, 4
AS_SET, AS_SEQUENCE = 1, 2
AS_TRANS = 23456
IPV6_NEXT_HOP = ipaddress.ip_address("2001:db8:ffff::1").packed
IPV4_NEXT_HOP = ipaddress.ip_address("192.0.2.250").packed

Segments = Sequence[tuple[int, Sequence[int]]]


class Speaker:
    """A session with hold time 0, so that neither end has to send Keepalives."""

    def __init__(self, source: str, port: int, asn: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60, (source, 0))
        capabilities = b"".join(
            struct.pack("!BB", code, len(value)) + value
            for code, value in (
                (1, struct.pack("!HH", 1, 1)),
                (1, struct.pack("!HH", 2, 1)),
                (65, struct.pack("!I", asn)),
            )
        )
        options = struct.pack("!BB", 2, len(capabilities)) + capabilities
        identifier = socket.inet_aton("192.0.2.250")
        self._send(OPEN, struct.pack("!BHH4sB", 4, AS_TRANS, 0, identifier, len(options)) + options)
        assert self._receive() == OPEN
        self._send(KEEPALIVE, b"")
        assert self._receive() == KEEPALIVE

    def announce(self, prefix: str, path: Segments) -> None:
        """One route with the path given, in segments (kind, ASNs)."""
        network = ipaddress.ip_network(prefix)
        octets = (network.prefixlen + 7) // 8
        route = bytes([network.prefixlen]) + network.network_address.packed[:octets]
        segments = b"".join(struct.pack(f"!BB{len(asns)}I", kind, len(asns), *asns) for kind, asns in path)
        attributes = _attribute(0x40, 1, b"\0") + _attribute(0x40, 2, segments)
        if network.version == 4:
            attributes += _attribute(0x40, 3, IPV4_NEXT_HOP)
        else:
            reach = struct.pack("!HBB", 2, 1, 16) + IPV6_NEXT_HOP + b"\0" + route
            attributes += _attribute(0x80, 14, reach)
            route = b""
        self._send(UPDATE, struct.pack("!HH", 0, len(attributes)) + attributes + route)

    def close(self) -> None:
        """End the session."""
        self._socket.close()

    def _send(self, kind: int, body: bytes) -> None:
        self._socket.sendall(b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body)

    def _receive(self) -> int:
        header = self._socket.recv(19, socket.MSG_WAITALL)
        length, kind = struct.unpack("!HB", header[16:])
        self._socket.recv(length - 19, socket.MSG_WAITALL)
        return int(kind)


def _attribute(flags: int, code: int, value: bytes) -> bytes:
    return struct.pack("!BBH", flags | 0x10, code, len(value)) + value
