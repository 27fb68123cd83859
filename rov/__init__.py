"""BGP route origin validation: VRP sets in, verdicts out.

>>> import rov
>>> snapshot = rov.Snapshot.from_vrps([rov.Vrp(rov.Prefix.parse("192.0.2.0/24"), 24, 64496)])
>>> rov.VrpIndex(snapshot).validate("192.0.2.0/24", 64496)
<State.VALID: 1>
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import typing

# python -m rov comes here before rov.__main__, and Ctrl-C may come meanwhile; argv is so for that time only
if sys.argv[:1] == ["-m"] and ("-m", "rov") in itertools.pairwise(sys.orig_argv):
    from rov_command import end_on_interrupt as _end_on_interrupt

    _end_on_interrupt()

from rov.columns import NO_EXPIRY, VrpColumns
from rov.delta import Delta
from rov.errors import (
    ArchiveError,
    ArgumentError,
    DeltaError,
    EngineError,
    ExtraError,
    PrefixError,
    ReferenceFileError,
    RibFileError,
    RovError,
    SlurmError,
    SnapshotFileError,
    VrpFileError,
)
from rov.formats import OUTPUTS, BadRow, ReadReport, encode, read, read_bytes, read_report
from rov.index import VrpIndex
from rov.routes import RouteBatch
from rov.snapshot import Snapshot
from rov.types import Aspa, Prefix, PrefixLike, Reason, RouterKey, State, Validity, Vrp

if typing.TYPE_CHECKING:
    from rov import archive, aspa, bulk, diff, rib, routers, slurm, synth

__all__ = [
    "NO_EXPIRY",
    "OUTPUTS",
    "ArchiveError",
    "ArgumentError",
    "Aspa",
    "BadRow",
    "Delta",
    "DeltaError",
    "EngineError",
    "ExtraError",
    "Prefix",
    "PrefixError",
    "PrefixLike",
    "ReadReport",
    "Reason",
    "ReferenceFileError",
    "RibFileError",
    "RouteBatch",
    "RouterKey",
    "RovError",
    "SlurmError",
    "Snapshot",
    "SnapshotFileError",
    "State",
    "Validity",
    "Vrp",
    "VrpColumns",
    "VrpFileError",
    "VrpIndex",
    "archive",
    "aspa",
    "bulk",
    "diff",
    "encode",
    "load",
    "read",
    "read_bytes",
    "read_report",
    "rib",
    "routers",
    "slurm",
    "synth",
]

_PARTS = frozenset({"archive", "aspa", "bulk", "diff", "rib", "routers", "slurm", "synth"})
"""Imported at their first use: ``import rov`` is to take little longer than the import of numpy."""


if not typing.TYPE_CHECKING:
    # a type checker is to know the parts from above, and to report any other name

    def __getattr__(name):
        if name in _PARTS:
            return importlib.import_module(f"rov.{name}")
        raise AttributeError(f"module 'rov' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS})


def load(path: str | os.PathLike[str], *, strict: bool = True) -> VrpIndex:
    """Read a VRP file of any known format and build the index that answers for it.

    VrpFileError: the file is none, or, with strict, has a bad row; without strict bad rows are left out.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b'[{"asn": "AS64496", "prefix": "192.0.2.0/24"}]')
    ...     file.flush()
    ...     load(file.name).validate("192.0.2.0/25", 64496)
    <State.INVALID: 2>
    """
    return VrpIndex(read(path, strict=strict))
