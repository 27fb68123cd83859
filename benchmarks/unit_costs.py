"""What a task of the engine spark costs: a dump from its file to the packed answer, on one processor.

    python -m benchmarks.unit_costs [--rib FILE.bz2] [--vrps FILE] [--rounds 5] [--tasks 100]

The unit costs of docs/scale.md, in processor time: of a plain dump, of the same in .gz, and of unpacking
.bz2, which is done once as it takes long. Octets of the answer are those that go to the driver, which folds
dumps of many collectors: each copy of the dump counts as one with peers of its own. Then what a worker holds,
and what Spark itself takes for a task: of dumps with next to nothing in them, by one executor that is warm.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import pyarrow as pa

import rov
from benchmarks.measure import DATA
from benchmarks.mrt import REAL_VRPS, RIB, variants
from rov.engines import spark
from rov.engines.fold import fold
from rov.engines.kernel import Kernel, about_of, named, pack, unpack
from rov.engines.kernel import _first as first_batch
from rov.rib.stream import Source

MASTER = "local-cluster[1,1,1024]"

SMALL = DATA / "mrt" / "bgpdump_bview.ipv4_unicast_add_path.gz"
"""62 entries."""

TICKS = os.sysconf("SC_CLK_TCK")


COLLECTORS = 125
"""Dumps that are folded: with 20 peers each they are the 2,500 sessions of docs/scale.md."""


def task(index: rov.VrpIndex, path: Path) -> list[pa.RecordBatch]:
    """What a worker does with a dump; its answer."""
    numbers: Iterator[pa.RecordBatch] = iter([pa.RecordBatch.from_pydict({"id": [0]})])
    return list(pack(Kernel(lambda: index, threads=1)(named((str(path),), numbers))))


def size_of(answer: list[pa.RecordBatch]) -> int:
    """In octets."""
    return sum(len(octets) for batch in answer for octets in batch["packed"].to_pylist())


def of_collectors(answer: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What the driver unpacks of so many collectors, whose peers are none of another's."""
    for collector in range(COLLECTORS):
        for batch in unpack(iter(answer)):
            if about := about_of(batch):
                peers = tuple((address, (asn + (collector << 20)) % 2**32) for address, asn in about.peers)
                yield first_batch(msgspec.structs.replace(about, peers=peers))
            else:
                yield batch


def unpacked(path: Path) -> int:
    """Unpack, and no more; the octets."""
    return sum(map(len, Source(str(path)).pieces()))


class Used(NamedTuple):
    """Processor seconds of this process and its JVM, and of what the executors do."""

    driver: float
    workers: float

    @classmethod
    def now(cls) -> Used:
        """From the beginning of each process to now."""
        driver, workers = 0.0, 0.0
        below = {os.getpid(): False}
        for pid, parent, seconds in sorted(processes()):
            if pid == os.getpid() or parent in below:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                below[pid] = below.get(parent, False) or b"CoarseGrainedExecutorBackend" in command
                workers += seconds * below[pid]
                driver += seconds * (not below[pid])
        return cls(driver, workers)


def processes() -> Iterator[tuple[int, int, float]]:
    """All of the machine: number, parent, processor seconds of its own and of children that ended."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield int(path.parent.name), int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def spark_tasks(index: rov.VrpIndex, tasks: int) -> Used:
    """What a task takes that has a dump of some entries, when each process has done as many before."""
    with spark._pandas_3_allowed(), spark._session(MASTER):
        for _ in range(2):
            before = Used.now()
            spark.judge_files([str(SMALL)] * tasks, index)
        return Used(*((late - early) / tasks for early, late in zip(before, Used.now(), strict=True)))


@click.command()
@click.option("--rib", default=RIB, type=click.Path(exists=True, path_type=Path), help="RIB dump in .bz2.")
@click.option("--vrps", default=REAL_VRPS, type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--tasks", default=100, show_default=True, type=click.IntRange(1), help="Of Spark.")
def main(rib: Path, vrps: Path, rounds: int, tasks: int) -> None:
    """Measure and print; the medians of the rounds."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    index = rov.load(vrps)
    files = variants(rib)
    table = rov.rib.read_table(files["plain"])
    entries, routes = table.counts.entries, len(table.ipv4) + len(table.ipv6)
    for name in ("plain", ".gz"):
        took, answer = [], []
        for _ in range(rounds):
            began = time.process_time()
            answer = task(index, files[name])
            took.append(time.process_time() - began)
        rate = entries / statistics.median(took) / 1e6
        click.echo(
            f"{name:<6} {rate:6.1f} M entries/s and core, {size_of(answer) / routes:.1f} octets a route"
        )
    began = time.process_time()
    peers = len(fold(of_collectors(answer), index).table.peers)
    used = (time.process_time() - began) / COLLECTORS / routes
    click.echo(f"fold   {used * 1e6:6.2f} us a route of a dump, {COLLECTORS} dumps, {peers:,} peers")
    began = time.process_time()
    size = unpacked(files[".bz2"])
    used = time.process_time() - began
    rate = entries / used / 1e6
    click.echo(f".bz2   {size / used / 1e6:6.1f} MB unpacked, {rate:.2f} M entries/s and core, once")
    with tempfile.NamedTemporaryFile() as file:
        index.snapshot.save(file.name)
        sent = os.stat(file.name).st_size
    click.echo(f"held   {index.nbytes / 1e6:6.1f} MB of index, {sent / 1e6:.1f} MB of Snapshot, once a host")
    os.sched_setaffinity(0, processors)
    task_used = spark_tasks(index, tasks)
    click.echo(f"Spark  {task_used.workers:6.2f} s a task, and {task_used.driver:.2f} s on the driver")


if __name__ == "__main__":
    main()
