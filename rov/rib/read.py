"""From names of dumps to a RouteTable."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain

import numpy as np

from rov import _mrt
from rov._checks import as_flag, as_paths, shown
from rov._mrt_peers import Peers
from rov._threads import worker_count
from rov.errors import ArgumentError, RibFileError
from rov.rib.columns import Columns, Flag, as_addresses
from rov.rib.dump import not_recognised, take_head
from rov.rib.lines import TextReader
from rov.rib.looking_glass import LookingGlassReader, is_looking_glass
from rov.rib.merge import FamilyMerger, Part, single_peer_sets
from rov.rib.mrt import MrtReader, is_mrt
from rov.rib.settled import InOrder, Settled
from rov.rib.spool import Spool
from rov.rib.stream import Progress, Source, matching_urls
from rov.rib.table import PEERS_PER_WORD, RibCounts, RouteTable, named_peers
from rov.rib.text import HEAD_BYTES, detect

MAX_TABLE_BYTES = 2 << 30
"""Octets of the routes of one family: 60 million with 64 peers, 6 million with 2,500, against some 2
million in all tables of all collectors in 2026."""

MAX_WARNINGS = 20
"""Warnings that are kept; the rest is counted only."""

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def read_table(
    paths: Paths,
    *,
    multicast: bool = False,
    local: bool = False,
    progress: Progress | None = None,
    threads: int = 0,
    settled: Settled | None = None,
    spool: Spool | None = None,
) -> RouteTable:
    """The distinct routes of one or more dumps, merged, of every format that rov.rib.open takes.

    paths: one name or several: paths, patterns such as ``rib.*.bz2``, URLs, ``-`` for standard input.
    multicast, local: as in rov.rib.open. progress is called with the packed octets of a file read so far
    and its size (or None), from another thread. threads: how many unpack bzip2, 0 for all processors.
    settled is called with the routes of the table, piece by piece in their order, for what can begin with
    them: of one dump as soon as nothing that follows can change them, of several once all are read. It is
    called with None where a dump turns out not to be in order: all before is void, and all routes follow.
    spool: keeps dumps for rov.rib.open, which is given it as well, so that they are unpacked once.
    Of updates, what is announced makes the table. What is bad is left out, counted, and the first ones
    named in ``warnings``. RibFileError: a file cannot be read, is no dump of a known kind, or most of it
    is bad. ArgumentError: no names, no function, no number of threads.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".csv") as file:
    ...     _ = file.write(b"prefix,origin\\n192.0.2.0/24,64496\\n")
    ...     file.flush()
    ...     read_table(file.name)
    <RouteTable: 1 routes (1 IPv4, 0 IPv6) of 0 peers>
    """
    if settled is not None and not callable(settled):
        raise ArgumentError(f"settled: expected a function, found {shown(settled)}")
    names = expand(paths)
    watch = InOrder(settled) if settled is not None and len(names) == 1 else None
    reader = _TableReader(progress, worker_count(threads), watch, spool, multicast=multicast, local=local)
    for name in names:
        reader.read(name)
    table = reader.table()
    if settled is not None and (watch is None or not watch.end()):
        settled(table.ipv4)
        settled(table.ipv6)
    return table


def expand(paths: Paths) -> list[str]:
    """The names of single dumps: patterns replaced by the files that they match, in order.

    In a URL only ``*`` makes a pattern: ``?`` begins a query there.

    RibFileError: a pattern matches nothing.

    >>> expand(["-", "a.bz2"])
    ['-', 'a.bz2']
    """
    names: list[str] = []
    for name in as_paths(paths):
        if "://" in name and "*" in name:
            found = matching_urls(name)
        elif "://" in name or os.path.exists(name) or not glob.has_magic(name):
            names.append(name)
            continue
        else:
            found = sorted(glob.glob(name, recursive=True))
        if not found:
            raise RibFileError(name, "no file matches this pattern")
        names += found
    return names


class _TableReader:
    """Folds the routes of dumps into one table."""

    def __init__(
        self,
        progress: Progress | None,
        threads: int,
        watch: InOrder | None,
        spool: Spool | None,
        *,
        multicast: bool,
        local: bool,
    ) -> None:
        self._progress = progress
        self._watch = watch
        self._spool = spool
        self._threads = threads
        self._multicast = as_flag(multicast, "multicast")
        self._local = as_flag(local, "local")
        self._peers = Peers()
        self._ipv4, self._ipv6 = FamilyMerger(4), FamilyMerger(6)
        self._counts = RibCounts()
        self._warnings: list[str] = []

    def table(self) -> RouteTable:
        columns = self._ipv4.columns(), self._ipv6.columns()
        return RouteTable(*columns, named_peers(self._peers), self._counts, self._warnings)

    def read(self, path: str) -> None:
        """Take one dump."""
        source = Source(path, self._progress, self._threads, self._spool)
        with closing(source.pieces()) as pieces:
            reader = self._read_pieces(source, pieces)
        self._ipv4.end_file()
        self._ipv6.end_file()
        self._counts += reader.counts() + RibCounts(files=1)
        self._warnings += [*reader.warnings(), *source.warnings]
        del self._warnings[MAX_WARNINGS:]

    def _read_pieces(
        self, source: Source, pieces: Iterator[bytes]
    ) -> MrtReader | LookingGlassReader | TextReader:
        head = take_head(pieces)
        pieces = chain([head], pieces)
        if is_mrt(head):
            return self._read_mrt(source.name, pieces)
        reader: LookingGlassReader | TextReader
        if is_looking_glass(head):
            reader = LookingGlassReader(source.name, self._peers)
        elif layout := detect(head[:HEAD_BYTES]):
            reader = TextReader(source.name, layout, self._peers)
        else:
            raise not_recognised(source)
        self._read_rows(reader, pieces)
        return reader

    def _read_mrt(self, name: str, pieces: Iterator[bytes]) -> MrtReader:
        reader = MrtReader(name, self._peers, distinct=True, multicast=self._multicast, local=self._local)
        for _ in reader.stops(pieces):
            self._take_routes(name, reader.parser)
        return reader

    def _take_routes(self, name: str, parser: _mrt.Parser) -> None:
        words, ipv4, ipv6 = parser.take_routes()
        for merger, columns in ((self._ipv4, ipv4), (self._ipv6, ipv6)):
            addresses, lengths, origins, sets = columns
            part = Part(
                as_addresses(merger.family, addresses),
                np.frombuffer(lengths, np.uint8),
                np.frombuffer(origins, np.uint32),
                np.zeros(len(lengths), np.uint32),
                np.frombuffer(sets, np.uint64).reshape(-1, words),
            )
            self._add(name, merger, part)

    def _read_rows(self, reader: LookingGlassReader | TextReader, pieces: Iterator[bytes]) -> None:
        for ipv4, ipv6 in reader.rows(pieces):
            self._add(reader.name, self._ipv4, self._part(reader, ipv4))
            self._add(reader.name, self._ipv6, self._part(reader, ipv6))

    def _part(self, reader: LookingGlassReader | TextReader, columns: Columns) -> Part:
        """The rows as routes of one peer each."""
        rows = columns.keep(~columns.has(Flag.WITHDRAWN))
        if reader.tells_peers:
            stated = np.zeros(len(rows.lengths), np.uint32)
            sets = single_peer_sets(rows.peers, -(-len(self._peers) // PEERS_PER_WORD))
        else:
            # a table that tells nothing of peers is the view of one
            stated = np.maximum(rows.stated, 1)
            sets = np.zeros((len(rows.lengths), 0), np.uint64)
        return Part(rows.addresses, rows.lengths, rows.origins, stated, sets)

    def _add(self, name: str, merger: FamilyMerger, part: Part) -> None:
        merger.add(part)
        check_size(name, merger)
        if self._watch is not None:
            self._watch.add(merger.family, part)


def check_size(name: str, merger: FamilyMerger) -> None:
    """RibFileError where routes take more memory than those of any dump; name: the dump read last.

    >>> check_size("rib.bz2", FamilyMerger(4))
    """
    if merger.nbytes > MAX_TABLE_BYTES:
        limit = f"{MAX_TABLE_BYTES >> 20:,} MiB"
        raise RibFileError(name, f"its routes and peers take more than {limit}, the most expected in a table")
