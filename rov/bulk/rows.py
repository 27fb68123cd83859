"""NDJSON and msgpack: what is written plainly is read by ``_bodies``, the rest by real decoders."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from rov import _bodies
from rov._texts import LAYOUTS, TextColumn
from rov.bulk.columns import Columns, Octets, judged
from rov.errors import ArgumentError
from rov.index import VrpIndex
from rov.types import MAX_ASN

MAX_ROW = 64 << 10
"""Octets of a row, whatever it has beside the route: more is no row."""

LINES_DECODED = 1_000
"""Lines of JSON that are decoded one by one where one is not written plainly."""


class Rows:
    """Octets that are kept until a row is whole."""

    packed = False
    head = b""

    def __init__(self, index: VrpIndex) -> None:
        self._index = index
        self._rest = b""
        self.rows = 0

    def feed(self, octets: bytes) -> list[Columns]:
        """The routes that are whole with these octets, judged."""
        return self._take(self._rest + octets if self._rest else octets, last=False)

    def end(self) -> list[Columns]:
        """The rest; ArgumentError: the stream ends within a row."""
        return self._take(self._rest, last=True)

    def _take(self, data: bytes, *, last: bool) -> list[Columns]:
        raise NotImplementedError

    def _keep(self, rest: bytes) -> None:
        self._rest = rest
        if len(rest) > MAX_ROW:
            raise ArgumentError(f"row {self.rows}: expected {MAX_ROW:,} octets at most")

    def _plain(self, data: bytes, at: int, end: int) -> tuple[int, bool, Columns | None]:
        """What is written plainly, judged."""
        at, odd, offsets, text, origins = _bodies.read_rows(data, at, end, self.packed)
        return at, odd, self._judged(offsets, text, origins)

    def _judged(
        self, offsets: npt.NDArray[np.int32], text: Octets, origins: npt.NDArray[np.uint32]
    ) -> Columns | None:
        if not len(origins):
            return None
        texts = TextColumn(LAYOUTS["string"], len(origins), 0, None, offsets.view(np.uint8), [text])
        reasons = judged(self._index, texts, origins, self.rows)
        self.rows += len(origins)
        return Columns(offsets, text, origins, reasons)


class _Line(msgspec.Struct):
    prefix: str
    origin: int | str | None = None
    asn: int | str | None = None


_decoder = msgspec.json.Decoder(_Line)


class Lines(Rows):
    """NDJSON; blank lines are none."""

    def _take(self, data: bytes, *, last: bool) -> list[Columns]:
        end = len(data) if last else data.rfind(b"\n") + 1
        found: list[Columns | None] = []
        at = 0
        while at < end:
            at, odd, columns = self._plain(data, at, end)
            found.append(columns)
            if odd:
                at, columns = self._decoded(data, at, end)
                found.append(columns)
        self._keep(data[end:])
        return [columns for columns in found if columns is not None]

    def _decoded(self, data: bytes, at: int, end: int) -> tuple[int, Columns | None]:
        """Some lines, by a real decoder: the first is not plain, which says something of the next ones."""
        prefixes: list[bytes] = []
        origins: list[int] = []
        while at < end and len(origins) < LINES_DECODED:
            stop = data.find(b"\n", at, end)
            stop = end if stop < 0 else stop
            if stop - at > MAX_ROW:
                raise ArgumentError(f"row {self.rows + len(origins)}: expected {MAX_ROW:,} octets at most")
            line = data[at:stop].strip()
            at = stop + 1
            if line:
                prefix, origin = self._route(line, self.rows + len(origins))
                prefixes.append(prefix)
                origins.append(origin)
        sizes = np.fromiter(map(len, prefixes), np.int32, len(prefixes))
        offsets = np.zeros(len(prefixes) + 1, np.int32)
        np.cumsum(sizes, out=offsets[1:])
        text = np.frombuffer(b"".join(prefixes), np.uint8) if len(prefixes) else np.zeros(0, np.uint8)
        return min(at, end), self._judged(offsets, text, np.array(origins, np.uint32))

    def _route(self, line: bytes, row: int) -> tuple[bytes, int]:
        try:
            found = _decoder.decode(line)
            prefix = found.prefix.encode()
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            what = '{"prefix": "192.0.2.0/24", "origin": 64496}'
            raise ArgumentError(f"row {row}: expected {what}: {error}") from None
        origin = found.asn if found.origin is None else found.origin
        return prefix, 0 if origin is None else _asn(origin, row)


def _asn(value: int | str, row: int) -> int:
    number = value
    if isinstance(value, str):
        digits = value[2:] if value[:2].upper() == "AS" else value
        number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 10 else -1
    if isinstance(number, int) and 0 <= number <= MAX_ASN:
        return number
    raise ArgumentError(f"row {row}: origin {str(value)[:50]!a}: expected an AS number of 0 to {MAX_ASN}")


_ARRAYS = {0xDC: 2, 0xDD: 4}
_ARRAY, _PAIR = range(0x90, 0xA0), 0x92
_MAPS = frozenset({*range(0x80, 0x90), 0xDE, 0xDF})


class Packed(Rows):
    """msgpack: rows one after the other, or one array of them."""

    packed = True

    def __init__(self, index: VrpIndex) -> None:
        super().__init__(index)
        self._begun = False
        self._count: int | None = None

    def _take(self, data: bytes, *, last: bool) -> list[Columns]:
        at = 0
        if not self._begun:
            begun = self._begin(data, last=last)
            if begun is None:
                self._rest = data
                return []
            at, self._begun = begun, True
        at, odd, columns = self._plain(data, at, len(data))
        if odd:
            what = '{"prefix": "192.0.2.0/24", "origin": 64496} or ["192.0.2.0/24", 64496]'
            raise ArgumentError(f"row {self.rows}: expected {what}")
        self._keep(data[at:])
        if self._count is not None and self.rows > self._count:
            raise ArgumentError(f"row {self._count}: expected the end of an array of {self._count} rows")
        if last and (self._rest or (self._count is not None and self.rows < self._count)):
            raise ArgumentError(f"row {self.rows}: the body ends early")
        return [] if columns is None else [columns]

    def _begin(self, data: bytes, *, last: bool) -> int | None:
        """Where the rows begin, None if that is not known yet: within an array whose first item is a row."""
        if not data:
            return 0 if last else None
        size = _ARRAYS.get(data[0], 0)
        if not size and data[0] not in _ARRAY:
            return 0
        if len(data) < 2 + size and not (last or data[0] == 0x90):
            return None
        count = int.from_bytes(data[1 : 1 + size]) if size else data[0] & 15
        first = data[1 + size : 2 + size]
        is_row = bool(first) and (first[0] in _MAPS or first[0] == _PAIR)
        if count and not is_row and data[0] == _PAIR:
            return 0
        self._count, self.head = count, data[: 1 + size]
        return 1 + size
