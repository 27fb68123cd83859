"""The errors of the library, told apart by what the caller can do about them.

    RovError
    ├── PrefixError        a text or a pair of numbers is no prefix: correct the argument
    ├── ArgumentError      an argument has the wrong type, shape, dtype or range: correct the call
    ├── VrpFileError       a VRP file cannot be read: correct or replace the file
    │   └── SnapshotFileError  a saved Snapshot is damaged or of another format: make it anew
    ├── SlurmError         SLURM files deviate from RFC 8416: correct them, keep the last good ones
    ├── RibFileError       a RIB dump cannot be read: correct or replace the file
    ├── ReferenceFileError a file of a registry, an IRR or an exchange cannot be read: correct or replace it
    ├── ArchiveError       an archive cannot be read or written, or does not know what is asked
    ├── ExtraError         an optional package is missing: install the extra that the message names
    ├── EngineError        a cluster cannot be started or gave up: correct its settings, or try again
    └── DeltaError         a Delta does not fit the Snapshot it is applied to: start from the full set

PrefixError and ArgumentError are ValueErrors as well, as callers of a Python library expect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        self.message = message
        self.row = row
        where = path if row is None else f"{path}: row {row}"
        super().__init__(f"{where}: {message}")

    def __reduce__(self) -> tuple[type[VrpFileError], tuple[str, str, int | None]]:
        return type(self), (self.path, self.message, self.row)


class SlurmError(RovError):
    """SLURM files that must not be used (RFC 8416 §3, §4.2).

    ``faults`` are (file, JSON path, what is wrong), the path empty where the whole file is at fault;
    ``count`` is how many there are, as only the first are kept.
    """

    def __init__(self, faults: Sequence[tuple[str, str, str]], count: int | None = None) -> None:
        self.faults = tuple(faults)
        self.count = len(self.faults) if count is None else count
        file, path, what = self.faults[0]
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        super().__init__(f"{file}: {f'{path}: ' if path else ''}{what}{more}")


class ArchiveError(RovError):
    """An archive of updates cannot be read or written, or knows nothing of the time asked for."""


class RibFileError(RovError):
    """A RIB dump cannot be read; ``path`` names the file."""

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"{path}: {message}")

    def __reduce__(self) -> tuple[type[RibFileError], tuple[str, str]]:
        return type(self), (self.path, self.message)


class SnapshotFileError(VrpFileError):
    """A saved Snapshot is damaged, cut short, or in a format that this version does not know."""


class ReferenceFileError(RovError):
    """A file of reference data cannot be read: RIR delegations, IRR objects, AS names, members, thresholds.

    ``path`` names the file, ``line`` where it is at fault, from 1; None where that is the whole file.
    """

    def __init__(self, path: str, message: str, line: int | None = None) -> None:
        self.path = path
        self.message = message
        self.line = line
        where = path if line is None else f"{path}: line {line}"
        super().__init__(f"{where}: {message}")

    def __reduce__(self) -> tuple[type[ReferenceFileError], tuple[str, str, int | None]]:
        return type(self), (self.path, self.message, self.line)


class DeltaError(RovError):
    """A Delta withdraws what a Snapshot lacks, or announces what it has (RFC 8210 §5.11, codes 6, 7)."""


class EngineError(RovError):
    """Other processes or machines cannot be started, or gave up; the message says what they said."""


class ExtraError(RovError, ImportError):
    """An optional package that is needed is not installed; the message names the extra that brings it."""
