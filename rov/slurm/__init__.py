"""SLURM: local exceptions to validated data (RFC 8416, and version 2 with ASPA of the draft).

>>> from rov import Snapshot, slurm
>>> exceptions = slurm.read_bytes([("local.json", b'''{"slurmVersion": 1,
...     "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": []},
...     "locallyAddedAssertions": {
...         "prefixAssertions": [{"asn": 64496, "prefix": "192.0.2.0/24"}], "bgpsecAssertions": []}}''')])
>>> exceptions.apply(Snapshot.empty()).snapshot
<Snapshot: 1 VRPs (1 IPv4, 0 IPv6), 0 ASPAs, 0 router keys>
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import msgspec

from rov._checks import as_flag, as_int, as_kind, as_path, as_rows
from rov._checks import shown as _shown
from rov.errors import ArgumentError, SlurmError, VrpFileError
from rov.formats.compression import read_file
from rov.slurm.apply import TRUST_ANCHOR, Applied, Effect, apply
from rov.slurm.entries import (
    AspaFilter,
    Assertion,
    Filter,
    PrefixFilter,
    RouterKeyFilter,
    shown,
)
from rov.slurm.overlap import overlaps
from rov.slurm.parse import MAX_FAULTS, parse
from rov.snapshot import Snapshot

__all__ = [
    "MAX_SLURM_OCTETS",
    "TRUST_ANCHOR",
    "Applied",
    "AspaFilter",
    "Assertion",
    "Effect",
    "Filter",
    "PrefixFilter",
    "RouterKeyFilter",
    "Slurm",
    "read",
    "read_bytes",
    "shown",
]

MAX_SLURM_OCTETS = 256 * 2**20
"""Of all files together: the global set written as assertions takes 100 MB."""


class Slurm(msgspec.Struct, frozen=True):
    """The filters and assertions of one or several files, checked; ``warnings`` are for people.

    >>> Slurm(("a.json",), (), (), ()).apply(Snapshot.empty()).snapshot == Snapshot.empty()
    True
    """

    files: tuple[str, ...]
    filters: tuple[Filter, ...]
    assertions: tuple[Assertion, ...]
    warnings: tuple[str, ...]

    def apply(self, snapshot: Snapshot, *, examples: int = 0) -> Applied:
        """Filters, then assertions; what each did, with up to ``examples`` elements of each filter.

        A prefix filter removes VRPs whose prefix it covers, never those that cover it; maxLength plays
        no role. An asserted ASPA joins providers that are left (8210bis §5.12): filter it to replace it.
        Apply to what has not expired, anew whenever something expires: an ASPA that was joined lasts
        only as long as its validated part. ArgumentError: no Snapshot, no number.

        >>> Slurm((), (), (), ()).apply(Snapshot.empty()).removed
        <Snapshot: 0 VRPs (0 IPv4, 0 IPv6), 0 ASPAs, 0 router keys>
        """
        as_kind(snapshot, Snapshot, "snapshot")
        return apply(snapshot, self.filters, self.assertions, as_int(examples, "examples"))


def read(*paths: str | os.PathLike[str], allow_overlap: bool = False) -> Slurm:
    """Read SLURM files as one set of exceptions.

    SlurmError: a file that cannot be read or deviates from RFC 8416 §3 in any way, or, unless
    allow_overlap, two files that speak of the same addresses or ASNs (§4.2); it names every fault.

    >>> read("/nonexistent")
    Traceback (most recent call last):
    rov.errors.SlurmError: /nonexistent: cannot be read: No such file or directory
    """
    files: list[tuple[str, bytes]] = []
    faults: list[tuple[str, str, str]] = []
    for path in map(as_path, paths):
        try:
            files.append((path, read_file(path)))
        except VrpFileError as error:
            faults.append((error.path, "", str(error).removeprefix(f"{error.path}: ")))
    if faults:
        raise SlurmError(faults)
    return read_bytes(files, allow_overlap=allow_overlap)


def read_bytes(files: Sequence[tuple[str, bytes]], *, allow_overlap: bool = False) -> Slurm:
    """As ``read``, from (name, octets) of files read elsewhere; ArgumentError: they are no such pairs.

    >>> read_bytes([("x.json", b"[]")])
    Traceback (most recent call last):
    rov.errors.SlurmError: x.json: $: expected an object, found []
    """
    allow_overlap = as_flag(allow_overlap, "allow_overlap")
    files = [_as_file(file) for file in as_rows(files, tuple, "files")]
    size = sum(len(data) for _, data in files)
    if size > MAX_SLURM_OCTETS:
        what = f"expected {MAX_SLURM_OCTETS:,} octets at most in all files, found {size:,}"
        raise SlurmError([(files[0][0], "", what)])
    names = [name for name, _ in files]
    if len(set(names)) < len(names):
        raise SlurmError(
            [(name, "", "given twice") for name in sorted({n for n in names if names.count(n) > 1})]
        )
    readings = [parse(data, name) for name, data in files]
    count = sum(reading.fault_count for reading in readings)
    if count:
        raise SlurmError([fault for reading in readings for fault in reading.faults][:MAX_FAULTS], count)
    filters = tuple(entry for reading in readings for entry in reading.filters)
    assertions = tuple(entry for reading in readings for entry in reading.assertions)
    if not allow_overlap and len(files) > 1:
        _refuse(overlaps((*filters, *assertions)))
    warnings = tuple(text for reading in readings for text in reading.warnings)
    return Slurm(tuple(names), filters, assertions, warnings)


def _as_file(file: tuple[object, ...]) -> tuple[str, bytes]:
    """A name and the octets of a file."""
    if len(file) == 2 and isinstance(file[0], str) and isinstance(file[1], bytes):
        return file[0], file[1]
    raise ArgumentError(f"files: expected (str, bytes), found {_shown(file)}")


def _refuse(faults: Iterable[tuple[str, str, str]]) -> None:
    """SlurmError if there is any fault."""
    found = list(faults)
    if found:
        raise SlurmError(found[:MAX_FAULTS], len(found))
