"""A file that is written beside its place and moved there whole: readers see the old one or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of writing alone, which do not tell of which file: one that is read meanwhile is not meant."""


@contextlib.contextmanager
def naming(place: Path) -> Iterator[None]:
    """An OSError of the block that says that there is no room says where, too.

    >>> with naming(Path("x")):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'x'
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in NO_ROOM:
            raise OSError(error.errno, error.strerror, os.fspath(place)) from error
        raise


@contextlib.contextmanager
def replacing(place: Path, unfinished: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """The file to write, which takes ``place`` at the end of the block; after an error it is gone.

    ``unfinished`` is its name until then, in the same folder; what has that name from a run that was cut off
    goes first. ``sync``: content and name are on the disk for good when the block is left. OSError.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "x"
    >>> with replacing(place, place.with_suffix(".new"), sync=False) as file:
    ...     file.write(b"octets")
    6
    >>> [path.name for path in place.parent.iterdir()]
    ['x']
    """
    unfinished.unlink(missing_ok=True)
    try:
        with naming(place), open(unfinished, "xb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(unfinished, place)
    except BaseException as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError) and error.filename == os.fspath(unfinished):
            # who is told knows the place only
            raise OSError(error.errno, error.strerror, os.fspath(place)) from error
        raise
    if sync:
        sync_folder(place.parent)


def sync_folder(folder: Path) -> None:
    """A new name is durable once its folder is.

    >>> sync_folder(Path("."))
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
