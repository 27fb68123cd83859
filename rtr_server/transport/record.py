"""What a session leaves for the operator to read: its last reset and why, the errors of both ends.

An Error Report from a router ends its session, so what it said is only of use if it outlives it: the
ledger keeps the last sessions that ended, and there is room in it for no more than that.
"""

from __future__ import annotations

from collections import deque

import msgspec

from rtr_server.protocol.events import (
    CacheResetSent,
    Closed,
    ErrorReceived,
    ErrorSent,
    Event,
    Kind,
    QueryReceived,
    ResponseFinished,
    ResponseStarted,
)

MAX_ENDED = 256
"""Sessions remembered after their end: what a network of routers that flap leaves in a few minutes."""

INTERNAL = "internal error"
"""Why a session ended whose code failed."""

FIRST = "first query"
ASKED = "the router asked for everything"


class Told(msgspec.Struct, frozen=True):
    """An Error Report, when it went by, and its text."""

    at: float
    code: int
    text: str


class Record:
    """Folds the events of one session; ``now`` by the session's own clock.

    >>> record = Record()
    >>> record.note(CacheResetSent(5), 1.0)
    >>> record.note(QueryReceived(Kind.FULL), 2.0)
    >>> record.note(ResponseStarted(Kind.FULL, 7, 0, 32), 2.0)
    >>> record.reset_at, record.reset_why
    (2.0, 'serial 5 is not known')
    """

    __slots__ = ("_why", "closed", "error_received", "error_sent", "reset_at", "reset_why", "updated_at")

    def __init__(self) -> None:
        self.reset_at: float | None = None
        self.reset_why: str | None = None
        self.updated_at: float | None = None
        """When it last took a response whole."""
        self.error_received: Told | None = None
        self.error_sent: Told | None = None
        self.closed: str | None = None
        self._why = FIRST

    def note(self, happened: Event, now: float) -> None:
        """Something happened."""
        match happened:
            case CacheResetSent(serial):
                self._why = f"serial {serial} is not known"
            case QueryReceived(Kind.DIFF, _, _) if self._why == FIRST:
                self._why = ASKED
            case ResponseStarted(Kind.FULL, _, _, _):
                self.reset_at, self.reset_why, self._why = now, self._why, ASKED
            case ResponseFinished():
                self.updated_at = now
            case ErrorReceived(_, code, text, _):
                self.error_received = Told(now, code, text)
            case ErrorSent(_, code, text):
                self.error_sent = Told(now, code, text)
            case Closed(reason):
                self.closed = reason.value
            case _:
                pass


class Ended(msgspec.Struct, frozen=True):
    """A session that is over. ``ended_at`` and ``opened_at`` by the clock of the event loop."""

    number: int
    peer: str
    transport: str
    version: int | None
    opened_at: float
    ended_at: float
    reason: str
    octets_in: int
    octets_out: int
    error_received: Told | None
    error_sent: Told | None


class Ledger:
    """The last sessions that ended, newest first in ``ended``; and how many there were in all."""

    def __init__(self, room: int = MAX_ENDED) -> None:
        self._ended: deque[Ended] = deque(maxlen=room)
        self.count = 0

    def add(self, session: Ended) -> None:
        """One more; the oldest goes where there is no room.

        >>> ledger = Ledger(room=1)
        >>> for number in (1, 2):
        ...     ledger.add(Ended(number, "::1", "tcp", 1, 0.0, 1.0, "end of file", 8, 0, None, None))
        >>> ledger.count, [each.number for each in ledger.ended]
        (2, [2])
        """
        self.count += 1
        self._ended.appendleft(session)

    @property
    def ended(self) -> list[Ended]:
        """Those it remembers, newest first."""
        return list(self._ended)
