"""Listening sockets: bound early, so that a port in use is told at once, and accepting for ever.

The accept loop is our own: event loops give up a listener after some errors of accept (a full file
table, no buffers), which has ended caches for good in production. Here any error means a short pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable

from rtr_server.endpoint import Endpoint
from rtr_server.logs import event
from rtr_server.transport.errors import TransportError
from rtr_server.transport.limits import Bucket

log = logging.getLogger(__name__)

BACKLOG = 1_024
"""Connections that wait to be accepted: all routers come at once after a restart."""

ACCEPT_BATCH = 64
"""Connections taken per wake-up: the routers that are connected have their turn in between."""

ACCEPT_PAUSE = 0.5
"""Seconds without accepting after an error: a full file table does not empty at once."""

ERROR_LOG_INTERVAL = 60.0
"""Seconds between two log lines about errors of accept."""

_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR})
"""The peer went away before it was accepted: the next one may be fine."""

_NO_SUCH_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

_HINTS = {
    errno.EADDRINUSE: "the port is in use ({option} ADDR:PORT picks another)",
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
}

Accepted = Callable[[socket.socket, Endpoint], None]


class ListenError(TransportError):
    """An endpoint cannot be listened on; the message names it and says why."""

    def __init__(self, endpoint: Endpoint, error: OSError, option: str) -> None:
        self.missing = error.errno in _NO_SUCH_ADDRESS
        reason = _HINTS.get(error.errno or 0, "").format(option=option) or error.strerror or str(error)
        super().__init__(f"cannot listen on {endpoint}: {reason}")


def bind(endpoint: Endpoint, option: str = "--listen") -> list[socket.socket]:
    """A bound TCP socket for each address of the endpoint, not yet listening; ListenError.

    ``option``: what picks another endpoint, for the message.

    >>> [bound.close() for bound in bind(Endpoint("127.0.0.1", 0))]
    [None]
    """
    bound: list[socket.socket] = []
    try:
        flags = socket.AI_PASSIVE
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=flags)
        for family, kind, protocol, _, address in found:
            bound.append(socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol))
            bound[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound[-1].bind(address)
    except OSError as error:
        for opened in bound:
            opened.close()
        raise ListenError(endpoint, error, option) from error
    return bound


class Listener:
    """Accepts on bound sockets and hands each connection over; no error ends it."""

    def __init__(
        self, sockets: Iterable[socket.socket], accepted: Accepted, bucket: Bucket | None = None
    ) -> None:
        self._sockets = list(sockets)
        self._accepted = accepted
        self.bucket = bucket
        self._loop = asyncio.get_running_loop()
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        self._last_log = -ERROR_LOG_INTERVAL

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return tuple(self._sockets)

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it listens, with the port that was given for port 0."""
        return [Endpoint.of(bound.getsockname()) for bound in self._sockets]

    def start(self) -> None:
        """Let connections in."""
        for bound in self._sockets:
            bound.listen(BACKLOG)
            self._loop.add_reader(bound, self._accept, bound)

    def close(self) -> None:
        """Let no more in, and free the ports."""
        for handle in self._paused.values():
            handle.cancel()
        for bound in self._sockets:
            self._loop.remove_reader(bound)
            bound.close()
        self._sockets.clear()

    def _accept(self, bound: socket.socket) -> None:
        for _ in range(ACCEPT_BATCH):
            if self.bucket is not None and not self.bucket.take(self._loop.time()):
                return self._pause(bound, self.bucket.wait())
            try:
                connection, address = bound.accept()
            except BlockingIOError:
                if self.bucket is not None:
                    self.bucket.give_back(1)
                return None
            except (OSError, MemoryError) as error:
                if getattr(error, "errno", None) in _GONE:
                    continue
                self._tell(error)
                return self._pause(bound, ACCEPT_PAUSE)
            self._hand_over(connection, Endpoint.of(address))
        return None

    def _hand_over(self, connection: socket.socket, peer: Endpoint) -> None:
        try:
            connection.setblocking(False)
            self._accepted(connection, peer)
        except Exception:
            log.exception("connection not taken", extra={"fields": {"peer": peer}})
            connection.close()

    def _tell(self, error: OSError | MemoryError) -> None:
        """A line of the log, but not one for each try."""
        now = self._loop.time()
        if now - self._last_log >= ERROR_LOG_INTERVAL:
            self._last_log = now
            number = getattr(error, "errno", None)
            reason = os.strerror(number) if number else str(error) or "out of memory"
            event(log, logging.ERROR, "cannot accept connections", error=reason, retry_seconds=ACCEPT_PAUSE)

    def _pause(self, bound: socket.socket, seconds: float) -> None:
        """Stop accepting for a moment: what waits in the backlog stays there."""
        self._loop.remove_reader(bound)
        self._paused[bound] = self._loop.call_later(seconds, self._resume, bound)

    def _resume(self, bound: socket.socket) -> None:
        self._paused.pop(bound, None)
        with contextlib.suppress(OSError):
            self._loop.add_reader(bound, self._accept, bound)
