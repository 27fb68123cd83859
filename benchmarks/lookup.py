"""How fast is origin validation? Ours beside RTRlib (columns, one thread) and a loop over pytricia (texts).

    python -m benchmarks.lookup [--vrps FILE] [--routes FILE.csv.xz] [--rounds 5] [--json FILE]

Every peer answers for the same routes against the same VRPs, rounds in turn; the benchmark stops if two of
them disagree about one route. RTRlib is built from benchmarks/peers (Debian: librtr-dev); without it, or
without the real data, the rest is measured and what is missing is said.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import lzma
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytricia

import rov

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ROVKIT_DATA") or ROOT.parent / "shared" / "data")
REAL_VRPS = DATA / "vrp" / "rpki-client_global_20250720T093133Z.json.bz2"
REAL_ROUTES = DATA / "rib" / "fulltable_bart2024_x_iplocdb202606_prefix_origin.csv.xz"
PEER_SOURCE = Path(__file__).parent / "peers" / "rtrlib_lookup.c"
RESULTS = ROOT / "build" / "benchmarks" / "lookup.json"

SYNTHETIC_VRPS = 700_000
SHUFFLE_SEED = 1

ROW = np.dtype(
    [("words", "u4", 4), ("asn", "u4"), ("family", "u1"), ("length", "u1"), ("most", "u1"), ("pad", "u1")]
)
"""The row of rtrlib_lookup.c."""

Round = Callable[[], float]


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
        if shuffled:
            order = np.random.default_rng(SHUFFLE_SEED).permutation(len(prefixes))
            prefixes = [prefixes[row] for row in order]
        lengths = np.array([prefix.length for prefix, _ in prefixes], np.uint8)
        origins = np.array([origin for _, origin in prefixes], np.uint32)
        numbers = [prefix.address for prefix, _ in prefixes]
        if family == 4:
            return rov.RouteBatch.ipv4(np.array(numbers, np.uint32), lengths, origins)
        words = [(number >> 64, number & (2**64 - 1)) for number in numbers]
        return rov.RouteBatch.ipv6(np.array(words, np.uint64), lengths, origins)


def read_routes(path: Path) -> Table:
    """A CSV of prefix,origin_asn; rows without an origin are left out."""
    with lzma.open(path) as file:
        rows = [row for row in csv.DictReader(io.TextIOWrapper(file)) if row["origin_asn"]]
    return Table(path.name, [row["prefix"] for row in rows], [int(row["origin_asn"]) for row in rows])


def routes_of(snapshot: rov.Snapshot) -> Table:
    """Routes for a synthetic set: each VRP's own, a third of them with another origin."""
    vrps = list(snapshot.vrps())
    origins = [vrp.asn if row % 3 else vrp.asn ^ 1 for row, vrp in enumerate(vrps)]
    return Table(
        "the routes of the VRPs, every third of another origin", [str(v.prefix) for v in vrps], origins
    )


def rows_of(family: int, address: Any, length: Any, most: Any, asn: Any) -> bytes:
    """Columns as rows for RTRlib, whose addresses are words in host byte order."""
    rows = np.zeros(len(length), ROW)
    if family == 4:
        rows["words"][:, 0] = address
    else:
        shifts = np.array([32, 0], np.uint64)
        rows["words"] = ((address[:, :, None] >> shifts) & np.uint64(0xFFFFFFFF)).reshape(-1, 4)
    rows["family"], rows["length"], rows["most"], rows["asn"] = family, length, most, asn
    return rows.tobytes()


@contextlib.contextmanager
def rtrlib(snapshot: rov.Snapshot, routes: rov.RouteBatch, directory: Path) -> Iterator[Any]:
    """RTRlib with its table loaded: a function that runs one round, and one that gives its answers."""
    vrps, asked, states = directory / "vrps", directory / "routes", directory / "states"
    vrps.write_bytes(b"".join(rows_of(c.family, *c.keys) for c in (snapshot.ipv4, snapshot.ipv6)))
    batch = (routes.addresses, routes.lengths, routes.lengths, routes.origins)
    asked.write_bytes(rows_of(routes.family, *batch))
    command = [str(directory / "rtrlib_lookup"), str(vrps), str(asked), str(states)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        stdout.readline()

        def run() -> float:
            stdin.write("\n")
            stdin.flush()
            return float(stdout.readline())

        yield run, lambda: np.fromfile(states, np.uint8)
        stdin.close()


def build_rtrlib(directory: Path) -> bool:
    """Whether the peer could be built."""
    compiler = shutil.which("cc")
    if compiler is None:
        return False
    command = [compiler, "-O2", str(PEER_SOURCE), "-o", str(directory / "rtrlib_lookup"), "-lrtr"]
    return subprocess.run(command, capture_output=True).returncode == 0


def chains(snapshot: rov.Snapshot) -> dict[bool, pytricia.PyTricia]:
    """For IPv4 (False) and IPv6 a PyTricia in which each prefix holds all VRPs that cover it."""
    tries = {False: pytricia.PyTricia(32), True: pytricia.PyTricia(128)}
    for vrp in snapshot.vrps():
        text = str(vrp.prefix)
        trie = tries[vrp.prefix.family == 6]
        if not trie.has_key(text):
            above = trie.get(text) if text in trie else []
            trie[text] = list(above)
        trie[text].append((vrp.max_length, vrp.asn))
    return tries


def pytricia_states(tries: dict[bool, pytricia.PyTricia], texts: list[str], origins: list[int]) -> list[int]:
    """RFC 6811 over flattened chains: one lookup a route."""
    states = []
    for text, origin in zip(texts, origins, strict=True):
        covering = tries[":" in text].get(text)
        if covering is None:
            states.append(0)
            continue
        length = int(text[text.index("/") + 1 :])
        matched = any(asn == origin != 0 and length <= most for most, asn in covering)
        states.append(1 if matched else 2)
    return states


def in_turn(rounds: int, runs: dict[str, Round]) -> dict[str, list[float]]:
    """The seconds of each, one round of each after the other, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for counted in range(rounds + 1):
        for name, run in runs.items():
            seconds = run()
            if counted:
                times[name].append(seconds)
    return times


def timed(work: Callable[[], object]) -> Round:
    """A round that does the work once."""

    def run() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return run


def rows_for(question: str, routes: int, times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """One row for each that was measured; ratio: how many times as fast as the peer of the same rounds."""
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    slowest = max(medians.values())
    return [
        {
            "question": question,
            "by": name,
            "routes": routes,
            "million_per_second": routes / medians[name] / 1e6,
            "fastest": routes / min(seconds) / 1e6,
            "slowest": routes / max(seconds) / 1e6,
            "ratio": slowest / medians[name] if len(times) > 1 else None,
        }
        for name, seconds in times.items()
    ]


def agree(question: str, ours: Any, theirs: Any) -> None:
    """Stop where two do not give the same state for every route."""
    different = np.flatnonzero(np.asarray(ours) != np.asarray(theirs))
    if len(different):
        raise SystemExit(f"{question}: {len(different)} routes judged differently, the first {different[0]}")


def columns(
    index: rov.VrpIndex, table: Table, rounds: int, directory: Path, peer: bool
) -> list[dict[str, Any]]:
    """Batches of one family, sorted and shuffled, beside RTRlib."""
    rows: list[dict[str, Any]] = []
    for family in (4, 6):
        for order in ("random", "table order"):
            routes = table.batch(family, order == "random")
            question = f"IPv{family} columns, {order}"
            runs = {"rov": timed(lambda routes=routes: index.validate_batch(routes))}  # type: ignore[misc]
            with contextlib.ExitStack() as stack:
                if peer:
                    run, answers = stack.enter_context(rtrlib(index.snapshot, routes, directory))
                    runs["RTRlib"] = run
                times = in_turn(rounds, runs)
                if peer:
                    agree(question, index.validate_batch(routes), answers())
            rows += rows_for(question, len(routes), times)
    return rows


def texts(index: rov.VrpIndex, table: Table, rounds: int) -> list[dict[str, Any]]:
    """Lists of str, and one call a route, beside a loop over pytricia."""
    tries = chains(index.snapshot)
    ours = index.validate_many(table.texts, table.origins)
    agree("texts", ours, pytricia_states(tries, table.texts, table.origins))
    pairs = list(zip(table.texts, table.origins, strict=True))

    def one_by_one() -> None:
        validate = index.validate
        for prefix, origin in pairs:
            validate(prefix, origin)

    runs = {
        "rov, validate_many": timed(lambda: index.validate_many(table.texts, table.origins)),
        "rov, validate in a loop": timed(one_by_one),
        "pytricia, chains flattened": timed(lambda: pytricia_states(tries, table.texts, table.origins)),
    }
    return rows_for("texts, table order", len(pairs), in_turn(rounds, runs))


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    click.echo(f"{'question':<26}{'by':<28}{'routes':>10}{'M/s':>9}{'min':>9}{'max':>9}{'ratio':>8}")
    for row in rows:
        ratio = f"{row['ratio']:.1f}" if row["ratio"] else ""
        click.echo(
            f"{row['question']:<26}{row['by']:<28}{row['routes']:>10,}{row['million_per_second']:>9.2f}"
            f"{row['slowest']:>9.2f}{row['fastest']:>9.2f}{ratio:>8}"
        )


def versions() -> dict[str, str]:
    """What was measured on what."""
    command = ["dpkg-query", "-W", "-f", "${Version}", "librtr-dev"]
    found = subprocess.run(command, capture_output=True, text=True) if shutil.which("dpkg-query") else None
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "rovkit": version("rovkit"),
        "pytricia": version("pytricia"),
        "rtrlib": found.stdout if found else "",
    }


@click.command()
@click.option("--vrps", type=click.Path(exists=True, path_type=Path), help="VRP file of any format.")
@click.option("--routes", type=click.Path(exists=True, path_type=Path), help="CSV in xz: prefix,origin_asn.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--json", "target", default=RESULTS, type=click.Path(path_type=Path), show_default=True)
def main(vrps: Path | None, routes: Path | None, rounds: int, target: Path) -> None:
    """Measure, print a table, write JSON."""
    vrps = vrps or (REAL_VRPS if REAL_VRPS.is_file() else None)
    routes = routes or (REAL_ROUTES if REAL_ROUTES.is_file() else None)
    if vrps is None or routes is None:
        click.echo("the real data are missing: what is missing is synthetic", err=True)
    snapshot = rov.read(vrps) if vrps else rov.synth.vrps(SYNTHETIC_VRPS, 1)
    table = read_routes(routes) if routes else routes_of(snapshot)
    index = rov.VrpIndex(snapshot)
    with tempfile.TemporaryDirectory() as directory:
        peer = build_rtrlib(Path(directory))
        if not peer:
            click.echo("RTRlib cannot be built here (librtr-dev): columns are measured alone", err=True)
        rows = columns(index, table, rounds, Path(directory), peer) + texts(index, table, rounds)
    show(rows)
    named = {"vrps": vrps.name if vrps else f"synthetic {SYNTHETIC_VRPS}", "routes": table.name}
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({**versions(), **named, "rounds": rounds, "rows": rows}, indent=2) + "\n")
    click.echo(f"written to {target}")


if __name__ == "__main__":
    main()
