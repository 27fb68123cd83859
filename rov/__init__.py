"""BGP route origin validation: VRP sets in, verdicts out.

>>> import rov
>>> snapshot = rov.Snapshot.from_vrps([rov.Vrp(rov.Prefix.parse("192.0.2.0/24"), 24, 64496)])
>>> len(snapshot)
1
"""

from rov.columns import NO_EXPIRY, VrpColumns
from rov.delta import Delta
from rov.errors import ArgumentError, DeltaError, PrefixError, RovError, SnapshotFileError, VrpFileError
from rov.formats import BadRow, ReadReport, read, read_bytes, read_report
from rov.snapshot import Snapshot
from rov.types import Aspa, Prefix, Reason, RouterKey, State, Validity, Vrp

__all__ = [
    "NO_EXPIRY",
    "ArgumentError",
    "Aspa",
    "BadRow",
    "Delta",
    "DeltaError",
    "Prefix",
    "PrefixError",
    "ReadReport",
    "Reason",
    "RouterKey",
    "RovError",
    "Snapshot",
    "SnapshotFileError",
    "State",
    "Validity",
    "Vrp",
    "VrpColumns",
    "VrpFileError",
    "read",
    "read_bytes",
    "read_report",
]
