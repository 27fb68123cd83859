"""How long a router may keep the cache waiting: since when, and when that has been too long (8210bis §9)."""

from __future__ import annotations

from collections.abc import Iterator

from rtr_server.protocol.events import CloseReason
from rtr_server.protocol.limits import STALL_RETRIES, Limits
from rtr_server.protocol.source import Source

__all__ = ["Waits"]


class Waits:
    """What a session waits for. ``opened_at``: when it began; ``progress_at``: when the router last took
    something, or had something to take; ``partial_since``: when a PDU began that is not complete;
    ``response_since``: when the response under way began. None: there is no such thing.

    >>> from rtr_server.cache.history import History
    >>> waits = Waits(History({0: 1, 1: 2, 2: 3}, 7), Limits(first_query=60.0), now=5.0)
    >>> [(when, reason.value) for when, reason in waits.ends(negotiated=False, sending=False)]
    [(65.0, 'no query')]
    """

    __slots__ = ("_limits", "_source", "opened_at", "partial_since", "progress_at", "response_since")

    def __init__(self, source: Source, limits: Limits, now: float) -> None:
        self._source = source
        self._limits = limits
        self.opened_at = now
        self.progress_at = now
        self.partial_since: float | None = None
        self.response_since: float | None = None

    @property
    def patience(self) -> float:
        """Seconds without progress after which a router is given up."""
        stall = self._limits.stall
        return STALL_RETRIES * self._source.timing().retry if stall is None else stall

    def ends(self, *, negotiated: bool, sending: bool) -> Iterator[tuple[float, CloseReason]]:
        """When the session is to end if nothing happens, and why."""
        if not negotiated:
            yield self.opened_at + self._limits.first_query, CloseReason.NO_QUERY
        if sending:
            yield self.progress_at + self.patience, CloseReason.STALLED
            if self.response_since is not None:
                yield self.response_since + self._limits.response, CloseReason.STALLED
        elif self.partial_since is not None:
            yield self.partial_since + self._limits.partial_pdu, CloseReason.PARTIAL_PDU
