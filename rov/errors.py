"""The errors of the library, told apart by what the caller can do about them.

    RovError
    ├── PrefixError        a text or a pair of numbers is no prefix: correct the argument
    ├── ArgumentError      an argument has the wrong type, shape, dtype or range: correct the call
    ├── VrpFileError       a VRP file cannot be read: correct or replace the file
    ├── SnapshotFileError  a saved Snapshot is damaged or of another format: make it anew
    └── DeltaError         a Delta does not fit the Snapshot it is applied to: start from the full set

PrefixError and ArgumentError are ValueErrors as well, as callers of a Python library expect.
"""

from __future__ import annotations


class RovError(Exception):
    """Base of every error that the library raises on purpose."""


class PrefixError(RovError, ValueError):
    """A text or a pair of numbers is no IP prefix; the message says what was expected."""


class ArgumentError(RovError, ValueError):
    """An argument has the wrong type, shape, dtype or range; the message says what was expected."""


class VrpFileError(RovError):
    """A VRP file cannot be read.

    ``path`` names the file and ``row`` the first bad row, counted from 1 among the rows of its list
    (JSON) or the lines of the file (CSV); ``row`` is None where the file as a whole is at fault.
    """

    def __init__(self, path: str, message: str, row: int | None = None) -> None:
        self.path = path
        self.row = row
        where = path if row is None else f"{path}: row {row}"
        super().__init__(f"{where}: {message}")


class SnapshotFileError(RovError):
    """A saved Snapshot is damaged, cut short, or in a format that this version does not know."""


class DeltaError(RovError):
    """A Delta withdraws what a Snapshot lacks, or announces what it has (RFC 8210 §5.11, codes 6, 7)."""
