"""The engine that needs no other machine: dumps in threads, as many at a time as there are processors."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

from rov._threads import in_order, worker_count
from rov.audit.tables import arrow
from rov.audit.verdicts import Verdicts, judge
from rov.engines.fold import fold
from rov.engines.kernel import Kernel
from rov.index import VrpIndex
from rov.rib import Spool, read_table
from rov.rib.settled import Settled
from rov.rib.stream import Progress

MAX_FILES = 8
"""Dumps read at a time, at most: each takes some 100 MB, and one disk."""


def judge_files(
    names: Sequence[str],
    index: VrpIndex,
    *,
    threads: int = 0,
    progress: Progress | None = None,
    settled: Settled | None = None,
    spool: Spool | None = None,
) -> Verdicts:
    """The verdicts on the distinct routes of some dumps, merged, as ``judge(read_table(names), index)``.

    names: paths, URLs or ``-``. threads: 0 stands for all processors. progress: called with the packed
    octets read so far of all dumps, from other threads. settled: as in ``rov.rib.read_table``, such as
    ``rov.audit.verdict_file.VerdictFile.take``; spool: as there. RibFileError: a dump cannot be read.
    ArgumentError: no number of threads, no function.

    >>> import rov, tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("prefix,origin\\n192.0.2.0/24,64496\\n")
    ...     file.flush()
    ...     judge_files([file.name, file.name], rov.VrpIndex(rov.Snapshot.empty()))
    <Verdicts: 1 routes of at least 1 peers: 0 valid, 0 invalid, 1 not_found>
    """
    workers = worker_count(threads)
    if len(names) == 1 or workers == 1:
        # what one thread reads is merged as it comes
        table = read_table(names, progress=progress, threads=workers, settled=settled, spool=spool)
        return judge(table, index, threads=workers)
    at_once = min(workers, len(names), MAX_FILES)
    total = _Total(progress) if progress else None
    kernel = Kernel(lambda: index, max(1, workers // at_once), total.of if total else None, spool)

    def judged(name: str) -> list[object]:
        return list(kernel(iter([arrow().record_batch({"file": [name]})])))

    dumps = in_order(judged, names, at_once)
    found = fold((batch for dump in dumps for batch in dump), index)
    if settled is not None:
        settled(found.table.ipv4)
        settled(found.table.ipv6)
    return found


class _Total:
    """Adds up how far several dumps are read."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._read: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def of(self, name: str) -> Progress:
        """What one dump tells."""

        def advance(read: int, _: int | None) -> None:
            with self._lock:
                self._read[name] = read
                self._progress(sum(self._read.values()), None)

        return advance
