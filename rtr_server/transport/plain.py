"""RTR over plain TCP (RFC 8210 §9), and the socket options of every transport."""

from __future__ import annotations

import asyncio
import socket

from rtr_server.config.transport import Tcp
from rtr_server.transport.connection import Connection, anybody

TCP_NOTSENT_LOWAT = 25
"""linux/tcp.h; Python's socket module does not have it."""


class PlainOpener:
    """Connects a router at once: there is no handshake above TCP."""

    kind = "tcp"

    async def open(self, router: Connection, connection: socket.socket) -> None:
        """Hand the socket to the event loop; the router is connected afterwards. OSError."""
        await asyncio.get_running_loop().connect_accepted_socket(lambda: router, connection)

    def admit(self, transport: asyncio.Transport) -> str:
        """Nobody is known, all are let in."""
        return anybody(transport)


def set_options(bound: socket.socket, options: Tcp) -> None:
    """Socket options on a listening socket: what it accepts has them from the start (tcp(7)).

    RFC 8210 §9 wants keepalive. NODELAY, since all of a response is written in large pieces, so that
    Nagle's algorithm could only hold back the last one.
    """
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(options.keepalive_idle))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, int(options.keepalive_interval))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, options.keepalive_count)
    bound.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, options.unsent)
