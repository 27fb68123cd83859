"""URLs as files: http and https by urllib3, s3 and whatever else fsspec has a file system for by that."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import urllib3

from rov.errors import ExtraError

TIMEOUT = urllib3.Timeout(connect=20.0, read=60.0)
"""Seconds for a connection, and for each piece of what comes: it is a person who waits."""


def is_url(name: str) -> bool:
    """Whether a name is a URL rather than a path.

    >>> is_url("https://rpki.example/vrps.json"), is_url("./vrps.json")
    (True, False)
    """
    return "://" in name


def open_url(url: str) -> IO[bytes]:
    """What a URL leads to, to be read once; ``size``: how many octets, where that is known.

    ExtraError: fsspec is not installed, for what is not http. OSError: it cannot be opened.

    >>> open_url("nonsense://rpki.example")
    Traceback (most recent call last):
    OSError: Protocol not known: nonsense
    """
    if url.startswith(("http://", "https://")):
        return _Body(url)  # type: ignore[return-value]  # all of IO that anyone needs
    fsspec = file_systems()
    try:
        file: IO[bytes] = fsspec.open(url, "rb").open()
    except OSError:
        raise
    # fsspec's backends raise errors of their own
    except Exception as error:
        raise OSError(str(error)) from error
    return file


def file_systems() -> Any:
    """The package fsspec; ExtraError if it is not installed.

    >>> file_systems().get_filesystem_class("file").__name__
    'LocalFileSystem'
    """
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError as error:
        raise ExtraError("a URL that is not http needs fsspec: pip install 'rovkit[url]'") from error
    return fsspec


class _Body(io.RawIOBase):
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
