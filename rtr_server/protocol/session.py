"""The cache's end of one RTR connection (RFC 6810, RFC 8210, draft-ietf-sidrops-8210bis-27).

The owner feeds ``receive_data``, ``receive_eof``, ``notify`` and ``tick``, then drains ``next_chunk`` and
``events``. Input is read only while no output is pending: so a router has one answer under way, two
queries in one segment are answered in order, and a peer that never reads costs no memory. Of a response
the session holds a position in a buffer that all sessions share.

    NEW ──query──> NEGOTIATED ──response──> OPEN        any ──fault, Error Report, EOF──> CLOSED
     └─version too new─> REFUSED ──query──> NEGOTIATED
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from rtr_server.protocol.decode import PduReader, decode, decode_error
from rtr_server.protocol.errors import ErrorCode, PduError
from rtr_server.protocol.events import (
    CacheResetSent,
    Closed,
    CloseReason,
    ErrorReceived,
    ErrorSent,
    Event,
    Kind,
    Negotiated,
    NotifySent,
    QueryReceived,
    ResponseFinished,
    ResponseStarted,
    SessionState,
)
from rtr_server.protocol.faults import Fault, find_fault, octets_to_read
from rtr_server.protocol.limits import JOIN_OCTETS, MAX_EVENTS, Limits
from rtr_server.protocol.notices import Notices
from rtr_server.protocol.outbox import Outbox
from rtr_server.protocol.pdu import (
    VERSIONS,
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    Header,
    PduType,
    SerialQuery,
)
from rtr_server.protocol.source import Response, Source
from rtr_server.protocol.waits import Waits

__all__ = ["CacheSession", "Limits", "SessionState"]


class _Sending(NamedTuple):
    kind: Kind
    response: Response
    octets: int


_CLOSE_CODES = {
    "restart": (CloseReason.RESTART, ErrorCode.CACHE_RESTART),
    "shutdown": (CloseReason.SHUTDOWN, ErrorCode.CACHE_SHUTDOWN),
    "stalled": (CloseReason.STALLED, ErrorCode.TRANSPORT_FAILURE),
}


class CacheSession:
    """Sans-IO state machine of one connected router. ``now`` is any monotonic clock in seconds.

    After each call the owner writes what ``next_chunk`` gives (and says so by ``sent``), stops reading
    while ``wants_data`` is false, closes the connection when ``closing`` is true and ``next_chunk`` None,
    and calls ``tick`` at ``deadline()``: also while a session that has ended still sends. No input makes it
    raise.

    Attributes to read: version (None before negotiation), state, session_id and serial (what the router
    was told last), octets_in, octets_out, queries, responses, notifies, errors_sent, opened_at.
    """

    def __init__(
        self,
        source: Source,
        *,
        min_version: int = VERSIONS[0],
        max_version: int = VERSIONS[-1],
        now: float,
        limits: Limits | None = None,
    ) -> None:
        if not VERSIONS[0] <= min_version <= max_version <= VERSIONS[-1]:
            raise ValueError(f"versions {min_version} to {max_version}: expected 0 <= min <= max <= 2")
        self._source = source
        self._versions = range(min_version, max_version + 1)
        self._limits = limits or Limits()
        self._now = now
        self._input = PduReader()
        self._output = Outbox()
        self._events: list[Event] = []
        self._sending: _Sending | None = None
        self._waits = Waits(source, self._limits, now)
        self._eof = False
        self._notices = Notices(source, self._limits.notify_interval)
        self._refusals = 0
        self.version: int | None = None
        self.state = SessionState.NEW
        self.session_id: int | None = None
        self.serial: int | None = None
        self.octets_in = 0
        self.octets_out = 0
        self.queries = 0
        self.responses = 0
        self.notifies = 0
        self.errors_sent = 0

    # What the owner does

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Octets from the router; afterwards look at ``next_chunk``, ``closing`` and ``wants_data``."""
        self._now = now
        if self.closing or self._eof:
            return
        self.octets_in += len(data)
        self._input.receive_data(data)
        self._advance()
        if len(self._input) > self._limits.max_input:
            self._end(CloseReason.FLOOD)

    def receive_eof(self, now: float) -> None:
        """The router sends no more; what it asked for is still answered, then the session closes."""
        self._now = now
        self._eof = True
        self._advance()

    def next_chunk(self, max_bytes: int) -> memoryview | None:
        """Up to max_bytes of what is to be sent next, None if there is nothing; it stays until ``sent``."""
        return self._output.head(max_bytes)

    def sent(self, count: int, now: float) -> None:
        """The transport took count octets of what ``next_chunk`` gave; ValueError if it gave fewer."""
        self._now = now
        self._output.drop(count)
        self._waits.progress_at = now
        self.octets_out += count
        if not self._output:
            self._finish_response()
            self._advance()

    def notify(self, now: float) -> None:
        """Something is new at the source: tell the router as soon as the protocol allows it."""
        self._now = now
        self._notices.news = True
        self._offer_notify()

    def close(self, reason: Literal["restart", "shutdown", "stalled", "internal"], now: float) -> None:
        """End the session in order: with an Error Report, after the response under way, if it may be sent.

        restart, shutdown, stalled: codes 12, 13, 10, which only version 2 knows. internal: code 1. A
        stalled router takes no octet more, so its pending output is dropped.
        """
        self._now = now
        if self.closing:
            if reason == "stalled":
                self._output.clear()
            return None
        if reason == "internal":
            return self._fail(ErrorCode.INTERNAL_ERROR, "internal error", reason=CloseReason.INTERNAL)
        why, code = _CLOSE_CODES[reason]
        if why is CloseReason.STALLED and self._output:
            self._output.clear()
            self._end(why)
        elif self.version == 2:
            self._fail(code, code.label, reason=why)
        else:
            self._end(why)
        return None

    def deadline(self) -> float | None:
        """When to call ``tick`` next, None if never."""
        return min((when for when, _ in self._timers()), default=None)

    def tick(self, now: float) -> None:
        """Do what is due: late notices, and the end of peers that keep us waiting."""
        self._now = now
        due = [reason for when, reason in self._timers() if when <= now]
        late = next((reason for reason in due if reason is not None), None)
        if late is CloseReason.STALLED:
            self.close("stalled", now)
        elif late is CloseReason.PARTIAL_PDU and self.version == 2:
            self._fail(ErrorCode.TRANSPORT_FAILURE, "incomplete PDU", reason=late)
        elif late is not None:
            self._end(late)
        else:
            self._offer_notify()

    def events(self) -> list[Event]:
        """What happened since the last call, oldest first; at most MAX_EVENTS."""
        events, self._events = self._events, []
        return events

    @property
    def wants_data(self) -> bool:
        """False while the transport should not read: enough queries wait for their answer."""
        return not self.closing and not self._eof and len(self._input) < self._limits.pause_input

    @property
    def closing(self) -> bool:
        """True when the connection is to be closed as soon as ``next_chunk`` is None."""
        return self.state is SessionState.CLOSED

    @property
    def patience(self) -> float:
        """Seconds without progress after which a router is given up (8210bis §9)."""
        return self._waits.patience

    @property
    def opened_at(self) -> float:
        """When the session began."""
        return self._waits.opened_at

    @property
    def pending(self) -> int:
        """Octets that wait to be sent."""
        return self._output.octets

    # Input

    def _advance(self) -> None:
        """Take PDUs from the input while no answer is pending."""
        while not self._output and not self.closing:
            before = len(self._input)
            if not self._step():
                if self._waits.partial_since is None and before:
                    self._waits.partial_since = self._now
                break
            self._waits.partial_since = None
        if self._eof and not self._output and not self.closing:
            self._end(CloseReason.END_OF_FILE)
        self._offer_notify()

    def _step(self) -> bool:
        """Deal with the next PDU; False if it is not there yet."""
        header = self._input.header()
        if header is None:
            return False
        fault = find_fault(header, self.version, self._versions)
        needed = fault.needed if fault else octets_to_read(header)
        if len(self._input) < needed:
            return False
        pdu = self._input.take(needed)
        if header.type == PduType.ERROR_REPORT:
            self._receive_error(header, pdu)
        elif fault:
            self._refuse(fault, pdu)
        else:
            self._answer(header, pdu)
        return True

    def _refuse(self, fault: Fault, pdu: bytes) -> None:
        self._refusals += 1
        if fault.survivable and self._refusals < self._limits.refusals:
            self.state = SessionState.REFUSED
            self._send_error(fault.version, fault.code, fault.text, pdu)
        else:
            self._fail(fault.code, fault.text, pdu, version=fault.version)

    def _receive_error(self, header: Header, pdu: bytes) -> None:
        try:
            text, malformed = decode_error(pdu).text, False
        except PduError as error:
            text, malformed = error.text, len(pdu) == header.length
        self._emit(ErrorReceived(header.version, header.field, text, malformed))
        self._end(CloseReason.ERROR_RECEIVED)

    # Answers

    def _answer(self, header: Header, pdu: bytes) -> None:
        if self.version is None:
            self.version = header.version
            self.state = SessionState.NEGOTIATED
            self._emit(Negotiated(header.version))
        self.queries += 1
        query = decode(pdu)
        if isinstance(query, SerialQuery):
            self._emit(QueryReceived(Kind.DIFF, query.session_id, query.serial))
        else:
            self._emit(QueryReceived(Kind.FULL))
        if not self._source.ready():
            self._notices.named = (query.session_id, query.serial) if isinstance(query, SerialQuery) else None
            self._send_error(header.version, ErrorCode.NO_DATA_AVAILABLE, "no data available", pdu)
        elif isinstance(query, SerialQuery):
            self._answer_serial(query, pdu)
        else:
            self._respond(Kind.FULL, self._source.full(header.version))

    def _answer_serial(self, query: SerialQuery, pdu: bytes) -> None:
        """A session id other than the one told here is an error; an old or rotated one is not."""
        if self.session_id is not None and query.session_id != self.session_id:
            text = f"session id {query.session_id}: expected {self.session_id}"
            return self._fail(ErrorCode.CORRUPT_DATA, text, pdu)
        response = None
        if query.session_id == self._source.state(query.version).session_id:
            response = self._source.diff(query.version, query.serial)
        if response is not None:
            return self._respond(Kind.DIFF, response)
        self._notices.named = None
        self._send(CacheReset(query.version).encode())
        self._emit(CacheResetSent(query.serial))
        return None

    def _respond(self, kind: Kind, response: Response) -> None:
        version = self._stamp
        head = CacheResponse(version, response.session_id).encode()
        timing = msgspec.structs.astuple(self._source.timing()) if version else ()
        tail = EndOfData(version, response.session_id, response.serial, *timing).encode()
        if len(response.payload) <= JOIN_OCTETS:
            self._send(b"".join((head, response.payload, tail)))
        else:
            self._send(head, response.payload, tail)
        self._sending = _Sending(kind, response, self.pending)
        self._waits.response_since = self._now
        self.state = SessionState.OPEN
        self.session_id = response.session_id
        self._emit(ResponseStarted(kind, response.serial, response.count, self.pending))

    def _finish_response(self) -> None:
        if self._sending is None:
            return
        kind, response, octets = self._sending
        started, self._waits.response_since = self._waits.response_since or self._now, None
        self._sending = None
        self.responses += 1
        self.serial = response.serial
        self._notices.responded(response.session_id, response.serial)
        self._emit(ResponseFinished(kind, response.serial, octets, self._now - started))

    def _offer_notify(self) -> None:
        """Send a Serial Notify if one is due; never within a response, nor before the first query."""
        if self.version is None or self.closing or self._output:
            return
        notify = self._notices.take(self.version, self.session_id, self.serial, self._now)
        if notify is not None:
            self.notifies += 1
            self._send(notify.encode())
            self._emit(NotifySent(notify.serial))

    # Output and end

    @property
    def _stamp(self) -> int:
        """The version that our PDUs carry: the negotiated one, before that our highest."""
        return self._versions[-1] if self.version is None else self.version

    def _send(self, *parts: bytes | memoryview) -> None:
        if not self._output:
            self._waits.progress_at = self._now
        self._output.put(*parts)

    def _send_error(self, version: int, code: ErrorCode, text: str, pdu: bytes = b"") -> None:
        self.errors_sent += 1
        self._send(ErrorReport(version, code, pdu, text).encode())
        self._emit(ErrorSent(version, code, text))

    def _fail(
        self,
        code: ErrorCode,
        text: str,
        pdu: bytes = b"",
        *,
        version: int | None = None,
        reason: CloseReason = CloseReason.ERROR_SENT,
    ) -> None:
        """Report an error that ends the session."""
        self._send_error(self._stamp if version is None else version, code, text, pdu)
        self._end(reason)

    def _end(self, reason: CloseReason) -> None:
        self.state = SessionState.CLOSED
        self._input.clear()
        self._emit(Closed(reason))

    def _emit(self, event: Event) -> None:
        if len(self._events) < MAX_EVENTS:
            self._events.append(event)

    # Time

    def _timers(self) -> list[tuple[float, CloseReason | None]]:
        """When something is due, and the reason to close then, None for a delayed notice."""
        sending = bool(self._output)
        if self.closing and not sending:
            return []
        timers: list[tuple[float, CloseReason | None]] = []
        negotiated = self.closing or self.version is not None
        timers += self._waits.ends(negotiated=negotiated, sending=sending)
        if not sending and (when := self._notices.deadline()) is not None:
            timers.append((when, None))
        return timers
