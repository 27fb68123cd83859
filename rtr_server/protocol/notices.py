"""Serial Notify (RFC 8210 §5.2, §8.2): which one a router is due, and when it may go.

A minute apart at most; several changes make one notice, which tells the last serial. What a router knows
already, or its version cannot see, is no news.
"""

from __future__ import annotations

from rtr_server.protocol.pdu import VERSIONS, SerialNotify
from rtr_server.protocol.serial import add
from rtr_server.protocol.source import Source

__all__ = ["Notices"]


class Notices:
    """What one router has been told of. ``news``: something may be new since then.

    ``named``: session id and serial of a query that could not be answered for want of data, None if there is
    none; ``interval``: seconds between two notices.

    >>> from rtr_server.cache.history import History
    >>> from rov import Snapshot
    >>> notices = Notices(History({0: 1, 1: 2, 2: 3}, 7, snapshot=Snapshot.empty()), interval=60.0)
    >>> notices.news = True
    >>> notices.take(1, session_id=2, serial=6, now=0.0).serial
    7
    """

    __slots__ = ("_at", "_interval", "_source", "_told", "named", "news")

    def __init__(self, source: Source, interval: float) -> None:
        self._source = source
        self._interval = interval
        self._told: tuple[int, int] | None = None
        self._at: float | None = None
        self.named: tuple[int, int] | None = None
        self.news = False

    def responded(self, session_id: int, serial: int) -> None:
        """A response has told these; what changed while it was under way is still to be told."""
        self._told = (session_id, serial)
        self.news = True

    def take(
        self, version: int, session_id: int | None, serial: int | None, now: float
    ) -> SerialNotify | None:
        """The notice to send now to a router that has these; None: nothing to tell, or too early."""
        if not self.news or not self._source.ready():
            return None
        state = self._source.state(version)
        unseen = session_id == state.session_id and self._unseen(version, serial)
        if unseen or self._told == (state.session_id, state.serial):
            self.news = False
            return None
        if self._at is not None and now < self._at + self._interval:
            return None
        self.news = False
        self._told = (state.session_id, state.serial)
        self._at = now
        if session_id is None and self.named is not None:
            # The id that the router knows, even if it is not ours: its next query finds that out. It asks
            # only if the serial is another than its own, which may be the same number in another life.
            known, asked = self.named
            same = known != state.session_id and asked == state.serial
            return SerialNotify(version, known, add(asked) if same else state.serial)
        return SerialNotify(version, state.session_id if session_id is None else session_id, state.serial)

    def _unseen(self, version: int, serial: int | None) -> bool:
        """Whether all that changed since the serial is payload that the version cannot carry."""
        if version == VERSIONS[-1] or serial is None:
            return False
        response = self._source.diff(version, serial)
        return response is not None and response.count == 0

    def deadline(self) -> float | None:
        """When to try ``take`` again; None where nothing waits for its time."""
        if not self.news or self._at is None or not self._source.ready():
            return None
        return self._at + self._interval
