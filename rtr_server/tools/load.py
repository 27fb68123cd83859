"""The router simulator: many routers of a cache in one process, most of them good, some slow, some broken.

A router frames what comes and keeps a count and a checksum of the payload, not the payload: routers that
were told the same must have got the same octets. What differs, or ends, is a failure of the cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, cast

import uvloop

from rtr_server.cache.wire import PREFIX_PDU
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.client import (
    EndOfDataReceived,
    NotifyReceived,
    ObjectReceived,
    PrefixesReceived,
    ResponseBegan,
    RouterEvent,
    RouterSession,
)
from rtr_server.protocol.errors import ErrorCode, code_label
from rtr_server.protocol.events import Closed, ErrorReceived, ErrorSent
from rtr_server.protocol.pdu import ErrorReport, ResetQuery, SerialNotify
from rtr_server.tools.load_report import Plan, Report

RAMP = 200
"""Connections that are being opened at a time: a listen queue is about so long."""

SLOW_SECONDS = 0.5
"""A slow router reads once in so many seconds, what its small buffers hold."""

SLOW_BUFFER = 4_096
"""Octets that a slow router lets the kernel keep for it."""

BROKEN_SECONDS = 1.0
"""A broken router is back after so many seconds."""

Kind: TypeAlias = Literal["healthy", "slow", "broken"]
Digest: TypeAlias = tuple[int, int]
"""How many PDUs, and the CRC-32 of their octets."""


class Router(asyncio.Protocol):
    """A healthy router; ``load`` is told what it gets. ``began``: when it connected first, if not now."""

    def __init__(self, load: Load, version: int, began: float | None = None) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self.version = version
        self.began = self._loop.time() if began is None else began
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._digest: Digest = (0, 0)
        self._full = False
        self._from: int | None = None
        # Our own: events may tell of a response that the session has already finished.
        self._serial: int | None = None
        self.session: RouterSession | None = None
        self.synced = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for everything."""
        self._transport = cast(asyncio.Transport, transport)
        self._load.open.add(self)
        self.session = RouterSession(version=self.version, now=self._loop.time())
        self._after()

    def data_received(self, data: bytes) -> None:
        """Octets of the cache."""
        assert self.session is not None, "a connection is there"
        self._load.report.octets += len(data)
        self.session.receive_data(data, self._loop.time())
        self._after()

    def connection_lost(self, exc: Exception | None) -> None:
        """A healthy router has no reason to lose its connection before the end, but for its version."""
        if self._timer is not None:
            self._timer.cancel()
        self._load.open.discard(self)
        if self.session is not None:
            self.session.receive_eof(self._loop.time())
            self._load.gone(self, self.session.retry_version)

    def close(self) -> None:
        """The end of the simulation."""
        if self._transport is not None:
            self._transport.abort()

    def _after(self) -> None:
        assert self.session is not None
        assert self._transport is not None
        for event in self.session.events():
            self._take(event)
        if octets := self.session.data_to_send():
            self._transport.write(octets)
        if self.session.closing:
            self._transport.close()
            return
        deadline = self.session.deadline()
        if deadline is not None and (self._timer is None or self._timer.when() > deadline):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self.session is not None:
            self.session.tick(self._loop.time())
            self._after()

    def _take(self, event: RouterEvent) -> None:
        assert self.session is not None
        count, crc = self._digest
        match event:
            case ResponseBegan():
                self._digest, self._full = (0, 0), event.full
                self._from = None if event.full else self._serial
            case PrefixesReceived():
                rows = len(event.octets) // PREFIX_PDU[4 if event.family == 4 else 6].itemsize
                self._digest = (count + rows, zlib.crc32(event.octets, crc))
            case ObjectReceived():
                self._digest = (count + 1, zlib.crc32(event.pdu.encode(), crc))
            case EndOfDataReceived():
                self._finish(event)
            case NotifyReceived():
                self._load.report.notifies += 1
            case ErrorReceived(_, ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, _) if not self.session.closing:
                pass  # negotiation: it has asked again in the version that it was told
            case ErrorReceived(_, code, _) | ErrorSent(_, code, _):
                side = "received" if isinstance(event, ErrorReceived) else "sent"
                self._load.count_error(f"{side} error {code} ({code_label(code)})")
            case _:
                pass

    def _finish(self, event: EndOfDataReceived) -> None:
        assert self.session is not None
        key = (self.session.version, event.session_id, self._from, event.serial)
        self._load.compare(key, self._digest)
        self._serial = event.serial
        if not self.synced:
            self.synced = True
            self._load.synced(self, self.session.version, self._loop.time() - self.began)
        elif self._digest[0] or self._full:
            self._load.report.updates += 1


Key: TypeAlias = tuple[int, int, int | None, int]
"""Version, session id, serial before (None: everything), serial after: they fix the octets of a response."""


class SlowRouter(Router):
    """Reads a little now and then. That a cache gives it up is the cache's right."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask, and stop reading."""
        super().connection_made(transport)
        self._pause()

    def data_received(self, data: bytes) -> None:
        """A little of the response; then stop reading again."""
        super().data_received(data)
        self._pause()

    def _pause(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.pause_reading()
        self._loop.call_later(SLOW_SECONDS, self._resume)

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _take(self, event: RouterEvent) -> None:
        if not isinstance(event, ErrorReceived | ErrorSent | Closed):
            super()._take(event)

    def _finish(self, event: EndOfDataReceived) -> None:
        """Its time to synchronize says nothing about the cache."""


MISCHIEF: Sequence[bytes] = (
    b"SSH-2.0-nobody\r\n",
    ResetQuery(1).encode()[:5],
    ResetQuery(1).encode() * 50,
    SerialNotify(1, 7, 7).encode(),
    ErrorReport(2, 0, b"", "simulated").encode(),
    bytes.fromhex("0201000010000000"),
    bytes.fromhex("ff02000000000008"),
)
"""What broken routers send: no RTR, half a query, too many, a PDU of the wrong end, an error, nonsense."""


async def _broken(load: Load, number: int) -> None:
    """Connect, do harm, read a little or nothing, vanish; again and again."""
    for turn in itertools.count(number):
        if load.ending:
            return
        try:
            reader, writer = await asyncio.open_connection(*load.endpoint)
        except OSError:
            load.report.refused += 1
        else:
            try:
                writer.write(MISCHIEF[turn % len(MISCHIEF)])
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(BROKEN_SECONDS):  # wait_for can lose a cancellation
                        await reader.read(8 * (turn % 2))
            finally:
                writer.transport.abort()
        await asyncio.sleep(BROKEN_SECONDS)


class Load:
    """One simulation. ``report`` grows while it runs; ``progress`` is called several times a second."""

    def __init__(
        self, endpoint: Endpoint, plan: Plan, progress: Callable[[Report], None] | None = None
    ) -> None:
        self.endpoint = endpoint
        self.plan = plan
        self.report = Report(plan)
        self.open: set[Router] = set()
        self._progress = progress or (lambda report: None)
        self._digests: dict[Key, Digest] = {}
        self.ending = False
        self._failed = 0
        self._spoken: set[int] = set()
        self._again: set[asyncio.Task[None]] = set()

    async def run(self) -> Report:
        """Connect all, wait until the healthy ones have their set, then ``duration`` seconds more."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._settled = asyncio.Event()
        self._ramp = asyncio.Semaphore(RAMP)
        trouble = [asyncio.create_task(_broken(self, number)) for number in range(self.plan.broken)]
        watching = asyncio.create_task(self._watch())
        kinds = [SlowRouter] * self.plan.slow + [Router] * self.plan.routers
        await asyncio.gather(*(self._connect(kind, self.plan.version) for kind in kinds))
        try:
            async with asyncio.timeout(max(0.0, began + self.plan.timeout - loop.time())):
                if self.plan.routers:
                    await self._settled.wait()
        except TimeoutError:
            pass
        self.report.elapsed = loop.time() - began
        if self.plan.duration:
            await asyncio.sleep(self.plan.duration)
        await self._end([*trouble, watching, *self._again])
        return self.report

    async def _connect(self, kind: type[Router], version: int, began: float | None = None) -> None:
        loop = asyncio.get_running_loop()
        async with self._ramp:
            try:
                async with asyncio.timeout(self.plan.timeout):
                    transport, _ = await loop.create_connection(
                        lambda: kind(self, version, began), *self.endpoint
                    )
            except OSError as error:
                self.report.refused += 1
                self.report.refusal = error.strerror or str(error) or "no connection within the timeout"
                if kind is Router:
                    self._fail()
                return
        if kind is SlowRouter:
            plain = transport.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)

    async def _watch(self) -> None:
        while True:
            self._progress(self.report)
            await asyncio.sleep(0.2)

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        self.ending = True
        sessions = [router.session for router in self.open if type(router) is Router and router.session]
        counted = Counter(str(session.serial) for session in sessions if session.serial is not None)
        self.report.serials = dict(counted)
        for router in tuple(self.open):
            router.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What routers tell

    def compare(self, key: Key, digest: Digest) -> None:
        """Routers that were told the same must have got the same."""
        if self._digests.setdefault(key, digest) != digest:
            version, session_id, before, after = key
            since = "everything" if before is None else f"since serial {before}"
            what = f"version {version}, session {session_id}, {since}, serial {after}: payload differs"
            if what not in self.report.different:
                self.report.different.append(what)

    def synced(self, router: Router, version: int, seconds: float) -> None:
        """A healthy router has its first set."""
        self._spoken.add(version)
        self.report.versions[str(version)] = self.report.versions.get(str(version), 0) + 1
        self.report.sync_seconds.append(seconds)
        self._look()

    def _fail(self) -> None:
        """A healthy router will get no set any more."""
        self._failed += 1
        self._look()

    def _look(self) -> None:
        if len(self.report.sync_seconds) + self._failed >= self.plan.routers:
            self._settled.set()

    def count_error(self, what: str) -> None:
        """An Error Report, from either end."""
        self.report.errors[what] = self.report.errors.get(what, 0) + 1

    def gone(self, router: Router, lower: int | None) -> None:
        """A connection has ended; ``lower``: the version to try then, since no answer came in this one.

        A cache that others have in this version has not closed because of it.
        """
        if self.ending:
            return
        if lower is not None and router.version not in self._spoken:
            task = asyncio.create_task(self._connect(type(router), lower, router.began))
            self._again.add(task)
            task.add_done_callback(self._again.discard)
        elif type(router) is Router:
            self.report.lost += 1
            if not router.synced:
                self._fail()


def run(endpoint: Endpoint, plan: Plan, progress: Callable[[Report], None] | None = None) -> Report:
    """Simulate routers of a cache on an event loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Load(endpoint, plan, progress).run())
