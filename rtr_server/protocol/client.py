"""The router's end of one RTR connection: asks, negotiates down, frames what comes (RFC 8210 §8, 8210bis §7).

Payload is handed on as runs of octets, since a full set has 700,000 PDUs and this layer knows no arrays;
``rtr_server.cache.mirror`` decodes and applies it; it reports duplicates and unknown withdrawals by ``fail``.

    IDLE ──query──> ASKED ──Cache Response──> RECEIVING ──End of Data──> IDLE       any ──fault──> CLOSED
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from rtr_server.protocol.decode import check_header, decode
from rtr_server.protocol.errors import ErrorCode, PduError, is_defined, is_fatal
from rtr_server.protocol.events import Closed, CloseReason, ErrorReceived, ErrorSent
from rtr_server.protocol.pdu import (
    HEADER_OCTETS,
    VERSIONS,
    AspaPdu,
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    Header,
    Pdu,
    PduType,
    ResetQuery,
    RouterKeyPdu,
    SerialNotify,
    SerialQuery,
    read_header,
)
from rtr_server.protocol.runs import run_length
from rtr_server.protocol.source import EXPIRE_RANGE, REFRESH_RANGE, RETRY_RANGE, Timing

RESPONSE_SECONDS = 60.0
"""Without an octet for this long while an answer is due, the cache is given up, as rtrlib does."""

_PREFIX_FAMILIES = {PduType.IPV4_PREFIX: 4, PduType.IPV6_PREFIX: 6}


class RouterState(StrEnum):
    """Where the router's end stands; see the drawing at the top of the module."""

    IDLE = "idle"
    ASKED = "asked"
    RECEIVING = "receiving"
    CLOSED = "closed"


class ResponseBegan(msgspec.Struct, frozen=True):
    """Cache Response: payload follows; ``full`` if it replaces all that the router has."""

    session_id: int
    full: bool


class PrefixesReceived(msgspec.Struct, frozen=True):
    """A run of whole prefix PDUs of one family (4 or 6), framed but not decoded."""

    family: int
    octets: bytes


class ObjectReceived(msgspec.Struct, frozen=True):
    """A router key or an ASPA."""

    pdu: RouterKeyPdu | AspaPdu


class EndOfDataReceived(msgspec.Struct, frozen=True):
    """The response is complete; the intervals are as the cache sent them, None in version 0."""

    session_id: int
    serial: int
    refresh: int | None
    retry: int | None
    expire: int | None


class CacheResetReceived(msgspec.Struct, frozen=True):
    """The cache has no diff from our serial; a Reset Query is under way."""


class NotifyReceived(msgspec.Struct, frozen=True):
    """The cache has something new; a query is under way if it is news to us."""

    session_id: int
    serial: int


class VersionLowered(msgspec.Struct, frozen=True):
    """The cache speaks an older version, and so do we from now on."""

    version: int


RouterEvent: TypeAlias = (
    ResponseBegan
    | PrefixesReceived
    | ObjectReceived
    | EndOfDataReceived
    | CacheResetReceived
    | NotifyReceived
    | VersionLowered
    | ErrorReceived
    | ErrorSent
    | Closed
)


class RouterSession:
    """Sans-IO state machine of the router's end. ``now`` is any monotonic clock in seconds.

    Begins with a Serial Query where ``session_id`` and ``serial`` of earlier data are given, else with a
    Reset Query. After each call the owner sends ``data_to_send``, takes ``events``, closes the connection
    when ``closing`` is true, and calls ``tick`` at ``deadline()``. No input makes it raise. After the end
    of file before any answer, ``retry_version`` is the version to try on a new connection, if any: the one
    that the cache told by Error 4 before it closed, else the one below. ``expires_at``: when the set of
    the last End of Data must go (RFC 8210 §6), None before the first; it is the owner who drops it.

    >>> RouterSession(version=1, now=0.0).data_to_send().hex()
    '0102000000000008'
    """

    def __init__(
        self,
        *,
        version: int = VERSIONS[-1],
        min_version: int = VERSIONS[0],
        session_id: int | None = None,
        serial: int | None = None,
        now: float,
    ) -> None:
        if not VERSIONS[0] <= min_version <= version <= VERSIONS[-1]:
            raise ValueError(f"versions {min_version} to {version}: expected 0 <= min <= version <= 2")
        if (session_id is None) != (serial is None):
            raise ValueError("expected session_id and serial together, or neither")
        self.version = version
        self.session_id = session_id
        self.serial = serial
        self.negotiated = False
        self.state = RouterState.IDLE
        self.retry_version: int | None = None
        self.expires_at: float | None = None
        self.octets_in = 0
        self.octets_out = 0
        self._min_version = min_version
        self._now = self._heard_at = now
        self._timing = Timing()
        self._rest = b""
        self._output: list[bytes] = []
        self._events: list[RouterEvent] = []
        self._full = False
        self._lowered = False
        self._told_version = False
        self._response_id = 0
        self._noted: int | None = None
        self._poll_at = now
        self.query(now)

    # What the owner does

    def query(self, now: float) -> None:
        """Ask for what is new, or for everything if nothing is known; nothing if a query is under way."""
        self._now = now
        if self.state is not RouterState.IDLE:
            return
        self._full = self.session_id is None or self.serial is None
        if self.session_id is None or self.serial is None:
            self._send(ResetQuery(self.version).encode())
        else:
            self._send(SerialQuery(self.version, self.session_id, self.serial).encode())
        self.state = RouterState.ASKED
        self._heard_at = now
        self._noted = None

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Octets from the cache; afterwards look at ``events``, ``data_to_send`` and ``closing``."""
        if self.closing:
            return
        self._now = self._heard_at = now
        self.octets_in += len(data)
        stream = self._rest + bytes(data)
        offset = 0
        try:
            while not self.closing and len(stream) - offset >= HEADER_OCTETS:
                step = self._step(stream, offset)
                if not step:
                    break
                offset += step
        except PduError as error:
            self._refuse(error)
        self._rest = b"" if self.closing else stream[offset:]

    def receive_eof(self, now: float) -> None:
        """The cache closed the connection."""
        self._now = now
        if self.closing:
            return
        if not self.negotiated and self._told_version:
            self.retry_version = self.version
        elif not self.negotiated and self.version > self._min_version:
            self.retry_version = self.version - 1
        self._close(CloseReason.END_OF_FILE)

    def data_to_send(self) -> bytes:
        """What is to be written now; each octet is given once."""
        octets = b"".join(self._output)
        self._output.clear()
        self.octets_out += len(octets)
        return octets

    def events(self) -> list[RouterEvent]:
        """What happened since the last call, oldest first."""
        events, self._events = self._events, []
        return events

    def fail(self, code: ErrorCode, text: str, pdu: bytes = b"") -> None:
        """Report an error and end the session; a code that the version does not know goes as 0."""
        if self.closing:
            return
        known = code if is_defined(code, self.version) else ErrorCode.CORRUPT_DATA
        self._send(ErrorReport(self.version, known, pdu, text).encode())
        self._events.append(ErrorSent(self.version, known, text))
        self._close(CloseReason.ERROR_SENT)

    def deadline(self) -> float | None:
        """When to call ``tick`` next, None if never."""
        if self.closing:
            return None
        return self._poll_at if self.state is RouterState.IDLE else self._heard_at + RESPONSE_SECONDS

    def tick(self, now: float) -> None:
        """Ask again when the refresh or retry interval is over; give up a cache that does not answer."""
        due = self.deadline()
        if due is None or now < due:
            return
        if self.state is RouterState.IDLE:
            self.query(now)
        else:
            self._close(CloseReason.STALLED)

    @property
    def closing(self) -> bool:
        """True when the connection is to be closed as soon as ``data_to_send`` is written."""
        return self.state is RouterState.CLOSED

    # Input

    def _step(self, stream: bytes, offset: int) -> int:
        """Deal with what begins at offset; how many octets that took, 0 if it is not complete."""
        header = read_header(stream, offset)
        head = stream[offset : offset + HEADER_OCTETS]
        if header.version != self.version and not self._accept_version(header, head):
            return header.length if len(stream) - offset >= header.length else 0
        check_header(header, head)
        if header.type in _PREFIX_FAMILIES and self.state is RouterState.RECEIVING:
            count = run_length(stream, offset, header.length)
            if count:
                octets = stream[offset : offset + count * header.length]
                self._events.append(PrefixesReceived(_PREFIX_FAMILIES[PduType(header.type)], octets))
            return count * header.length
        if len(stream) - offset < header.length:
            return 0
        self._receive(decode(stream[offset : offset + header.length]))
        return header.length

    def _accept_version(self, header: Header, head: bytes) -> bool:
        """Whether a PDU of another version is to be read on: it may lower ours before the first answer."""
        answers = (PduType.CACHE_RESPONSE, PduType.CACHE_RESET, PduType.ERROR_REPORT)
        lower = self._min_version <= header.version < self.version
        if not self.negotiated and lower and header.type in answers:
            self.version = header.version
            self._lowered = True
            self._events.append(VersionLowered(header.version))
            return True
        if header.type == PduType.ERROR_REPORT:
            self._events.append(ErrorReceived(header.version, header.field, ""))
            self._close(CloseReason.ERROR_RECEIVED)
        elif self.negotiated or header.type != PduType.SERIAL_NOTIFY or header.length != 12:
            code = ErrorCode.UNEXPECTED_PROTOCOL_VERSION if self.version else ErrorCode.CORRUPT_DATA
            self.fail(code, f"version {header.version}: expected {self.version}", head)
        return False

    def _receive(self, pdu: Pdu) -> None:
        """One PDU in the state where it is expected; anything else ends the session."""
        match self.state, pdu:
            case _, ErrorReport():
                self._receive_error(pdu)
            case _, SerialNotify():
                self._receive_notify(pdu)
            case RouterState.ASKED, CacheResponse():
                self._begin(pdu)
            case RouterState.ASKED, CacheReset() if not self._full:
                self._receive_reset()
            case RouterState.RECEIVING, RouterKeyPdu() | AspaPdu():
                self._events.append(ObjectReceived(pdu))
            case RouterState.RECEIVING, EndOfData():
                self._finish(pdu)
            case _:
                text = f"{type(pdu).__name__} while {self.state}"
                raise PduError(ErrorCode.CORRUPT_DATA, text, pdu.encode())

    def _refuse(self, error: PduError) -> None:
        """Answer a bad PDU, unless it is an Error Report, which may not be answered."""
        if len(error.pdu) >= HEADER_OCTETS and read_header(error.pdu).type == PduType.ERROR_REPORT:
            header = read_header(error.pdu)
            self._events.append(ErrorReceived(header.version, header.field, error.text, malformed=True))
            self._close(CloseReason.ERROR_RECEIVED)
        else:
            self.fail(error.code, error.text, error.pdu)

    def _receive_error(self, pdu: ErrorReport) -> None:
        self._events.append(ErrorReceived(pdu.version, pdu.code, pdu.text))
        lowered, self._lowered = self._lowered, False
        if pdu.code == ErrorCode.UNSUPPORTED_PROTOCOL_VERSION and lowered:
            self._told_version = True
            self.state = RouterState.IDLE
            self.query(self._now)
        elif pdu.code == ErrorCode.NO_DATA_AVAILABLE and self.state is RouterState.ASKED:
            self.negotiated = True
            self.state = RouterState.IDLE
            self._poll_at = self._now + self._timing.retry
        elif is_fatal(pdu.code, self.version) or pdu.code != ErrorCode.CACHE_RESTART:
            self._close(CloseReason.ERROR_RECEIVED)

    def _receive_notify(self, pdu: SerialNotify) -> None:
        if self.session_id is not None and self.negotiated and pdu.session_id != self.session_id:
            text = f"session id {pdu.session_id}: expected {self.session_id}"
            raise PduError(ErrorCode.CORRUPT_DATA, text, pdu.encode())
        self._events.append(NotifyReceived(pdu.session_id, pdu.serial))
        self._noted = pdu.serial
        if self.serial != pdu.serial:
            self.query(self._now)

    def _begin(self, pdu: CacheResponse) -> None:
        if not self._full and pdu.session_id != self.session_id:
            text = f"session id {pdu.session_id}: expected {self.session_id}"
            raise PduError(ErrorCode.CORRUPT_DATA, text, pdu.encode())
        self.negotiated = True
        self.state = RouterState.RECEIVING
        self._response_id = pdu.session_id
        self._events.append(ResponseBegan(pdu.session_id, self._full))

    def _receive_reset(self) -> None:
        self._events.append(CacheResetReceived())
        self.negotiated = True
        self.session_id = self.serial = None
        self.state = RouterState.IDLE
        self.query(self._now)

    def _finish(self, pdu: EndOfData) -> None:
        if pdu.session_id != self._response_id:
            text = f"session id {pdu.session_id}: expected {self._response_id}"
            raise PduError(ErrorCode.CORRUPT_DATA, text, pdu.encode())
        self.session_id, self.serial = pdu.session_id, pdu.serial
        self.state = RouterState.IDLE
        self._schedule(pdu)
        self._events.append(EndOfDataReceived(pdu.session_id, pdu.serial, pdu.refresh, pdu.retry, pdu.expire))
        if self._noted not in (None, pdu.serial):
            self.query(self._now)

    def _schedule(self, pdu: EndOfData) -> None:
        """The next poll, and the end of the data; intervals out of range are brought into it.

        No cache makes us poll in a loop, nor lose its data before we have asked again.
        """
        if pdu.refresh is not None and pdu.retry is not None and pdu.expire is not None:
            refresh, retry, expire = (
                max(low, min(told, high))
                for told, (low, high) in (
                    (pdu.refresh, REFRESH_RANGE),
                    (pdu.retry, RETRY_RANGE),
                    (pdu.expire, EXPIRE_RANGE),
                )
            )
            sooner = expire // 2
            self._timing = Timing(
                refresh if refresh < expire else sooner, retry if retry < expire else sooner, expire
            )
        self._poll_at = self._now + self._timing.refresh
        self.expires_at = self._now + self._timing.expire

    # Output and end

    def _send(self, octets: bytes) -> None:
        self._output.append(octets)

    def _close(self, reason: CloseReason) -> None:
        self.state = RouterState.CLOSED
        self._events.append(Closed(reason))
