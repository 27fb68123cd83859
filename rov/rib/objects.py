"""Tables as JSON with one object a line: JSON lines, or a list as ``rov audit --output`` writes it.

They become lines of text, one for one so that numbers of lines stay, for the reader of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

SEPARATOR = "\t"
"""Between the fields that are made: an AS_SET has commas."""


def first_object(lines: Iterator[bytes]) -> dict[str, Any] | None:
    """The object in the first line, behind that of a list's bracket if there is one; None: there is none.

    >>> first_object(iter([b"[", b'{"prefix":"::/0","origin":1},']))
    {'prefix': '::/0', 'origin': 1}
    """
    line = next(lines, b"").strip()
    if line == b"[":
        line = next(lines, b"")
    try:
        return msgspec.json.decode(_object(line), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def as_lines(pieces: Iterator[bytes], names: Mapping[str, str]) -> Iterator[bytes]:
    """Whole lines of objects as lines of prefix, origin and number of peers.

    names: the keys of "prefix", "origin" and, if there is one, "number". What is none of it stays as it
    is, for the reader of text to refuse.

    >>> list(as_lines(iter([b'[\\n{"net":"::/0","as":1},\\n', b"]"]), {"prefix": "net", "origin": "as"}))
    [b'\\n::/0\\t1\\t\\n', b'\\n']
    """
    kinds: dict[str, Any] = {"prefix": str, "origin": int | str | None, "number": int | None}
    # each may be left out but the prefix: a route without an origin is one
    fields = [(name, kinds[name], *(() if name == "prefix" else (None,))) for name in kinds]
    row = msgspec.defstruct("Row", fields, rename=names)
    decode = msgspec.json.Decoder(row).decode
    for piece in pieces:
        yield b"".join(_line(line, decode) for line in piece.splitlines())


def _object(line: bytes) -> bytes:
    """The object of a line, without the comma of a list."""
    return line.strip().removesuffix(b",")


def _line(line: bytes, decode: Any) -> bytes:
    text = _object(line)
    if text in (b"", b"[", b"]"):
        return b"\n"
    try:
        row = decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text + b"\n"
    fields = [str(given) for given in (row.prefix, _shown(row.origin), _shown(row.number))]
    if any(not field.isprintable() for field in fields):
        return text + b"\n"
    return f"{SEPARATOR.join(fields)}\n".encode()


def _shown(value: int | str | None) -> int | str:
    return "" if value is None else value
