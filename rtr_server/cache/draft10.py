"""ASPA PDUs in the layout of draft-ietf-sidrops-8210bis-10, which Huawei VRP still speaks.

    8  flags (bit 0: announce)   9  AFI flags (bit 0: IPv6)   10..11  count of providers
    12..15  customer             16..  providers

An ASPA holds for one address family there, so each becomes two PDUs. A withdrawal has no providers in
either layout.
"""

from __future__ import annotations

import struct

from rtr_server.protocol.pdu import HEADER_OCTETS, PduType
from rtr_server.protocol.runs import run_length

_HEADER = struct.Struct("!BBBBI")
_HEAD = struct.Struct("!BBHIBBHI")

MAX_PROVIDERS = (65_535 - _HEAD.size) // 4


def to_draft10(payload: memoryview) -> tuple[memoryview, int]:
    """The payload of version 2 with its ASPA PDUs in the old layout; how many PDUs more it has.

    They come last in it (8210bis §11.2). What has no ASPA is given back as it is. An ASPA of so many
    providers that the larger head makes it too long for a PDU is left out.

    >>> aspa = bytes.fromhex("020b010000000010" "0000fbf0" "0000fbf1")
    >>> [pdu.hex() for pdu in (to_draft10(memoryview(aspa))[0][:20], to_draft10(memoryview(aspa))[0][20:])]
    ['020b000000000014010000010000fbf00000fbf1', '020b000000000014010100010000fbf00000fbf1']
    """
    octets = bytes(payload)
    start = _first_aspa(octets)
    if start == len(octets):
        return payload, 0
    parts: list[bytes | memoryview] = [payload[:start]]
    more, position = 0, start
    while position < len(octets):
        version, kind, flags, _, length = _HEADER.unpack_from(octets, position)
        pair = _pair(version, kind, flags, octets[position + HEADER_OCTETS : position + length])
        parts += pair
        more += len(pair) - 1
        position += length
    return memoryview(b"".join(parts)), more


def _first_aspa(octets: bytes) -> int:
    """Where the ASPA PDUs begin: prefixes are skipped in runs, router keys are few."""
    position = 0
    while position < len(octets) and octets[position + 1] != PduType.ASPA:
        length = _HEADER.unpack_from(octets, position)[4]
        kind = octets[position + 1]
        run = 1 if kind == PduType.ROUTER_KEY else run_length(octets, position, length)
        position += max(1, run) * length
    return position


def _pair(version: int, kind: int, flags: int, body: bytes) -> list[bytes]:
    """One ASPA for IPv4 and one for IPv6."""
    customer, providers = int.from_bytes(body[:4]), body[4:]
    count = len(providers) // 4
    if count > MAX_PROVIDERS:
        return []
    length = _HEAD.size + len(providers)
    return [_HEAD.pack(version, kind, 0, length, flags, afi, count, customer) + providers for afi in (0, 1)]
