"""A VRP file behind HTTP as a feed: fetched at an interval, only if it changed, never without bounds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from pathlib import Path
from random import Random

import msgspec
import urllib3

import rov
from rov import RovError
from rtr_server.feed.backoff import Backoff
from rtr_server.feed.bounded import BoundedPool
from rtr_server.feed.feed import FeedError, Loaded, tolerated

DEFAULT_INTERVAL = 600
"""Seconds between fetches; validators publish every 10 to 30 minutes."""

RETRY_INTERVAL = 15
"""Seconds to the next fetch after one that failed; doubled with each that fails, up to the interval."""

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
        bad_rows: float = 1.0,
        max_octets: int = MAX_OCTETS,
        fetch_timeout: float = FETCH_TIMEOUT,
        ca_file: Path | None = None,
        chosen: Random | None = None,
    ) -> None:
        self.name = url
        self._interval = interval
        self._strict = strict
        self._max_octets = max_octets
        self._fetch_timeout = fetch_timeout
        self._bad_rows = bad_rows
        self._validators: dict[str, str] = {}
        self._backoff = Backoff(RETRY_INTERVAL, interval, chosen)
        self.answers: Counter[str] = Counter()
        """HTTP answers so far, by status."""
        self._pool = BoundedPool(
            num_pools=2,
            ca_certs=None if ca_file is None else str(ca_file),
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            retries=urllib3.Retry(total=MAX_REDIRECTS, connect=0, read=0, redirect=MAX_REDIRECTS, status=0),
        )

    def load(self) -> Loaded | None:
        """Fetch and read; None if the server says that nothing changed. FeedError otherwise."""
        body = bytearray()
        try:
            headers = self._fetch(body)
            if headers is None:
                self._backoff.succeeded()
                return None
            report = rov.read_bytes(bytes(body), self.name, strict=self._strict)
            loaded = tolerated(report, self.name, self._bad_rows)
        except (RovError, FeedError) as error:
            self._backoff.failed()
            if isinstance(error, FeedError):
                raise
            raise FeedError(str(error)) from error
        self._validators = _validators(headers)
        self._backoff.succeeded()
        clock, changed = _time(headers, "date"), _time(headers, "last-modified")
        as_of = loaded.as_of if loaded.as_of is not None else changed
        return msgspec.structs.replace(loaded, clock=clock, as_of=as_of)

    def remember(self) -> dict[str, str]:
        """What makes the next request conditional, to be given to ``resume`` of a later feed."""
        return self._validators

    def resume(self, remembered: dict[str, str]) -> None:
        """Ask only for what differs from a set that the owner still has."""
        self._validators = remembered

    def _fetch(self, body: bytearray) -> Mapping[str, str] | None:
        """Append what the URL gives to ``body``; the headers of the answer, None if nothing changed."""
        late = FeedError(f"{self.name}: not complete in {self._fetch_timeout:g} s", temporary=True)
        with self._pool.within(self._fetch_timeout) as ended:
            try:
                answered = self._ask(body)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if ended.is_set():
                    raise late from error
                raise FeedError(f"{self.name}: {_cause(error)}", temporary=True) from error
            if ended.is_set():  # where the end of the connection is the end of the body, this was no error
                raise late
        return answered

    def _ask(self, body: bytearray) -> Mapping[str, str] | None:
        headers = {"accept-encoding": "gzip", "user-agent": "rtr-server", **self._validators}
        response = self._pool.request("GET", self.name, headers=headers, preload_content=False)
        self.answers[str(response.status)] += 1
        try:
            if response.status == NOT_MODIFIED and self._validators:
                return None
            if response.status != OK:
                raise FeedError(f"{self.name}: HTTP status {response.status}", temporary=True)
            self._copy(response, body)
        finally:
            response.release_conn()
            response.close()
        return response.headers

    def _copy(self, response: urllib3.BaseHTTPResponse, body: bytearray) -> None:
        """The decoded body in pieces, up to the limit."""
        octets = 0
        while piece := response.read1(CHUNK, decode_content=True):
            octets += len(piece)
            if octets > self._max_octets:
                raise FeedError(f"{self.name}: longer than {self._max_octets:,} octets")
            body += piece

    async def changed(self) -> None:
        """Return after about the interval, sooner if the last fetch failed."""
        await asyncio.sleep(self._backoff.delay(self._interval))

    def cancel(self) -> None:
        """A fetch that is under way fails."""
        self._pool.end()


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    """What makes the next request conditional (RFC 9110 §13.1)."""
    asked = {"etag": "if-none-match", "last-modified": "if-modified-since"}
    return {ask: headers[tell] for tell, ask in asked.items() if tell in headers}


def _time(headers: Mapping[str, str], name: str) -> int | None:
    """A time in a header, in unix seconds; None if there is none that can be read."""
    parsed = parsedate_tz(headers.get(name, ""))
    try:
        return None if parsed is None else mktime_tz(parsed)
    except (ValueError, OverflowError):
        return None


def _cause(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps it in the story of its retries."""
    while isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        error = error.reason
    text = str(error)
    return text.rpartition(": ")[2] if isinstance(error, urllib3.exceptions.NewConnectionError) else text
