"""How fast are columns of routes judged? Ours, on one thread and on two, beside RTRlib.

    python -m benchmarks.lookup [--rounds 5]

Both answer for the same routes against the same VRPs, rounds in turn; the benchmark stops if they disagree
about one route. RTRlib is built from benchmarks/peers (Debian: librtr-dev); without it, or without the real
data, the rest is measured and what is missing is said.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import click

import rov
from benchmarks import charts, measure
from benchmarks.measure import Row
from benchmarks.peers import rtrlib

THREADS = 2
TIMES = 10


def one_table(
    index: rov.VrpIndex, routes: rov.RouteBatch, question: str, rounds: int, peer: Path | None
) -> list[Row]:
    """One batch, by everybody."""
    runs = {
        "rov": measure.timed(lambda: index.validate_batch(routes), TIMES),
        "rov, with reasons": measure.timed(lambda: index.validate_batch(routes, reasons=True), TIMES),
        f"rov, {THREADS} threads": measure.timed(
            lambda: index.validate_batch(routes, threads=THREADS), TIMES
        ),
    }
    states = index.validate_batch(routes)
    measure.agree(question, states, index.validate_batch(routes, threads=THREADS))
    with contextlib.ExitStack() as stack:
        if peer is not None:
            vrps, asked = measure.vrp_columns(index.snapshot), measure.route_columns(routes)
            table = stack.enter_context(rtrlib.Table(peer, vrps, asked))
            runs["RTRlib"] = table.run
        times = measure.in_turn(rounds, runs)
        if peer is not None:
            measure.agree(question, states, table.states())
    return measure.rates(question, len(routes), times)


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
def main(rounds: int) -> None:
    """Measure, print a table, write JSON and a chart."""
    began = measure.load_average()
    snapshot, name = measure.real_or_synthetic()
    table = measure.real_or_own_routes(snapshot)
    index = rov.VrpIndex(snapshot)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        peer = Path(directory) if measure.rtrlib_here(Path(directory)) else None
        for family in (4, 6):
            for order in ("random", "table order"):
                routes = table.batch(family, order == "random")
                rows += one_table(index, routes, f"IPv{family}, {order}", rounds, peer)
    measure.show_rates(rows)
    measure.write("lookup", began, {"vrps": name, "routes": table.name, "rounds": rounds, "rows": rows})
    charts.bars(
        measure.CHARTS / "lookup.png",
        "Routes judged, columns in and out",
        "million routes a second",
        [(row["question"], row["by"], row["million_per_second"]) for row in rows],
    )


if __name__ == "__main__":
    main()
