"""Another RTR cache as a feed: we are its router, over TCP or TLS, and keep the session."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from random import Random

from rov import Snapshot
from rtr_server.cache.mirror import Mirror, SnapshotReceived
from rtr_server.config.sources import RtrSource
from rtr_server.feed.backoff import Backoff
from rtr_server.feed.feed import FeedError, Loaded
from rtr_server.protocol.client import EndOfDataReceived, RouterSession
from rtr_server.protocol.errors import ErrorCode, code_label
from rtr_server.protocol.events import Closed, ErrorReceived, ErrorSent

CONNECT_TIMEOUT = 15.0
"""Seconds for the connection and its TLS handshake."""

RETRY_INTERVAL = 5
MAX_RETRY = 600
"""Seconds between attempts to connect: the first, and at most (RFC 8210 §6: retry is 600)."""

RECEIVE_OCTETS = 1 << 20
"""Read at a time: a full set has 16 MB."""

MAX_ID = 0xFFFF
MAX_SERIAL = 0xFFFF_FFFF


class RtrFeed:
    """A session with a cache; ``next`` gives its set whenever it says that something is new, or nothing is.

    A session that ends is taken up again by Serial Query: only what changed is sent. After a response that
    did not fit what we have, all is asked for.

    >>> RtrFeed(RtrSource(host="192.0.2.1"), clock=lambda: 0.0).name
    'rtr://192.0.2.1:323'
    """

    synthetic = False
    busy = False
    """A response that is broken off costs a query."""

    def __init__(self, source: RtrSource, clock: Callable[[], float], chosen: Random | None = None) -> None:
        self.name = source.label
        self._source = source
        self._clock = clock
        self._backoff = Backoff(RETRY_INTERVAL, MAX_RETRY, chosen)
        self._failed = False
        self._snapshot: Snapshot | None = None
        self._session_id: int | None = None
        self._serial: int | None = None
        self._version = source.version
        self._expire: int | None = None
        self._link: _Link | None = None
        self._wake = asyncio.Event()

    def remember(self) -> dict[str, str]:
        """The session, to be given to ``resume`` of a later feed together with the set."""
        if self._session_id is None or self._serial is None:
            return {}
        values = {"session_id": self._session_id, "serial": self._serial, "version": self._version}
        return {name: str(value) for name, value in values.items()}

    def resume(self, remembered: dict[str, str], snapshot: Snapshot) -> None:
        """Go on with a session of before: its set, and the serial that it has."""
        with contextlib.suppress(KeyError, ValueError):
            session_id, serial, version = (
                int(remembered[key]) for key in ("session_id", "serial", "version")
            )
            fits = 0 <= session_id <= MAX_ID and 0 <= serial <= MAX_SERIAL
            if fits and 0 <= version <= self._source.version:
                self._session_id, self._serial, self._version = session_id, serial, version
                self._snapshot = snapshot

    def reload(self) -> None:
        """Ask the cache now, or connect now."""
        self._wake.set()

    async def next(self) -> Loaded:
        """The set at the next End of Data; FeedError, temporary, if the session fails meanwhile."""
        try:
            while True:
                if self._link is None:
                    self._link = await self._connect()
                received = await self._link.received(self._wake)
                if received is not None:
                    return self._took(received, self._link)
                self._retry_lower()
        except BaseException as error:
            if self._link is not None and self._link.misfit:
                self._session_id = self._serial = None
            self._hang_up()
            if isinstance(error, Exception):
                self._backoff.failed()
                self._failed = True
            raise

    def _took(self, received: SnapshotReceived, link: _Link) -> Loaded:
        self._backoff.succeeded()
        self._failed = False
        self._snapshot, self._expire = received.snapshot, link.expire
        self._session_id, self._serial = received.session_id, received.serial
        self._version = link.mirror.session.version
        return Loaded(received.snapshot, as_of=int(self._clock()), lapse=self._expire)

    def _retry_lower(self) -> None:
        """The cache closed without a word, as old ones do: once more with the version below."""
        assert self._link is not None
        lower = self._link.mirror.session.retry_version
        self._hang_up()
        if lower is None:
            raise FeedError(f"{self.name}: closed the connection", temporary=True)
        self._version = lower
        self._session_id = self._serial = None

    async def _connect(self) -> _Link:
        if self._failed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._backoff.delay(RETRY_INTERVAL)):
                    await self._wake.wait()
            self._wake.clear()
        session = RouterSession(
            version=self._version, session_id=self._session_id, serial=self._serial, now=time.monotonic()
        )
        host, port = self._source.host, self._source.port_number
        try:
            context = _context(self._source)
            async with asyncio.timeout(CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_connection(
                    host,
                    port,
                    limit=RECEIVE_OCTETS,
                    ssl=context,
                    server_hostname=(self._source.server_name or host) if context else None,
                )
        except TimeoutError:
            raise FeedError(f"{self.name}: no connection in {CONNECT_TIMEOUT:g} s", temporary=True) from None
        except OSError as error:
            raise FeedError(f"{self.name}: {_reason(error)}", temporary=True) from error
        snapshot = None if self._session_id is None else self._snapshot
        return _Link(self.name, Mirror(session, snapshot), reader, writer)

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self._version = self._source.version if self._session_id is None else self._version

    def cancel(self) -> None:
        """Its task is cancelled by the owner, and with it the connection is closed."""


class _Link:
    """One connection: a mirror between a reader and a writer."""

    def __init__(
        self, name: str, mirror: Mirror, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._name = name
        self.mirror = mirror
        self._reader = reader
        self._writer = writer
        self._reading: asyncio.Task[bytes] | None = None
        self.expire: int | None = None
        self.misfit = False
        """Whether the cache sent what we had to refuse."""

    async def received(self, wake: asyncio.Event) -> SnapshotReceived | None:
        """The next complete response; None if the cache closed and a lower version may be tried."""
        session = self.mirror.session
        while True:
            self._writer.write(session.data_to_send())
            if (received := self._take()) is not None:
                return received
            if session.closing:
                return None
            octets = await self._octets(wake)
            now = time.monotonic()
            if wake.is_set():
                wake.clear()
                session.query(now)
            if octets:
                self.mirror.receive_data(octets, now)
            elif octets is not None:
                session.receive_eof(now)
            session.tick(now)

    async def _octets(self, wake: asyncio.Event) -> bytes | None:
        """What comes; empty at the end of the stream, None if something else is due first."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read())
        deadline = self.mirror.session.deadline()
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        waking = asyncio.ensure_future(wake.wait())
        try:
            await asyncio.wait({self._reading, waking}, timeout=left, return_when="FIRST_COMPLETED")
        finally:
            waking.cancel()
        if not self._reading.done():
            return None
        reading, self._reading = self._reading, None
        return reading.result()

    async def _read(self) -> bytes:
        """Octets, or none at the end; a reset is the end, too: some caches refuse version 2 so."""
        try:
            return await self._reader.read(RECEIVE_OCTETS)
        except (OSError, ssl.SSLError):
            return b""

    def _take(self) -> SnapshotReceived | None:
        """The set among the events, if there is one; FeedError at one that means it will not come."""
        for happened in self.mirror.events():
            match happened:
                case EndOfDataReceived():
                    # Version 0 tells none: then the configuration alone says how long.
                    expires = self.mirror.session.expires_at
                    told = happened.expire is not None and expires is not None
                    self.expire = round(expires - time.monotonic()) if told and expires else None
                case SnapshotReceived():
                    return happened
                case ErrorReceived(_, code, text) if code == ErrorCode.NO_DATA_AVAILABLE:
                    raise self._fault("the cache has no data yet")
                case ErrorReceived(_, code, text) if self.mirror.session.closing:
                    raise FeedError(
                        f"{self._name}: error {code} ({code_label(code)}): {text}", temporary=True
                    )
                case ErrorSent(_, code, text):
                    self.misfit = True
                    raise FeedError(
                        f"{self._name}: broke the protocol ({code_label(code)}): {text}", temporary=True
                    )
                case Closed(reason) if self.mirror.session.retry_version is None:
                    raise self._fault(f"connection ended: {reason}")
        return None

    def _fault(self, text: str) -> FeedError:
        return FeedError(f"{self._name}: {text}", temporary=True)

    def close(self) -> None:
        """Let go of the connection."""
        if self._reading is not None:
            self._reading.cancel()
        self._writer.close()


def _context(source: RtrSource) -> ssl.SSLContext | None:
    """TLS that checks the cache's certificate and shows ours, if we have one (RFC 8210 §9.2)."""
    if not source.tls:
        return None
    context = ssl.create_default_context(cafile=None if source.ca_file is None else str(source.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if source.cert_file is not None:
        context.load_cert_chain(source.cert_file, source.key_file)
    return context


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    return error.strerror or str(error)
