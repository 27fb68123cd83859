"""What ASes are called: JSON of AS numbers and names, RIPE's asn.txt, CSV; plain or packed.

Names are text from strangers, which ends in terminals, tables and pages: each is made one line of printable
characters.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

import msgspec

from rov._checks import as_kind, as_paths
from rov._rows import asn_of
from rov.errors import ReferenceFileError
from rov.reference.lines import read_octets
from rov.reference.rows import rows_of_csv

MAX_NAMES = 2**20
"""Of all files: eight times the AS numbers that are handed out in 2026."""

LONGEST_NAME = 256
"""Characters of a name that are kept; the longest of asn.txt have some 220."""

NEEDED = frozenset({"asn", "name"})

_LINE = re.compile(r"(?:AS)?[0-9]+(?:\s|$)")
"""How a line of asn.txt begins."""

_EXPECTED = 'expected JSON {"64496": "NAME"}, lines of 64496 NAME, or CSV with columns asn and name'


def one_line(text: str) -> str:
    """A text without what moves a cursor or breaks a row: blanks are one space, U+FFFD stands for the rest.

    What is not printable (controls, marks of direction, halves of surrogate pairs) is replaced; what is
    longer than LONGEST_NAME is cut. ArgumentError: no text.

    >>> one_line("EXAMPLE\\x1b[31m\\n AS")
    'EXAMPLE\ufffd[31m AS'
    """
    # twice as much is enough: what is cut off before it is looked at costs nothing
    given = " ".join(as_kind(text, str, "name")[: 2 * LONGEST_NAME].split())
    given = given if len(given) <= LONGEST_NAME else given[: LONGEST_NAME - 3] + "..."
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in given)


def read_names(paths: Iterable[str | os.PathLike[str]]) -> dict[int, str]:
    """The names of ASes of one file or more, by number; what comes later counts where they differ.

    A file is a JSON object whose keys are AS numbers (64496 or AS64496), lines of a number and a name as
    RIPE's asn.txt has them (# begins a comment), or CSV whose first line names the columns asn and name,
    among others; UTF-8, plain or packed. An empty name is none. ReferenceFileError: a file cannot be read
    or is none of these, with the line or octet. ArgumentError: no names of files.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("64496 EXAMPLE-AS Example Ltd, NL", file=file, flush=True)
    ...     read_names([file.name])
    {64496: 'EXAMPLE-AS Example Ltd, NL'}
    """
    found: dict[int, str] = {}
    for path in as_paths(paths):
        met = False
        for number, asn, text in _rows(path):
            met = True
            if name := one_line(text):
                found[asn] = name
            if len(found) > MAX_NAMES:
                raise ReferenceFileError(path, f"more than {MAX_NAMES:,} names", number)
        if not met:
            raise ReferenceFileError(path, f"{_EXPECTED}, found no AS number")
    return found


def _rows(path: str) -> Iterator[tuple[int | None, int, str]]:
    """Line (None: a file without lines), AS number, name as it stands."""
    octets = read_octets(path).removeprefix(b"\xef\xbb\xbf")
    if octets.lstrip()[:1] == b"{":
        yield from _of_json(path, octets)
        return
    lines = [line.decode("utf-8", "replace") for line in octets.splitlines()]
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    yield from (_of_text if _LINE.match(first) else _of_csv)(path, lines)


def _of_json(path: str, octets: bytes) -> Iterator[tuple[None, int, str]]:
    try:
        given = msgspec.json.decode(octets, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReferenceFileError(path, f"{_EXPECTED}: {error}") from error
    for key, text in given.items():
        asn = asn_of(key)
        if asn is None:
            at = octets.find(msgspec.json.encode(key))
            where = f" (byte {at})" if at >= 0 else ""
            raise ReferenceFileError(path, f"expected AS numbers as keys, found {key[:40]!r}{where}")
        yield None, asn, text


def _of_text(path: str, lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Lines of asn.txt: 64496 EXAMPLE-AS, NL."""
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            key, _, text = line.strip().replace("\t", " ", 1).partition(" ")
            yield number, _asn(path, number, key), text


def _of_csv(path: str, lines: list[str]) -> Iterator[tuple[int, int, str]]:
    for number, row in rows_of_csv(path, lines, NEEDED, _EXPECTED):
        yield number, _asn(path, number, row.get("asn", "")), row.get("name", "")


def _asn(path: str, number: int, text: str) -> int:
    asn = asn_of(text.strip())
    if asn is None:
        raise ReferenceFileError(path, f"expected an AS number, found {text[:40]!r}", number)
    return asn
