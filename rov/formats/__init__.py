"""VRP files in and out: what validators write, saved Snapshots, msgpack, Parquet; told apart by content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

from rov import _packed
from rov._checks import as_flag, as_kind, as_path
from rov.errors import ArgumentError, VrpFileError
from rov.formats import parquet
from rov.formats.compression import MAX_FILE_BYTES, read_file, read_pieces, unpack, unpack_pieces
from rov.formats.csv import is_header, read_csv
from rov.formats.json import read_json
from rov.formats.json_stream import read_slices
from rov.formats.output import OUTPUTS, encode
from rov.formats.report import BadRow, Intake, ReadReport
from rov.snapshot import Snapshot
from rov.snapshot_file import MAGIC

__all__ = [
    "MAX_FILE_BYTES",
    "OUTPUTS",
    "BadRow",
    "ReadReport",
    "encode",
    "read",
    "read_bytes",
    "read_report",
]

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_EXPECTED = "expected VRPs as JSON or CSV, as rpki-client, Routinator or a RIPE NCC validator write them"


def read(path: str | os.PathLike[str], *, strict: bool = True) -> Snapshot:
    """Read a VRP file: JSON, CSV, msgpack, Parquet or a saved Snapshot, plain or .gz .bz2 .xz .zst.

    VrpFileError: the file cannot be read or is no VRP file; with strict also the first bad row, named
    by its number. Without strict bad rows are left out: ``read_report`` tells which. A saved Snapshot is
    copied into memory, and it has no bad rows: ``Snapshot.open`` uses the file in place.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b'[{"asn": "AS64496", "prefix": "192.0.2.0/24"}]')
    ...     file.flush()
    ...     read(file.name)
    <Snapshot: 1 VRPs (1 IPv4, 0 IPv6), 0 ASPAs, 0 router keys>
    """
    return read_report(path, strict=strict).snapshot


def read_report(path: str | os.PathLike[str], *, strict: bool = True) -> ReadReport:
    """As ``read``, with the format found and the rows left out.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b'[{"asn": "AS", "prefix": "192.0.2.0/24"}]')
    ...     file.flush()
    ...     read_report(file.name, strict=False).skipped_count
    1
    """
    name, strict = as_path(path), as_flag(strict, "strict")
    if not os.path.isfile(name):
        # what can be read only once
        return read_bytes(read_file(name), name, strict=strict)
    report = _read_slices(read_pieces(name), name, strict)
    return report if report is not None else _read(unpack(read_file(name), name), name, strict)


def read_bytes(data: bytes, name: str, *, strict: bool = True) -> ReadReport:
    """As ``read_report``, from data fetched elsewhere; name stands for it in errors.

    >>> read_bytes(b"ASN,IP Prefix,Max Length,Trust Anchor\\n", "https://rpki.example/vrps.csv").format
    'Routinator CSV'
    """
    name, strict = as_kind(name, str, "name"), as_flag(strict, "strict")
    report = _read_slices(unpack_pieces(as_kind(data, bytes, "data"), name), name, strict)
    return report if report is not None else _read(unpack(data, name), name, strict)


def _read_slices(pieces: Iterator[bytes], name: str, strict: bool) -> ReadReport | None:
    """A JSON file without a fault in it; None for whatever must be looked at as a whole."""
    try:
        head = next(pieces, b"").removeprefix(_BOM).lstrip(_BLANKS)
    except VrpFileError:
        return None
    if head[:1] not in (b"{", b"["):
        return None
    intake = Intake(name, strict)
    form = read_slices(chain((head,), pieces), intake)
    return None if form is None else intake.report(form)


def _read(data: bytes, name: str, strict: bool) -> ReadReport:
    """A file of any format, as a whole."""
    content = data.removeprefix(_BOM).lstrip(_BLANKS)
    if content.startswith(MAGIC):
        snapshot = Snapshot.from_bytes(content, name)
        return ReadReport(snapshot, "saved Snapshot", len(snapshot), (), 0)
    if content.startswith(_packed.MAGIC):
        return _read_packed(content, name)
    intake = Intake(name, strict)
    if content.startswith(parquet.MAGIC):
        return intake.report(parquet.read_parquet(content, intake))
    if content[:1] in (b"{", b"["):
        return intake.report(read_json(content, intake))
    if is_header(content):
        return intake.report(read_csv(content, intake))
    raise VrpFileError(name, f"{_EXPECTED}; found {_kind(content)}")


def _read_packed(content: bytes, name: str) -> ReadReport:
    try:
        snapshot = _packed.unpack(content)
    except ArgumentError as error:
        raise VrpFileError(name, str(error)) from error
    return ReadReport(snapshot, "msgpack", len(snapshot), (), 0)


def _kind(content: bytes) -> str:
    """A few words on data that is no VRP file."""
    if not content:
        return "nothing"
    start = content[:64]
    if start.lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if start.startswith(b"<"):
        return "XML or HTML"
    if b"\0" in start or not start.isascii():
        return "binary data"
    return f"text that begins with {start.splitlines()[0][:40].decode('ascii')!r}"
