"""One HTTP connection: uvicorn's, with limits on how long a client may take and how many there may be."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections import Counter
from typing import Any
from urllib.parse import unquote

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from rtr_server.config.web import Http
from rtr_server.logs import Throttle, event

UVICORN_SAYS = "Invalid HTTP request received."
"""Not of whom it came: ``send_400_response``, which is called next, says it with that."""

log = logging.getLogger(__name__)
log.addFilter(lambda record: record.msg != UVICORN_SAYS)
log.addFilter(Throttle())

REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 21\r\nRetry-After: 10\r\nConnection: close\r\n\r\nToo many connections\n"
)

PHASES = ("head", "body", "stall", "answer")
"""Where a client may be too slow."""

CUT = "rovkit.cut"
"""An extension of the ASGI scope: a function that ends the connection within an answer."""

ORIGIN = re.compile(rb"https?://[^/]*", re.IGNORECASE)
"""How the absolute form of a request target begins: sent to proxies, taken by all (RFC 9112 §3.2.2)."""


class Traffic:
    """What all connections have done so far, and how many there are from where; ``most`` there may be.

    Half of the files that the process may open are left to routers, whatever [http] max_connections says.
    """

    def __init__(self) -> None:
        self.most = 1
        self.connections = 0
        self.requests = 0
        self.refused = 0
        self.timeouts: Counter[str] = Counter()
        self.octets_in = 0
        self.octets_out = 0
        self.addresses: Counter[str] = Counter()

    @property
    def current(self) -> int:
        """Clients that are connected."""
        return sum(self.addresses.values())


class LimitedProtocol(H11Protocol):
    """Ends connections that stall: in a head, in a body, or in taking an answer."""

    def __init__(self, config: Config, state: ServerState, settings: Http, traffic: Traffic) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self.logger = log  # uvicorn's own has no handler, so that its lines would bypass the form of the log
        self._settings = settings
        self._traffic = traffic
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._host = ""
        self._refused = False
        self._came = -math.inf
        self.app = self._cuttable(self.app)

    def _cuttable(self, app: Any) -> Any:
        """The application, which finds ``CUT`` among the extensions of its scope."""

        async def called(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {CUT: self._cut}
            _to_origin_form(scope)
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:  # by HttpServer.close alone
                if self.cycle is not None:
                    self.cycle.disconnected = True

        return called

    def _cut(self) -> None:
        """Send what was given so far, and close: the client sees that the answer is not whole."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        self._arm("answer", self._settings.stall)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: HTTP/2 over plain TCP is offered by every curl --http2, and WebSockets are not missing."""

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close."""
        event(log, logging.WARNING, "no HTTP request", client=self._host)
        super().send_400_response(msg)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, any handshake over."""
        peer = transport.get_extra_info("peername")
        self._host = str(peer[0]) if peer else ""
        if self._too_many():
            self._refused = True
            self._traffic.refused += 1
            transport.write(REFUSAL)
            transport.close()
            return
        self._traffic.connections += 1
        self._traffic.addresses[self._host] += 1
        super().connection_made(transport)
        self._arm("head", self._settings.header_timeout)

    def _too_many(self) -> bool:
        local = self._host in ("127.0.0.1", "::1", "")
        most = self._settings.max_connections_per_address
        return len(self.connections) >= self._traffic.most or (
            not local and self._traffic.addresses[self._host] >= most
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """All is over."""
        if self._refused:
            return
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._traffic.addresses[self._host] -= 1
        if self._traffic.addresses[self._host] <= 0:
            del self._traffic.addresses[self._host]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Octets of a request."""
        if self._refused:
            return
        self._traffic.octets_in += len(data)
        self._came = self.loop.time()
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """The answer is in the transport."""
        super().on_response_complete()
        self._follow()

    def _follow(self) -> None:
        """Which timers run, by where the client is in its request."""
        theirs = self.conn.their_state
        if theirs is h11.SEND_BODY:
            self._disarm("head")
            self._arm("body", self._settings.body_timeout)
            self._disarm("stall")
            if not self.flow.read_paused:
                self._arm("stall", self._settings.stall)
            return
        for name in ("body", "stall"):
            self._disarm(name)
        if theirs is h11.IDLE and self.conn.trailing_data[0]:
            self._arm("head", self._settings.header_timeout)
        elif theirs is not h11.IDLE:
            self._disarm("head")

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        super().pause_writing()
        self._arm("answer", self._settings.stall)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._disarm("answer")

    def _arm(self, name: str, seconds: float) -> None:
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(seconds, self._late, name)

    def _disarm(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _late(self, name: str) -> None:
        """The client has taken too long."""
        self._timers.pop(name, None)
        if name == "stall" and self.flow.read_paused:
            return
        if name == "answer" and self.loop.time() < self._came + self._settings.stall:
            self._arm(name, self._settings.stall)  # who sends all before it reads goes on sending
            return
        self._traffic.timeouts[name] += 1
        self.transport.abort()


def _to_origin_form(scope: Any) -> None:
    """Leave the path alone of a target in absolute form; no path is the root."""
    if (origin := ORIGIN.match(scope["raw_path"])) is not None:
        scope["raw_path"] = scope["raw_path"][origin.end() :] or b"/"
        scope["path"] = unquote(scope["raw_path"].decode("ascii"))
