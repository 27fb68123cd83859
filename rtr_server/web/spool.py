"""Octets between whoever makes them and whoever takes them: some in memory, more in a file."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from typing import IO

IN_MEMORY = 8 << 20
"""Octets that stay out of files."""

READ = 1 << 20
"""Octets read from a file at once."""


class Spool:
    """First in, first out; any threads may put and get. ``close`` frees the file.

    The file is as long as what was put while nobody got; it shrinks to nothing when all is taken.

    >>> spool = Spool()
    >>> spool.put(b"ab")
    >>> len(spool), spool.get(), spool.get()
    (2, b'ab', b'')
    """

    def __init__(self) -> None:
        self._memory: deque[bytes] = deque()
        self._held = 0
        self._file: IO[bytes] | None = None
        self._begin = self._end = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._held + self._end - self._begin

    @property
    def in_file(self) -> bool:
        """Whether ``get`` has to read a file."""
        return not self._memory and self._begin < self._end

    def put(self, octets: bytes) -> None:
        """Add octets."""
        if not octets:
            return
        with self._lock:
            if self._begin == self._end and self._held + len(octets) <= IN_MEMORY:
                self._memory.append(octets)
                self._held += len(octets)
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close
            self._file.seek(self._end)
            self._file.write(octets)
            self._end += len(octets)

    def get(self) -> bytes:
        """Some of the octets that were put first, b"" where there are none."""
        with self._lock:
            if self._memory:
                octets = self._memory.popleft()
                self._held -= len(octets)
                return octets
            if self._file is None or self._begin == self._end:
                return b""
            self._file.seek(self._begin)
            octets = self._file.read(min(READ, self._end - self._begin))
            self._begin += len(octets)
            if self._begin == self._end:
                self._file.truncate(0)
                self._begin = self._end = 0
            return octets

    def close(self) -> None:
        """Forget what is left."""
        with self._lock:
            self._memory.clear()
            self._held = self._begin = self._end = 0
            if self._file is not None:
                self._file.close()
                self._file = None
