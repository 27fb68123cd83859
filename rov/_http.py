"""The body of an answer over http or https as a file, by urllib3."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

TIMEOUT = urllib3.Timeout(connect=20.0, read=60.0)
"""Seconds for a connection, and for each piece of what comes: it is a person who waits."""


class Body(io.RawIOBase):
    """The body of an answer; whatever ends it too early is an OSError."""

    def __init__(self, url: str) -> None:
        with _as_os_errors():
            pool = urllib3.PoolManager()
            retries = urllib3.Retry(0, redirect=5, raise_on_status=False)
            answer = pool.request("GET", url, preload_content=False, timeout=TIMEOUT, retries=retries)
        self._answer = answer
        self.size: int | None = None
        if answer.status != 200:
            answer.release_conn()
            raise OSError(f"HTTP status {answer.status} {answer.reason or ''}".rstrip())
        length = answer.headers.get("content-length", "")
        packed = "content-encoding" in answer.headers
        if length.isascii() and length.isdigit() and not packed:
            self.size = int(length)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Some octets of the body, unpacked if the answer was packed; how many, 0 at its end."""
        with _as_os_errors():
            piece = self._answer.read(len(buffer), decode_content=True)
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
        super().close()


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        text = str(reason.args[0] if isinstance(error, urllib3.exceptions.ProtocolError) else reason)
        raise OSError(text.partition("): ")[2] or text) from error
