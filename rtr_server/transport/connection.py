"""One router's connection, whatever runs under RTR: moves octets both ways, with flow control both ways.

Of a response the transport holds a few slices of the buffer that all sessions share; the rest is a
position in the session. What goes wrong in one connection ends that one.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Literal, cast

from rtr_server.endpoint import Endpoint
from rtr_server.protocol.session import CacheSession
from rtr_server.transport.journal import Journal
from rtr_server.transport.limits import Bucket
from rtr_server.transport.record import INTERNAL, Ended, Record
from rtr_server.transport.tally import Tally

CHUNK = 128 * 1024
"""Octets given to the transport at once: a large write, and short enough for the others to have a turn."""

WRITE_HIGH = 256 * 1024
"""Octets in the transport at which writing pauses: slices of the shared buffer, not copies."""

WRITE_LOW = 64 * 1024
"""Octets left at which writing goes on, before the socket runs dry."""

WRITE_BURST = 8
"""Chunks to one router before the others have a turn, where the socket takes all at once."""

LINGER = 3.0
"""Seconds to wait for the router's end of file after ours: a close at once can destroy our last Error
Report on its way, when octets that we have not read make the kernel send a reset."""

MAX_DISCARDED = 1 << 20
"""Octets read and thrown away while lingering."""

PACE_INTERVAL = 0.1
"""Seconds between two pieces to a router that is sent to at a bounded rate."""

_numbers = itertools.count(1)

EndReason = Literal["restart", "shutdown"]


class RefusedError(Exception):
    """The connection is not wanted; the message is for the log."""


Admit = Callable[[asyncio.Transport], str]
"""Looks at a transport that is up and says who the router is ("" if nobody knows), or raises RefusedError."""


def anybody(transport: asyncio.Transport) -> str:
    """Admit all, known to nobody: plain TCP.

    >>> anybody(asyncio.Transport())
    ''
    """
    return ""


class Connection(asyncio.Protocol):
    """One router: its transport and its session. ``ended`` is called once, when all is over.

    ``number`` names it to the operator, ``kind`` is its transport ("tcp", "tls", "ssh"), ``identity`` is from
    its certificate or login ("" if it has none), ``record`` has what happened that is worth a look.
    """

    __slots__ = (
        "_admit",
        "_discarded",
        "_drain_timer",
        "_ended",
        "_finishing",
        "_given",
        "_loop",
        "_pace",
        "_pace_timer",
        "_reading",
        "_router_ended",
        "_timer",
        "_transport",
        "_writable",
        "identity",
        "journal",
        "kind",
        "number",
        "peer",
        "record",
        "session",
        "tally",
    )

    def __init__(
        self,
        session: CacheSession,
        peer: Endpoint,
        ended: Callable[[Connection], None],
        *,
        kind: str = "tcp",
        admit: Admit = anybody,
        rate: float | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.session = session
        self.tally = tally or Tally()
        self.peer = peer
        self.number = next(_numbers)
        self.kind = kind
        self.identity = ""
        self.journal = Journal(peer, kind)
        self.record = Record()
        self._ended = ended
        self._admit = admit
        self._loop = asyncio.get_running_loop()
        self._pace = None if rate is None else Bucket(rate, rate * PACE_INTERVAL * 2, self._loop.time())
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pace_timer: asyncio.TimerHandle | None = None
        self._drain_timer: asyncio.TimerHandle | None = None
        self._given = 0
        self._writable = True
        self._reading = True
        self._finishing = False
        self._router_ended = False
        self._discarded = 0

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there, any handshake over."""
        self._transport = cast(asyncio.Transport, transport)
        try:
            self.identity = self._admit(self._transport)
        except RefusedError as refusal:
            self.record.closed = f"refused: {refusal}"
            self.journal.line(logging.WARNING, "router refused", reason=refusal)
            self._finishing = True
            self._transport.close()
            return
        self._transport.set_write_buffer_limits(high=WRITE_HIGH, low=WRITE_LOW)
        known = {"identity": self.identity} if self.identity else {}
        self.journal.line(logging.INFO, "router connected", **known)
        self._safely()

    def data_received(self, data: bytes) -> None:
        """Octets from the router."""
        if not self._finishing:
            self._safely(lambda: self.session.receive_data(data, self._loop.time()))
            return
        self._discarded += len(data)
        if self._discarded > MAX_DISCARDED:
            self.abort()

    def eof_received(self) -> bool:
        """The router sends no more, but may still read: True keeps our half open, where there are halves."""
        self._router_ended = True
        if self._finishing:
            return False
        self._safely(lambda: self.session.receive_eof(self._loop.time()))
        return self._transport is not None and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """Enough is in the transport."""
        self._writable = False

    def resume_writing(self) -> None:
        """The transport has sent most of it."""
        self._writable = True
        self._safely()

    def connection_lost(self, exc: Exception | None) -> None:
        """All is over; ``exc`` says why, unless it was in order."""
        for timer in (self._timer, self._pace_timer, self._drain_timer):
            if timer is not None:
                timer.cancel()
        session, reason = self.session, self.record.closed or "connection lost"
        self.journal.line(
            logging.INFO,
            "router disconnected",
            reason=reason if exc is None else f"{reason}: {exc}",
            version=session.version,
            serial=session.serial,
            octets_out=session.octets_out,
            seconds=self._loop.time() - session.opened_at,
        )
        self._ended(self)

    # What the server calls

    def notify(self) -> None:
        """Something is new."""
        self._safely(lambda: self.session.notify(self._loop.time()))

    def close(self, reason: EndReason) -> None:
        """End the session in order."""
        self._safely(lambda: self.session.close(reason, self._loop.time()))

    def kick(self, why: str = "kicked") -> None:
        """End the session by the operator's wish; as at a restart, the router keeps its data and returns."""
        if not self.session.closing:
            self.close("restart")
            self.record.closed = why

    @property
    def ended(self) -> Ended:
        """What is left of the session once it is over."""
        session, record = self.session, self.record
        return Ended(
            self.number,
            str(self.peer),
            self.kind,
            session.version,
            session.opened_at,
            self._loop.time(),
            record.closed or "connection lost",
            session.octets_in,
            session.octets_out,
            record.error_received,
            record.error_sent,
        )

    def abort(self) -> None:
        """End the connection at once; what is not sent is lost."""
        if self._transport is not None:
            self._transport.abort()

    # Inside

    def _safely(self, step: Callable[[], None] | None = None) -> None:
        """One step of the session and what follows from it; an exception ends this connection only.

        It is closed without an Error Report: a router keeps its data until they expire, while code 1
        would make it flush them.
        """
        if self._transport is None or self._finishing or self._transport.is_closing():
            return
        try:
            if step is not None:
                step()
            self._pump(self._transport)
            now = self._loop.time()
            for happened in self.session.events():
                self.record.note(happened, now)
                self.tally.note(happened, self.record, now)
                self.journal.tell(happened)
            self._follow(self._transport)
        except Exception:
            self.journal.failed()
            self.record.closed = INTERNAL
            self._transport.abort()

    def _pump(self, transport: asyncio.Transport) -> None:
        """Move chunks from the session to the transport while it takes them."""
        for _ in range(WRITE_BURST):
            chunk = self._next_chunk() if self._writable else None
            if chunk is None:
                return
            transport.write(chunk)
            self.session.sent(len(chunk), self._loop.time())
        self._loop.call_soon(self._safely)

    def _next_chunk(self) -> memoryview | None:
        """The next piece, no larger than the rate of this router allows now; None: nothing, or not yet."""
        if self._pace is None:
            return self.session.next_chunk(CHUNK)
        allowed = self._pace.take(self._loop.time(), CHUNK)
        chunk = self.session.next_chunk(allowed) if allowed else None
        self._pace.give_back(allowed - (0 if chunk is None else len(chunk)))
        if chunk is None and self._pace_timer is None and self.session.next_chunk(1) is not None:
            self._pace_timer = self._loop.call_later(PACE_INTERVAL, self._go_on)
        return chunk

    def _go_on(self) -> None:
        self._pace_timer = None
        self._safely()

    def _follow(self, transport: asyncio.Transport) -> None:
        """Read or not, end or not, and when to wake, as the session wants it now."""
        if self.session.closing and self.session.next_chunk(1) is None:
            self._finish(transport)
            return
        wanted = self.session.wants_data
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()
        self._arm()
        if self._drain_timer is None and transport.get_write_buffer_size():
            self._watch_drain()

    def _finish(self, transport: asyncio.Transport) -> None:
        """Send what is left and our end of file, then wait a little for the router's."""
        self._finishing = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._reading:
            transport.resume_reading()
        if self._router_ended or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()
        self._timer = self._loop.call_later(LINGER, transport.abort)

    def _arm(self) -> None:
        """Set the timer to the session's deadline; one that is set too early is left to find out."""
        deadline = self.session.deadline()
        if deadline is None or (self._timer is not None and self._timer.when() <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._safely(lambda: self.session.tick(self._loop.time()))

    def _watch_drain(self) -> None:
        """What the transport holds is out of the session's sight: it must have gone, or more been taken."""
        self._given = self.session.octets_out
        self._drain_timer = self._loop.call_later(self.session.patience, self._check_drain)

    def _check_drain(self) -> None:
        self._drain_timer = None
        if self._transport is None or not self._transport.get_write_buffer_size():
            return
        if self.session.octets_out == self._given:
            self._safely(lambda: self.session.close("stalled", self._loop.time()))
        else:
            self._watch_drain()
