"""The HTTP side as the daemon runs it; what it needs is imported only where it is configured."""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import TYPE_CHECKING, NamedTuple

from rtr_server.config.web import Http as Settings
from rtr_server.transport.errors import TransportError
from rtr_server.web.daemon import Daemon

if TYPE_CHECKING:
    from rtr_server.web.app import Web
    from rtr_server.web.server import HttpServer

GRACE = 2.0
"""Seconds that answers under way get when the daemon ends."""

SWITCH = 0.001
"""Seconds after which a thread that makes an answer gives way to the event loop; 5 ms are usual."""

MISSING = "HTTP needs packages that are not installed: pip install 'rovkit[http]'"


class Secrets(NamedTuple):
    """What files hold that are read again while the daemon runs."""

    context: ssl.SSLContext | None
    token: str | None


class Http:
    """In this order: ``open`` (TransportError), ``start`` in the event loop, ``warm_up``, ``close``.

    ``prepare`` and ``take`` renew certificate and token in between.

    Where no address is configured, nothing of it does anything.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, daemon: Daemon) -> None:
        """Bind, and put the application together; TransportError where that cannot be done."""
        if not self._settings.listen:
            return
        try:
            from rtr_server.web.app import Web
            from rtr_server.web.protocol import Traffic
            from rtr_server.web.server import HttpServer
        except ImportError as error:
            raise TransportError(f"{MISSING} ({error})") from error
        traffic = Traffic()
        self._web: Web = Web(daemon, traffic)
        self._daemon = daemon
        self._server = HttpServer(self._settings, traffic)

    def start(self) -> None:
        """Serve: what needs data says that there are none until there are."""
        if self._server is not None:
            work = (self._daemon.run(), self._web.meter.run())
            self._tasks = [asyncio.create_task(each) for each in work]
            sys.setswitchinterval(SWITCH)
            self._server.start(self._web.app)

    async def warm_up(self) -> None:
        """Have ready what answers need, before routers are served: they would wait for it with the first
        that asks, and again whenever garbage is collected among what it brings.
        """
        if self._server is not None:
            await self._web.warm_up()

    @property
    def urls(self) -> list[str]:
        """Where it is served."""
        return [] if self._server is None else self._server.urls

    def prepare(self) -> Secrets | None:
        """Read certificate and token again, in any thread; TransportError: one is none, the old ones stay."""
        if self._server is None:
            return None
        from rtr_server.web.app import token_of

        return Secrets(self._server.read_certificate(), token_of(self._settings))

    def take(self, secrets: Secrets | None) -> None:
        """Use what ``prepare`` gave: the certificate from the next connection on, the token at once."""
        if self._server is not None and secrets is not None:
            self._server.tls = secrets.context
            self._web.app.bear(secrets.token)

    def reload(self) -> None:
        """Read the RIB dumps again."""
        if self._server is not None:
            self._daemon.rib.reload()

    async def close(self) -> None:
        """End."""
        if self._server is not None:
            for end in self._daemon.at_end:
                end()
            await self._server.close(GRACE)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
