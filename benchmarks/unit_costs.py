"""What a task of the engine spark costs: a dump from its file to the packed answer, on one processor.

    python -m benchmarks.unit_costs [--rib FILE.bz2] [--vrps FILE] [--rounds 5]

The unit costs of docs/scale.md, in processor time: of a plain dump, of the same in .gz, and of unpacking
.bz2, which is done once as it takes long. Octets of the answer are those that go to the driver.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pyarrow as pa

import rov
from benchmarks.mrt import REAL_VRPS, RIB, variants
from rov.engines.kernel import Kernel, named, pack
from rov.rib.stream import Source


def task(index: rov.VrpIndex, path: Path) -> int:
    """What a worker does with a dump; the octets of its answer."""
    numbers: Iterator[pa.RecordBatch] = iter([pa.RecordBatch.from_pydict({"id": [0]})])
    answer = pack(Kernel(lambda: index, threads=1)(named((str(path),), numbers)))
    return sum(len(octets) for batch in answer for octets in batch["packed"].to_pylist())


def unpacked(path: Path) -> int:
    """Unpack, and no more; the octets."""
    return sum(map(len, Source(str(path)).pieces()))


@click.command()
@click.option("--rib", default=RIB, type=click.Path(exists=True, path_type=Path), help="RIB dump in .bz2.")
@click.option("--vrps", default=REAL_VRPS, type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
def main(rib: Path, vrps: Path, rounds: int) -> None:
    """Measure and print; the medians of the rounds."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    index = rov.load(vrps)
    files = variants(rib)
    table = rov.rib.read_table(files["plain"])
    entries, routes = table.counts.entries, len(table.ipv4) + len(table.ipv6)
    for name in ("plain", ".gz"):
        took, octets = [], 0
        for _ in range(rounds):
            began = time.process_time()
            octets = task(index, files[name])
            took.append(time.process_time() - began)
        rate = entries / statistics.median(took) / 1e6
        click.echo(f"{name:<6} {rate:6.1f} M entries/s and core, {octets / routes:.1f} octets a route")
    began = time.process_time()
    size = unpacked(files[".bz2"])
    used = time.process_time() - began
    rate = entries / used / 1e6
    click.echo(f".bz2   {size / used / 1e6:6.1f} MB unpacked, {rate:.2f} M entries/s and core, once")


if __name__ == "__main__":
    main()
