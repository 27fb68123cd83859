"""The endpoints where routers are accepted: bound all or none, added and removed while serving."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable

from rtr_server.config import Listen
from rtr_server.endpoint import Endpoint
from rtr_server.logs import event
from rtr_server.transport.listen import Listener, ListenError, bind

log = logging.getLogger(__name__)

DEFAULT_PORT = 8323
"""Not 323, the port of RFC 8210: that one needs root."""

DEFAULT = (
    Listen(Endpoint("127.0.0.1", DEFAULT_PORT)),
    Listen(Endpoint("::1", DEFAULT_PORT), optional=True),
)
"""Machines without IPv6 exist; on them the second is left out with a warning."""

Accept = Callable[[Listen, socket.socket, Endpoint], None]
"""Called with each connection: how it is to be served, its socket, who it is."""


class Listeners:
    """The listeners of a configuration. One that stays is not touched: only how it serves may change."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._open: dict[str, Listener] = {}
        self._listens: dict[str, Listen] = {}

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where they listen, with the ports that were given for port 0."""
        return [endpoint for listener in self._open.values() for endpoint in listener.endpoints]

    def bind(self, wanted: Iterable[Listen]) -> dict[str, Listener]:
        """Sockets for those that are not open yet, not listening; ListenError, and none of them is bound."""
        bound: dict[str, Listener] = {}
        try:
            for listen in wanted:
                if listen.name not in self._open and listen.name not in bound:
                    bound[listen.name] = self._listener(listen)
        except BaseException:
            for listener in bound.values():
                listener.close()
            raise
        return bound

    def take(self, wanted: Iterable[Listen], bound: dict[str, Listener]) -> None:
        """Serve these: what ``bound`` has is added, what is wanted no more is closed."""
        self._listens = {listen.name: listen for listen in wanted}
        for name in self._open.keys() - self._listens.keys():
            listener = self._open.pop(name)
            event(log, logging.INFO, "endpoint closed", endpoint=name)
            listener.close()
        self._open.update(bound)

    def start(self) -> None:
        """Let routers in."""
        for listener in self._open.values():
            listener.start()

    def close(self) -> None:
        """Let no more in, and free the ports."""
        for listener in self._open.values():
            listener.close()
        self._open.clear()

    def _listener(self, listen: Listen) -> Listener:
        name = listen.name

        def accepted(connection: socket.socket, peer: Endpoint) -> None:
            self._accept(self._listens[name], connection, peer)

        return Listener(self._sockets(listen), accepted)

    def _sockets(self, listen: Listen) -> list[socket.socket]:
        """The bound sockets of an endpoint; none where it is optional and the machine has no such address."""
        if listen.address is None:
            raise NotImplementedError(listen.name)
        try:
            return bind(listen.address)
        except ListenError as error:
            if not (listen.optional and error.missing):
                raise
            event(log, logging.WARNING, "endpoint left out", endpoint=listen.name, error=error)
            return []
