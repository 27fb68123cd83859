"""The server of routers: where they come in, who may, what they cost together, how all of them are told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
from collections.abc import Mapping

from rtr_server.cache.view import View
from rtr_server.config.transport import Client, Transport
from rtr_server.endpoint import Endpoint
from rtr_server.logs import event
from rtr_server.protocol.session import CacheSession
from rtr_server.protocol.source import Source
from rtr_server.transport.access import Access
from rtr_server.transport.connection import Connection, EndReason
from rtr_server.transport.doors import Door, Opener, Prepared
from rtr_server.transport.journal import peer_log
from rtr_server.transport.limits import Bucket, Newcomers, Occupancy
from rtr_server.transport.plain import PlainOpener
from rtr_server.transport.record import Ledger
from rtr_server.transport.spread import Spread
from rtr_server.transport.tally import Tally
from rtr_server.transport.tcp_auth import Keys
from rtr_server.transport.tls import explain

log = logging.getLogger(__name__)

RESERVED_FILES = 64
"""File descriptors that routers do not get: the feed, the log and the listeners must always have some."""

UNLIMITED = 1 << 20
"""Connections at most where the system sets no limit of its own."""


class Server:
    """The doors, the connected routers, and how they come and go.

    ``open`` binds, ``start`` lets routers in, ``prepare`` and ``take`` change everything but what is
    connected, ``stop`` lets no more in, ``close`` ends all sessions.
    ``inherited``: sockets that systemd passed, by name.
    """

    def __init__(
        self,
        source: Source,
        settings: Transport,
        inherited: Mapping[str, list[socket.socket]] | None = None,
    ) -> None:
        self._source = source
        self._inherited = dict(inherited or {})
        self._loop = asyncio.get_running_loop()
        self._doors: dict[str, Door] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._newcomers = Newcomers[asyncio.Task[None]](settings.limits.max_handshakes)
        self._occupancy = Occupancy()
        self._empty = asyncio.Event()
        self._empty.set()
        self._spread = Spread(lambda: self.settings.limits.notify_spread)
        self._keys = Keys()
        self._started = False
        self.ledger = Ledger()
        self.tally = Tally()
        self.connections: set[Connection] = set()
        self._take(settings)

    def _take(self, settings: Transport) -> None:
        """What holds for whoever comes in from now on."""
        limits = settings.limits
        self.settings = settings
        self._access = Access(settings.client)
        self._sources: dict[Client, Source] = {}
        self._limits = limits.session
        self._newcomers.most = limits.max_handshakes
        self._bucket = Bucket(limits.accept_rate, limits.accept_burst, self._loop.time())
        self._max_connections = min(limits.max_connections or UNLIMITED, room_for_files())

    # Doors

    def open(self) -> None:
        """Bind all endpoints; TransportError, of which ListenError is one."""
        prepared = Prepared(self.settings, {}, self._inherited, Keys())
        self._doors = prepared.new
        self._keys = prepared.keys

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it listens, with the port that was given for port 0."""
        return [endpoint for door in self._doors.values() for endpoint in door.endpoints]

    def start(self) -> None:
        """Let connections in."""
        self._started = True
        for door in self._doors.values():
            door.start(self._accept, self._bucket)

    def stop(self) -> None:
        """Let no more in, and free the ports; sessions go on."""
        self._started = False
        for door in self._doors.values():
            door.close()
        self._doors.clear()

    def prepare(self, settings: Transport) -> Prepared:
        """Read and bind all that other settings need; TransportError: it cannot be had, all is as it was.

        It reads files: call it in a thread. Give it to ``take``, or all that was bound for it stays bound.
        """
        return Prepared(settings, self._doors, self._inherited, self._keys)

    def take(self, prepared: Prepared) -> None:
        """Other settings, certificates and keys from now on; this cannot fail.

        Sessions go on with what they began with, but those of routers that may not connect any more end.
        """
        settings = prepared.settings
        self._take(settings)
        names = {listen.name for listen in settings.listen}
        for name in [name for name in self._doors if name not in names]:
            event(log, logging.INFO, "endpoint closed", endpoint=name)
            self._doors.pop(name).close()
        for name, door in self._doors.items():
            door.opener = prepared.openers[name]
            prepared.apply(door, self._keys)
            if door.listener is not None:
                door.listener.bucket = self._bucket
        self._keys = prepared.keys
        self._doors.update(prepared.new)
        if self._started:
            for door in prepared.new.values():
                door.start(self._accept, self._bucket)
        for router in tuple(self.connections):
            if not self._access.find(router.peer.host).allow:
                router.kick("not allowed any more")

    # Routers

    def _accept(self, connection: socket.socket, peer: Endpoint, door: Door) -> None:
        """Take a connected socket, or close it with a line that says why."""
        client = self._access.find(peer.host)
        refusal = self._refusal(client, peer.host)
        if refusal:
            event(peer_log, logging.WARNING, "router refused", peer=peer, reason=refusal)
            connection.close()
            return
        router = Connection(
            self._new_session(client),
            peer,
            self._gone,
            kind=door.opener.kind,
            admit=door.opener.admit,
            rate=client.rate,
            tally=self.tally,
        )
        self.connections.add(router)
        self._occupancy.add(peer.host)
        self._empty.clear()
        self._open(router, connection, door.opener)

    def _refusal(self, client: Client, host: str) -> str:
        """Why a router from there may not come in now, "" if it may."""
        if not client.allow:
            return f"not allowed: client {client.prefix}"
        if len(self.connections) >= self._max_connections:
            return f"{self._max_connections} connections in all"
        most = client.max_connections or self.settings.limits.max_connections_per_address
        return f"{most} connections from its address" if self._occupancy.of(host) >= most else ""

    def _new_session(self, client: Client) -> CacheSession:
        """A session by the settings of the client."""
        return CacheSession(
            self._source_for(client),
            min_version=client.min_version,
            max_version=client.max_version,
            now=self._loop.time(),
            limits=self._limits,
        )

    def _source_for(self, client: Client) -> Source:
        """The source as these routers see it; one for all of them, so that they share what is encoded."""
        own_timers = any(value is not None for value in (client.refresh, client.retry, client.expire))
        draft10 = client.aspa_format == "draft10"
        if not own_timers and not draft10:
            return self._source
        if client not in self._sources:
            timing = client.timing(self.settings.timing) if own_timers else None
            self._sources[client] = View(self._source, timing, draft10=draft10)
        return self._sources[client]

    def _open(self, router: Connection, connection: socket.socket, opener: Opener) -> None:
        """Begin the handshake; those that stall make room for those that come."""
        task = self._loop.create_task(_opened(router, connection, opener))
        self._opening.add(task)
        if not isinstance(opener, PlainOpener):
            oldest = self._newcomers.add(task)
            if oldest is not None:
                oldest.cancel("too many handshakes")

        def over(task: asyncio.Task[None]) -> None:
            self._opening.discard(task)
            self._newcomers.remove(task)
            if task.cancelled() or task.exception() is not None:
                connection.close()
                self._gone(router)

        task.add_done_callback(over)

    def _gone(self, router: Connection) -> None:
        if router in self.connections:
            self.connections.discard(router)
            ended = router.ended
            self.ledger.add(ended)
            self.tally.ended(ended)
            self._occupancy.remove(router.peer.host)
            self._spread.forget(router)
        if not self.connections:
            self._empty.set()

    def notify(self) -> None:
        """Tell all routers that something is new: each as soon as the protocol allows it, not all at once."""
        self.tally.told_at = self._loop.time()
        self._spread.tell(self.connections)

    @property
    def versions(self) -> set[int]:
        """The protocol versions in use."""
        return {router.session.version for router in self.connections if router.session.version is not None}

    def dismiss(self) -> None:
        """End all sessions in order; routers may come again."""
        for router in tuple(self.connections):
            router.close("shutdown")

    async def close(self, reason: EndReason, grace: float) -> None:
        """End all sessions in order; those that are not over after ``grace`` seconds are cut off."""
        self.stop()
        self._spread.close()
        for task in tuple(self._opening):
            task.cancel("the cache ends")
        for router in tuple(self.connections):
            router.close(reason)
        try:
            async with asyncio.timeout(grace):
                await self._empty.wait()
        except TimeoutError:
            event(log, logging.INFO, "routers cut off", count=len(self.connections))
            for router in tuple(self.connections):
                router.abort()


async def _opened(router: Connection, connection: socket.socket, opener: Opener) -> None:
    """Open, and say what went wrong where it does; the exception goes on."""
    try:
        await opener.open(router, connection)
    except asyncio.CancelledError as cancelled:
        reason = cancelled.args[0] if cancelled.args else "cancelled"
        router.journal.line(logging.WARNING, "handshake cut off", reason=reason)
        raise
    except ssl.SSLError as error:
        router.journal.line(logging.WARNING, "handshake failed", reason=explain(error))
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        router.journal.line(logging.WARNING, "connection not opened", reason=reason)
        raise


def room_for_files() -> int:
    """Raise the limit of open files as far as we may; how many of them can be routers.

    >>> room_for_files() > 0
    True
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return UNLIMITED if soft == resource.RLIM_INFINITY else max(1, soft - RESERVED_FILES)
