"""Reading tables as text: whole lines to the parser, and what is to be said of the bad ones."""

from __future__ import annotations

from collections.abc import Iterator

from rov._mrt_peers import Peers
from rov._rib_text import FAULTS, LineParser
from rov.errors import RibFileError
from rov.rib import objects
from rov.rib.columns import Columns, Families
from rov.rib.table import RibCounts
from rov.rib.text import Layout

FEW_LINES = 1000
"""Lines after which a file whose lines are mostly bad is given up."""

LONGEST_LINE = 1 << 20
"""Octets of a line: the longest AS path that BGP can carry has 180,000 as text."""


class TextReader:
    """Reads the lines of one table.

    >>> from rov.rib.text import detect
    >>> reader = TextReader("x", detect(b"192.0.2.0/24\\t64496\\n"), Peers())
    >>> [len(ipv4.lengths) for ipv4, _ in reader.rows(iter([b"192.0.2.0/24\\t64496\\n"]))]
    [1]
    """

    def __init__(self, name: str, layout: Layout, peers: Peers) -> None:
        self.name = name
        self.format = layout.name
        self.tells_peers = layout.peer >= 0
        self._layout = layout
        more = ord(layout.more) if layout.more else 0
        self._parser = LineParser(peers, ord(layout.separator), layout.fields, more)
        self._seen = RibCounts()

    def rows(self, pieces: Iterator[bytes]) -> Iterator[Families]:
        """The rows of both families, piece by piece; RibFileError: most lines are bad."""
        parser = self._parser
        lines = _whole_lines(self.name, pieces)
        if self._layout.keys:
            lines = objects.as_lines(lines, dict(self._layout.keys))
        for data in _without_header(lines) if self._layout.header else lines:
            parser.parse(data)
            ipv4, ipv6 = parser.take()
            families = Columns.of(4, ipv4), Columns.of(6, ipv6)
            for columns in families:
                self._seen += columns.counts(unknown_peers=self.tells_peers)
            yield families
            if parser.lines > FEW_LINES:
                self._refuse_bad()
        self._refuse_bad()

    def _refuse_bad(self) -> None:
        if self._parser.bad > self._parser.rows:
            raise RibFileError(self.name, f"most lines are bad, the first: {next(self._faults())}")

    def _faults(self) -> Iterator[str]:
        for line, fault, text in self._parser.named:
            shown = text.decode("utf-8", "replace")
            yield f"line {line + self._layout.header}: {FAULTS[fault]}: {shown!r}"

    def warnings(self) -> Iterator[str]:
        """What is to be said of the first bad lines."""
        return (f"{self.name}: {fault}" for fault in self._faults())

    def counts(self) -> RibCounts:
        """What was seen so far."""
        return self._seen + RibCounts(skipped=self._parser.bad)


def _whole_lines(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same octets, in pieces that end with a line."""
    rest = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end] if rest else piece[:end]
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > LONGEST_LINE:
            raise RibFileError(name, f"a line is longer than {LONGEST_LINE:,} octets")
    if rest:
        yield rest


def _without_header(lines: Iterator[bytes]) -> Iterator[bytes]:
    """What follows the line that names the columns."""
    first = next(lines, b"")
    yield first[first.find(b"\n") + 1 :] if b"\n" in first else b""
    yield from lines
