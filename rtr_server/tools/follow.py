"""Follow a cache: stay connected, and tell each change of its set; after a drop, go on with Serial Query.

Like ``dump``, over a blocking socket: whoever takes the steps decides how fast they come.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias

import msgspec

from rov import Delta, Snapshot
from rtr_server.cache.mirror import Mirror, SnapshotReceived
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.client import ResponseBegan, RouterSession
from rtr_server.protocol.errors import code_label
from rtr_server.protocol.events import Closed, ErrorReceived, ErrorSent
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.tools.dump import DumpError, receive

FIRST_WAIT = 1.0
MOST_WAIT = 60.0
"""Seconds before another connection: doubled from the first to the most while there is no answer."""


class Step(msgspec.Struct, frozen=True):
    """A response that told something new: what came and what went with it.

    ``full`` if it replaced everything, as the first one does, for which all has come. ``expired``: no
    response, but the end of data that none has confirmed for the cache's Expire interval; all has gone.

    >>> Step(Snapshot.empty(), Snapshot.empty(), full=False, version=1, session_id=7, serial=5).serial
    5
    """

    announced: Snapshot
    withdrawn: Snapshot
    full: bool
    version: int
    session_id: int
    serial: int
    expired: bool = False


class Dropped(msgspec.Struct, frozen=True):
    """The connection ended for a reason; the next one is tried after so many seconds."""

    reason: str
    seconds: float


Happening: TypeAlias = Step | Dropped


class Follower:
    """One cache and what is held of it.

    ``version``: exactly this one, else the highest that the cache speaks; ``timeout`` in seconds for the
    first full set and for each connection; ``clock`` is monotonic. What is held goes when the Expire interval
    is over without another End of Data, whether there is a connection or not (RFC 8210 §6).

    >>> Follower(Endpoint("192.0.2.1", 323)).held is None
    True
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        version: int | None = None,
        timeout: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.held: SnapshotReceived | None = None
        self._expires_at = math.inf
        self._began = False
        self._clock = clock
        self._sleep = sleep
        self._endpoint = endpoint
        self._timeout = timeout
        self._highest = VERSIONS[-1] if version is None else version
        self._lowest = VERSIONS[0] if version is None else version
        self._ask_anew = True
        self._wait = FIRST_WAIT

    def happenings(self) -> Iterator[Happening]:
        """What happens, without end; DumpError if there is no first set, or the cache breaks the protocol."""
        until = self._clock() + self._timeout
        while True:
            version = self._highest
            reason = yield from self._connection(until)
            if self._highest < version:
                continue
            if not self._began:
                raise DumpError(f"{self._endpoint}: {reason}")
            yield Dropped(reason, self._wait)
            yield from self._pause(self._wait)
            self._wait = min(2 * self._wait, MOST_WAIT)

    def _pause(self, seconds: float) -> Iterator[Step]:
        """Wait before the next connection; what expires meanwhile goes when it does."""
        until = self._clock() + seconds
        while (now := self._clock()) < until:
            self._sleep(max(0.0, min(until, self._expires_at) - now))
            yield from self._expire()

    def _expire(self) -> Iterator[Step]:
        """Drop what has expired, and begin anew."""
        if self.held is None or self._clock() < self._expires_at:
            return
        held, self.held = self.held, None
        self._expires_at, self._ask_anew = math.inf, True
        gone = (Snapshot.empty(), held.snapshot)
        yield Step(*gone, True, self._highest, held.session_id, held.serial, expired=True)

    def _connection(self, until: float) -> Generator[Happening, None, str]:
        """One connection to its end, and why it ended."""
        mirror = self._mirror()
        try:
            with socket.create_connection(self._endpoint, timeout=self._timeout) as connection:
                return (yield from self._converse(connection, mirror, until))
        except TimeoutError:
            return "no connection within the timeout"
        except OSError as error:
            return error.strerror or str(error)

    def _mirror(self) -> Mirror:
        """A router's end that begins with what is held."""
        versions = {"version": self._highest, "min_version": self._lowest}
        now = self._clock()
        if self.held is None or self._ask_anew:
            return Mirror(RouterSession(**versions, now=now))
        held = self.held
        session = RouterSession(**versions, session_id=held.session_id, serial=held.serial, now=now)
        return Mirror(session, held.snapshot)

    def _converse(
        self, connection: socket.socket, mirror: Mirror, until: float
    ) -> Generator[Happening, None, str]:
        session, full = mirror.session, False
        while True:
            if output := session.data_to_send():
                connection.sendall(output)
            for event in mirror.events():
                match event:
                    case ResponseBegan():
                        full = event.full
                    case SnapshotReceived():
                        self._began = True
                        self._expires_at = math.inf if session.expires_at is None else session.expires_at
                        yield from self._take(event, full, session.version)
                    case ErrorReceived(_, code, text) if session.closing:
                        self._ask_anew = self._ask_anew or not session.negotiated
                        return f"error {code} ({code_label(code)}) from the cache: {text}"
                    case ErrorSent(_, code, text):
                        raise DumpError(
                            f"{self._endpoint}: the cache broke the protocol ({code_label(code)}): {text}"
                        )
                    case Closed(reason):
                        return self._closed(session, str(reason))
            if self._clock() >= self._expires_at:
                yield from self._expire()
                return "no answer before the data expired"
            self._wait_for(connection, mirror, until)

    def _wait_for(self, connection: socket.socket, mirror: Mirror, until: float) -> None:
        """Give the mirror what comes, or the time that has come."""
        session, now = mirror.session, self._clock()
        due = min(session.deadline() or now, self._expires_at if self._began else until)
        connection.settimeout(max(0.001, due - now))
        try:
            octets = receive(connection)
        except TimeoutError:
            if not self._began and self._clock() >= until:
                raise DumpError(f"{self._endpoint}: no full set within the timeout") from None
            session.tick(self._clock())
            return
        if octets:
            mirror.receive_data(octets, self._clock())
        else:
            session.receive_eof(self._clock())

    def _take(self, received: SnapshotReceived, full: bool, version: int) -> Iterator[Step]:
        """A whole response; nothing to tell where it answers a poll that found nothing new."""
        held, self.held = self.held, received
        self._highest, self._ask_anew, self._wait = version, False, FIRST_WAIT
        ids, nothing = (received.session_id, received.serial), Snapshot.empty()
        delta = Delta.between(held.snapshot if held else nothing, received.snapshot)
        if delta is not None:
            yield Step(delta.announced, delta.withdrawn, full, version, *ids)
        elif held is None or ids != (held.session_id, held.serial):
            yield Step(nothing, nothing, full, version, *ids)

    def _closed(self, session: RouterSession, reason: str) -> str:
        """Before the first set, a close without a word may mean that the cache is an old one."""
        if not self._began and session.retry_version is not None:
            self._highest = session.retry_version
        return f"connection ended: {reason}"


def summary(step: Step) -> str:
    """A line about a step, for people.

    >>> summary(Step(Snapshot.empty(), Snapshot.empty(), full=False, version=1, session_id=7, serial=5))
    'serial 5: 0 announced, 0 withdrawn'
    """
    if step.expired:
        return f"expired: {_size(step.withdrawn):,} withdrawn, as the cache has not confirmed them in time"
    what = f"{_size(step.announced):,} announced, {_size(step.withdrawn):,} withdrawn"
    return f"serial {step.serial}: {what}{', by a full set' if step.full else ''}"


def _size(snapshot: Snapshot) -> int:
    return len(snapshot) + len(snapshot.aspas) + len(snapshot.router_keys)


def json_line(step: Step, at: str) -> str:
    """A step as one line of JSON; ``at`` says when.

    >>> json_line(Step(Snapshot.empty(), Snapshot.empty(), False, 1, 7, 5), "now")[:46]
    '{"at": "now", "version": 1, "session_id": 7, "'
    """
    head = {"at": at, "version": step.version, "session_id": step.session_id, "serial": step.serial}
    parts = {"announced": _members(step.announced), "withdrawn": _members(step.withdrawn)}
    expired = {"expired": True} if step.expired else {}
    return json.dumps({**head, "full": step.full, **expired, **parts})


def _members(snapshot: Snapshot) -> dict[str, list[dict[str, object]]]:
    """VRPs, router keys and ASPAs under the names that ``dump --format json`` has for them."""
    return {
        "roas": [
            {"asn": vrp.asn, "prefix": str(vrp.prefix), "maxLength": vrp.max_length}
            for vrp in snapshot.vrps()
        ],
        "bgpsec_keys": [{"asn": key.asn, "ski": key.ski.hex().upper()} for key in snapshot.router_keys],
        "aspas": [
            {"customer_asid": aspa.customer, "providers": list(aspa.providers)} for aspa in snapshot.aspas
        ],
    }
