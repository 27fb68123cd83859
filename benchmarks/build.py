"""What does an index cost? Time and memory to build one from a Snapshot and a file, and after a change.

    python -m benchmarks.build [--rounds 5]

Each of ours that is measured from a file runs in a fresh process, as its memory is part of the answer, and
json.loads of the same text beside it, which only reads and makes no VRP. RTRlib loads the same VRPs, rounds
in turn with ours; pytricia and py-radix are filled with them by the code of benchmarks/peers/trees.py, one
round each, as one takes seconds.
"""

from __future__ import annotations

import bz2
import statistics
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import click

import rov
from benchmarks import charts, measure
from benchmarks.measure import Row
from benchmarks.peers import rtrlib

MEASURED = """
    import sys, time
    import rov

    def kilobytes(name):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(name))

    {before}
    resident, began = kilobytes("VmRSS"), time.perf_counter()
    held = {made}
    print(time.perf_counter() - began, (kilobytes("VmHWM") - resident) * 1024, type(held))
"""
"""The seconds, and the bytes of memory that came on top at the peak (Linux)."""

IN_TREES = """from benchmarks.peers import trees
    snapshot = rov.Snapshot.open(sys.argv[1])"""


TIMES = 3
"""An index is built so many times a round."""


def in_a_fresh_process(made: str, path: Path, before: str = "") -> tuple[float, int]:
    """Seconds and bytes of memory that an expression over sys.argv[1], the path, takes."""
    code = textwrap.dedent(MEASURED.replace("{before}", before).replace("{made}", made))
    command = [sys.executable, "-c", code, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=measure.ROOT).stdout
    seconds, octets = output.split()[:2]
    return float(seconds), int(octets)


def row(question: str, by: str, times: list[float], octets: float | None = None) -> Row:
    """One line of the table: milliseconds, and bytes a VRP where memory was measured."""
    return {
        "question": question,
        "by": by,
        "milliseconds": statistics.median(times) * 1e3,
        "fastest": min(times) * 1e3,
        "slowest": max(times) * 1e3,
        "bytes_per_vrp": octets,
    }


def from_a_snapshot(snapshot: rov.Snapshot, rounds: int, directory: Path) -> list[Row]:
    """VRPs in memory to a structure that answers."""
    found: list[Row] = []
    names = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}
    only = {name: snapshot.within(everything) for name, everything in names.items()}
    runs = {
        name: measure.timed(lambda part=part: rov.VrpIndex(part), TIMES)  # type: ignore[misc]
        for name, part in {"IPv4 and IPv6": snapshot, **only}.items()
    }
    memory = 0

    def in_rtrlib() -> float:
        nonlocal memory
        nothing = measure.route_columns(rov.RouteBatch.ipv4([], [], []))
        with rtrlib.Table(directory, measure.vrp_columns(snapshot), nothing) as table:
            memory = table.kilobytes * 1024
            return table.load_seconds

    if measure.rtrlib_here(directory):
        runs["RTRlib"] = in_rtrlib
    times = measure.in_turn(rounds, runs)
    for name, part in {"IPv4 and IPv6": snapshot, **only}.items():
        found.append(row(f"from VRPs, {name}", "rov", times[name], rov.VrpIndex(part).nbytes / len(part)))
    if "RTRlib" in times:
        found.append(row("from VRPs, IPv4 and IPv6", "RTRlib", times["RTRlib"], memory / len(snapshot)))
    saved = directory / "vrps.rov"
    snapshot.save(saved)
    for name, made in (
        ("pytricia, own VRPs", "own"),
        ("pytricia, chains flattened", "flattened"),
        ("py-radix", "radix_tree"),
    ):
        seconds, octets = in_a_fresh_process(f"trees.{made}(snapshot)", saved, IN_TREES)
        found.append(row("from VRPs, IPv4 and IPv6", name, [seconds], octets / len(snapshot)))
    return found


def from_a_file(snapshot: rov.Snapshot, rounds: int, directory: Path) -> list[Row]:
    """A VRP file, on disk as plain JSON and as a saved Snapshot, to an index, in a fresh process each."""
    found: list[Row] = []
    saved = directory / "vrps.rov"
    snapshot.save(saved)
    plain = directory / "vrps.json"
    if measure.REAL_VRPS.is_file():
        plain.write_bytes(bz2.decompress(measure.REAL_VRPS.read_bytes()))
    works = {
        ("JSON", "to index", "rov"): ("rov.load(sys.argv[1])", plain, ""),
        ("JSON", "to objects", "json.loads"): (
            "json.loads(open(sys.argv[1], 'rb').read())",
            plain,
            "import json",
        ),
        ("saved Snapshot", "to index", "rov"): ("rov.load(sys.argv[1])", saved, ""),
    }
    here = {asked: work for asked, work in works.items() if work[1].is_file()}
    runs: dict[tuple[str, str, str], list[tuple[float, int]]] = {asked: [] for asked in here}
    for _ in range(rounds):
        for asked, (made, path, before) in here.items():
            runs[asked].append(in_a_fresh_process(made, path, before))
    for (name, what, by), found_runs in runs.items():
        megabytes = here[name, what, by][1].stat().st_size / 1e6
        peak = statistics.median(octets for _, octets in found_runs) / len(snapshot)
        seconds = [run[0] for run in found_runs]
        found.append(row(f"{name}, {megabytes:.0f} MB, {what}", by, seconds, peak))
    return found


def changes(snapshot: rov.Snapshot, rounds: int) -> list[Row]:
    """The difference to the next real set, and what it takes to follow it."""
    if not measure.LATER_VRPS.is_file():
        click.echo("the second real set is missing: changes are left out", err=True)
        return []
    later = rov.read(measure.LATER_VRPS)
    delta = rov.Delta.between(snapshot, later)
    assert delta is not None
    changed = len(delta.withdrawn) + len(delta.announced)
    works: dict[str, Callable[[], object]] = {
        "Delta.between two sets": lambda: rov.Delta.between(snapshot, later),
        f"apply {changed} changes": lambda: delta.apply(snapshot),
        f"apply {changed} changes, build": lambda: rov.VrpIndex(delta.apply(snapshot)),
    }
    assert delta.apply(snapshot) == later
    times = measure.in_turn(rounds, {name: measure.timed(work) for name, work in works.items()})
    return [row(name, "rov", seconds) for name, seconds in times.items()]


def show(rows: list[Row]) -> None:
    """The table."""
    click.echo(f"{'question':<34}{'by':<28}{'ms':>9}{'min':>9}{'max':>9}{'B/VRP':>8}")
    for line in rows:
        octets = f"{line['bytes_per_vrp']:.1f}" if line["bytes_per_vrp"] is not None else ""
        click.echo(
            f"{line['question']:<34}{line['by']:<28}{line['milliseconds']:>9.1f}{line['fastest']:>9.1f}"
            f"{line['slowest']:>9.1f}{octets:>8}"
        )


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
def main(rounds: int) -> None:
    """Measure, print a table, write JSON and a chart."""
    began = measure.load_average()
    snapshot, name = measure.real_or_synthetic()
    with tempfile.TemporaryDirectory() as directory:
        rows = from_a_snapshot(snapshot, rounds, Path(directory))
        rows += from_a_file(snapshot, rounds, Path(directory))
    rows += changes(snapshot, rounds)
    show(rows)
    columns = sum(
        column.nbytes
        for part in (snapshot.ipv4, snapshot.ipv6)
        for column in (*part.keys, part.expires, part.ta)
    )
    click.echo(f"the columns of the Snapshot: {columns / len(snapshot):.1f} B/VRP")
    written = {"vrps": name, "rounds": rounds, "column_bytes_per_vrp": columns / len(snapshot), "rows": rows}
    measure.write("build", began, written)
    charts.bars(
        measure.CHARTS / "build.png",
        "An index made",
        "milliseconds",
        [(line["question"], line["by"], line["milliseconds"]) for line in rows],
    )


if __name__ == "__main__":
    main()
