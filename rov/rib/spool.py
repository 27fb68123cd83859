"""Unpacked dumps kept for a second reading, where to unpack them again takes long or is not possible."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

import zstandard

from rov._checks import as_int

MAX_SPOOL_BYTES = 8 << 30
"""Octets of all that is kept, in the folder for temporary files: 800 million entries at LEVEL."""

LEVEL = -1
"""Of zstd: 300 MB a second, a twentieth of what bzip2 takes, and a seventh of the size of a RIB."""

_PIECE_BYTES = 1 << 20


class Spool:
    """Keeps what dumps unpack to, packed lightly, in temporary files without a name, until it is closed.

    Give the same Spool to ``read_table`` and then to ``rov.rib.open``: dumps in .bz2 and .xz, URLs and
    standard input are read once. What takes more than ``limit`` octets, or has no room on the disk, is not
    kept. Threads may share it. ArgumentError: the limit is no number of octets.

    >>> with Spool() as spool:
    ...     first = list(spool.keep("rib", iter([b"octets"])))
    ...     first, list(spool.again("rib")), spool.has("table")
    ([b'octets'], [b'octets'], False)
    """

    def __init__(self, limit: int = MAX_SPOOL_BYTES) -> None:
        self._left = as_int(limit, "limit")
        self._lock = threading.Lock()
        self._kept: dict[str, IO[bytes]] = {}

    def has(self, name: str) -> bool:
        """Whether all of a dump is kept."""
        return name in self._kept

    def keep(self, name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces; once they have ended, the spool has them under this name."""
        with contextlib.ExitStack() as stack:
            file: IO[bytes] | None = None
            with contextlib.suppress(OSError):
                file = stack.enter_context(tempfile.TemporaryFile(prefix="rov-"))
            packer = zstandard.ZstdCompressor(level=LEVEL).compressobj()
            for piece in pieces:
                file = self._written(file, packer.compress(piece))
                yield piece
            file = self._written(file, packer.flush())
            if file is not None:
                stack.pop_all()
                self._kept[name] = file

    def _written(self, file: IO[bytes] | None, octets: bytes) -> IO[bytes] | None:
        """The file with these octets at its end, or None where there is no room for them."""
        if file is None:
            return None
        with self._lock:
            self._left -= len(octets)
        if self._left >= 0:
            with contextlib.suppress(OSError):
                file.write(octets)
                file.flush()
                return file
        with self._lock:
            self._left += file.tell() + len(octets)
        with contextlib.suppress(OSError):  # what could not be written is tried once more
            file.close()
        return None

    def again(self, name: str) -> Iterator[bytes]:
        """The pieces of a dump that it has; one reader of a name at a time."""
        file = self._kept[name]
        file.seek(0)
        yield from zstandard.ZstdDecompressor().read_to_iter(file, _PIECE_BYTES, _PIECE_BYTES)

    def close(self) -> None:
        """Forget what was kept."""
        for file in self._kept.values():
            file.close()
        self._kept.clear()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
