"""How fast are columns of routes judged? Ours, on one thread and on two, beside RTRlib.

    python -m benchmarks.lookup [--rounds 5]

Both answer for the same routes against the same VRPs, rounds in turn; the benchmark stops if they disagree
about one route. Two processes that stand ready with half of the routes each show what the machine gives to
two threads at most. RTRlib is built from benchmarks/peers (Debian: librtr-dev); without it, or without the
real data, the rest is measured and what is missing is said.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import click

import rov
from benchmarks import charts, measure
from benchmarks.measure import Row
from benchmarks.peers import rtrlib

THREADS = 2
TIMES = 10


def answer_calls(index: rov.VrpIndex, half: rov.RouteBatch, calls: Connection) -> None:
    """A process: judge half of the routes whenever it is called, until nobody calls any more."""
    with contextlib.suppress(EOFError):
        while calls.recv_bytes():
            index.validate_batch(half)
            calls.send_bytes(b".")


@contextlib.contextmanager
def two_processes(index: rov.VrpIndex, routes: rov.RouteBatch) -> Iterator[Callable[[], None]]:
    """What judges all routes in two processes, which share the pages of the index."""
    context = multiprocessing.get_context("fork")
    middle = len(routes) // 2
    lines = []
    made = rov.RouteBatch.ipv4 if routes.family == 4 else rov.RouteBatch.ipv6
    for rows in (slice(0, middle), slice(middle, None)):
        half = made(routes.addresses[rows], routes.lengths[rows], routes.origins[rows])
        mine, theirs = context.Pipe()
        process = context.Process(target=answer_calls, args=(index, half, theirs), daemon=True)
        process.start()
        theirs.close()
        lines.append((mine, process))

    def run() -> None:
        for mine, _ in lines:
            mine.send_bytes(b".")
        for mine, _ in lines:
            mine.recv_bytes()

    try:
        yield run
    finally:
        for mine, process in lines:
            mine.close()
            process.kill()
            process.join()


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
        runs[f"rov, {THREADS} processes"] = measure.timed(
            stack.enter_context(two_processes(index, routes)), TIMES
        )
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
