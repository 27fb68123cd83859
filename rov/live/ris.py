"""Messages of RIS Live (or of what speaks like it) as rows: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

import msgspec

from rov._prefix import parse
from rov._rows import asn_of
from rov.errors import PrefixError
from rov.live.monitor import Update
from rov.rib import Peer
from rov.types import Prefix

MAX_LINE = 1 << 20
"""Octets of a line: an UPDATE has 65,535 at most, its JSON some ten times that."""


class _Announcement(msgspec.Struct):
    prefixes: list[str] = []


class _Data(msgspec.Struct):
    peer: str = ""
    peer_asn: str | int = ""
    timestamp: float = 0
    path: list[int | list[int]] = []
    announcements: list[_Announcement] = []
    withdrawals: list[str] = []


class _Message(msgspec.Struct):
    data: _Data
    type: str = "ris_message"


_DECODER = msgspec.json.Decoder(_Message)


class Lines:
    """Whole lines of what comes in pieces; one that grows too long is dropped.

    >>> lines = Lines()
    >>> lines.of(b"a"), lines.of(b"b\\nc")
    ([], [b'ab'])
    """

    def __init__(self) -> None:
        self._rest = b""

    def of(self, octets: bytes) -> list[bytes]:
        """The lines that these octets end."""
        *lines, self._rest = (self._rest + octets).split(b"\n")
        if len(self._rest) > MAX_LINE:
            self._rest = b""
        return lines


def updates_of(lines: Iterable[bytes]) -> tuple[list[Update], int]:
    """The updates of lines, and how many lines were none: damaged, or without a peer.

    An origin of 0 stands for a path that ends in an AS_SET or is empty.

    >>> line = b'{"type":"ris_message","data":{"timestamp":7.5,"peer":"192.0.2.1","peer_asn":"64496",'
    >>> line += b'"path":[64496,64497],"announcements":[{"prefixes":["1.0.0.0/8"]}]}}'
    >>> [(one.prefix.length, one.origin, one.time) for one in updates_of([line])[0]]
    [(8, 64497, 7)]
    """
    found: list[Update] = []
    bad = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            if len(line) > MAX_LINE:
                raise ValueError("too long")
            message = _DECODER.decode(line)
            found += _updates(message.data)
        except (msgspec.DecodeError, PrefixError, ValueError, RecursionError):
            bad += 1
    return found, bad


def _updates(data: _Data) -> list[Update]:
    if not data.announcements and not data.withdrawals:
        return []
    address = ip_address(data.peer)
    asn = asn_of(str(data.peer_asn))
    if asn is None or not 0 <= data.timestamp < 1 << 32:
        raise ValueError("no AS of a peer, or no time")
    family = 4 if address.version == 4 else 6
    peer = Peer(Prefix(4 if family == 4 else 6, int(address), address.max_prefixlen), asn)
    last = data.path[-1] if data.path else 0
    origin = last if isinstance(last, int) and 0 <= last < 1 << 32 else 0
    time = int(data.timestamp)
    gone = [Update(Prefix(*parse(text)), None, peer, time) for text in data.withdrawals]  # type: ignore[arg-type]
    return gone + [
        Update(Prefix(*parse(text)), origin, peer, time)  # type: ignore[arg-type]
        for announcement in data.announcements
        for text in announcement.prefixes
    ]
