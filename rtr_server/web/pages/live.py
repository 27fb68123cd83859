"""The live view: the parts of the overview as server-sent events, made once for all who look."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

MAX_STREAMS = 64
"""Live views at one time: each holds a connection, and gets up to 100 kB at a change."""

INTERVAL = 2.0
"""Seconds between two looks at what may have changed; nobody looks while nobody watches."""

KEEP_ALIVE = 20.0
"""Seconds without an event after which a comment is sent: proxies end what is silent for a minute."""

LIFETIME = 3_600.0
"""Seconds after which a stream ends, and the browser comes again: nothing is held for ever."""

RETRY = b"retry: 3000\n\n"
"""Milliseconds after which a browser comes again."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Live:
    """Streams of parts. ``make`` gives all parts by name; each stream gets those that are new to it.

    A reader that is slow gets the latest state of a part and never a queue; one that takes nothing is cut
    off by the stall limit of the server.
    """

    def __init__(self, make: Callable[[], Awaitable[dict[str, str]]]) -> None:
        self._make = make
        self._latest: dict[str, str] = {}
        self._news = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._ended = False
        self.streams = 0

    @property
    def full(self) -> bool:
        """Whether no more can be taken."""
        return self.streams >= MAX_STREAMS or self._ended

    def stream(self) -> StreamingResponse:
        """One more."""
        return _Stream(self)

    def end(self) -> None:
        """End all streams: the daemon does."""
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """For as long as a stream is open; the first and the last begin and end the looking."""
        self.streams += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self.streams -= 1
            if not self.streams:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        while True:
            try:
                latest = await self._make()
            except Exception:
                log.exception("live view: the overview could not be made")
                latest = self._latest
            if latest != self._latest:
                self._latest = latest
                self._tell()
            await asyncio.sleep(INTERVAL)

    async def events(self) -> AsyncIterator[bytes]:
        """The octets of a stream."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LIFETIME
        yield RETRY
        sent: dict[str, str] = {}
        while not self._ended and loop.time() < until:
            news = self._news
            fresh = {name: text for name, text in self._latest.items() if sent.get(name) != text}
            sent = self._latest
            if fresh:
                yield b"".join(event(name, text) for name, text in fresh.items())
                continue
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    await news.wait()
            except TimeoutError:
                yield b":\n\n"


class _Stream(StreamingResponse):
    """Counts itself for as long as it lasts, however it ends."""

    def __init__(self, live: Live) -> None:
        super().__init__(live.events(), headers=HEADERS, media_type="text/event-stream")
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._live.watched():
            await super().__call__(scope, receive, send)


def event(name: str, text: str) -> bytes:
    """A part as a server-sent event (HTML Standard section 9.2).

    >>> event("said", "one\\ntwo")
    b'event: said\\ndata: one\\ndata: two\\n\\n'
    """
    lines = "".join(f"data: {line}\n" for line in text.splitlines() or [""])
    return f"event: {name}\n{lines}\n".encode("utf-8", "replace")
