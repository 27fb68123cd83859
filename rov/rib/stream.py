"""Octets of a dump: from a file, standard input or a URL, unpacked by content, read ahead in a thread."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from queue import Empty, Queue
from typing import IO, Any, TypeVar

from rov._checks import as_optional, as_path, shown
from rov._threads import worker_count
from rov._urls import file_systems, is_url, open_url
from rov.errors import ArgumentError, RibFileError
from rov.formats.compression import FAULTS, Packing, packing_of
from rov.rib import parquet
from rov.rib.spool import Spool
from rov.rib.text import COLUMN_NAMES

PIECE_BYTES = 1 << 20
"""Packed octets read at a time."""

UNPACKED_BYTES = 4 << 20
"""Unpacked octets handed on at a time: few enough to stay in a cache, and for a bomb to stay harmless."""

PIECES_AHEAD = 4
"""Pieces that wait for the parser."""

MANY_BZIP2_BYTES = 1 << 20
"""Packed octets from which it pays to start threads that unpack bzip2."""

SLOW = frozenset(("bzip2", "xz"))
"""Packings that give some 20 to 80 MB a second and thread, where others give 500 and more."""

LOOK_SECONDS = 0.02
LOOKS = 100
"""How often, and how many times, a thread that is to end is looked at: two seconds are enough to unpack a
piece, and for a person who has pressed Ctrl-C to wait."""

Progress = Callable[[int, int | None], None]
"""Called with the packed octets read so far and their number in all, None where it is not known."""

T = TypeVar("T")


class Source:
    """One dump by its name: a path, ``-`` for standard input, or a URL (not http: the extra rovkit[url]).

    threads: how many unpack bzip2, 0 for as many as there are processors. spool: keeps what is unpacked
    at length or cannot be read twice, and what it has already is taken from it.

    >>> Source("/nonexistent").pieces()
    Traceback (most recent call last):
    rov.errors.RibFileError: /nonexistent: cannot be read: No such file or directory
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        progress: Progress | None = None,
        threads: int = 0,
        spool: Spool | None = None,
    ) -> None:
        if progress is not None and not callable(progress):
            raise ArgumentError(f"progress: expected a function, found {shown(progress)}")
        self._path = as_path(name)
        self.name = "standard input" if self._path == "-" else self._path
        self.warnings: list[str] = []
        self._progress = progress
        self._threads = worker_count(threads)
        self._spool = as_optional(spool, Spool, "spool")
        self._read = 0
        self._size: int | None = None

    def pieces(self) -> Generator[bytes]:
        """The unpacked octets in pieces; RibFileError if the dump cannot be read at all.

        Packed data that end too early or are damaged end the octets there, with a warning.
        """
        if self._spool is not None and self._spool.has(self._path):
            return ahead(self._spool.again(self._path), PIECES_AHEAD)
        file = self._open()
        head = self._take(file, PIECE_BYTES)
        unpacked = self._unpacked(file, head)
        if self._spool is not None and self._is_costly(file, head):
            unpacked = self._spool.keep(self._path, unpacked)
        return ahead(unpacked, PIECES_AHEAD)

    def _is_costly(self, file: IO[bytes], head: bytes) -> bool:
        """Whether to read it a second time takes long, or is not possible."""
        packing = packing_of(head)
        once = self._path == "-" or is_url(self._path) or not file.seekable()
        return once or (packing is not None and packing.name in SLOW)

    def _open(self) -> IO[bytes]:
        try:
            if self._path == "-":
                return sys.stdin.buffer
            if is_url(self._path):
                return self._open_url()
            file = open(self._path, "rb")  # noqa: SIM115
            size = os.fstat(file.fileno()).st_size
            self._size = size or None
            return file
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _open_url(self) -> IO[bytes]:
        file = open_url(self._path)
        self._size = getattr(file, "size", None)
        return file

    def _unreadable(self, error: Exception) -> RibFileError:
        return RibFileError(self.name, f"cannot be read: {getattr(error, 'strerror', None) or error}")

    def _take(self, file: IO[bytes], size: int) -> bytes:
        try:
            piece = file.read(size)
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error
        self._read += len(piece)
        if self._progress is not None:
            self._progress(self._read, self._size)
        return piece

    def _unpacked(self, file: IO[bytes], head: bytes) -> Iterator[bytes]:
        packing = packing_of(head)
        with file if self._path != "-" else io.BytesIO():
            if head.startswith(parquet.MAGIC):
                yield from self._parquet(file)
            elif packing is None:
                while head:
                    yield head
                    head = self._take(file, PIECE_BYTES)
            elif packing.name == "bzip2" and self._size is not None and self._size > MANY_BZIP2_BYTES:
                yield from self._bzip2(packing, file, head)
            else:
                yield from self._streams(packing, file, head)

    def _parquet(self, file: IO[bytes]) -> Iterator[bytes]:
        """Lines of CSV in its place: Parquet is read from its end."""
        if not file.seekable():
            raise RibFileError(self.name, "Parquet cannot be read from a pipe")
        file.seek(0)
        yield from parquet.as_csv(file, self.name, COLUMN_NAMES)

    def _streams(self, packing: Packing, file: IO[bytes], data: bytes) -> Iterator[bytes]:
        """One packed stream after the other: concatenated ones are usual."""
        stream: Any = packing.start()
        while data:
            try:
                if stream.eof:
                    if not data.startswith(packing.magic[: len(data)]):
                        if data.strip(b"\0"):
                            self._warn(f"what follows the {packing.name} data is left out")
                        return
                    stream = packing.start()
                while not stream.eof:
                    piece = stream.decompress(data, UNPACKED_BYTES)
                    data = b""
                    if piece:
                        yield piece
                    elif not stream.eof:
                        break
            except FAULTS as error:
                self._warn(f"damaged {packing.name} data: {error}; what follows is left out")
                return
            data = stream.unused_data if stream.eof else b""
            data = data if len(data) >= len(packing.magic) else data + self._take(file, PIECE_BYTES)
        if not stream.eof:
            self._warn(f"the {packing.name} data is cut short")

    def _bzip2(self, packing: Packing, file: IO[bytes], head: bytes) -> Iterator[bytes]:
        """By several threads, if rapidgzip is there; what it cannot read is left to the standard library."""
        given = 0
        try:
            import rapidgzip

            with rapidgzip.IndexedBzip2File(self._path, parallelization=self._threads) as packed:
                while piece := packed.read(UNPACKED_BYTES):
                    given += len(piece)
                    yield piece
                    if self._progress is not None:
                        self._progress(packed.tell_compressed() // 8, self._size)
            return
        except (ImportError, RuntimeError, ValueError, OSError):
            pass
        yield from _beyond(given, self._streams(packing, file, head))

    def _warn(self, text: str) -> None:
        self.warnings.append(f"{self.name}: {text}")


def matching_urls(pattern: str) -> list[str]:
    """The URLs that a URL with ``*`` matches, sorted; RibFileError where these cannot be listed.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "rib.bz2").write_bytes(b"")
    ...     [name.rsplit("/", 1)[1] for name in matching_urls(f"file://{folder}/*.bz2")]
    ['rib.bz2']
    """
    fsspec = file_systems()
    try:
        files, path = fsspec.core.url_to_fs(pattern)
        return sorted(files.unstrip_protocol(name) for name in files.glob(path))
    # fsspec's backends raise errors of their own
    except Exception as error:
        raise RibFileError(pattern, f"cannot be listed: {error}") from error


def _beyond(given: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same octets without the first so many."""
    for piece in pieces:
        if given < len(piece):
            yield piece[given:] if given else piece
        given = max(given - len(piece), 0)


def ahead(items: Iterator[T], depth: int) -> Generator[T]:
    """The same items, made in a thread that is at most so many of them ahead.

    An error of the maker is raised where its item would stand. A consumer that closes the iterator early
    ends the thread; where it waits for what may never come, as from a pipe, it ends when that does.

    >>> list(ahead(iter("abc"), 2))
    ['a', 'b', 'c']
    """
    queue: Queue[tuple[bool, Any]] = Queue(depth)
    closed = threading.Event()

    def make() -> None:
        try:
            for item in items:
                if closed.is_set():
                    return
                queue.put((True, item))
                # what was handed on must not be kept from being freed
                del item
            queue.put((False, None))
        except BaseException as error:
            queue.put((False, error))
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=make, name="rib-ahead", daemon=True)
    thread.start()
    try:
        while True:
            more, item = queue.get()
            if not more:
                if item is not None:
                    raise item
                return
            yield item
    finally:
        closed.set()
        for _ in range(LOOKS):
            if not thread.is_alive():
                break
            with contextlib.suppress(Empty):
                queue.get(timeout=LOOK_SECONDS)
