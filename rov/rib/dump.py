"""One dump opened: its routes batch by batch, with peers, times, paths and communities."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rov._checks import as_flag, as_int, as_kind
from rov._mrt_peers import Peers
from rov.aspa import PathBatch
from rov.errors import RibFileError
from rov.rib.columns import Columns, Flag
from rov.rib.lines import TextReader
from rov.rib.looking_glass import LookingGlassReader, is_looking_glass
from rov.rib.mrt import MrtReader, is_mrt
from rov.rib.spool import Spool
from rov.rib.stream import Progress, Source, ahead
from rov.rib.table import Peer, RibCounts, named_peers
from rov.rib.text import HEAD_BYTES, detect
from rov.routes import RouteBatch
from rov.types import Family

BATCHES_AHEAD = 2
"""Batches parsed while the caller works on one: enough to keep two processors busy, 20 MB."""

_EXPECTED = (
    "expected an MRT dump, bgpdump -m, a RIS whois dump, pfx2as, pyasn, JSON of Alice-LG or Bird's Eye, or "
    "CSV, Parquet or JSON lines that name their columns prefix and origin"
)


class Ragged(NamedTuple):
    """Rows of different length: row i is ``values[offsets[i]:offsets[i + 1]]``; offsets int64 [n + 1].

    >>> Ragged(np.array([1, 2, 3]), np.array([0, 2, 3])).row(1).tolist()
    [3]
    """

    values: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    def row(self, at: int) -> npt.NDArray[Any]:
        """The values of one row; ArgumentError: no number of a row.

        >>> Ragged(np.array([1]), np.array([0, 0, 1])).row(0).tolist()
        []
        """
        row = as_int(at, "row", most=len(self.offsets) - 2)
        values: npt.NDArray[Any] = self.values[self.offsets[row] : self.offsets[row + 1]]
        return values


class Attributes(NamedTuple):
    """Paths and communities of a RibBatch, each once for all rows that came with it.

    ``paths`` is a PathBatch of n paths, neighbor first; ``communities`` Ragged uint32 (RFC 1997),
    ``large_communities`` Ragged uint32 [m, 3] (RFC 8092).

    >>> Attributes.of((b"", b"", b"", b"", b"", b"")).communities.offsets.tolist()
    [0]
    """

    paths: PathBatch
    communities: Ragged
    large_communities: Ragged

    @classmethod
    def of(cls, octets: tuple[bytes, ...]) -> Self:
        """From what Parser.take_paths gives; as_sets are not known here.

        >>> len(Attributes.of((bytes(4), b"\\1\\0\\0\\0", b"", bytes(4), b"", bytes(4))).paths)
        1
        """
        asns, path_ends, communities, ends, large, large_ends = (
            np.frombuffer(column, np.uint32) for column in octets
        )
        return cls(
            PathBatch(asns, _offsets(path_ends)),
            Ragged(communities, _offsets(ends)),
            Ragged(large[: large.size // 3 * 3].reshape(-1, 3), _offsets(large_ends) // 3),
        )


def _offsets(ends: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    offsets = np.zeros(len(ends) + 1, np.int64)
    offsets[1:] = ends
    return offsets


class RibBatch:
    """Routes of one family as a dump has them, one row a peer (or a line of text), in its order.

    ``routes`` is a RouteBatch, origin 0 where there is none; ``peers`` uint32, numbers in Dump.peers;
    ``times`` uint32, unix seconds at which the route was originated or the message came, 0 where the dump
    does not tell; ``path_ids`` uint32 (RFC 7911); ``flags`` uint8, bits of Flag. With paths, ``attributes``
    has paths and communities, and ``attribute_rows`` uint32 says which is that of a row; of a withdrawal,
    which has none, it says nothing.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"192.0.2.0/24\\t64496\\n")
    ...     file.flush()
    ...     [batch] = open_dump(file.name)
    >>> batch
    <RibBatch IPv4: 1 rows>
    """

    __slots__ = ("attribute_rows", "attributes", "flags", "path_ids", "peers", "routes", "times")

    def __init__(self, family: Family, columns: Columns, attributes: Attributes | None) -> None:
        self.routes = RouteBatch(family, columns.addresses, columns.lengths, columns.origins)
        self.peers: npt.NDArray[np.uint32] = columns.peers
        self.times: npt.NDArray[np.uint32] = columns.times
        self.path_ids: npt.NDArray[np.uint32] = columns.path_ids
        self.flags: npt.NDArray[np.uint8] = columns.flags
        self.attributes = attributes
        self.attribute_rows: npt.NDArray[np.uint32] | None = None if attributes is None else columns.paths

    def has(self, flag: Flag) -> npt.NDArray[np.bool_]:
        """Which rows have a flag, as bool [n]; ArgumentError: no Flag.

        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write(b"{64496}\\t192.0.2.0/24\\t9\\n")
        ...     file.flush()
        ...     [batch] = open_dump(file.name)
        >>> batch.has(Flag.AS_SET).tolist()
        [True]
        """
        found: npt.NDArray[np.bool_] = self.flags & np.uint8(as_kind(flag, Flag, "flag")) != 0
        return found

    def __len__(self) -> int:
        return len(self.routes)

    def __repr__(self) -> str:
        return f"<RibBatch IPv{self.routes.family}: {len(self):,} rows>"


class Dump:
    """An opened dump: iterate over it, once, for its RibBatches. Close it, or use it in a with statement.

    ``name``; ``format``, such as "MRT". ``peers``, ``counts`` and ``warnings`` tell what was met so far.

    >>> Dump("/nonexistent")
    Traceback (most recent call last):
    rov.errors.RibFileError: /nonexistent: cannot be read: No such file or directory
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        paths: bool = False,
        multicast: bool = False,
        local: bool = False,
        progress: Progress | None = None,
        spool: Spool | None = None,
    ) -> None:
        paths, multicast, local = (
            as_flag(value, name)
            for value, name in ((paths, "paths"), (multicast, "multicast"), (local, "local"))
        )
        self._peers = Peers()
        self._source = Source(path, progress, spool=spool)
        self.name: str = self._source.name
        self._pieces = self._source.pieces()
        head = take_head(self._pieces)
        self._paths = paths
        self._reader: MrtReader | LookingGlassReader | TextReader
        if is_mrt(head):
            self._reader = MrtReader(self.name, self._peers, paths=paths, multicast=multicast, local=local)
        elif is_looking_glass(head):
            self._reader = LookingGlassReader(self.name, self._peers)
        elif layout := detect(head[:HEAD_BYTES]):
            self._reader = TextReader(self.name, layout, self._peers)
        else:
            raise not_recognised(self._source)
        self.format: str = self._reader.format
        self._batches = ahead(self._read(chain([head], self._pieces)), BATCHES_AHEAD)

    def _read(self, pieces: Iterator[bytes]) -> Iterator[RibBatch]:
        for ipv4, ipv6 in self._reader.rows(pieces):
            attributes = None
            if self._paths and not isinstance(self._reader, TextReader):
                attributes = Attributes.of(self._reader.take_paths())
                _mark_sets(attributes.paths, ipv4, ipv6)
            if len(ipv4.lengths):
                yield RibBatch(4, ipv4, attributes)
            if len(ipv6.lengths):
                yield RibBatch(6, ipv6, attributes)

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The peers by number, as far as they were met; number 0 stands for those that are not named."""
        return named_peers(self._peers)

    @property
    def counts(self) -> RibCounts:
        """What was met so far."""
        return self._reader.counts() + RibCounts(files=1)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out, the first ones; complete when the dump was read to its end."""
        return (*self._reader.warnings(), *self._source.warnings)

    def close(self) -> None:
        """Stop reading."""
        self._batches.close()
        with contextlib.suppress(ValueError):  # its reader still waits for octets, and lets go when they come
            self._pieces.close()

    def __iter__(self) -> Iterator[RibBatch]:
        return self._batches

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _mark_sets(paths: PathBatch, *families: Columns) -> None:
    """Tell the PathBatch which of its paths have an AS_SET: the rows know it."""
    marks = np.zeros(len(paths), np.uint8)
    for columns in families:
        marks[columns.paths[columns.has(Flag.ANY_SET)]] = 1
    paths.as_sets = marks


def take_head(pieces: Iterator[bytes]) -> bytes:
    """Enough of the first pieces to recognise a format.

    >>> take_head(iter([b"a", b"b"]))
    b'ab'
    """
    head = b""
    for piece in pieces:
        head = head + piece if head else piece
        if len(head) >= HEAD_BYTES:
            break
    return head


def not_recognised(source: Source) -> RibFileError:
    """The error for a dump of no known kind.

    >>> str(not_recognised(Source("x")))[:27]
    'x: expected an MRT dump, bg'
    """
    if source.warnings:
        return RibFileError(source.name, source.warnings[0].removeprefix(f"{source.name}: "))
    return RibFileError(source.name, _EXPECTED)


def open_dump(
    path: str | os.PathLike[str],
    *,
    paths: bool = False,
    multicast: bool = False,
    local: bool = False,
    progress: Progress | None = None,
    spool: Spool | None = None,
) -> Dump:
    """Open one dump, MRT or text, plain or packed, to iterate over its routes in batches; rov.rib.open.

    path: a path, ``-`` for standard input or a URL. paths: MRT and looking glasses only, gives AS paths
    and communities as well. multicast: takes routes of SAFI 2 as well; local: takes messages that the
    collector sent as well. progress, spool: as in read_table. RibFileError: it cannot be read, or is no dump
    of a known kind. ArgumentError: no path, no function.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"192.0.2.0/24\\t64496\\n")
    ...     file.flush()
    ...     with open_dump(file.name) as dump:
    ...         [len(batch) for batch in dump], dump.format, dump.counts.entries
    ([1], 'pyasn', 1)
    """
    return Dump(path, paths=paths, multicast=multicast, local=local, progress=progress, spool=spool)
