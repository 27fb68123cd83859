"""From names of dumps to a RouteTable."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from rov import _mrt
from rov._mrt_peers import Peers
from rov._rib_text import FAULTS, LineParser
from rov.errors import RibFileError
from rov.rib.merge import FamilyMerger, Part, single_peer_sets
from rov.rib.mrt import is_mrt, mrt_counts, mrt_warnings
from rov.rib.stream import HEAD_BYTES, Progress, Source
from rov.rib.table import PEERS_PER_WORD, RibCounts, RouteTable, named_peers
from rov.rib.text import Layout, detect

AS_SET, EMPTY_PATH, WITHDRAWN = 1, 2, 4
"""Bits of the flags of a row."""

MAX_ROUTES = 64 * 2**20
"""Distinct routes of one table: 50 times the routes of 2026; 1.5 GB."""

MAX_WARNINGS = 20
"""Warnings that are kept; the rest is counted only."""

FEW_LINES = 1000
"""Lines after which a file whose lines are mostly bad is given up."""

LONGEST_LINE = 1 << 20
"""Octets of a line: the longest AS path that BGP can carry has 180,000 as text."""

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def read_table(paths: Paths, *, progress: Progress | None = None) -> RouteTable:
    """The distinct routes of one or more dumps, merged: MRT, bgpdump -m, RIS whois, pfx2as, pyasn, CSV.

    paths: one name or several: paths, patterns such as ``rib.*.bz2``, ``-`` for standard input. progress is
    called with the packed octets of a file read so far and its size (or None), from another thread. What
    is bad is left out, counted, and the first ones named in ``warnings``. RibFileError: a file cannot be
    read, is no dump of a known kind, or most of it is bad.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".csv") as file:
    ...     _ = file.write(b"prefix,origin\\n192.0.2.0/24,64496\\n")
    ...     file.flush()
    ...     read_table(file.name)
    <RouteTable: 1 routes (1 IPv4, 0 IPv6) of 0 peers>
    """
    reader = _TableReader(progress)
    for path in expand(paths):
        reader.read(path)
    return reader.table()


def expand(paths: Paths) -> list[str]:
    """The names of single dumps: patterns replaced by the files that they match, in order.

    RibFileError: a pattern matches nothing.

    >>> expand(["-", "a.bz2"])
    ['-', 'a.bz2']
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    names: list[str] = []
    for name in map(os.fsdecode, given):
        if "://" in name or os.path.exists(name) or not glob.has_magic(name):
            names.append(name)
            continue
        found = sorted(glob.glob(name, recursive=True))
        if not found:
            raise RibFileError(name, "no file matches this pattern")
        names += found
    return names


class _TableReader:
    """Folds the rows of dumps into one table."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._peers = Peers()
        self._mergers = (FamilyMerger(4), FamilyMerger(6))
        self._counts = RibCounts()
        self._warnings: list[str] = []

    def table(self) -> RouteTable:
        ipv4, ipv6 = (merger.columns() for merger in self._mergers)
        return RouteTable(ipv4, ipv6, named_peers(self._peers), self._counts, self._warnings)

    def read(self, path: str) -> None:
        """Take one dump."""
        source = Source(path, self._progress)
        pieces = source.pieces()
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= HEAD_BYTES:
                break
        if is_mrt(head):
            self._read_mrt(source.name, chain([head], pieces))
        elif layout := detect(head[:HEAD_BYTES]):
            self._read_text(source.name, layout, chain([head], pieces))
        else:
            raise RibFileError(source.name, "expected a RIB dump in MRT, or a table as text")
        for merger in self._mergers:
            merger.end_file()
        self._counts += RibCounts(files=1)
        for text in source.warnings:
            self._warn(text)

    def _read_mrt(self, name: str, pieces: Iterator[bytes]) -> None:
        parser = _mrt.Parser(self._peers, distinct=True)
        for piece in pieces:
            parser.feed(piece)
            while parser.parse():
                self._take_routes(parser)
            self._take_routes(parser)
        for text in mrt_warnings(name, parser):
            self._warn(text)
        self._counts += mrt_counts(name, parser)

    def _take_routes(self, parser: _mrt.Parser) -> None:
        words, *families = parser.take_routes()
        for family, columns in zip((4, 6), families, strict=True):
            addresses, lengths, origins, sets = columns
            part = Part(
                as_addresses(family, addresses),
                np.frombuffer(lengths, np.uint8),
                np.frombuffer(origins, np.uint32),
                np.zeros(len(lengths), np.uint32),
                np.frombuffer(sets, np.uint64).reshape(-1, words),
            )
            self._mergers[family == 6].add(part)

    def _read_text(self, name: str, layout: Layout, pieces: Iterator[bytes]) -> None:
        parser = LineParser(
            self._peers, ord(layout.separator), layout.fields, ord(layout.more) if layout.more else 0
        )
        lines = _whole_lines(name, pieces)
        for data in _without_header(lines) if layout.header else lines:
            parser.parse(data)
            for family, columns in zip((4, 6), parser.take(), strict=True):
                self._take(family, columns, stated=layout.peer < 0)
            if parser.bad > parser.rows and parser.lines > FEW_LINES:
                break
        for line, fault, text in parser.named:
            shown = text.decode("utf-8", "replace")
            self._warn(f"{name}: line {line + layout.header}: {FAULTS[fault]}: {shown!r}")
        if parser.bad > parser.rows:
            first = self._warnings[-len(parser.named)] if parser.named else name
            raise RibFileError(name, f"most lines are bad, the first: {first.removeprefix(name + ': ')}")
        self._counts += RibCounts(skipped=parser.bad)

    def _take(self, family: int, columns: tuple[bytes, ...], *, stated: bool) -> None:
        """Rows of one family, each of one peer."""
        lengths, origins, peers, _, _, flags, counts = (
            np.frombuffer(column, dtype)
            for column, dtype in zip(columns[1:8], ("u1", "u4", "u4", "u4", "u4", "u1", "u4"), strict=True)
        )
        addresses = as_addresses(family, columns[0])
        keep = flags & WITHDRAWN == 0
        self._counts += RibCounts(
            entries=int(keep.sum()),
            as_set=int((flags & AS_SET != 0).sum()),
            empty_path=int((flags & EMPTY_PATH != 0).sum()),
            withdrawn=int((~keep).sum()),
            unknown_peers=0 if stated else int((peers[keep] == 0).sum()),
        )
        if not keep.all():
            addresses, lengths, origins, peers, counts = (
                column[keep] for column in (addresses, lengths, origins, peers, counts)
            )
        words = 0 if stated else -(-len(self._peers) // PEERS_PER_WORD)
        # a table that tells nothing of peers is the view of one
        numbers = np.maximum(counts, 1) if stated else np.zeros(len(counts), np.uint32)
        sets = single_peer_sets(peers, words) if words else np.zeros((len(peers), 0), np.uint64)
        self._mergers[family == 6].add(Part(addresses, lengths, origins, numbers, sets))

    def _warn(self, text: str) -> None:
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(text)


def as_addresses(family: int, octets: bytes) -> npt.NDArray[Any]:
    """A column of addresses as the extensions give it.

    >>> as_addresses(6, bytes(32)).shape
    (2, 2)
    """
    if family == 4:
        return np.frombuffer(octets, np.uint32)
    return np.frombuffer(octets, np.uint64).reshape(-1, 2)


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
