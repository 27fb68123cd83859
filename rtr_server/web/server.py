"""The HTTP server: binds, serves in the event loop of the daemon, ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.server import ServerState

from rtr_server.config.web import Http
from rtr_server.endpoint import Endpoint
from rtr_server.logs import Throttle, event
from rtr_server.transport.errors import TransportError
from rtr_server.transport.limits import Bucket
from rtr_server.transport.listen import Listener, bind
from rtr_server.transport.server import room_for_files
from rtr_server.transport.tls import https_context
from rtr_server.web.protocol import LimitedProtocol, Traffic

log = logging.getLogger(__name__)
log.addFilter(Throttle())

MAX_HEAD = 16 << 10
"""Octets of a request's head: what browsers with cookies of others send, and not much more."""

ACCEPT_RATE = 500.0
ACCEPT_BURST = 1_000.0
"""Connections a second: those that come faster wait in the queue of the kernel, and routers do not."""


class HttpServer:
    """Serves an ASGI application. Binds when it is made (TransportError); then ``start``, ``close``.

    ``tls``: for connections to come, None: plain HTTP.
    """

    def __init__(self, settings: Http, traffic: Traffic) -> None:
        self._settings = settings
        self._traffic = traffic
        self._state = ServerState()
        traffic.most = min(settings.max_connections, max(1, room_for_files() // 2))
        self._loop = asyncio.get_running_loop()
        self.tls = https_context(settings)
        self._listener: Listener | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._sockets = []
        try:
            for endpoint in settings.listen:
                self._sockets += bind(endpoint, "--http")
        except TransportError:
            self._close_sockets()
            raise

    def _close_sockets(self) -> None:
        """Free the ports of a server that was not started."""
        for bound in self._sockets:
            bound.close()

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it listens, with the port that was given for port 0."""
        return [] if self._listener is None else self._listener.endpoints

    @property
    def urls(self) -> list[str]:
        """The same as a person would write it into a browser."""
        scheme = "http" if self.tls is None else "https"
        return [f"{scheme}://{endpoint}/" for endpoint in self.endpoints]

    @property
    def connected(self) -> int:
        """Clients that are connected."""
        return len(self._state.connections)

    def start(self, app: ASGIApp) -> None:
        """Let clients in."""
        self._config = Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(self._settings.idle),
            h11_max_incomplete_event_size=MAX_HEAD,
        )
        self._config.load()
        bucket = Bucket(ACCEPT_RATE, ACCEPT_BURST, self._loop.time())
        self._listener = Listener(self._sockets, self._accept, bucket)
        self._listener.start()
        event(log, logging.INFO, "serving HTTP", at=" ".join(self.urls))

    def read_certificate(self) -> ssl.SSLContext | None:
        """Certificate and key as they are now, to be set as ``tls``; TransportError: they cannot be used."""
        return https_context(self._settings)

    def _accept(self, connection: object, peer: Endpoint) -> None:
        task = self._loop.create_task(self._open(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: object) -> None:
        """Make it a connection; a handshake that fails is the client's affair."""
        limits = {"ssl_handshake_timeout": self._settings.header_timeout} if self.tls else {}
        try:
            await self._loop.connect_accepted_socket(
                lambda: LimitedProtocol(self._config, self._state, self._settings, self._traffic),
                connection,  # type: ignore[arg-type]
                ssl=self.tls,
                **limits,
            )
        except (OSError, ssl.SSLError) as error:
            connection.close()  # type: ignore[attr-defined]
            event(log, logging.DEBUG, "HTTP connection not opened", error=error)

    async def close(self, grace: float) -> None:
        """Let no more in, let what is under way finish, cut off the rest."""
        if self._listener is not None:
            self._listener.close()
        self._close_sockets()
        for task in tuple(self._opening):
            task.cancel()
        for connection in tuple(self._state.connections):
            connection.shutdown()
        waiting = tuple(self._state.tasks)
        if waiting:
            await asyncio.wait(waiting, timeout=grace)
        for task in tuple(self._state.tasks):
            task.cancel()
        for connection in tuple(self._state.connections):
            with contextlib.suppress(AttributeError):
                connection.transport.abort()
        await asyncio.gather(*waiting, return_exceptions=True)
