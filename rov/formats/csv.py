"""VRP files in CSV, known by the names in their first line.

Routinator csv, csvext and csvcompat, rpki-client csv, RIPE NCC validator export.csv, FORT csv.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from rov.errors import VrpFileError
from rov.formats.report import VRPS, Intake
from rov.formats.times import parse_time

_NAMES = {
    "asn": "asn",
    "ip prefix": "prefix",
    "prefix": "prefix",
    "max length": "max_length",
    "max prefix length": "max_length",
    "maxlength": "max_length",
    "trust anchor": "ta",
    "ta": "ta",
    "expires": "expires",
    "not after": "not_after",
    "not before": "not_before",
    "uri": "uri",
}
"""The names of columns in use, in lower case, and what they mean."""

MAX_LINE = 4096
"""Octets of the first line looked at; the longest in use has 60."""


def is_header(data: bytes) -> bool:
    """Whether the first line names the columns of VRPs: an ASN and a prefix at least.

    >>> is_header(b"ASN,IP Prefix,Max Length,Trust Anchor\\n"), is_header(b"1,2\\n")
    (True, False)
    """
    line = data[:MAX_LINE].split(b"\n", 1)[0].decode("utf-8", "replace")
    try:
        names = _columns(next(csv.reader([line.rstrip("\r")], strict=True), []))
    except csv.Error:
        return False
    return {"asn", "prefix"} <= set(names)


def _columns(header: list[str]) -> list[str]:
    return [_NAMES.get(name.strip().lower(), "") for name in header]


def read_csv(data: bytes, intake: Intake) -> str:
    """Put the rows of a CSV file into intake; the name of its format. VrpFileError as in rov.read.

    >>> intake = Intake("x.csv", strict=True)
    >>> read_csv(b"ASN,IP Prefix,Max Length,Trust Anchor\\nAS64496,192.0.2.0/24,24,ripe\\n", intake)
    'Routinator CSV'
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VrpFileError(intake.name, f"CSV, but no UTF-8 text at octet {error.start}") from error
    lines = _lines(text, intake)
    _, header = next(lines)
    columns = _columns(header)
    _take(lines, columns, intake)
    return _format(columns, data)


def quoted(field: str) -> str:
    """A field for a CSV file: as it is, or in quotes where it would break the line.

    >>> quoted("ripe"), quoted("a,b")
    ('ripe', '"a,b"')
    """
    if any(char in field for char in ',"\r\n'):
        return '"' + field.replace('"', '""') + '"'
    return field


def _lines(text: str, intake: Intake) -> Iterator[tuple[int, list[str]]]:
    """Each line that is not empty, with its number."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise VrpFileError(intake.name, f"no sound CSV: {error}", reader.line_num) from error


def _take(lines: Iterator[tuple[int, list[str]]], columns: list[str], intake: Intake) -> None:
    width = len(columns)
    asn, prefix = columns.index("asn"), columns.index("prefix")
    max_length, ta, expires, not_after = (
        columns.index(name) if name in columns else None
        for name in ("max_length", "ta", "expires", "not_after")
    )
    add = intake.rows.add
    for number, fields in lines:
        intake.vrp_rows += 1
        if len(fields) != width:
            intake.bad(VRPS, number, f"expected {width} fields as in the first line, found {len(fields)}")
            continue
        until: int | str | None = None
        if expires is not None:
            until = fields[expires] or None
        elif not_after is not None:
            try:
                until = parse_time(fields[not_after])
            except (ValueError, OverflowError):
                intake.bad(VRPS, number, f"Not After {fields[not_after][:40]!r}: expected a time in ISO 8601")
                continue
        fault = add(
            fields[asn],
            fields[prefix],
            (fields[max_length] or None) if max_length is not None else None,
            fields[ta] if ta is not None else None,
            until,
        )
        if fault is not None:
            intake.bad(VRPS, number, fault)


def _format(columns: list[str], data: bytes) -> str:
    """The producer, as far as the first line tells."""
    if "not_after" in columns:
        return "Routinator extended CSV"
    if "expires" in columns:
        return "rpki-client CSV"
    if data.lstrip().startswith(b'"'):
        return "RIPE NCC validator CSV"
    return "Routinator CSV" if "ta" in columns else "CSV"
