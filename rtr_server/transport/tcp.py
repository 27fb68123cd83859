"""RTR over plain TCP (RFC 8210 §9.1): moves octets between sockets and sessions, with flow control both ways.

Of a response the transport holds a few slices of the buffer that all sessions share; the rest is a
position in the session. What goes wrong in one connection ends that one.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable
from typing import Literal, cast

from rtr_server.endpoint import Endpoint
from rtr_server.logs import Throttle, event
from rtr_server.protocol.events import (
    CacheResetSent,
    Closed,
    ErrorReceived,
    ErrorSent,
    Event,
    Negotiated,
    NotifySent,
    QueryReceived,
    ResponseFinished,
    ResponseStarted,
)
from rtr_server.protocol.session import CacheSession
from rtr_server.transport.record import Ended, Ledger, Record

log = logging.getLogger(__name__)
peer_log = logging.getLogger(f"{__name__}.peer")
"""What peers cause; bounded, so that a hostile one cannot fill a disk."""
peer_log.addFilter(Throttle())

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

KEEPALIVE = {
    socket.TCP_KEEPIDLE: 60,
    socket.TCP_KEEPINTVL: 20,
    socket.TCP_KEEPCNT: 4,
}
"""Seconds, seconds, probes: a router that is gone is known after two and a half minutes (RFC 8210 §9)."""

EndReason = Literal["restart", "shutdown"]
NewSession = Callable[[float], CacheSession]

_numbers = itertools.count(1)


class Connection(asyncio.Protocol):
    """One router: its transport and its session. ``ended`` is called once, when all is over.

    ``number`` names it to the operator, ``record`` has what happened that is worth a look.
    """

    kind = "tcp"

    def __init__(self, session: CacheSession, peer: Endpoint, ended: Callable[[Connection], None]) -> None:
        self.session = session
        self.peer = peer
        self.number = next(_numbers)
        self.record = Record()
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True
        self._reading = True
        self._finishing = False
        self._router_ended = False
        self._discarded = 0
        self._synced = False
        self._reason = "connection lost"

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH, low=WRITE_LOW)
        event(peer_log, logging.INFO, "router connected", peer=self.peer)
        self._safely(lambda: None)

    def data_received(self, data: bytes) -> None:
        """Octets from the router."""
        if not self._finishing:
            self._safely(lambda: self.session.receive_data(data, self._loop.time()))
            return
        self._discarded += len(data)
        if self._discarded > MAX_DISCARDED:
            self.abort()

    def eof_received(self) -> bool:
        """The router sends no more, but may still read: True keeps our half open."""
        self._router_ended = True
        if self._finishing:
            return False
        self._safely(lambda: self.session.receive_eof(self._loop.time()))
        return True

    def pause_writing(self) -> None:
        """Enough is in the transport."""
        self._writable = False

    def resume_writing(self) -> None:
        """The transport has sent most of it."""
        self._writable = True
        self._safely(lambda: None)

    def connection_lost(self, exc: Exception | None) -> None:
        """All is over; ``exc`` says why, unless it was in order."""
        if self._timer is not None:
            self._timer.cancel()
        session = self.session
        event(
            peer_log,
            logging.INFO,
            "router disconnected",
            peer=self.peer,
            reason=self._reason if exc is None else f"{self._reason}: {exc}",
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

    def kick(self) -> None:
        """End the session at the operator's wish; as at a restart, the router keeps its data and returns."""
        self.close("restart")
        self._reason = "kicked"

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
            self._reason,
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

    def _safely(self, step: Callable[[], None]) -> None:
        """One step of the session and what follows from it; an exception ends this connection only.

        It is closed without an Error Report: a router keeps its data until they expire, while code 1
        would make it flush them.
        """
        if self._transport is None or self._finishing or self._transport.is_closing():
            return
        try:
            step()
            self._pump(self._transport)
            self._report()
            self._follow(self._transport)
        except Exception:
            peer_log.exception("session failed", extra={"fields": {"peer": self.peer}})
            self._reason = "internal error"
            self._transport.abort()

    def _pump(self, transport: asyncio.Transport) -> None:
        """Move chunks from the session to the transport while it takes them."""
        for _ in range(WRITE_BURST):
            chunk = self.session.next_chunk(CHUNK) if self._writable else None
            if chunk is None:
                return
            transport.write(chunk)
            self.session.sent(len(chunk), self._loop.time())
        self._loop.call_soon(self._safely, lambda: None)

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

    def _finish(self, transport: asyncio.Transport) -> None:
        """Send what is left and our end of file, then wait a little for the router's."""
        self._finishing = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._reading:
            transport.resume_reading()
        if self._router_ended:
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

    # Log

    def _report(self) -> None:
        for happened in self.session.events():
            self.record.note(happened, self._loop.time())
            self._log(happened)

    def _log(self, happened: Event) -> None:
        match happened:
            case Negotiated(version):
                self._line(logging.INFO, "version negotiated", version=version)
            case ResponseFinished(kind, serial, octets, seconds):
                level = logging.DEBUG if self._synced else logging.INFO
                name = "router updated" if self._synced else "router synchronized"
                self._synced = True
                self._line(level, name, kind=kind, serial=serial, octets=octets, seconds=seconds)
            case ErrorSent(_, code, text):
                self._line(logging.INFO, "error sent", code=code, text=text)
            case ErrorReceived(_, code, text, malformed):
                self._line(logging.WARNING, "error received", code=code, text=text, malformed=malformed)
            case Closed(reason):
                self._reason = reason.value
            case _:
                self._log_detail(happened)

    def _log_detail(self, happened: Event) -> None:
        match happened:
            case QueryReceived(kind, session_id, serial):
                self._line(logging.DEBUG, "query", kind=kind, session_id=session_id, serial=serial)
            case ResponseStarted(kind, serial, count, _):
                self._line(logging.DEBUG, "response", kind=kind, serial=serial, count=count)
            case CacheResetSent(serial):
                self._line(logging.DEBUG, "cache reset sent", unknown_serial=serial)
            case NotifySent(serial):
                self._line(logging.DEBUG, "notify sent", serial=serial)

    def _line(self, level: int, name: str, **fields: object) -> None:
        event(peer_log, level, name, peer=self.peer, **fields)


class TcpServer:
    """The connected routers, and how they come and go. ``new_session`` makes a session at a time."""

    def __init__(self, new_session: NewSession, *, max_connections: int) -> None:
        self._new_session = new_session
        self._max_connections = max_connections
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.ledger = Ledger()
        self.connections: set[Connection] = set()

    def accept(self, connection: socket.socket, peer: Endpoint) -> None:
        """Take a connected socket, or close it if there are too many."""
        if len(self.connections) >= self._max_connections:
            event(peer_log, logging.WARNING, "router refused", peer=peer, limit=self._max_connections)
            connection.close()
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, value in KEEPALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        router = Connection(self._new_session(self._loop.time()), peer, self._gone)
        self.connections.add(router)
        self._empty.clear()
        opening = self._loop.create_task(self._open(router, connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open(self, router: Connection, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: router, connection)
        except Exception as error:
            event(peer_log, logging.WARNING, "connection not opened", peer=router.peer, error=error)
            connection.close()
            self._gone(router)

    def _gone(self, router: Connection) -> None:
        self.connections.discard(router)
        self.ledger.add(router.ended)
        if not self.connections:
            self._empty.set()

    def notify(self) -> None:
        """Tell all routers, as soon as the protocol allows it to each, that something is new."""
        for router in tuple(self.connections):
            router.notify()

    @property
    def versions(self) -> set[int]:
        """The protocol versions in use."""
        return {router.session.version for router in self.connections if router.session.version is not None}

    async def close(self, reason: EndReason, grace: float) -> None:
        """End all sessions in order; those that are not over after ``grace`` seconds are cut off."""
        for router in tuple(self.connections):
            router.close(reason)
        try:
            async with asyncio.timeout(grace):
                await self._empty.wait()
        except TimeoutError:
            event(log, logging.INFO, "routers cut off", count=len(self.connections))
            for router in tuple(self.connections):
                router.abort()
