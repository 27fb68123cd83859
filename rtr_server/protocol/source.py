"""The five methods at which a session meets its data, and what passes through them.

A notice that something is new carries no data, so a missed one cannot matter; ``diff`` returning None
means Cache Reset. The Protocol lives here, not in ``cache``, so that a session knows nothing of a cache.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from rov import ArgumentError

REFRESH_RANGE = (1, 86_400)
RETRY_RANGE = (1, 7_200)
EXPIRE_RANGE = (600, 172_800)
"""Seconds, RFC 8210 §6. OpenBGPD ends a session whose End of Data is out of range."""


class Timing(msgspec.Struct, frozen=True):
    """The three intervals of End of Data in seconds (RFC 8210 §6); ArgumentError if out of range.

    >>> Timing().expire
    7200
    """

    refresh: int = 3_600
    retry: int = 600
    expire: int = 7_200

    def __post_init__(self) -> None:
        ranges = {"refresh": REFRESH_RANGE, "retry": RETRY_RANGE, "expire": EXPIRE_RANGE}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ArgumentError(f"{name} {getattr(self, name)}: expected {low} to {high} seconds")
        if self.expire <= self.refresh or self.expire <= self.retry:
            raise ArgumentError(
                f"expire {self.expire}: expected more than refresh {self.refresh} and retry {self.retry}"
            )


class SourceState(msgspec.Struct, frozen=True):
    """Where a source stands in one protocol version: its session id (16 bits) and serial (32 bits).

    >>> SourceState(session_id=7, serial=1).serial
    1
    """

    session_id: int
    serial: int


class Response(msgspec.Struct, frozen=True):
    """What stands between Cache Response and End of Data, and the snapshot it leads to.

    ``payload``: whole PDUs, read-only, encoded once per version and shared by all sessions; ``count``:
    how many PDUs those are; ``session_id`` and ``serial``: of the snapshot that a router has afterwards.

    >>> Response(session_id=7, serial=1, payload=memoryview(b""), count=0).count
    0
    """

    session_id: int
    serial: int
    payload: memoryview
    count: int


class Source(Protocol):
    """What a session asks for. ``version`` is a protocol version, 0 to 2; no method may block."""

    def ready(self) -> bool:
        """Whether there is a data set; if not, queries are answered by Error 2 (RFC 8210 §8.4)."""

    def state(self, version: int) -> SourceState:
        """The session id and serial that are current; called only when ready."""

    def full(self, version: int) -> Response:
        """All payload as announcements, for a Reset Query; called only when ready."""

    def diff(self, version: int, serial: int) -> Response | None:
        """The minimal change since serial; None if serial is not known: Cache Reset (RFC 8210 §5.3)."""

    def timing(self) -> Timing:
        """The intervals that End of Data tells the routers."""
