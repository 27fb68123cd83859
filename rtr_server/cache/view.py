"""A Source as some routers see it: under timers of their own, or with ASPAs in an older layout."""

from __future__ import annotations

from rtr_server.cache.draft10 import to_draft10
from rtr_server.protocol.source import Response, Source, SourceState, Timing

ASPA_VERSION = 2
"""The only version that carries ASPAs."""

MAX_CACHED = 16
"""Responses kept in the older layout: a full set has 16 MB, but most are small steps."""


class View:
    """A Source that passes on another one; ``timing`` None: under the same timers.

    >>> from rtr_server.cache.history import History
    >>> View(History({0: 11, 1: 12, 2: 13}, serial=5), Timing(refresh=300)).timing().refresh
    300
    """

    def __init__(self, source: Source, timing: Timing | None, *, draft10: bool = False) -> None:
        self._source = source
        self._timing = timing
        self._draft10 = draft10
        self._converted: dict[int, tuple[Response, Response]] = {}

    def ready(self) -> bool:
        """Whether there is a data set."""
        return self._source.ready()

    def state(self, version: int) -> SourceState:
        """The session id and serial that are current."""
        return self._source.state(version)

    def full(self, version: int) -> Response:
        """All payload as announcements."""
        return self._fit(self._source.full(version), version)

    def diff(self, version: int, serial: int) -> Response | None:
        """The minimal change since serial; None if serial is not known."""
        response = self._source.diff(version, serial)
        return None if response is None else self._fit(response, version)

    def timing(self) -> Timing:
        """The intervals for these routers."""
        return self._timing or self._source.timing()

    def _fit(self, response: Response, version: int) -> Response:
        """In the layout for these routers: converted once, then shared by their sessions."""
        if not self._draft10 or version != ASPA_VERSION or not response.count:
            return response
        original, converted = self._converted.get(id(response), (None, response))
        if original is response:
            return converted
        payload, count = to_draft10(response.payload)
        converted = Response(response.session_id, response.serial, payload, response.count + count)
        if len(self._converted) >= MAX_CACHED:
            del self._converted[next(iter(self._converted))]
        self._converted[id(response)] = (response, converted)
        return converted
