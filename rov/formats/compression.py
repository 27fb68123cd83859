"""Compressed files, told apart by their first octets and unpacked within a bound."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import zstandard
from isal import igzip_lib

from rov._replace import naming, replacing
from rov._urls import open_url
from rov.errors import VrpFileError

MAX_FILE_BYTES = 512 * 2**20
"""The longest VRP file read, packed or unpacked: five times the largest one published (105 MB in 2026)."""

XZ_MEMORY_BYTES = 256 * 2**20
"""What an .xz file may ask for to be unpacked; xz -9 asks for 65 MiB."""

ZSTD_WINDOW_BYTES = 128 * 2**20
"""What a .zst file may ask for; zstd refuses more than this by itself, too, unless told otherwise."""

ZSTD_PIECE_BYTES = 1024
"""Fed to zstd at a time: its interface has no bound on output, and 4 octets may unpack to 128 KiB."""

MAX_STREAMS = 8192
"""Streams in one file; bgzip starts a new one every 64 KiB, and each costs a copy of what follows."""

CHUNK_BYTES = 16 * 2**20
"""Unpacked at a time, between two looks at the bound."""

PIECE_BYTES = 256 * 2**10
"""The same where pieces are taken one by one: few enough to stay in the processor's caches."""


class _Decompressor(Protocol):
    """What bz2, lzma and isal have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Zstd:
    """zstd behind the interface of the others."""

    def __init__(self) -> None:
        context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
        self._inner = context.decompressobj()
        self._waiting = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + bytes(self._waiting)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if data:
            self._waiting = memoryview(data)
        parts, size = [], 0
        while self._waiting and not self._inner.eof and size < max_length:
            piece, self._waiting = self._waiting[:ZSTD_PIECE_BYTES], self._waiting[ZSTD_PIECE_BYTES:]
            parts.append(self._inner.decompress(bytes(piece)))
            size += len(parts[-1])
        return b"".join(parts)


class Packing(NamedTuple):
    """A way of packing: its name, its first octets, and what starts a decompressor.

    >>> packing_of(b"BZh9").name
    'bzip2'
    """

    name: str
    magic: bytes
    start: Callable[[], Any]


_PACKINGS = (
    Packing("gzip", b"\x1f\x8b", lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)),
    Packing("bzip2", b"BZh", bz2.BZ2Decompressor),
    Packing("xz", b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)),
    Packing("zstd", b"\x28\xb5\x2f\xfd", _Zstd),
)

FAULTS: Any = (OSError, EOFError, ValueError, lzma.LZMAError, zstandard.ZstdError, igzip_lib.error)
"""Any: the stub of isal takes its exception class for an instance."""


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The octets of a file as they stand; VrpFileError if it cannot be read or exceeds MAX_FILE_BYTES.

    >>> read_file("/nonexistent")
    Traceback (most recent call last):
    rov.errors.VrpFileError: /nonexistent: cannot be read: No such file or directory
    """
    name = os.fsdecode(path)
    try:
        with open(path, "rb") as file:
            data = _read(file, os.fstat(file.fileno()).st_size)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    _check_size(len(data), name)
    return data


def _unreadable(name: str, error: OSError | ValueError) -> VrpFileError:
    return VrpFileError(name, f"cannot be read: {getattr(error, 'strerror', None) or error}")


def read_url(url: str) -> bytes:
    """As ``read_file``, of a URL; ExtraError where that needs what is not installed.

    >>> read_url("file:///dev/null")
    b''
    """
    try:
        with open_url(url) as file:
            return read_open(file, url)
    except (OSError, ValueError) as error:
        raise _unreadable(url, error) from error


def read_open(file: IO[bytes], name: str = "standard input") -> bytes:
    """As ``read_file``, of what is open: a pipe, say.

    >>> import io
    >>> read_open(io.BytesIO(b"ASN,IP Prefix"))
    b'ASN,IP Prefix'
    """
    try:
        data = _read(file, CHUNK_BYTES)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    _check_size(len(data), name)
    return data


def _read(file: IO[bytes], expected: int) -> bytes:
    """At most MAX_FILE_BYTES and one more, without setting so much memory aside beforehand."""
    parts = [file.read(min(expected, MAX_FILE_BYTES) + 1)]
    size = len(parts[0])
    # a pipe states no size
    while size <= MAX_FILE_BYTES and (part := file.read(min(CHUNK_BYTES, MAX_FILE_BYTES + 1 - size))):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def read_pieces(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The unpacked content of a file in pieces of about PIECE_BYTES; VrpFileError as read_file and unpack.

    >>> list(read_pieces("/dev/null"))
    []
    """
    name = os.fsdecode(path)
    try:
        with open(path, "rb", buffering=0) as file:
            size, piece = 0, file.read(PIECE_BYTES)
            if packing_of(piece) is not None:
                piece += _read(file, os.fstat(file.fileno()).st_size)
                _check_size(len(piece), name)
                yield from unpack_pieces(piece, name)
                return
            while piece:
                size += len(piece)
                _check_size(size, name)
                yield piece
                piece = file.read(PIECE_BYTES)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error


def stream_pieces(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The unpacked content of a file of any length in pieces of about PIECE_BYTES, some of them in memory.

    VrpFileError: it cannot be read, is damaged, cut short, or followed by something else.

    >>> list(stream_pieces("/dev/null"))
    []
    """
    name = os.fsdecode(path)
    try:
        with open(path, "rb", buffering=0) as file:
            piece = file.read(PIECE_BYTES)
            packing = packing_of(piece)
            if packing is not None:
                yield from _streams(packing, file, piece, name)
                return
            while piece:
                yield piece
                piece = file.read(PIECE_BYTES)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error


def _streams(packing: Packing, file: Any, data: bytes, name: str) -> Iterator[bytes]:
    """One packed stream after the other, read as it is needed."""
    while data:
        if not data.startswith(packing.magic):
            if data.strip(b"\0"):
                raise VrpFileError(name, f"something else follows the end of the {packing.name} data")
            return
        stream: _Decompressor = packing.start()
        while not stream.eof:
            try:
                part = stream.decompress(data, PIECE_BYTES)
            except FAULTS as error:
                raise VrpFileError(name, f"damaged {packing.name} data: {error}") from error
            data = b""
            if part:
                yield part
            elif not stream.eof:
                data = file.read(PIECE_BYTES)
                if not data:
                    raise VrpFileError(name, f"the {packing.name} data is cut short")
        data = stream.unused_data
        if len(data) < len(packing.magic):
            data += file.read(PIECE_BYTES)


def unpack(data: bytes, name: str) -> bytes:
    """The content of .gz, .bz2, .xz or .zst data, whatever its name; other data as it is.

    VrpFileError: damaged, cut short, followed by something else, or longer than MAX_FILE_BYTES.

    >>> unpack(bz2.compress(b"ASN,IP Prefix"), "x")
    b'ASN,IP Prefix'
    """
    return data if packing_of(data) is None else b"".join(unpack_pieces(data, name, CHUNK_BYTES))


def unpack_pieces(data: bytes, name: str, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """As unpack, in pieces of about so many octets; data that is not packed in one piece.

    >>> list(unpack_pieces(bz2.compress(b"ASN,IP Prefix"), "x", 8))
    [b'ASN,IP P', b'refix']
    """
    packing = packing_of(data)
    if packing is None:
        yield data
        return
    size = 0
    for _ in range(MAX_STREAMS):
        if not data:
            break
        if not data.startswith(packing.magic):
            if data.strip(b"\0"):
                raise VrpFileError(name, f"{len(data)} octets follow the end of the {packing.name} data")
            break
        stream: _Decompressor = packing.start()
        for part in _unpack_stream(packing, stream, data, name, piece_bytes):
            size += len(part)
            _check_size(size, name)
            yield part
        data = stream.unused_data
    else:
        raise VrpFileError(
            name, f"more than {MAX_STREAMS} {packing.name} streams, the most expected in one file"
        )


def packing_of(data: bytes) -> Packing | None:
    """How data is packed, by its first octets; None if it is not.

    >>> packing_of(b"ASN,IP Prefix") is None
    True
    """
    return next((packing for packing in _PACKINGS if data.startswith(packing.magic)), None)


def _unpack_stream(
    packing: Packing, stream: _Decompressor, data: bytes, name: str, piece_bytes: int
) -> Iterator[bytes]:
    """The parts of one stream."""
    while not stream.eof:
        try:
            part = stream.decompress(data, piece_bytes)
        except FAULTS as error:
            raise VrpFileError(name, f"damaged {packing.name} data: {error}") from error
        data = b""
        if not part and not stream.eof:
            raise VrpFileError(name, f"the {packing.name} data is cut short")
        yield part


def _check_size(size: int, name: str) -> None:
    if size > MAX_FILE_BYTES:
        raise VrpFileError(name, f"longer than {MAX_FILE_BYTES:,} octets, the longest VRP file expected")


_WRITERS: dict[str, Callable[[IO[bytes]], Any]] = {
    # no name and no time of writing in the header: the same data gives the same file
    ".gz": lambda file: gzip.GzipFile("", "wb", 6, file, mtime=0),
    ".bz2": lambda file: bz2.BZ2File(file, "wb"),
    ".xz": lambda file: lzma.LZMAFile(file, "wb", preset=1),  # noqa: SIM115
    ".zst": lambda file: zstandard.ZstdCompressor().stream_writer(file, closefd=False),
}


def write_file(path: str | os.PathLike[str], chunks: Iterable[bytes]) -> None:
    """Write a file, compressed if its name ends in .gz .bz2 .xz .zst; OSError if that fails.

    A regular file appears under its name when it is complete, so that nobody reads half of it.

    >>> import tempfile
    >>> name = os.path.join(tempfile.mkdtemp(), "x.bz2")
    >>> write_file(name, [b"ASN,", b"IP Prefix"])
    >>> unpack(read_file(name), name)
    b'ASN,IP Prefix'
    """
    name = os.fsdecode(path)
    suffix = os.path.splitext(name)[1]
    if os.path.exists(name) and not os.path.isfile(name):
        with naming(Path(name)), open(name, "wb") as file:
            _write(file, suffix, chunks)
        return
    with replacing(Path(name), Path(f"{name}.{os.getpid()}.part"), sync=False) as file:
        _write(file, suffix, chunks)


def _write(file: IO[bytes], suffix: str, chunks: Iterable[bytes]) -> None:
    if suffix not in _WRITERS:
        file.writelines(chunks)
        return
    with _WRITERS[suffix](file) as writer:
        for chunk in chunks:
            writer.write(chunk)
