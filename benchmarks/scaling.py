"""How does it go on as VRPs grow? Build, bytes and verdicts at 0.1 to 2 million, on one thread and on two.

    python -m benchmarks.scaling [--rounds 5] [--most 2000000]

The sets are synthetic with the proportions of the real one (rov.synth). The routes are those of the VRPs and
of more-specifics of them, every third of another origin, so that every set is asked about its whole span.
RTRlib answers for a part of them.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from pathlib import Path

import click
import numpy as np

import rov
from benchmarks import charts, measure
from benchmarks.measure import Row
from benchmarks.peers import rtrlib

COUNTS = (100_000, 200_000, 500_000, 1_000_000, 1_500_000, 2_000_000)
ROUTES = 1_000_000
PEER_ROUTES = 50_000
TIMES = 5
SEED = 1


def routes_of(columns: rov.VrpColumns, rng: np.random.Generator) -> rov.RouteBatch:
    """Routes at VRPs and up to two bits below, at random."""
    rows = rng.integers(0, len(columns), ROUTES)
    address, length, _, asn = (column[rows] for column in columns.keys)
    bits = 32 if columns.family == 4 else 128
    lengths = np.minimum(length + rng.integers(0, 3, ROUTES), bits).astype(np.uint8)
    origins = np.where(rng.integers(0, 3, ROUTES) == 0, asn ^ 1, asn).astype(np.uint32)
    make = rov.RouteBatch.ipv4 if columns.family == 4 else rov.RouteBatch.ipv6
    return make(address, lengths, origins)


def in_order(routes: rov.RouteBatch) -> rov.RouteBatch:
    """The same in table order."""
    words = (routes.addresses,) if routes.family == 4 else (routes.addresses[:, 1], routes.addresses[:, 0])
    return measure.taken(routes, np.lexsort((routes.lengths, *words)))


def at(count: int, rounds: int, peer: Path | None) -> Row:
    """One size."""
    snapshot = rov.synth.vrps(count, SEED)
    build = measure.in_turn(rounds, {"rov": measure.timed(lambda: rov.VrpIndex(snapshot))})["rov"]
    index = rov.VrpIndex(snapshot)
    found: Row = {
        "vrps": len(snapshot),
        "build_ms": statistics.median(build) * 1e3,
        "bytes_per_vrp": index.nbytes / len(index),
    }
    rng = np.random.default_rng(SEED)
    for columns in (snapshot.ipv4, snapshot.ipv6):
        random = routes_of(columns, rng)
        for order, routes in (("random", random), ("sorted", in_order(random))):
            name = f"v{columns.family}_{order}"
            few = measure.taken(routes, slice(0, None, ROUTES // PEER_ROUTES))
            runs = {
                name: measure.timed(lambda routes=routes: index.validate_batch(routes), TIMES),  # type: ignore[misc]
                f"{name}_2_threads": measure.timed(
                    lambda routes=routes: index.validate_batch(routes, threads=2),  # type: ignore[misc]
                    TIMES,
                ),
            }
            with contextlib.ExitStack() as stack:
                if peer is not None:
                    vrps = measure.vrp_columns(snapshot)
                    table = stack.enter_context(rtrlib.Table(peer, vrps, measure.route_columns(few)))
                    runs[f"{name}_rtrlib"] = table.run
                for key, times in measure.in_turn(rounds, runs).items():
                    asked = len(few) if key.endswith("rtrlib") else len(routes)
                    found[key] = asked / statistics.median(times) / 1e6
                if peer is not None:
                    measure.agree(f"{count} VRPs, {name}", index.validate_batch(few), table.states())
    return found


def show(rows: list[Row]) -> None:
    """The table: every column of the rows, one size a column."""
    for key in rows[0]:
        cells = "".join(f"{row[key]:>12,.2f}" if key != "vrps" else f"{row[key]:>12,}" for row in rows)
        click.echo(f"{key + (' M/s' if key[0] == 'v' and key != 'vrps' else ''):<26}{cells}")


def draw(rows: list[Row]) -> None:
    """Build and bytes, then rates a family and order."""
    panels: list[tuple[str, str, dict[str, list[float]]]] = [
        ("Build", "ms", {"rov": [row["build_ms"] for row in rows]}),
        ("Memory of the index", "bytes a VRP", {"rov": [row["bytes_per_vrp"] for row in rows]}),
    ]
    for family in (4, 6):
        for order in ("random", "sorted"):
            name = f"v{family}_{order}"
            labels = {name: "rov", f"{name}_2_threads": "rov, 2 threads", f"{name}_rtrlib": "RTRlib"}
            series = {label: [row[key] for row in rows] for key, label in labels.items() if key in rows[0]}
            panels.append((f"IPv{family}, {order}", "million routes a second", series))
    charts.lines(measure.CHARTS / "scaling.png", panels, [row["vrps"] / 1e6 for row in rows], "million VRPs")


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--most", default=COUNTS[-1], show_default=True, type=click.IntRange(COUNTS[0]))
def main(rounds: int, most: int) -> None:
    """Measure, print a table, write JSON and a chart."""
    began = measure.load_average()
    with tempfile.TemporaryDirectory() as directory:
        peer = Path(directory) if measure.rtrlib_here(Path(directory)) else None
        rows = [at(count, rounds, peer) for count in COUNTS if count <= most]
    show(rows)
    measure.write("scaling", began, {"rounds": rounds, "routes": ROUTES, "rows": rows})
    draw(rows)


if __name__ == "__main__":
    main()
