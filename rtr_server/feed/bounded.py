"""HTTP requests that end in time, whatever the server does: timeouts of sockets begin anew with each octet.

A thread that waits for octets is ended from outside, by shutting down its socket. This holds for headers too,
which are read by the standard library until there are no more.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import TypeVar
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

Pool = TypeVar("Pool", bound=urllib3.HTTPConnectionPool)


class BoundedPool(urllib3.PoolManager):
    """Connections whose use can be ended, by a deadline or at once; for one request at a time.

    >>> with BoundedPool().within(60.0) as ended:
    ...     ended.is_set()
    False
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._ended = threading.Event()
        self.pool_classes_by_scheme = {
            "http": self._telling(urllib3.HTTPConnectionPool, HTTPConnection),
            "https": self._telling(urllib3.HTTPSConnectionPool, HTTPSConnection),
        }

    def _telling(self, pool: type[Pool], connection: type[HTTPConnection]) -> type[Pool]:
        """Such a pool, whose connections are known to us once they are open."""
        opened = self._opened

        class Connection(connection):  # type: ignore[valid-type,misc]
            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[threading.Event]:
        """A request that is made meanwhile fails after ``seconds``; the event tells whether it was ended."""
        self._ended = ended = threading.Event()
        timer = threading.Timer(seconds, self.end)
        timer.daemon = True
        timer.start()
        try:
            yield ended
        finally:
            timer.cancel()

    def end(self) -> None:
        """Make what waits for octets fail; from any thread."""
        self._ended.set()
        for each in list(self._sockets):
            _shut(each)

    def _opened(self, connection: socket.socket) -> None:
        self._sockets.add(connection)
        if self._ended.is_set():  # between two connections, as after a redirect
            _shut(connection)


def _shut(connection: socket.socket) -> None:
    """Not by its own method: that of a TLS socket lets go of what another thread is reading from."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
