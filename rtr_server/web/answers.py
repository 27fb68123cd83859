"""Large answers: made in threads, a few at a time, once for all who ask the same; conditional, compressed."""

from __future__ import annotations

import asyncio
import email.utils
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import zstandard
from isal import isal_zlib
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from rtr_server.threads import in_thread
from rtr_server.web.daemon import Served
from rtr_server.web.problems import MEDIA_TYPE

SLICE = 128 << 10
"""Octets given to a connection at once."""

SMALL = 1_000
"""Octets below which nothing is compressed."""

MAX_KEPT = 1_000
"""Answers kept, however small: the memory for the names of small ones is counted nowhere else."""

GZIP_LEVEL = 2
ZSTD_LEVEL = 3
_GZIP = 31
"""Window bits of zlib with a gzip header."""

Result = TypeVar("Result")

_CODINGS = ("zstd", "gzip")
_TAG = re.compile(r'(?:W/)?"([^"]*)"')


class Entry(NamedTuple):
    """What names an answer: the generation of the set, the path and its arguments, the content coding."""

    generation: int
    what: object
    coding: str


class Kitchen:
    """Makes large answers and keeps the last ones. ``heavy`` at one time, ``room`` octets kept."""

    def __init__(self, heavy: int, room: int) -> None:
        self._turns = asyncio.Semaphore(heavy)
        self._room = room
        self._kept: OrderedDict[Entry, bytes] = OrderedDict()
        self._octets = 0
        self._generation = 0
        """Of the set that all that is kept was made of."""
        self._making: dict[Entry, asyncio.Task[bytes]] = {}

    async def get(self, entry: Entry, make: Callable[[], Iterable[bytes]]) -> bytes:
        """The body under this name, made if nobody has asked for it yet."""
        if entry in self._kept:
            self._kept.move_to_end(entry)
            return self._kept[entry]
        task = self._making.get(entry)
        if task is None:
            task = asyncio.create_task(self._make(entry, make))
            self._making[entry] = task
            task.add_done_callback(lambda _: self._making.pop(entry, None))
        return await asyncio.shield(task)

    async def once(self, work: Callable[[], Result]) -> Result:
        """What somebody asks that is kept for nobody, in its turn."""
        async with self._turns:
            return await in_thread(work)

    async def _make(self, entry: Entry, make: Callable[[], Iterable[bytes]]) -> bytes:
        async with self._turns:
            body = await in_thread(lambda: packed(make(), entry.coding))
        self._keep(entry, body)
        return body

    def _keep(self, entry: Entry, body: bytes) -> None:
        """Forget what is of older sets, then the least recently asked for; keep nothing of an older set."""
        if entry.generation < self._generation:
            return
        if entry.generation > self._generation:
            self._kept.clear()
            self._octets, self._generation = 0, entry.generation
        self._kept[entry] = body
        self._octets += len(body)
        while self._octets > self._room or len(self._kept) > MAX_KEPT:
            _, gone = self._kept.popitem(last=False)
            self._octets -= len(gone)


def packed(pieces: Iterable[bytes], coding: str) -> bytes:
    """Pieces as one body in a content coding; in a thread.

    >>> packed([b"a", b"b"], "")
    b'ab'
    """
    stream: Any
    if coding == "gzip":
        stream = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP)
    elif coding == "zstd":
        stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
    else:
        return b"".join(pieces)
    done = [stream.compress(piece) for piece in pieces]
    return b"".join((*done, stream.flush()))


def coding_for(request: Request) -> str:
    """The content coding that the client likes best, of equal ones our choice: "zstd", "gzip" or ""."""
    weights = dict(accepted(_given(request, "accept-encoding")))
    likes = {name: weights.get(name, weights.get("*", 0.0)) for name in _CODINGS}
    best = max(_CODINGS, key=likes.__getitem__)
    return best if likes[best] > 0 and likes[best] >= weights.get("identity", 0.0) else ""


def accepted(header: str) -> list[tuple[str, float]]:
    """What an Accept or Accept-Encoding names, in its order, with the weights (RFC 9110 section 12.4.2).

    >>> accepted("text/html, application/json;q=0.5")
    [('text/html', 1.0), ('application/json', 0.5)]
    """
    found = []
    for part in header.lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        found.append((name, next((_weight(each[2:]) for each in parameters if each.startswith("q=")), 1.0)))
    return found


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def wants_page(request: Request) -> bool:
    """Whether a person asks, with a browser: HTML is named, and no JSON that is liked as well."""
    weights = dict(accepted(request.headers.get("accept", "")))
    html = weights.get("text/html", 0.0)
    return html > max(weights.get("application/json", 0.0), weights.get(MEDIA_TYPE, 0.0))


def _given(request: Request, name: str) -> str:
    """A header that is a list; it may come in several lines (RFC 9110 section 5.3)."""
    return ",".join(request.headers.getlist(name))


def not_modified(request: Request, tag: str, modified: int) -> bool:
    """Whether the client has what there is already (RFC 9110 section 13.2.2)."""
    wanted = _given(request, "if-none-match")
    if wanted:
        return wanted.strip() == "*" or tag in _TAG.findall(wanted)
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return email.utils.parsedate_to_datetime(since).timestamp() >= modified
    except (TypeError, ValueError, OverflowError):
        return False


def validators(tag: str, modified: int, coding: str = "") -> dict[str, str]:
    """ETag, weak where the octets differ by coding, and Last-Modified.

    >>> validators("1-5", 0)["ETag"], validators("1-5", 0, "gzip")["ETag"]
    ('"1-5"', 'W/"1-5"')
    """
    return {
        "ETag": f'W/"{tag}"' if coding else f'"{tag}"',
        "Last-Modified": email.utils.formatdate(modified, usegmt=True),
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
    }


async def large(
    request: Request,
    kitchen: Kitchen,
    served: Served,
    what: object,
    make: Callable[[], Iterable[bytes]],
    media_type: str,
    *,
    tag: str | None = None,
) -> Response:
    """A body that is made of a set: 304 where the client has it, else streamed in slices."""
    name = served.name if tag is None else tag
    coding = coding_for(request)
    headers = validators(name, served.made, coding)
    if not_modified(request, name, served.made):
        return Response(status_code=304, headers=headers)
    body = await kitchen.get(Entry(served.generation, what, coding), make)
    headers["Content-Length"] = str(len(body))
    if coding:
        headers["Content-Encoding"] = coding
    return StreamingResponse(slices(body), headers=headers, media_type=media_type)


async def slices(body: bytes) -> AsyncIterator[memoryview]:
    """A body in pieces, so that a slow client holds a position in it and no copy."""
    view = memoryview(body)
    for start in range(0, len(view), SLICE):
        yield view[start : start + SLICE]
        await asyncio.sleep(0)
