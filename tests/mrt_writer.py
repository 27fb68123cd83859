"""Octets of MRT records and BGP messages, written down from the RFCs and not from the parser."""

from __future__ import annotations

import ipaddress
import struct

MARKER = b"\xff" * 16
SET, SEQUENCE, CONFED_SEQUENCE, CONFED_SET = 1, 2, 3, 4


def record(kind: int, subtype: int, body: bytes, time: int = 1_700_000_000) -> bytes:
    """RFC 6396 §2."""
    return struct.pack(">IHHI", time, kind, subtype, len(body)) + body


def prefix(text: str) -> bytes:
    """RFC 4271 §4.3: length, then as many octets as hold it."""
    network = ipaddress.ip_network(text)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


def attribute(kind: int, value: bytes, flags: int = 0x40) -> bytes:
    if len(value) > 255:
        return struct.pack(">BBH", flags | 0x10, kind, len(value)) + value
    return struct.pack(">BBB", flags, kind, len(value)) + value


def segment(kind: int, *asns: int, size: int = 4) -> bytes:
    return bytes([kind, len(asns)]) + b"".join(asn.to_bytes(size, "big") for asn in asns)


def path(*asns: int, size: int = 4) -> bytes:
    """ORIGIN and an AS_PATH of one AS_SEQUENCE."""
    return attributes(segment(SEQUENCE, *asns, size=size))


def attributes(segments: bytes, *more: bytes) -> bytes:
    """ORIGIN, AS_PATH of these segments, and more."""
    return attribute(1, b"\0") + attribute(2, segments) + b"".join(more)


def peer_table(*peers: tuple[str, int], wide: bool = True) -> bytes:
    """PEER_INDEX_TABLE, RFC 6396 §4.3.1."""
    body = struct.pack(">IH4sH", 1, 4, b"view", len(peers))
    for address, asn in peers:
        packed = ipaddress.ip_address(address).packed
        kind = (len(packed) == 16) | (2 if wide else 0)
        body += bytes([kind]) + b"\0\0\0\1" + packed + asn.to_bytes(4 if wide else 2, "big")
    return record(13, 1, body)


def entry(peer: int, attrs: bytes, path_id: int | None = None, time: int = 1_600_000_000) -> bytes:
    """RFC 6396 §4.3.4, RFC 8050 §4.1."""
    body = struct.pack(">HI", peer, time)
    if path_id is not None:
        body += struct.pack(">I", path_id)
    return body + struct.pack(">H", len(attrs)) + attrs


def rib(subtype: int, text: str, *entries: bytes) -> bytes:
    """RFC 6396 §4.3.2."""
    return record(13, subtype, struct.pack(">I", 7) + prefix(text) + count(entries))


def rib_generic(subtype: int, afi: int, safi: int, nlri: bytes, *entries: bytes) -> bytes:
    """RFC 6396 §4.3.3."""
    return record(13, subtype, struct.pack(">IHB", 7, afi, safi) + nlri + count(entries))


def count(entries: tuple[bytes, ...]) -> bytes:
    return struct.pack(">H", len(entries)) + b"".join(entries)


def table_dump_entry(text: str, peer: str, asn: int, attrs: bytes, size: int = 2) -> bytes:
    network = ipaddress.ip_network(text)
    return (
        network.network_address.packed
        + struct.pack(">BBI", network.prefixlen, 1, 1_600_000_000)
        + ipaddress.ip_address(peer).packed
        + asn.to_bytes(size, "big")
        + struct.pack(">H", len(attrs))
        + attrs
    )


def table_dump(subtype: int, *entries: bytes) -> bytes:
    """RFC 6396 §4.2."""
    return record(12, subtype, struct.pack(">HH", 0, 1) + b"".join(entries))


def update(announced: bytes = b"", attrs: bytes = b"", withdrawn: bytes = b"") -> bytes:
    """RFC 4271 §4.3, without the message header."""
    return struct.pack(">H", len(withdrawn)) + withdrawn + struct.pack(">H", len(attrs)) + attrs + announced


def message(body: bytes, kind: int = 2) -> bytes:
    return MARKER + struct.pack(">HB", len(body) + 19, kind) + body


def bgp4mp(
    subtype: int,
    bgp: bytes,
    peer: str = "192.0.2.1",
    asn: int = 64500,
    size: int = 2,
    kind: int = 16,
) -> bytes:
    """RFC 6396 §4.4."""
    packed = ipaddress.ip_address(peer).packed
    body = asn.to_bytes(size, "big") + (65000).to_bytes(size, "big")
    body += struct.pack(">HH", 0, 1 if len(packed) == 4 else 2) + packed + bytes(len(packed))
    return record(kind, subtype, (b"\0\0\1\0" if kind == 17 else b"") + body + bgp)


def mp_reach(afi: int, safi: int, nlri: bytes, next_hop: bytes = bytes(16)) -> bytes:
    """RFC 4760 §3."""
    value = struct.pack(">HBB", afi, safi, len(next_hop)) + next_hop + b"\0" + nlri
    return attribute(14, value, 0x80)


def mp_unreach(afi: int, safi: int, nlri: bytes) -> bytes:
    """RFC 4760 §4."""
    return attribute(15, struct.pack(">HB", afi, safi) + nlri, 0x80)


PEERS = peer_table(("192.0.2.1", 64500), ("192.0.2.2", 64501), ("2001:db8::1", 64502))
V4 = "198.51.100.0/24"
V6 = "2001:db8::/32"
GOOD = PEERS + rib(2, V4, entry(0, path(1, 2)), entry(1, path(3)))
"""What most tests begin with: three peers, a prefix of each family, a dump of two routes."""
