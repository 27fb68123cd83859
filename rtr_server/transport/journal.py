"""What happens in one router's session as lines of the log."""

from __future__ import annotations

import logging

from rtr_server.endpoint import Endpoint
from rtr_server.logs import Throttle, event
from rtr_server.protocol.events import (
    CacheResetSent,
    ErrorReceived,
    ErrorSent,
    Event,
    Negotiated,
    NotifySent,
    QueryReceived,
    ResponseFinished,
    ResponseStarted,
)

peer_log = logging.getLogger(f"{__name__}.peer")
"""What peers cause; bounded, so that a hostile one cannot fill a disk."""
peer_log.addFilter(Throttle())


class Journal:
    """The log lines of one router.

    >>> Journal(Endpoint("192.0.2.1", 4711), "tcp").tell(NotifySent(5))
    """

    __slots__ = ("_kind", "_peer", "_synced")

    def __init__(self, peer: Endpoint, kind: str) -> None:
        self._peer = peer
        self._kind = kind
        self._synced = False

    def line(self, level: int, name: str, **fields: object) -> None:
        """A line of the log about this router.

        >>> Journal(Endpoint("192.0.2.1", 4711), "tcp").line(logging.DEBUG, "seen")
        """
        event(peer_log, level, name, peer=self._peer, transport=self._kind, **fields)

    def failed(self) -> None:
        """A line about the exception at hand."""
        peer_log.exception("session failed", extra={"fields": {"peer": self._peer}})

    def tell(self, happened: Event) -> None:
        """Log what a session says of itself."""
        match happened:
            case Negotiated(version):
                self.line(logging.INFO, "version negotiated", version=version)
            case ResponseFinished(kind, serial, octets, seconds):
                level = logging.DEBUG if self._synced else logging.INFO
                name = "router updated" if self._synced else "router synchronized"
                self._synced = True
                self.line(level, name, kind=kind, serial=serial, octets=octets, seconds=seconds)
            case ErrorSent(_, code, text):
                self.line(logging.INFO, "error sent", code=code, text=text)
            case ErrorReceived(_, code, text, malformed):
                self.line(logging.WARNING, "error received", code=code, text=text, malformed=malformed)
            case _:
                self._tell_detail(happened)

    def _tell_detail(self, happened: Event) -> None:
        match happened:
            case QueryReceived(kind, session_id, serial):
                self.line(logging.DEBUG, "query", kind=kind, session_id=session_id, serial=serial)
            case ResponseStarted(kind, serial, count, _):
                self.line(logging.DEBUG, "response", kind=kind, serial=serial, count=count)
            case CacheResetSent(serial):
                self.line(logging.DEBUG, "cache reset sent", unknown_serial=serial)
            case NotifySent(serial):
                self.line(logging.DEBUG, "notify sent", serial=serial)
