"""A VRP file behind HTTP as a feed: fetched at an interval, only if it changed, never without bounds."""

from __future__ import annotations

import asyncio
import threading
import time

import urllib3

import rov
from rov import RovError
from rtr_server.feed.feed import FeedError, Loaded

DEFAULT_INTERVAL = 600
"""Seconds between fetches; validators publish every 10 to 30 minutes."""

RETRY_INTERVAL = 60
"""Seconds to the next fetch after one that failed, if the interval is longer."""

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
"""Seconds without an octet before a fetch is given up."""

FETCH_TIMEOUT = 300.0
"""Seconds for a whole fetch: a server that drips octets must not hold the feed for ever."""

MAX_OCTETS = 512 << 20
"""Of a fetched file, after content decoding: it is held in memory; the global set is 75 MB of JSON."""

MAX_REDIRECTS = 3
CHUNK = 1 << 20

NOT_MODIFIED = 304
OK = 200


class UrlFeed:
    """A VRP file at an http or https URL, in any format that ``rov.read`` knows.

    >>> UrlFeed("https://example.net/vrps.json").name
    'https://example.net/vrps.json'
    """

    synthetic = False

    def __init__(
        self,
        url: str,
        *,
        interval: float = DEFAULT_INTERVAL,
        strict: bool = True,
        max_octets: int = MAX_OCTETS,
        fetch_timeout: float = FETCH_TIMEOUT,
    ) -> None:
        self.name = url
        self._interval = interval
        self._strict = strict
        self._max_octets = max_octets
        self._fetch_timeout = fetch_timeout
        self._validators: dict[str, str] = {}
        self._failed = False
        self._cancelled = threading.Event()
        self._pool = urllib3.PoolManager(
            num_pools=2,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            retries=urllib3.Retry(total=MAX_REDIRECTS, connect=0, read=0, redirect=MAX_REDIRECTS, status=0),
        )

    def load(self) -> Loaded | None:
        """Fetch and read; None if the server says that nothing changed. FeedError otherwise."""
        self._failed = True
        body = bytearray()
        validators = self._fetch(body)
        if validators is None:
            self._failed = False
            return None
        try:
            report = rov.read_bytes(bytes(body), self.name, strict=self._strict)
        except RovError as error:
            raise FeedError(str(error)) from error
        self._validators = validators
        self._failed = False
        return Loaded(report.snapshot, report.skipped_count)

    def _fetch(self, body: bytearray) -> dict[str, str] | None:
        """Append what the URL gives to ``body``; what to ask with next time, None if nothing changed."""
        headers = {"accept-encoding": "gzip", "user-agent": "rtr-server", **self._validators}
        try:
            response = self._pool.request("GET", self.name, headers=headers, preload_content=False)
            try:
                if response.status == NOT_MODIFIED and self._validators:
                    return None
                if response.status != OK:
                    raise FeedError(f"{self.name}: HTTP status {response.status}", temporary=True)
                self._copy(response, body)
            finally:
                response.release_conn()
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise FeedError(f"{self.name}: {_cause(error)}", temporary=True) from error
        return _validators(response)

    def _copy(self, response: urllib3.BaseHTTPResponse, body: bytearray) -> None:
        """The decoded body in pieces, up to the limits."""
        until = time.monotonic() + self._fetch_timeout
        octets = 0
        while piece := response.read1(CHUNK, decode_content=True):
            octets += len(piece)
            if octets > self._max_octets:
                raise FeedError(f"{self.name}: longer than {self._max_octets:,} octets")
            if time.monotonic() > until:
                raise FeedError(f"{self.name}: not complete in {self._fetch_timeout:g} s", temporary=True)
            if self._cancelled.is_set():
                raise FeedError(f"{self.name}: fetch cancelled", temporary=True)
            body += piece

    async def changed(self) -> None:
        """Return after the interval, sooner if the last fetch failed."""
        await asyncio.sleep(min(self._interval, RETRY_INTERVAL) if self._failed else self._interval)

    def cancel(self) -> None:
        """A fetch ends with the octets that come next."""
        self._cancelled.set()


def _validators(response: urllib3.BaseHTTPResponse) -> dict[str, str]:
    """What makes the next request conditional (RFC 9110 §13.1)."""
    asked = {"etag": "if-none-match", "last-modified": "if-modified-since"}
    return {ask: response.headers[tell] for tell, ask in asked.items() if tell in response.headers}


def _cause(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps it in the story of its retries."""
    while isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        error = error.reason
    text = str(error)
    return text.rpartition(": ")[2] if isinstance(error, urllib3.exceptions.NewConnectionError) else text
