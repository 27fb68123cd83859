"""Tables as text: bgpdump -m, RIS whois, pfx2as, pyasn, CSV and JSON, told apart by their first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from rov.rib import objects

HEAD_BYTES = 64 * 1024
"""Octets looked at to recognise a table: RIS whois dumps begin with 1,500 octets of comments."""

_COMMENTS = (b"%", b"#", b";")

_PREFIX = re.compile(rb"[0-9a-fA-F:.]+/\d{1,3}$")
_ADDRESS = re.compile(rb"(?:\d+\.\d+\.\d+\.\d+|[0-9a-fA-F]*:[0-9a-fA-F:.]*)$")
_DIGITS = re.compile(rb"\d+$")
_ORIGINS = re.compile(rb"[0-9_,.]+$")
_ORIGIN = re.compile(rb"(?:(?i:AS)?[0-9.]+|\{[0-9, ]*\})$")
_BGPDUMP = re.compile(rb"(?:BGP4MP(?:_ET)?|TABLE_DUMP2?|BGP)(?:_AP)?\|\d+(?:\.\d+)?\|")

_NAMES = {
    "prefix": ("prefix", "ip prefix", "ip_prefix", "network", "route", "cidr"),
    "origin": ("origin", "asn", "origin_asn", "origin_as", "origin as", "originas", "as"),
    "number": ("peers", "n_peers", "seen_by_peers", "seen-by-peers", "visibility"),
}
"""Names of columns, in lower case."""

COLUMN_NAMES = frozenset(name for names in _NAMES.values() for name in names)
"""All of them."""


class Layout(NamedTuple):
    """How lines are read: the separator, where each field stands (-1: nowhere), what parts origins.

    keys: those of JSON objects, by meaning, from which ``objects.as_lines`` makes such lines.
    """

    name: str
    separator: str
    prefix: int
    origin: int
    length: int = -1
    number: int = -1
    kind: int = -1
    time: int = -1
    peer: int = -1
    peer_as: int = -1
    more: str = ""
    header: bool = False
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def fields(self) -> tuple[int, int, int, int, int, int, int, int]:
        """The places in the order of LineParser."""
        return (
            self.prefix,
            self.length,
            self.origin,
            self.number,
            self.kind,
            self.time,
            self.peer,
            self.peer_as,
        )


_BGPDUMP_LAYOUT = Layout("bgpdump -m", "|", prefix=5, origin=6, kind=2, time=1, peer=3, peer_as=4)
_RIS_WHOIS = Layout("RIS whois dump", "\t", prefix=1, origin=0, number=2)
_PFX2AS = Layout("pfx2as", "\t", prefix=0, length=1, origin=2, more="_")
_PYASN = Layout("pyasn", "\t", prefix=0, origin=1)


def detect(head: bytes) -> Layout | None:
    """The layout of a table by its first octets; None if it is no table of a known kind.

    >>> detect(b"192.0.2.0\\t24\\t64496_64497\\n").name
    'pfx2as'
    >>> detect(b"prefix,origin_asn,how\\n192.0.2.0/24,64496,exact\\n").origin
    1
    """
    lines = _text_lines(head)
    line = next(lines, None)
    if line is None:
        return None
    if _BGPDUMP.match(line):
        return _BGPDUMP_LAYOUT
    fields = line.split(b"\t")
    if len(fields) == 3 and _fits(fields, _ORIGIN, _PREFIX, _DIGITS):
        return _RIS_WHOIS
    if len(fields) == 3 and _fits(fields, _ADDRESS, _DIGITS, _ORIGINS):
        return _PFX2AS
    if len(fields) == 2 and _fits(fields, _PREFIX, _ORIGIN):
        return _PYASN
    # the last: a RIS whois dump may begin with an AS_SET
    if line.startswith((b"[", b"{")):
        return _named_keys(chain([line], lines))
    return _named_columns(line)


def _text_lines(head: bytes) -> Iterator[bytes]:
    """The lines that are no comments."""
    for line in head.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = line.strip(b"\r ")
        if line and not line.startswith(_COMMENTS):
            yield line


def _fits(fields: list[bytes], *patterns: re.Pattern[bytes]) -> bool:
    return all(pattern.match(field) for field, pattern in zip(fields, patterns, strict=True))


def _places(names: Sequence[str]) -> dict[str, int]:
    """Where the column of each meaning stands among names in lower case, -1: nowhere."""
    return {
        meaning: next((names.index(name) for name in known if name in names), -1)
        for meaning, known in _NAMES.items()
    }


def _named_keys(lines: Iterator[bytes]) -> Layout | None:
    """The layout of JSON objects, one a line, by the keys of the first."""
    keys = list(objects.first_object(lines) or ())
    places = _places([key.lower() for key in keys])
    if min(places["prefix"], places["origin"]) < 0:
        return None
    named = tuple((meaning, keys[place]) for meaning, place in places.items() if place >= 0)
    number = 2 if places["number"] >= 0 else -1
    return Layout("JSON lines", objects.SEPARATOR, prefix=0, origin=1, number=number, keys=named)


def _named_columns(line: bytes) -> Layout | None:
    """The layout of a CSV file whose first line names its columns."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    for separator in ",\t;|":
        names = [name.strip().lower() for name in next(csv.reader([text], delimiter=separator), [])]
        places = _places(names)
        if places["prefix"] >= 0 and places["origin"] >= 0:
            return Layout(
                "CSV",
                separator,
                prefix=places["prefix"],
                origin=places["origin"],
                number=places["number"],
                header=True,
            )
    return None
