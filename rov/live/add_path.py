"""ADD-PATH (RFC 7911) in BMP: which families have path ids, by the OPENs of a Peer Up (RFC 7854 §4.10)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from rov.errors import ArgumentError
from rov.types import Family

HEADER = 19
"""Octets of a BGP header (RFC 4271 §4.1)."""

_PEER_UP = 20
"""Octets before the OPENs of a Peer Up: local address, two ports (RFC 7854 §4.10)."""

_FIXED = 10
"""Octets of an OPEN before its optional parameters (RFC 4271 §4.2)."""

_CAPABILITIES, _ADD_PATH = 2, 69
_EXTENDED = 255
"""Length and type that announce parameters with lengths of two octets (RFC 9072 §2)."""

_RECEIVE, _SEND = 1, 2
_MP_REACH, _MP_UNREACH = 14, 15
_FAMILIES: dict[int, Family] = {1: 4, 2: 6}

Families = frozenset[Family]


def families_of(peer_up: bytes, *, local: bool = False) -> Families:
    """The families whose unicast prefixes have path ids, from a Peer Up without its headers.

    The router that speaks BMP has to be ready to receive them (the OPEN that it sent), its peer to send them
    (RFC 7911 §4). local: of the local table both OPENs are made up (RFC 9069 §4.4), and either will do.
    ArgumentError: it is no Peer Up.

    >>> families_of(bytes(20))
    Traceback (most recent call last):
    rov.errors.ArgumentError: BMP: Peer Up: expected two OPEN messages
    """
    sent, at = _open(peer_up, _PEER_UP)
    received, _ = _open(peer_up, at)
    ours, theirs = dict(_modes(sent)), dict(_modes(received))
    return frozenset(
        family
        for family in ours.keys() & theirs.keys()
        if local or (ours[family] & _RECEIVE and theirs[family] & _SEND)
    )


def _open(octets: bytes, at: int) -> tuple[bytes, int]:
    """The OPEN that begins there, without its header, and where it ends."""
    size = int.from_bytes(octets[at + 16 : at + 18], "big")
    if size < HEADER + _FIXED or at + size > len(octets) or octets[at + 18] != 1:
        raise ArgumentError("BMP: Peer Up: expected two OPEN messages")
    return octets[at + HEADER : at + size], at + size


def _modes(opened: bytes) -> Iterator[tuple[Family, int]]:
    """Family and mode, of the capability for ADD-PATH of an OPEN."""
    for kind, value in _parameters(opened):
        for code, capability in _fields(value, 1) if kind == _CAPABILITIES else ():
            if code == _ADD_PATH:
                for at in range(0, len(capability) - 3, 4):
                    afi, safi, mode = struct.unpack_from(">HBB", capability, at)
                    if safi == 1 and afi in _FAMILIES:
                        yield _FAMILIES[afi], mode


def _parameters(opened: bytes) -> Iterator[tuple[int, bytes]]:
    if opened[9:11] == bytes([_EXTENDED, _EXTENDED]):
        return _fields(opened[13:], 2)
    return _fields(opened[10:], 1)


def _fields(octets: bytes, width: int) -> Iterator[tuple[int, bytes]]:
    """Type and value, one after the other, lengths in so many octets; what is cut short ends them."""
    at = 0
    while at + 1 + width <= len(octets):
        end = at + 1 + width + int.from_bytes(octets[at + 1 : at + 1 + width], "big")
        if end > len(octets):
            return
        yield octets[at], octets[at + 1 + width : end]
        at = end


def parts(message: bytes, families: Families) -> list[tuple[bytes, bool]]:
    """A BGP message, and whether its prefixes have path ids; two where only those of one family have.

    >>> parts(b"no message", frozenset({4}))
    [(b'no message', False)]
    """
    found = _split(message) if families else None
    if found is None:
        return [(message, False)]
    withdrawn, attributes, announced = found
    apart = [value for value in attributes if value[1] in (_MP_REACH, _MP_UNREACH)]
    of_ipv4 = 4 in families
    of_others = any(_family(value) in families for value in apart)
    if not apart or (of_ipv4 == of_others):
        return [(message, of_ipv4)]
    if not withdrawn and not announced:
        return [(message, of_others)]
    plain = b"".join(value for value in attributes if value not in apart)
    return [
        (_update(withdrawn, plain, announced), of_ipv4),
        (_update(b"", b"".join(attributes), b""), of_others),
    ]


def _split(message: bytes) -> tuple[bytes, list[bytes], bytes] | None:
    """The parts of an UPDATE (RFC 4271 §4.3), attributes one by one; None: it is none, or not sound."""
    if len(message) < HEADER + 4 or message[18] != 2:
        return None
    body = message[HEADER:]
    middle = 2 + int.from_bytes(body[:2], "big")
    end = middle + 2 + int.from_bytes(body[middle : middle + 2], "big")
    if end > len(body) or middle + 2 > len(body):
        return None
    attributes, at = [], middle + 2
    while at < end:
        wide = 2 if body[at] & 0x10 else 1
        after = at + 2 + wide + int.from_bytes(body[at + 2 : at + 2 + wide], "big")
        if after > end or at + 2 + wide > end:
            return None
        attributes.append(body[at:after])
        at = after
    return body[2:middle], attributes, body[end:]


def _family(attribute: bytes) -> Family | None:
    """The family of MP_REACH_NLRI or MP_UNREACH_NLRI."""
    at = 4 if attribute[0] & 0x10 else 3
    return _FAMILIES.get(int.from_bytes(attribute[at : at + 2], "big"))


def _update(withdrawn: bytes, attributes: bytes, announced: bytes) -> bytes:
    body = struct.pack(">H", len(withdrawn)) + withdrawn
    body += struct.pack(">H", len(attributes)) + attributes + announced
    return b"\xff" * 16 + struct.pack(">HB", HEADER + len(body), 2) + body
