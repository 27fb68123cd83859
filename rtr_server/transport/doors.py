"""Doors: an endpoint, its sockets, and what runs there under RTR; and how a configuration becomes doors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from rtr_server.config.transport import Limits, Listen, Transport
from rtr_server.endpoint import Endpoint
from rtr_server.logs import event
from rtr_server.transport.connection import Connection
from rtr_server.transport.errors import TransportError
from rtr_server.transport.limits import Bucket
from rtr_server.transport.listen import Listener, ListenError, bind
from rtr_server.transport.plain import PlainOpener, set_options
from rtr_server.transport.tcp_auth import Keys
from rtr_server.transport.tls import TlsOpener

log = logging.getLogger(__name__)


class Opener(Protocol):
    """Makes a router of an accepted socket: by a handshake, or at once."""

    kind: str

    async def open(self, router: Connection, connection: socket.socket) -> None:
        """Return when the router is connected, raise where it cannot be."""

    def admit(self, transport: asyncio.Transport) -> str:
        """Who the router is, "" if nobody knows; RefusedError where it may not come in."""


class Door:
    """One ``[[listen]]`` at work; ``opener`` may be replaced while it is open."""

    def __init__(self, listen: Listen, opener: Opener, sockets: list[socket.socket]) -> None:
        self.listen = listen
        self.opener = opener
        self.sockets = sockets
        self.listener: Listener | None = None

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it is, with the port that was given for port 0."""
        return [Endpoint.of(bound.getsockname()) for bound in self.sockets]

    def start(self, accepted: Callable[[socket.socket, Endpoint, Door], None], bucket: Bucket) -> None:
        """Let connections in."""
        self.listener = Listener(
            self.sockets, lambda connection, peer: accepted(connection, peer, self), bucket
        )
        self.listener.start()

    def close(self) -> None:
        """Let no more in, and free the port."""
        if self.listener is not None:
            self.listener.close()
        for bound in self.sockets:
            bound.close()


def make_opener(listen: Listen, limits: Limits) -> Opener:
    """What the section asks for; TransportError names the file or the package that it lacks."""
    if listen.tls is not None:
        return TlsOpener(listen.tls, limits.handshake)
    if listen.ssh is not None:
        from rtr_server.transport.ssh import SshOpener

        return SshOpener(listen.ssh, limits.handshake)
    return PlainOpener()


class Prepared:
    """New doors and openers for a configuration: all made, nothing changed yet.

    TransportError: something of it cannot be had; whatever was bound for it is free again.
    """

    def __init__(
        self,
        settings: Transport,
        doors: dict[str, Door],
        inherited: dict[str, list[socket.socket]],
        before: Keys,
    ) -> None:
        self.settings = settings
        self.keys = Keys(settings.client)
        self.openers = {listen.name: make_opener(listen, settings.limits) for listen in settings.listen}
        if len(self.openers) < len(settings.listen):
            raise TransportError("listen: an endpoint is there twice")
        self.new: dict[str, Door] = {}
        self._before = before
        try:
            for listen in settings.listen:
                if listen.name not in doors:
                    self._bind(listen, inherited)
            self._try_keys()
            for door in self.new.values():
                self.apply(door, Keys())
        except Exception:
            for door in self.new.values():
                door.close()
            raise

    def _bind(self, listen: Listen, inherited: dict[str, list[socket.socket]]) -> None:
        opener = self.openers[listen.name]
        if listen.address is None:
            if listen.name.removeprefix("systemd:") not in inherited:
                raise TransportError(
                    f"{listen.name}: expected a socket of that FileDescriptorName= from systemd, "
                    f"which passed {', '.join(inherited) or 'none'}"
                )
            self.new[listen.name] = Door(listen, opener, inherited[str(listen.systemd)])
            return
        try:
            self.new[listen.name] = Door(listen, opener, bind(listen.address))
        except ListenError as error:
            if not (listen.optional and error.missing):
                raise
            event(log, logging.WARNING, "endpoint left out", endpoint=listen.address, error=error)

    def _try_keys(self) -> None:
        """Set all keys on sockets that nobody uses: what the kernel refuses must not be half done."""
        for family in {4: socket.AF_INET, 6: socket.AF_INET6}.values():
            with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as trial:
                self.keys.apply(trial)

    def apply(self, door: Door, before: Keys) -> None:
        """Options and keys on the sockets of a door."""
        for bound in door.sockets:
            set_options(bound, self.settings.tcp)
            self.keys.apply(bound, before)
