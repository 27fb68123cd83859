"""One connection of the probe to a cache, over a blocking socket: any octets out, PDUs as they are in."""

from __future__ import annotations

import contextlib
import socket
import time
from types import TracebackType
from typing import NamedTuple, Self

from rtr_server.endpoint import Endpoint
from rtr_server.protocol.pdu import HEADER_OCTETS, MAX_PDU_OCTETS, Header, PduType, read_header
from rtr_server.protocol.runs import run_length
from rtr_server.tools.received import Part, Response, type_name

RECEIVE_OCTETS = 1 << 20

MAX_RESPONSE = 1 << 28
"""Octets of one response: sixteen times of what the whole RPKI takes today."""

MAX_REACTION = 8
"""PDUs read after a provocation: a cache that starts a full response has given its answer by then."""

_RUNS = {PduType.IPV4_PREFIX: 20, PduType.IPV6_PREFIX: 32}


class Broken(Exception):  # noqa: N818  # about the cache; nothing went wrong here
    """The cache does not do what a check expects; the message says what was seen."""


class BrokenResponse(Broken):
    """A response began well and did not get to its End of Data."""


class OutOfTimeError(Exception):
    """The time for the whole probe is over."""


class Reaction(NamedTuple):
    """What followed on octets that were sent: PDUs, and whether the cache closed the connection.

    >>> Reaction(b"", 1, (bytes.fromhex("0108000000000008"),), False).seen
    'cache reset of version 1, connection left open'
    """

    sent: bytes
    version: int
    pdus: tuple[bytes, ...]
    closed: bool

    @property
    def reports(self) -> tuple[bytes, ...]:
        """The Error Reports."""
        return tuple(pdu for pdu in self.pdus if pdu[1] == PduType.ERROR_REPORT)

    @property
    def seen(self) -> str:
        """In words."""
        pdus = ", ".join(map(describe, self.pdus)) or "no answer"
        return f"{pdus}, connection {'closed' if self.closed else 'left open'}"


def describe(pdu: bytes) -> str:
    """A PDU in words, whatever it is.

    >>> describe(bytes.fromhex("010a0002 00000010 00000000 00000000"))
    'error 2 of version 1'
    """
    version, kind, field, _ = read_header(pdu)
    name = f"error {field}" if kind == PduType.ERROR_REPORT else type_name(kind)
    return f"{name} of version {version}"


class Link:
    """A connection as a router has it.

    ``timeout``: seconds for an answer; ``until``: the end of the probe on the monotonic clock. OSError from
    connecting; Broken where the cache says nothing in time or what is no PDU.
    """

    def __init__(self, endpoint: Endpoint, timeout: float, until: float) -> None:
        self.timeout = timeout
        self._until = until
        self._buffer = bytearray()
        self._ended = False
        self._waits: list[float] = []
        self._socket = socket.create_connection(endpoint, timeout=self._left(timeout))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, octets: bytes) -> None:
        """Any octets; a cache that has closed shows when its answer is read."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(octets)

    def pdu(self, seconds: float | None = None) -> bytes | None:
        """The next PDU, None where the cache has closed; Broken after ``seconds`` without one."""
        header = self._header(seconds)
        if header is None:
            return None
        while len(self._buffer) < header.length:
            if not self._receive(self.timeout):
                raise Broken(f"connection closed inside a PDU: {type_name(header.type)}")
        return self._take(header.length)

    def response(self) -> Response:
        """The answer to a query that was sent: all of it, if it begins with a Cache Response."""
        began = time.monotonic()
        self._waits.clear()
        head = self.pdu()
        while head is not None and head[1] == PduType.SERIAL_NOTIFY:
            head = self.pdu()
        first = time.monotonic() - began
        if head is None:
            raise Broken("connection closed instead of an answer")
        if head[1] != PduType.CACHE_RESPONSE:
            return Response(head, first=first)
        self._waits.clear()
        try:
            *parts, end = self._parts()
        except Broken as error:
            raise BrokenResponse(str(error)) from None
        gap = max(self._waits, default=0.0)
        return Response(head, tuple(parts), end.octets, first, gap, time.monotonic() - began)

    def ask(self, query: bytes) -> Response:
        """Send a query and read its answer."""
        self.send(query)
        return self.response()

    def reaction(self, octets: bytes, version: int, seconds: float | None = None) -> Reaction:
        """Send octets, and read until the cache closes or is silent for ``seconds``."""
        self.send(octets)
        pdus: list[bytes] = []
        while len(pdus) < MAX_REACTION:
            try:
                pdu = self.pdu(seconds)
            except Broken:
                return Reaction(octets, version, tuple(pdus), self._ended)
            if pdu is None:
                return Reaction(octets, version, tuple(pdus), True)
            pdus.append(pdu)
        return Reaction(octets, version, tuple(pdus), False)

    def _parts(self) -> list[Part]:
        """What follows on a Cache Response, up to and with End of Data."""
        parts = [self._part()]
        octets = len(parts[-1].octets)
        while parts[-1].type != PduType.END_OF_DATA:
            if parts[-1].type == PduType.ERROR_REPORT or octets > MAX_RESPONSE:
                raise Broken(f"{describe(parts[-1].octets)} inside a response of {octets:,} octets")
            parts.append(self._part())
            octets += len(parts[-1].octets)
        return parts

    def _part(self) -> Part:
        """The next PDU, with those of its kind behind it that have already come."""
        header = self._header(None)
        if header is None:
            raise Broken("connection closed before End of Data")
        size = _RUNS.get(PduType(header.type)) if header.type in _RUNS else None
        if size != header.length:
            pdu = self.pdu()
            assert pdu is not None, "the header is there"
            return Part(header.type, pdu)
        while len(self._buffer) < size:
            if not self._receive(self.timeout):
                raise Broken("connection closed inside a PDU")
        return Part(header.type, self._take(size * run_length(self._buffer, 0, size)))

    def _header(self, seconds: float | None) -> Header | None:
        """The header of the next PDU, None at the end of the stream."""
        wait = self.timeout if seconds is None else seconds
        while len(self._buffer) < HEADER_OCTETS:
            if not self._receive(wait):
                if self._buffer:
                    raise Broken(f"closed after {len(self._buffer)} octets that are no PDU")
                return None
        header = read_header(self._buffer)
        if not HEADER_OCTETS <= header.length <= MAX_PDU_OCTETS:
            raise Broken(f"PDU length {header.length:,}, expected 8 to {MAX_PDU_OCTETS:,}: not RTR?")
        return header

    def _receive(self, seconds: float) -> bool:
        """Wait for octets; False at the end of the stream, which a reset is too."""
        began = time.monotonic()
        self._socket.settimeout(self._left(seconds))
        try:
            octets = self._socket.recv(RECEIVE_OCTETS)
        except TimeoutError:
            raise Broken(f"no answer within {seconds:g} s") from None
        except ConnectionError:
            octets = b""
        self._waits.append(time.monotonic() - began)
        self._buffer += octets
        self._ended = not octets
        return bool(octets)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _left(self, seconds: float) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise OutOfTimeError
        return min(seconds, left)
