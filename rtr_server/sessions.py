"""The operator's view of the sessions: the commands ``sessions`` and ``kick`` of the control socket."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Collection
from typing import Protocol

import msgspec

from rtr_server.cache.current import Current
from rtr_server.control.codec import ControlError
from rtr_server.control.commands import Command
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.errors import ErrorCode
from rtr_server.protocol.serial import SERIALS
from rtr_server.protocol.session import CacheSession
from rtr_server.transport.record import Ended, Ledger, Record, Told

BATCH = 100
"""Rows made before routers have their turn: a fraction of a millisecond each."""

KICK_GRACE = 4.0
"""Seconds until a session that was kicked, and that takes nothing, is cut off."""


class Router(Protocol):
    """What is needed of a connected router."""

    @property
    def number(self) -> int:
        """What names it to the operator."""

    @property
    def peer(self) -> Endpoint:
        """Where it is."""

    @property
    def kind(self) -> str:
        """The transport: tcp, tls or ssh."""

    @property
    def session(self) -> CacheSession:
        """Its session."""

    @property
    def record(self) -> Record:
        """What has happened in it."""

    def kick(self) -> None:
        """End the session in order."""

    def abort(self) -> None:
        """End the connection at once."""


class Server(Protocol):
    """What is needed of whoever serves the routers."""

    @property
    def connections(self) -> Collection[Router]:
        """The routers that are connected."""

    @property
    def ledger(self) -> Ledger:
        """The sessions that ended."""


class ErrorRow(msgspec.Struct, frozen=True):
    """An Error Report, decoded; ``age`` in seconds."""

    code: int
    meaning: str
    text: str
    age: float


class SessionRow(msgspec.Struct, frozen=True):
    """A session as the operator sees it; times in seconds, sizes in octets.

    ``behind``: serials between the router's and ours, None before it has one; ``lag``: seconds since the
    router's serial ceased to be current, None where that is not known any more. ``update_age``: since it last
    took a response whole, ``reset_age``: since one with everything began.
    """

    number: int
    peer: str
    transport: str
    version: int | None
    state: str
    session_id: int | None
    serial: int | None
    behind: int | None
    lag: float | None
    age: float
    reset_age: float | None
    reset_why: str | None
    update_age: float | None
    octets_in: int
    octets_out: int
    pending: int
    queries: int
    responses: int
    notifies: int
    error_received: ErrorRow | None
    error_sent: ErrorRow | None


class EndedRow(msgspec.Struct, frozen=True):
    """A session that is over: ``ended`` seconds ago, after it had lasted ``lasted`` seconds."""

    number: int
    peer: str
    transport: str
    version: int | None
    ended: float
    lasted: float
    reason: str
    octets_in: int
    octets_out: int
    error_received: ErrorRow | None
    error_sent: ErrorRow | None


class Listing(msgspec.Struct, frozen=True):
    """The answer to ``sessions``: the current serial, the sessions, the last ones that ended."""

    serial: int | None
    sessions: list[SessionRow]
    ended: list[EndedRow]
    ended_count: int


class Sessions:
    """Lists and ends sessions. ``clock`` is that of the event loop, ``made`` that of the history."""

    def __init__(
        self,
        server: Server,
        current: Current,
        clock: Callable[[], float],
        made: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._current = current
        self._clock = clock
        self._made = made

    def commands(self) -> list[Command]:
        """What it offers at the control socket."""
        return [Command("sessions", self.list), Command("kick", self.kick, changes=True)]

    async def list(self) -> Listing:
        """All sessions by number, a few at a time so that routers are served in between."""
        rows = []
        for count, router in enumerate(sorted(self._server.connections, key=lambda router: router.number), 1):
            rows.append(self._row(router))
            if count % BATCH == 0:
                await asyncio.sleep(0)
        history, ledger = self._current.history, self._server.ledger
        ended = [self._ended(each) for each in ledger.ended]
        return Listing(history.serial if history.ready() else None, rows, ended, ledger.count)

    def kick(self, who: str) -> dict[str, object]:
        """End the session of a number, of ADDR:PORT, or all sessions of an address."""
        wanted = _wanted(who)
        found = [router for router in self._server.connections if wanted(router)]
        if not found:
            raise ControlError(f"{who}: no such session")
        for router in found:
            router.kick()
            asyncio.get_running_loop().call_later(KICK_GRACE, router.abort)
        return {"ended": sorted(router.number for router in found)}

    def _row(self, router: Router) -> SessionRow:
        session, record, now = router.session, router.record, self._clock()
        behind, lag = self._lag(session)
        return SessionRow(
            number=router.number,
            peer=str(router.peer),
            transport=router.kind,
            version=session.version,
            state=session.state.value,
            session_id=session.session_id,
            serial=session.serial,
            behind=behind,
            lag=lag,
            age=now - session.opened_at,
            reset_age=None if record.reset_at is None else now - record.reset_at,
            reset_why=record.reset_why,
            update_age=None if record.updated_at is None else now - record.updated_at,
            octets_in=session.octets_in,
            octets_out=session.octets_out,
            pending=session.pending,
            queries=session.queries,
            responses=session.responses,
            notifies=session.notifies,
            error_received=_error(record.error_received, now),
            error_sent=_error(record.error_sent, now),
        )

    def _lag(self, session: CacheSession) -> tuple[int | None, float | None]:
        """How far a router is behind: in serials, in seconds."""
        history = self._current.history
        if session.serial is None or not history.ready():
            return None, None
        if session.serial == history.serial:
            return 0, 0.0
        superseded = history.superseded(session.serial)
        if superseded is None:
            return (history.serial - session.serial) % SERIALS, None
        return superseded[0], max(0.0, self._made() - superseded[1])

    def _ended(self, session: Ended) -> EndedRow:
        now = self._clock()
        return EndedRow(
            number=session.number,
            peer=session.peer,
            transport=session.transport,
            version=session.version,
            ended=now - session.ended_at,
            lasted=session.ended_at - session.opened_at,
            reason=session.reason,
            octets_in=session.octets_in,
            octets_out=session.octets_out,
            error_received=_error(session.error_received, now),
            error_sent=_error(session.error_sent, now),
        )


def _error(told: Told | None, now: float) -> ErrorRow | None:
    if told is None:
        return None
    return ErrorRow(told.code, error_meaning(told.code), told.text, now - told.at)


def error_meaning(code: int) -> str:
    """The name of an error code; routers send others as well.

    >>> error_meaning(7), error_meaning(300)
    ('duplicate announcement received', 'unknown code')
    """
    return ErrorCode(code).label if code in set(ErrorCode) else "unknown code"


def _wanted(who: str) -> Callable[[Router], bool]:
    """Which routers a text stands for; ControlError if it is neither a number nor an address."""
    text = who.removeprefix("#")
    if text.isascii() and text.isdecimal():
        return lambda router: router.number == int(text)
    try:
        address = ipaddress.ip_address(who)
    except ValueError:
        pass
    else:
        return lambda router: _address(router) == address
    try:
        endpoint = Endpoint.parse(who)
        address = ipaddress.ip_address(endpoint.host)
    except ValueError:
        raise ControlError(f"{who[:100]!r}: expected a session's number, ADDRESS or ADDRESS:PORT") from None
    return lambda router: _address(router) == address and router.peer.port == endpoint.port


def _address(router: Router) -> object:
    return ipaddress.ip_address(router.peer.host.partition("%")[0])
