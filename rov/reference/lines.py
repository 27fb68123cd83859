"""Lines of reference files, plain or packed, within a bound."""

from __future__ import annotations

import os
from collections.abc import Iterator

from rov._checks import as_path
from rov.errors import ReferenceFileError, VrpFileError
from rov.formats.compression import read_file, stream_pieces, unpack


def read_octets(path: str | os.PathLike[str]) -> bytes:
    """The unpacked octets of a file; ReferenceFileError if it cannot be read or is too long.

    >>> read_octets("/nonexistent")
    Traceback (most recent call last):
    rov.errors.ReferenceFileError: /nonexistent: cannot be read: No such file or directory
    """
    name = as_path(path)
    try:
        return unpack(read_file(path), name)
    except VrpFileError as error:
        raise ReferenceFileError(name, error.message) from error


def octets_in_pieces(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The unpacked octets of a file of any length, some hundred thousand at a time; ReferenceFileError.

    >>> list(octets_in_pieces("/dev/null"))
    []
    """
    name = as_path(path)
    try:
        yield from stream_pieces(name)
    except VrpFileError as error:
        raise ReferenceFileError(name, error.message) from error


def numbered_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1, without its end; ReferenceFileError as ``read_octets``.

    What is no UTF-8 is replaced: names in such files come in many encodings.
    """
    for number, line in enumerate(read_octets(path).splitlines(), 1):
        yield number, line.decode("utf-8", "replace")
