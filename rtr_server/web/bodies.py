"""Bodies of requests, bounded before and after their content coding."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import zstandard
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from rtr_server.config.web import Http
from rtr_server.threads import in_thread
from rtr_server.web.problems import Problem, shown

PIECE = 1 << 20
"""Decoded octets at a time."""

PAUSE = 0.25
"""Seconds without an octet after which what has come is a block: some wait for the answer to it."""

QUIET = 1.0
"""Seconds without an octet after which a client that has been told of a fault sends no more."""

ZSTD_PIECE = 512
"""Packed octets of zstd unpacked at a time: they make 16 MiB at worst."""

_GZIP = 31


def too_large(most: int) -> Problem:
    """413."""
    return Problem(413, f"a body of more than {most} octets ([http] max_body)", {"Connection": "close"})


def coding_of(request: Request) -> str:
    """The content coding, "" for none; 415 where it is another than gzip and zstd."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "zstd"):
        raise Problem(415, f"Content-Encoding {shown(coding)}: expected gzip or zstd, or none")
    return "" if coding == "identity" else coding


async def pieces(request: Request, most: int, size: int) -> AsyncIterator[bytes]:
    """The body in pieces of at least so many octets, but the last; 413 where it is too large.

    ClientDisconnect: it ends early.
    """
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise too_large(most)
    held: list[bytes] = []
    waiting = total = 0
    async for piece in request.stream():
        held.append(piece)
        waiting += len(piece)
        total += len(piece)
        if total > most:
            raise too_large(most)
        if waiting >= size:
            yield b"".join(held)
            held, waiting = [], 0
    if waiting:
        yield b"".join(held)


class Blocks:
    """A body in blocks: of at least ``size`` octets, or of what has come when the client pauses.

    ``whole``: nothing follows. Problem 413: it is too large; ClientDisconnect: it ends early.
    """

    def __init__(self, request: Request, most: int, size: int) -> None:
        self.whole = False
        self._receive = request.receive
        self._most, self._size = most, size
        self._total = 0
        self._task: asyncio.Task[Message] | None = None
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            raise too_large(most)

    async def next(self) -> bytes:
        """The next block, b"" where there is none."""
        held: list[bytes] = []
        waiting = 0
        while not self.whole and waiting < self._size:
            message = await self._message(PAUSE if waiting else None)
            if message is None:
                break
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece = message.get("body", b"")
            self.whole = not message.get("more_body", False)
            held.append(piece)
            waiting += len(piece)
            self._total += len(piece)
            if self._total > self._most:
                raise too_large(self._most)
        return b"".join(held)

    async def _message(self, seconds: float | None) -> Message | None:
        """What comes, None if nothing does for so long."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._receive())
        done, _ = await asyncio.wait({self._task}, timeout=seconds)
        if not done:
            return None
        task, self._task = self._task, None
        return task.result()

    async def pass_over(self, seconds: float) -> None:
        """Take what is still sent, for so long at most: a client does not see an answer otherwise."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.whole:
                    message = await self._message(QUIET)
                    self.whole = message is None or not message.get("more_body", False)

    def close(self) -> None:
        """Wait for nothing more."""
        if self._task is not None:
            self._task.cancel()


class Decoder:
    """Undoes a content coding, piece by piece, in a thread; 413 above ``most`` octets, 400 if broken.

    >>> decoder = Decoder("gzip", 10)
    >>> b"".join(decoder.decode(zlib.compress(b"x", wbits=31)))
    b'x'
    >>> decoder.end()
    """

    def __init__(self, coding: str, most: int) -> None:
        self._coding = coding
        self._most = most
        self._left = most
        self._stream: Any = None
        if coding:
            self._stream = zlib.decompressobj(_GZIP) if coding == "gzip" else _zstd()
        self._begun = False

    def decode(self, octets: bytes) -> Iterator[bytes]:
        """What these octets stand for, in pieces."""
        if not self._coding:
            yield self._counted(octets)
            return
        try:
            for piece in self._gzip(octets) if self._coding == "gzip" else self._zstd(octets):
                yield self._counted(piece)
        except (zlib.error, zstandard.ZstdError) as error:
            raise Problem(400, f"a body that is no {self._coding}: {error}") from error

    def end(self) -> None:
        """400 where more should follow."""
        if self._stream is not None and not self._stream.eof:
            raise Problem(400, f"a body of {self._coding} that ends early")

    def _counted(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise too_large(self._most)
        return piece

    def _gzip(self, octets: bytes) -> Iterator[bytes]:
        while octets:
            if self._stream.eof:  # members may follow each other (RFC 1952 section 2.2)
                self._stream = zlib.decompressobj(_GZIP)
            yield self._stream.decompress(octets, PIECE)
            octets = self._stream.unconsumed_tail or self._stream.unused_data

    def _zstd(self, octets: bytes) -> Iterator[bytes]:
        for at in range(0, len(octets), ZSTD_PIECE):
            rest = octets[at : at + ZSTD_PIECE]
            while rest:
                if self._stream.eof:
                    self._stream = _zstd()
                yield self._stream.decompress(rest)
                rest = self._stream.unused_data


def _zstd() -> Any:
    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()


async def body_of(request: Request, settings: Http) -> bytes:
    """The whole body, decoded; 413 where it is too large, 415 for an unknown coding, 400 for a broken one."""
    most = int(settings.max_body)
    decoder = Decoder(coding_of(request), most)
    body = bytearray()
    try:
        async for piece in pieces(request, most, PIECE):
            for decoded in await in_thread(lambda piece=piece: list(decoder.decode(piece))):  # type: ignore[misc]
                body += decoded
    except ClientDisconnect as error:
        raise Problem(400, "the body ends early") from error
    decoder.end()
    return bytes(body)
