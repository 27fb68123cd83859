"""What all sessions together have done since the start, for the metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from rtr_server.protocol.events import (
    CacheResetSent,
    CloseReason,
    ErrorReceived,
    ErrorSent,
    Event,
    NotifySent,
    QueryReceived,
    ResponseFinished,
    ResponseStarted,
)
from rtr_server.transport.record import FIRST, INTERNAL, Ended, Record

NOTIFY_BOUNDS = (0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds: notices are spread over some seconds, and RFC 8210 section 8.2 wants a minute between two."""

RESETS = ("first query", "unknown serial", "asked")
"""Why a router is sent the full set."""

CLOSES = (*CloseReason, "connection lost", "kicked", "refused")
"""How sessions end: as the protocol has it; without a word; by an operator; with a certificate for others."""

MAX_CODE = 32
"""Error codes that are counted by their number: a router may send any of 65,536."""


class Histogram:
    """Counts of values up to each bound, and beyond the last.

    >>> seen = Histogram((1.0, 2.0))
    >>> seen.add(1.5)
    >>> seen.counts, seen.total
    ([0, 1, 0], 1.5)
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Tally:
    """Folds the events of all sessions. ``told_at``: when the routers were last to be told of something new.

    >>> tally = Tally()
    >>> tally.note(CacheResetSent(5), Record(), 0.0)
    >>> tally.cache_resets
    1
    """

    def __init__(self) -> None:
        self.queries: Counter[str] = Counter()
        self.responses: Counter[str] = Counter()
        self.payload_pdus = 0
        self.resets: Counter[str] = Counter()
        self.cache_resets = 0
        self.notifies = 0
        self.errors: Counter[tuple[str, str]] = Counter()
        self.closed: Counter[str] = Counter()
        self.octets_in = 0
        self.octets_out = 0
        self.notify_lag = Histogram(NOTIFY_BOUNDS)
        self.told_at: float | None = None

    def ended(self, session: Ended) -> None:
        """A session is over: its octets are no more among those of the connected ones."""
        self.octets_in += session.octets_in
        self.octets_out += session.octets_out
        self.closed[_close(session.reason)] += 1

    def note(self, happened: Event, record: Record, now: float) -> None:
        """Something happened in a session, which ``record`` has noted already."""
        match happened:
            case QueryReceived(kind, _, _):
                self.queries[kind.value] += 1
            case ResponseStarted(kind, _, count, _):
                self.payload_pdus += count
                if kind.value == "full":
                    self.resets[_reason(record.reset_why)] += 1
            case ResponseFinished(kind, _, _, _):
                self.responses[kind.value] += 1
            case CacheResetSent():
                self.cache_resets += 1
            case NotifySent():
                self.notifies += 1
                if self.told_at is not None:
                    self.notify_lag.add(now - self.told_at)
            case ErrorSent(_, code, _):
                self.errors["sent", _code(code)] += 1
            case ErrorReceived(_, code, _, _):
                self.errors["received", _code(code)] += 1
            case _:
                pass


def _reason(why: str | None) -> str:
    first, unknown, asked = RESETS
    if why == FIRST:
        return first
    return unknown if why is not None and why.startswith("serial ") else asked


def _close(why: str) -> str:
    """One of ``CLOSES``.

    >>> _close("stalled"), _close("refused: the certificate is for x"), _close("not allowed any more")
    ('stalled', 'refused', 'kicked')
    """
    if why in CLOSES:
        return why
    if why == INTERNAL:
        return CloseReason.INTERNAL
    return "refused" if why.startswith("refused: ") else "kicked"


def _code(code: int) -> str:
    return str(code) if code < MAX_CODE else "other"
