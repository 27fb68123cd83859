"""Routes in, verdicts out, piece by piece: NDJSON, msgpack, Arrow IPC, from whoever sends them.

    validator = Validator(index, "ndjson", "arrow")
    answer = validator.feed(b'{"prefix":"192.0.2.0/24","origin":64496}\\n') + validator.end()

A route has a prefix and an origin (or asn: a number, "AS64496", or null or 0 for none; where both are there,
origin counts unless it is null); the answer repeats prefix and origin and adds state and reason, in the words
of State and Reason. Each row is one object (NDJSON); a map, or a pair of prefix and origin, one after the
other or in one array (msgpack); or a row of a stream of record batches (Arrow). Other fields are passed over.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

from rov import _bodies
from rov._checks import as_int, as_kind, shown
from rov.bulk.columns import Columns
from rov.bulk.rows import Lines, Packed
from rov.errors import ArgumentError
from rov.index import VrpIndex
from rov.types import Reason, State

__all__ = ["FORMS", "Form", "Validator"]

Form = Literal["ndjson", "msgpack", "arrow"]
FORMS: tuple[Form, ...] = ("ndjson", "msgpack", "arrow")

MAX_MESSAGE = 64 << 20
"""Octets of a message of Arrow: a batch of a million routes takes half of it."""


class Reader(Protocol):
    """Makes judged columns of octets; ``rows`` counts them."""

    rows: int
    head: bytes

    def feed(self, octets: bytes) -> list[Columns]:
        """The routes that are whole with these octets."""

    def end(self) -> list[Columns]:
        """The rest; ArgumentError: the stream is not whole."""


class Validator:
    """The verdicts of ``index`` on the routes of one stream. Call ``feed`` with its pieces, then ``end``.

    ``reads`` and ``writes`` are of FORMS; Arrow needs pyarrow (ExtraError). ``rows`` counts the routes
    so far; messages count them from 0. ``most``: octets of one message of Arrow. What is wrong with the
    stream is an ArgumentError or a PrefixError that names the row: the validator is of no use then.

    >>> from rov.snapshot import Snapshot
    >>> validator = Validator(VrpIndex(Snapshot.empty()), "ndjson", "ndjson")
    >>> validator.feed(b'{"prefix":"192.0.2.0/24","origin":64') + validator.feed(b'496}') + validator.end()
    b'{"prefix":"192.0.2.0/24","origin":64496,"state":"not_found","reason":"not_covered"}\\n'
    """

    def __init__(self, index: VrpIndex, reads: Form, writes: Form, *, most: int = MAX_MESSAGE) -> None:
        as_kind(index, VrpIndex, "index")
        for form in (reads, writes):
            if form not in FORMS:
                raise ArgumentError(f"form {shown(form)}: expected {', '.join(FORMS)}")
        self._reader = _reader(index, reads, as_int(most, "most", 1))
        self._writer = _arrow_writer() if writes == "arrow" else None
        self._packed = writes == "msgpack"
        self._begun = False

    @property
    def rows(self) -> int:
        """How many routes have been judged."""
        return self._reader.rows

    def feed(self, octets: bytes) -> bytes:
        """The verdicts on the rows that are whole with these octets; the work is done without the GIL.

        >>> from rov.snapshot import Snapshot
        >>> Validator(VrpIndex(Snapshot.empty()), "ndjson", "msgpack").feed(b'{"prefix":')
        b''
        """
        found = b"".join(map(self._write, self._reader.feed(octets)))
        return self._begin() + found

    def end(self) -> bytes:
        """The rest; ArgumentError: the stream ends within a row.

        >>> from rov.snapshot import Snapshot
        >>> Validator(VrpIndex(Snapshot.empty()), "msgpack", "ndjson").end()
        b''
        """
        rest = b"".join(map(self._write, self._reader.end()))
        return self._begin() + rest + (b"" if self._writer is None else self._writer.end())

    def _begin(self) -> bytes:
        """The head of an array, in msgpack where one came."""
        if self._begun or not self._packed or not self._reader.head:
            return b""
        self._begun = True
        return self._reader.head

    def _write(self, columns: Columns) -> bytes:
        if self._writer is not None:
            batch: bytes = self._writer.write(columns)
            return batch
        tails = _PACKED_TAILS if self._packed else _JSON_TAILS
        return _bodies.write_rows(
            columns.offsets, columns.text, columns.origins, columns.reasons, tails, self._packed
        )


def _reader(index: VrpIndex, form: Form, most: int) -> Reader:
    if form != "arrow":
        return Packed(index) if form == "msgpack" else Lines(index)
    from rov.bulk.ipc import Stream

    return Stream(index, most)


def _arrow_writer() -> Any:
    from rov.bulk.ipc import Writer

    return Writer()


def _tail(reason: Reason, *, packed: bool) -> bytes:
    """What a row ends with."""
    state = State(min(reason, State.INVALID))
    found = {"state": state.label, "reason": reason.label}
    if packed:
        return msgspec.msgpack.encode(found)[1:]
    return b"," + msgspec.json.encode(found)[1:] + b"\n"


_JSON_TAILS = tuple(_tail(reason, packed=False) for reason in Reason)
_PACKED_TAILS = tuple(_tail(reason, packed=True) for reason in Reason)
