"""JSON VRP files read in slices, so that neither the text nor its decoded rows are ever held whole.

The rows of the one long list are cut out and decoded some thousand at a time; what remains, with a mark
in their place, is decoded as one document. A text is cut after some row by guess: a slice that decodes
between brackets of its own was cut rightly, since then it consists of whole values. Where the guess was
wrong, a look at strings and brackets finds the place. Whatever is out of order is for ``read_json`` to
describe, from the whole text.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec

from rov._json_cuts import cut_rows, find_list
from rov.errors import VrpFileError
from rov.formats import json
from rov.formats.report import VRPS, Intake

SLICE_BYTES = 64 * 2**10
"""Decoded at a time: the rows of so much text, about 600, stay in the processor's caches, and are so little
memory that Python keeps it from slice to slice instead of giving it back, to be mapped anew."""

_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_AFTER_ROW = b"},"
_CLOSE = b"]"[0]
_BLANKS = b" \t\r\n"


class _OddError(Exception):
    """Not to be read in slices: for read_json to say what it is."""


def read_slices(pieces: Iterator[bytes], intake: Intake) -> str | None:
    """As read_json, from the text in pieces; None where that must decide, and intake is then of no use.

    >>> intake = Intake("x.json", strict=True)
    >>> read_slices(iter([b'[{"asn": 64496, "pre', b'fix": "192.0.2.0/24"}]']), intake), len(intake.rows)
    ('JSON list', 1)
    """
    with json.gc_paused():
        try:
            return _Slices(pieces, intake).read()
        except (_OddError, VrpFileError, *_FAULTS):
            return None


def _cut(pieces: Iterator[bytes]) -> Iterator[memoryview]:
    """No piece longer than a slice."""
    for piece in pieces:
        for at in range(0, len(piece), SLICE_BYTES):
            yield memoryview(piece)[at : at + SLICE_BYTES]


class _Slices:
    """One pass over a text: what is before the rows, the rows, and what is after them."""

    def __init__(self, pieces: Iterator[bytes], intake: Intake) -> None:
        self._pieces = _cut(pieces)
        self._intake = intake
        self._buffer = bytearray()
        self._rows = 0
        self._first: Any = None
        self._loose = False

    def read(self) -> str | None:
        self._fill(1)
        if self._buffer.startswith(b"["):
            self._take_rows()
            return "JSON list" if self._rest().rstrip(_BLANKS) == b"[]" else None
        before = self._before_rows()
        self._buffer[: len(before)] = b"["
        self._take_rows()
        # of two lists of one name the last counts: a mark that nobody foresees tells whether it is this one
        mark = msgspec.json.encode({"ta": secrets.token_hex(16)})
        skeleton = before + mark + self._rest()[1:]
        return json.read_skeleton(skeleton, mark, self._first, self._loose, self._intake)

    def _fill(self, count: int) -> bool:
        """So many octets more at least; False where the text ended before."""
        wanted = len(self._buffer) + count
        while len(self._buffer) < wanted:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._buffer += piece
        return True

    def _before_rows(self) -> bytes:
        """The text to the bracket that opens the list of rows, with it."""
        more = True
        while (begin := find_list(self._buffer, VRPS.encode())) < 0:
            if not more:
                raise _OddError
            # twice as much each time, so that all the looking is linear
            more = self._fill(max(SLICE_BYTES, len(self._buffer)))
        return bytes(self._buffer[:begin])

    def _rest(self) -> bytes:
        """An opening bracket and all that follows the rows."""
        return bytes(self._buffer) + b"".join(self._pieces)

    def _take_rows(self) -> None:
        """Take the rows that follow the bracket at the buffer's begin, up to the one that ends the list."""
        wanted = SLICE_BYTES
        while True:
            more = self._fill(wanted)
            wanted = SLICE_BYTES
            guess = self._buffer.rfind(_AFTER_ROW) + 1
            if guess and self._guessed(guess):
                continue
            comma, bracket = cut_rows(self._buffer, 1)
            if bracket > 0:
                if not self._take(self._decoded(bracket)) and self._rows:
                    raise _OddError
                del self._buffer[1:bracket]
                return
            if comma > 0:
                if not self._take(self._decoded(comma)):
                    raise _OddError
                del self._buffer[1 : comma + 1]
            elif more:
                wanted = len(self._buffer)
            else:
                raise _OddError

    def _guessed(self, comma: int) -> bool:
        """Whether the rows before this comma could be taken."""
        try:
            rows = self._decoded(comma)
        except _FAULTS:
            return False
        self._take(rows)
        del self._buffer[1 : comma + 1]
        return True

    def _decoded(self, end: int) -> list[Any]:
        """The rows between the bracket at the buffer's begin and an offset, undecoded where a type is odd."""
        mark, self._buffer[end] = self._buffer[end], _CLOSE
        try:
            with memoryview(self._buffer) as view, view[: end + 1] as text:
                return json.decode_rows(text)
        finally:
            self._buffer[end] = mark

    def _take(self, rows: list[Any]) -> int:
        """Put rows into the intake; how many they are."""
        if rows:
            self._loose |= isinstance(rows[0], msgspec.Raw)
            self._first = rows[0] if self._first is None else self._first
            json.take(VRPS, rows, self._intake, self._rows)
            self._rows += len(rows)
        return len(rows)
