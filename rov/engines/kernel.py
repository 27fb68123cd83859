"""The kernel: names of dumps in, their distinct routes with a verdict on each out, as Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from rov.audit.tables import arrow, number_column, origins, prefix_column, words
from rov.audit.verdicts import REASON_WORDS, STATE_WORDS, Judged, judge
from rov.errors import RibFileError, RovError
from rov.index import VrpIndex
from rov.rib import RibCounts, Spool, read_table
from rov.rib.stream import Progress
from rov.types import State

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_BATCH = 1 << 16
"""Routes in one batch: 3 MB, or 6 MB where there are hundreds of peers."""


class About(msgspec.Struct, frozen=True):
    """What a dump said beside its routes; ``error``: why it could not be read, None if it could.

    >>> About("rib.bz2").error is None
    True
    """

    name: str
    peers: tuple[tuple[str | None, int], ...] = ()
    counts: RibCounts = RibCounts()
    warnings: tuple[str, ...] = ()
    error: str | None = None


class Kernel(NamedTuple):
    """Batches with a column ``file``, the names of dumps, to batches of judged routes.

    For each dump there is a batch of one row, which has its ``about`` (an About as JSON) and nothing else,
    and then its distinct routes, IPv4 first, sorted, at most 65,536 a batch and one family in each:
    ``family`` uint8; ``high`` and ``low`` uint64, the address (one of IPv4 in the low half of high);
    ``length`` uint8; ``origin`` uint32, 0: none; ``reason`` uint8 (RFC 6811, State follows from it);
    ``stated`` uint32, peers that are not named; ``peer_set`` binary, uint64 words with a bit for each peer
    by its number in About. A dump that cannot be read has an error in its About, so that the others go on.

    >>> import pyarrow, rov
    >>> kernel = Kernel(lambda: rov.VrpIndex(rov.Snapshot.empty()))
    >>> [about] = kernel(iter([pyarrow.record_batch({"file": ["/nonexistent"]})]))
    >>> msgspec.json.decode(about["about"][0].as_py())["error"]
    'cannot be read: No such file or directory'
    """

    load: Callable[[], VrpIndex]
    threads: int = 1
    """Those that unpack bzip2 and judge."""

    progress: Callable[[str], Progress] | None = None
    """Gives what is told how far a dump is read, by its name."""

    spool: Spool | None = None
    """Keeps the dumps for a second reading."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        index = self.load()
        for batch in batches:
            for name in batch.column("file").to_pylist():
                yield from self._judged(name, index)

    def _judged(self, name: str, index: VrpIndex) -> Iterator[pa.RecordBatch]:
        try:
            progress = self.progress(name) if self.progress else None
            table = read_table([name], progress=progress, threads=self.threads, spool=self.spool)
        except RibFileError as error:
            yield _first(About(name, error=error.message))
            return
        except RovError as error:
            yield _first(About(name, error=str(error)))
            return
        peers = tuple((None if peer.address is None else str(peer.address), peer.asn) for peer in table.peers)
        yield _first(About(name, peers, table.counts, table.warnings))
        for judged in judge(table, index, threads=self.threads).families():
            for at in range(0, len(judged), ROWS_PER_BATCH):
                yield _batch(judged, slice(at, at + ROWS_PER_BATCH))


def _schema() -> Any:
    pyarrow = arrow()
    return pyarrow.schema(
        [
            ("about", pyarrow.string()),
            ("family", pyarrow.uint8()),
            ("high", pyarrow.uint64()),
            ("low", pyarrow.uint64()),
            ("length", pyarrow.uint8()),
            ("origin", pyarrow.uint32()),
            ("reason", pyarrow.uint8()),
            ("stated", pyarrow.uint32()),
            ("peer_set", pyarrow.binary()),
        ]
    )


def _first(about: About) -> pa.RecordBatch:
    """The batch that a dump begins with."""
    schema = _schema()
    nothing = [arrow().nulls(1, field.type) for field in schema][1:]
    return arrow().record_batch([[msgspec.json.encode(about).decode()], *nothing], schema)


def _batch(judged: Judged, rows: slice) -> pa.RecordBatch:
    """Some routes of one family."""
    routes = judged.routes.take(rows)
    count = len(routes)
    wide = routes.addresses.ndim == 2
    high = routes.addresses[:, 0] if wide else routes.addresses.astype(np.uint64)
    low = routes.addresses[:, 1] if wide else np.zeros(count, np.uint64)
    sets = np.zeros((count, 0), np.uint64) if routes.peer_sets is None else routes.peer_sets
    stated = routes.peers - np.bitwise_count(sets).sum(axis=1, dtype=np.uint32)
    family = np.full(count, routes.family, np.uint8)
    columns = (family, high, low, routes.lengths, routes.origins, judged.reasons[rows], stated)
    absent = arrow().nulls(count, arrow().string())
    arrays = [number_column(column) for column in columns]
    return arrow().record_batch([absent, *arrays, _as_binary(sets)], _schema())


def _as_binary(sets: npt.NDArray[np.uint64]) -> pa.Array:
    """Rows of words as binary values of one length."""
    count, width = len(sets), sets.shape[1] * sets.itemsize
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    buffers = None, arrow().py_buffer(offsets), arrow().py_buffer(np.ascontiguousarray(sets))
    return arrow().Array.from_buffers(arrow().binary(), count, buffers)


def rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What a Kernel gives as rows for people: file, prefix, origin, state, reason, peers.

    Types are those that Spark knows: strings, int64 for ``origin`` (null: none) and ``peers``.
    RibFileError: a dump could not be read.

    >>> import pyarrow, rov, tempfile
    >>> kernel = Kernel(lambda: rov.VrpIndex(rov.Snapshot.empty()))
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("prefix,origin,peers\\n192.0.2.0/24,64496,3\\n")
    ...     file.flush()
    ...     [batch] = rows(kernel(iter([pyarrow.record_batch({"file": [file.name]})])))
    >>> batch.drop_columns("file").to_pylist()
    [{'prefix': '192.0.2.0/24', 'origin': 64496, 'state': 'not_found', 'reason': 'not_covered', 'peers': 3}]
    """
    pyarrow = arrow()
    name = ""
    for batch in batches:
        if about := about_of(batch):
            name = about.name
            continue
        part = Routes.of(batch)
        states = np.minimum(part.reasons, State.INVALID)
        yield pyarrow.record_batch(
            {
                "file": pyarrow.repeat(name, batch.num_rows),
                "prefix": prefix_column([(part.family, part.addresses, part.lengths)]).combine_chunks(),
                "origin": origins([part.origins]).cast(pyarrow.int64()),
                "state": words([states], STATE_WORDS).dictionary_decode(),
                "reason": words([part.reasons], REASON_WORDS).dictionary_decode(),
                "peers": number_column(
                    (part.stated + np.bitwise_count(part.sets).sum(axis=1)).astype(np.int64)
                ),
            }
        )


def about_of(batch: pa.RecordBatch) -> About | None:
    """What the batch that a dump begins with says, None of any other; RibFileError: it could not be read."""
    if batch.num_rows != 1 or not batch.column("about")[0].is_valid:
        return None
    about = msgspec.json.decode(batch.column("about")[0].as_py(), type=About)
    if about.error is not None:
        raise RibFileError(about.name, about.error)
    return about


class Routes(NamedTuple):
    """The columns of a batch of routes, as numpy arrays over its memory."""

    family: Any
    addresses: npt.NDArray[Any]
    lengths: npt.NDArray[np.uint8]
    origins: npt.NDArray[np.uint32]
    reasons: npt.NDArray[np.uint8]
    stated: npt.NDArray[np.uint32]
    sets: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> Routes:
        """Those of a batch that a Kernel made."""
        names = ("high", "low", "length", "origin", "reason", "stated")
        high, low, lengths, origins, reasons, stated = (batch.column(name).to_numpy() for name in names)
        family = batch.column("family")[0].as_py()
        addresses = high.astype(np.uint32) if family == 4 else np.stack([high, low], axis=1)
        sets = _as_sets(batch.column("peer_set"))
        return cls(family, addresses, lengths, origins, reasons, stated, sets)


def _as_sets(column: pa.Array) -> npt.NDArray[np.uint64]:
    """The words of binary values that have one length."""
    _, offsets, octets = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    if octets is None or ends[0] == ends[-1]:
        return np.zeros((len(column), 0), np.uint64)
    return np.frombuffer(octets, np.uint64, (ends[-1] - ends[0]) // 8, ends[0]).reshape(len(column), -1)


def named(names: tuple[str, ...], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches with a column ``id``, places in a list of names, to batches with a column ``file``.

    >>> import pyarrow
    >>> [batch] = named(("a", "b"), iter([pyarrow.record_batch({"id": [1]})]))
    >>> batch.to_pylist()
    [{'file': 'b'}]
    """
    for batch in batches:
        files = [names[place] for place in batch.column("id").to_pylist()]
        yield arrow().record_batch({"file": arrow().array(files, arrow().string())})


def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Each batch as one value of a column ``packed``: its Arrow stream, packed with zstd.

    So an engine that takes batches apart into rows, as Spark does, has one row to move where there were
    65,536, and a fifth of the octets.

    >>> import pyarrow
    >>> batch = pyarrow.record_batch({"n": [1, 2]})
    >>> [again] = unpack(pack(iter([batch])))
    >>> again.equals(batch)
    True
    """
    pyarrow = arrow()
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    for batch in batches:
        out = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(out, batch.schema, options=options) as writer:
            writer.write_batch(batch)
        yield pyarrow.record_batch({"packed": pyarrow.array([out.getvalue().to_pybytes()], pyarrow.binary())})


def unpack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What went into ``pack``."""
    for batch in batches:
        for packed in batch.column("packed"):
            yield from arrow().ipc.open_stream(packed.as_buffer())
