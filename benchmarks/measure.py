"""What the benchmarks share: the real data, rounds in turn, who agrees with whom, results and charts."""

from __future__ import annotations

import csv
import io
import json
import lzma
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

import rov
from benchmarks.peers import rtrlib

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ROVKIT_DATA") or ROOT.parent / "shared" / "data")
REAL_VRPS = DATA / "vrp" / "rpki-client_global_20250720T093133Z.json.bz2"
LATER_VRPS = DATA / "vrp" / "rpki-client_global_20250720T100143Z.json.bz2"
REAL_ROUTES = DATA / "rib" / "fulltable_bart2024_x_iplocdb202606_prefix_origin.csv.xz"
RESULTS = ROOT / "build" / "benchmarks"
CHARTS = ROOT / "docs"

SYNTHETIC_VRPS = 700_000
SHUFFLE_SEED = 1

Round = Callable[[], float]
"""One round: does its work and says how many seconds it took."""

Row = dict[str, Any]


def real_or_synthetic() -> tuple[rov.Snapshot, str]:
    """The real set and its name; without the data a synthetic one, which the name says."""
    if REAL_VRPS.is_file():
        return rov.read(REAL_VRPS), REAL_VRPS.name
    click.echo("the real VRPs are missing: these are synthetic", err=True)
    return rov.synth.vrps(SYNTHETIC_VRPS, 1), f"synthetic {SYNTHETIC_VRPS}"


class Table:
    """Routes as texts and origins, in table order."""

    def __init__(self, name: str, texts: list[str], origins: list[int]) -> None:
        self.name = name
        self.texts = texts
        self.origins = origins

    def batch(self, family: int, shuffled: bool) -> rov.RouteBatch:
        """The routes of one family as columns, in table order or shuffled."""
        prefixes = [
            (prefix, origin)
            for prefix, origin in zip(map(rov.Prefix.parse, self.texts), self.origins, strict=True)
            if prefix.family == family
        ]
        lengths = np.array([prefix.length for prefix, _ in prefixes], np.uint8)
        origins = np.array([origin for _, origin in prefixes], np.uint32)
        numbers = [prefix.address for prefix, _ in prefixes]
        if family == 4:
            routes = rov.RouteBatch.ipv4(np.array(numbers, np.uint32), lengths, origins)
        else:
            words = [(number >> 64, number & (2**64 - 1)) for number in numbers]
            routes = rov.RouteBatch.ipv6(np.array(words, np.uint64), lengths, origins)
        return (
            taken(routes, np.random.default_rng(SHUFFLE_SEED).permutation(len(routes)))
            if shuffled
            else routes
        )


def taken(routes: rov.RouteBatch, rows: Any) -> rov.RouteBatch:
    """Some routes of a batch, in the order of rows."""
    make = rov.RouteBatch.ipv4 if routes.family == 4 else rov.RouteBatch.ipv6
    return make(routes.addresses[rows], routes.lengths[rows], routes.origins[rows])


def real_or_own_routes(snapshot: rov.Snapshot) -> Table:
    """The derived full table; without the data, the routes of the VRPs, every third of another origin."""
    if REAL_ROUTES.is_file():
        with lzma.open(REAL_ROUTES) as file:
            rows = [row for row in csv.DictReader(io.TextIOWrapper(file)) if row["origin_asn"]]
        return Table(
            REAL_ROUTES.name, [row["prefix"] for row in rows], [int(row["origin_asn"]) for row in rows]
        )
    click.echo("the real routes are missing: these are those of the VRPs", err=True)
    vrps = list(snapshot.vrps())
    origins = [vrp.asn if row % 3 else vrp.asn ^ 1 for row, vrp in enumerate(vrps)]
    return Table("the routes of the VRPs", [str(vrp.prefix) for vrp in vrps], origins)


def vrp_columns(snapshot: rov.Snapshot) -> list[tuple[Any, ...]]:
    """What rtrlib.Table takes for VRPs."""
    return [(columns.family, *columns.keys) for columns in (snapshot.ipv4, snapshot.ipv6)]


def route_columns(routes: rov.RouteBatch) -> tuple[Any, ...]:
    """What rtrlib.Table takes for routes."""
    return routes.family, routes.addresses, routes.lengths, routes.origins


def rtrlib_here(directory: Path) -> bool:
    """Whether RTRlib could be built into the directory; where not, that is said."""
    if rtrlib.build(directory):
        return True
    click.echo("RTRlib cannot be built here (Debian: librtr-dev, cc): it is left out", err=True)
    return False


def timed(work: Callable[[], object], times: int = 1) -> Round:
    """A round that does the work so many times, and says what one of them took.

    Work of a millisecond or ten needs several: else a round measures how cold the peer's left the caches.
    """

    def run() -> float:
        began = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - began) / times

    return run


def in_turn(rounds: int, runs: Mapping[str, Round]) -> dict[str, list[float]]:
    """The seconds of each, one round of each after the other, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for counted in range(rounds + 1):
        for name, run in runs.items():
            seconds = run()
            if counted:
                times[name].append(seconds)
    return times


def rates(question: str, count: int, times: Mapping[str, Sequence[float]], us: str = "rov") -> list[Row]:
    """A row for each that was measured: millions a second; ratio: how many times as fast as it ours is."""
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    return [
        {
            "question": question,
            "by": name,
            "count": count,
            "million_per_second": count / medians[name] / 1e6,
            "fastest": count / min(seconds) / 1e6,
            "slowest": count / max(seconds) / 1e6,
            "ratio": medians[name] / medians[us],
        }
        for name, seconds in times.items()
    ]


def show_rates(rows: Sequence[Row]) -> None:
    """The table of rates."""
    click.echo(f"{'question':<30}{'by':<34}{'count':>10}{'M/s':>9}{'min':>9}{'max':>9}{'ratio':>8}")
    for row in rows:
        click.echo(
            f"{row['question']:<30}{row['by']:<34}{row['count']:>10,}{row['million_per_second']:>9.2f}"
            f"{row['slowest']:>9.2f}{row['fastest']:>9.2f}{row['ratio']:>8.1f}"
        )


def agree(question: str, ours: Any, theirs: Any) -> None:
    """Stop where two do not give the same state for every route."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if len(ours) != len(theirs):
        raise SystemExit(f"{question}: {len(ours)} answers and {len(theirs)}")
    different = np.flatnonzero(ours != theirs)
    if len(different):
        raise SystemExit(f"{question}: {len(different)} routes judged differently, the first {different[0]}")


def load_average() -> str:
    """How busy the machine is, where it tells."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""


def write(name: str, began: str, content: Mapping[str, Any]) -> None:
    """The results as JSON, with what was measured on what; began: the load average before the first round."""
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "load_average": {"before": began, "after": load_average()},
        "rovkit": version("rovkit"),
        "pytricia": version("pytricia"),
        "py-radix": version("py-radix"),
        "rtrlib": rtrlib.version(),
        **content,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{name}.json"
    target.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(f"written to {target.relative_to(ROOT)}; load average {began} before, {load_average()} after")
