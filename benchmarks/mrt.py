"""How fast is a RIB dump read and validated? Ours beside bgpdump, pybgpkit-parser and mrtparse.

    python -m benchmarks.mrt [--rib FILE.bz2] [--vrps FILE] [--rounds 5] [--no-peers] [--json FILE]

The whole dump is read by rovkit alone: from memory in one thread, then from a plain, a .gz and a .bz2 file to
verdicts and Parquet, in processes of their own whose memory is measured. In the same rounds the packed files
are unpacked and no more: "of unpacking" says how near to that the whole way comes. The peers read the first
entries of the dump, fewer the slower they are, and rovkit reads the same in the same rounds.
The benchmark stops if a peer gives another set of (prefix, origin). What is missing is left out and named.
The verdicts of this dump beside a loop over py-radix and a range join of duckdb: benchmarks.audit.
"""

from __future__ import annotations

import bz2
import gzip
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

import rov
from rov._mrt import Parser
from rov._mrt_peers import Peers
from rov._prefix import format_ipv4, format_ipv6

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ROVKIT_DATA") or ROOT.parent / "shared" / "data")
REAL_VRPS = DATA / "vrp" / "rpki-client_global_20250720T093133Z.json.bz2"
RIB = DATA / "mrt" / "synthetic_rib_4M_entries.mrt.bz2"
VARIANTS = ROOT / "build" / "benchmarks" / "mrt"
RESULTS = ROOT / "build" / "benchmarks" / "mrt.json"

PIECE_BYTES = 4 << 20

UNPACKERS = {".gz": "isal", ".bz2": "rapidgzip" if importlib.util.find_spec("rapidgzip") else "bz2"}
"""What unpacks for rovkit."""

Routes = set[tuple[str, str]]
"""(prefix, origin), the origin empty where there is none."""

UNPACK = """
import sys, time
from rov.rib.stream import Source
began, used = time.perf_counter(), time.process_time()
for piece in Source(sys.argv[1]).pieces(): pass
print(time.perf_counter() - began, time.process_time() - used)
"""
"""What a packed dump takes at least: nothing is done with what it holds."""

TO_PARQUET = """
import sys, time
import pyarrow.parquet
import rov
from rov.audit.verdict_file import VerdictFile
from rov.engines.threads import judge_files
def most():
    return next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
index = rov.load(sys.argv[2])
began, used = time.perf_counter(), time.process_time()
with VerdictFile(sys.argv[3], index) as file:
    verdicts = judge_files([sys.argv[1]], index, settled=file.take)
    file.end({})
seconds, used = time.perf_counter() - began, time.process_time() - used
assert pyarrow.parquet.read_metadata(sys.argv[3]).num_rows == len(verdicts)
print(seconds, used, verdicts.table.counts.entries, most())
"""
"""From a dump to the file of ``rov audit --output``; memory in KiB at its highest."""

BGPKIT = """
import sys, time, pybgpkit_parser
began = time.perf_counter()
routes, n = set(), 0
for e in pybgpkit_parser.Parser(url=sys.argv[1]):
    n += 1
    routes.add((e.prefix, tuple(e.origin_asns or ())))
print(time.perf_counter() - began, n)
for prefix, origins in routes: print(prefix, *origins)
"""

MRTPARSE = """
import sys, time, mrtparse
began = time.perf_counter()
routes, n = set(), 0
for reader in mrtparse.Reader(sys.argv[1]):
    for entry in reader.data.get("rib_entries", ()):
        n += 1
        segment = next(a for a in entry["path_attributes"] if 2 in a["type"])["value"][-1]
        origin = segment["value"][-1] if 2 in segment["type"] else ""
        routes.add((f"{reader.data['prefix']}/{reader.data['length']}", origin))
print(time.perf_counter() - began, n)
for prefix, origin in routes: print(prefix, origin)
"""


def variants(rib: Path) -> dict[str, Path]:
    """The dump plain and packed, made where they are missing."""
    VARIANTS.mkdir(parents=True, exist_ok=True)
    plain, gz = VARIANTS / "rib.mrt", VARIANTS / "rib.mrt.gz"
    if not plain.is_file():
        with bz2.open(rib) as source, open(f"{plain}.part", "wb") as target:
            shutil.copyfileobj(source, target, PIECE_BYTES)
        os.replace(f"{plain}.part", plain)
    if not gz.is_file():
        with open(plain, "rb") as source, gzip.open(f"{gz}.part", "wb", 6) as packed:
            shutil.copyfileobj(source, packed, PIECE_BYTES)
        os.replace(f"{gz}.part", gz)
    return {"plain": plain, ".gz": gz, ".bz2": rib}


def first_records(data: bytes, entries: int) -> bytes:
    """The records of a dump up to so many entries."""
    at = seen = 0
    while at < len(data) and seen < entries:
        _, _, subtype, size = struct.unpack_from(">IHHI", data, at)
        if subtype != 1:
            length = data[at + 16]
            seen += struct.unpack_from(">H", data, at + 17 + (length + 7) // 8)[0]
        at += 12 + size
    return data[:at]


def parse(data: memoryview, take: Callable[[Parser], None]) -> int:
    """Read a dump in memory; the number of its entries."""
    parser = Parser(Peers(), distinct=True)
    for at in range(0, len(data), PIECE_BYTES):
        parser.feed(data[at : at + PIECE_BYTES])
        while parser.parse():
            take(parser)
        take(parser)
    return parser.counts()["entries"]


def validate(index: rov.VrpIndex, data: memoryview) -> int:
    """Read a dump in memory, and judge its routes record by record as they come."""

    def judge(parser: Parser) -> None:
        _, *families = parser.take_routes()
        for family, (addresses, lengths, origins, _) in zip((4, 6), families, strict=True):
            words = np.frombuffer(addresses, np.uint32 if family == 4 else np.uint64)
            batch = rov.RouteBatch.ipv4 if family == 4 else rov.RouteBatch.ipv6
            rows = words if family == 4 else words.reshape(-1, 2)
            index.validate_batch(batch(rows, np.frombuffer(lengths, "u1"), np.frombuffer(origins, "u4")))

    return parse(data, judge)


def timed(work: Callable[[], int]) -> tuple[float, int]:
    """Seconds, and what the work returns."""
    began = time.perf_counter()
    count = work()
    return time.perf_counter() - began, count


def run(*command: str) -> str:
    """The standard output of a program."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def our_routes(path: Path) -> Routes:
    """(prefix, origin) of a dump, the origin empty where there is none."""
    table = rov.rib.read_table(path)
    return {
        (prefix, str(origin) if origin else "")
        for columns, texts in ((table.ipv4, format_ipv4), (table.ipv6, format_ipv6))
        for prefix, origin in zip(
            texts(columns.addresses, columns.lengths), columns.origins.tolist(), strict=True
        )
    }


def bgpdump(path: Path) -> tuple[float, int, Routes]:
    """bgpdump -m with its text read afterwards, which is not counted."""
    began = time.perf_counter()
    text = run("bgpdump", "-m", str(path))
    seconds = time.perf_counter() - began
    fields = [line.split("|", 7) for line in text.splitlines()]
    origins = (row[6].rsplit(" ", 1)[-1] for row in fields)
    routes = {(row[5], "" if "{" in last else last) for row, last in zip(fields, origins, strict=True)}
    return seconds, len(fields), routes


def library(script: str) -> Callable[[Path], tuple[float, int, Routes]]:
    """A peer that is a Python package, in a process of its own."""

    def read(path: Path) -> tuple[float, int, Routes]:
        first, *rest = run(sys.executable, "-c", script, str(path)).splitlines()
        seconds, count = first.split()
        routes = set()
        for line in rest:
            prefix, *origins = line.split()
            routes.add((prefix, origins[0] if len(origins) == 1 else ""))
        return float(seconds), int(count), routes

    return read


PEERS: dict[str, tuple[int, Callable[[Path], tuple[float, int, Routes]], bool]] = {
    "bgpdump -m": (400_000, bgpdump, shutil.which("bgpdump") is not None),
    "pybgpkit-parser": (200_000, library(BGPKIT), importlib.util.find_spec("pybgpkit_parser") is not None),
    "mrtparse": (50_000, library(MRTPARSE), importlib.util.find_spec("mrtparse") is not None),
}
"""How many entries each reads, how, and whether it is installed."""


def row(question: str, by: str, seconds: list[float], entries: int, **more: Any) -> dict[str, Any]:
    """One line of the table."""
    median = statistics.median(seconds)
    rates = {"fastest": entries / min(seconds) / 1e6, "slowest": entries / max(seconds) / 1e6}
    rate = entries / median / 1e6
    return {"question": question, "by": by, "entries": entries, "million_per_second": rate, **rates, **more}


def in_memory(index: rov.VrpIndex, data: bytes, rounds: int) -> list[dict[str, Any]]:
    """One thread, the dump in memory; seconds are those of the processor, which others may want as well."""
    view = memoryview(data)
    works: dict[str, Callable[[], int]] = {
        "parse": lambda: parse(view, lambda parser: parser.take_routes() and None),
        "parse + validate": lambda: validate(index, view),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    entries = 0
    for counted in range(rounds + 1):
        for name, work in works.items():
            began = time.thread_time()
            entries = work()
            if counted:
                seconds[name].append(time.thread_time() - began)
    return [row(f"{name}, 1 thread, CPU time", "rovkit", took, entries) for name, took in seconds.items()]


def from_files(files: dict[str, Path], vrps: Path, rounds: int) -> list[dict[str, Any]]:
    """From files to verdicts and Parquet, each beside its unpacking alone, which is the least it can take."""
    seconds: dict[str, list[float]] = {name: [] for name in files}
    cpu: dict[str, list[float]] = {name: [] for name in files}
    alone: dict[str, list[float]] = {name: [] for name in files if name != "plain"}
    alone_cpu: dict[str, list[float]] = {name: [] for name in alone}
    most = dict.fromkeys(files, 0.0)
    entries = 0
    for counted in range(rounds + 1):
        for name, path in files.items():
            unpacked = run(sys.executable, "-c", UNPACK, str(path)).split() if name in alone else []
            out = run(sys.executable, "-c", TO_PARQUET, str(path), str(vrps), str(VARIANTS / "out.parquet"))
            took, used, count, memory = out.split()
            entries = int(count)
            most[name] = max(most[name], int(memory) / 1024)
            if counted:
                seconds[name].append(float(took))
                cpu[name].append(float(used))
                if unpacked:
                    alone[name].append(float(unpacked[0]))
                    alone_cpu[name].append(float(unpacked[1]))
    rows = []
    for name, took in seconds.items():
        ours: dict[str, Any] = {"cpu": statistics.median(cpu[name]), "mib": round(most[name])}
        if name in alone:
            least = statistics.median(alone_cpu[name])
            rows.append(
                row(f"{name} file unpacked, no more", UNPACKERS[name], alone[name], entries, cpu=least)
            )
            ours["of_unpacking"] = statistics.median(alone[name]) / statistics.median(took)
        rows.append(row(f"{name} file to verdicts and Parquet", "rovkit", took, entries, **ours))
    return rows


def agree(name: str, theirs: tuple[int, Routes], ours: tuple[int, Routes]) -> None:
    """Stop where a peer counts other entries or finds other routes."""
    if theirs != ours:
        different = len(theirs[1] ^ ours[1])
        raise SystemExit(f"{name}: {theirs[0]} entries for {ours[0]}, {different} routes differ")


def beside_peers(data: bytes, rounds: int) -> list[dict[str, Any]]:
    """The first entries of the dump from a plain file, each peer and rovkit in turn."""
    rows: list[dict[str, Any]] = []
    for name, (wanted, read, installed) in PEERS.items():
        if not installed:
            click.echo(f"{name} is not installed: left out", err=True)
            continue
        path = VARIANTS / f"first{wanted}.mrt"
        path.write_bytes(first_records(data, wanted))
        ours: list[float] = []
        theirs: list[float] = []
        entries = 0
        for counted in range(rounds + 1):
            took, count, routes = read(path)
            mine, entries = timed(lambda path=path: rov.rib.read_table(path).counts.entries)  # type: ignore[misc]
            if not counted:
                agree(name, (count, routes), (entries, our_routes(path)))
            if counted:
                ours.append(mine)
                theirs.append(took)
        ratio = statistics.median(theirs) / statistics.median(ours)
        rows.append(row(f"first {entries:,} entries", name, theirs, entries))
        rows.append(row(f"first {entries:,} entries", "rovkit", ours, entries, ratio=ratio))
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    click.echo(
        f"{'question':<38}{'by':<17}{'M entries/s':>12}{'min':>8}{'max':>8}{'ratio':>8}{'CPU s':>8}{'MiB':>6}"
        f"{'of unpacking':>14}"
    )
    for found in rows:
        ratio = f"{found['ratio']:.0f}" if "ratio" in found else ""
        cpu = f"{found['cpu']:.2f}" if "cpu" in found else ""
        share = f"{found['of_unpacking']:.0%}" if "of_unpacking" in found else ""
        click.echo(
            f"{found['question']:<38}{found['by']:<17}{found['million_per_second']:>12.3f}"
            f"{found['slowest']:>8.3f}{found['fastest']:>8.3f}{ratio:>8}{cpu:>8}{found.get('mib', ''):>6}"
            f"{share:>14}"
        )


def versions() -> dict[str, str]:
    """What was measured on what."""
    found = {"machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"}
    for name in ("rovkit", "isal", "rapidgzip", "pybgpkit-parser", "mrtparse"):
        try:
            found[name] = version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


@click.command()
@click.option("--rib", default=RIB, type=click.Path(exists=True, path_type=Path), help="RIB dump in .bz2.")
@click.option("--vrps", default=REAL_VRPS, type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--peers/--no-peers", default=True, show_default=True, help="With those that are installed.")
@click.option("--json", "target", default=RESULTS, type=click.Path(path_type=Path), show_default=True)
def main(rib: Path, vrps: Path, rounds: int, peers: bool, target: Path) -> None:
    """Measure, print a table, write JSON."""
    files = variants(rib)
    data = files["plain"].read_bytes()
    rows = in_memory(rov.load(vrps), data, rounds)
    if peers:
        rows += beside_peers(data, rounds)
    del data
    rows += from_files(files, vrps, rounds)
    show(rows)
    named = {"rib": rib.name, "vrps": vrps.name, "rounds": rounds}
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({**versions(), **named, "rows": rows}, indent=2) + "\n")
    click.echo(f"written to {target}")


if __name__ == "__main__":
    main()
