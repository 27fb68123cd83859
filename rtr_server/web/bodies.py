"""Bodies of requests, bounded before and after their content coding."""

from __future__ import annotations

import zlib

import zstandard
from starlette.requests import ClientDisconnect, Request

from rtr_server.config.web import Http
from rtr_server.threads import in_thread
from rtr_server.web.problems import Problem, shown

_GZIP = 31


def too_large(most: int) -> Problem:
    """413."""
    return Problem(413, f"a body of more than {most} octets ([http] max_body)", {"Connection": "close"})


async def body_of(request: Request, settings: Http) -> bytes:
    """The whole body, decoded; 413 where it is too large, 415 for an unknown coding, 400 for a broken one."""
    most, coding = int(settings.max_body), request.headers.get("content-encoding", "identity").lower()
    if coding not in ("identity", "gzip", "zstd"):
        raise Problem(415, f"Content-Encoding {shown(coding)}: expected gzip or zstd, or none")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise too_large(most)
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise too_large(most)
    except ClientDisconnect as error:
        raise Problem(400, "the body ends early") from error
    return await in_thread(lambda: decoded(bytes(body), coding, most))


def decoded(body: bytes, coding: str, most: int) -> bytes:
    """A body without its content coding, of so many octets at most; in a thread.

    >>> decoded(zlib.compress(b"x", wbits=31), "gzip", 10)
    b'x'
    """
    try:
        if coding == "gzip":
            stream = zlib.decompressobj(_GZIP)
            whole = stream.decompress(body, most + 1)
            ended = stream.eof
        elif coding == "zstd":
            with zstandard.ZstdDecompressor().stream_reader(body) as reader:
                whole = reader.read(most + 1)
            ended = True
        else:
            return body
    except (zlib.error, zstandard.ZstdError) as error:
        raise Problem(400, f"a body that is no {coding}: {error}") from error
    if len(whole) > most:
        raise too_large(most)
    if not ended:
        raise Problem(400, f"a body of {coding} that ends early")
    return whole
