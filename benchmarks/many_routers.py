"""How does a full synchronization grow with the number of routers at once? Ours beside StayRTR.

    python -m benchmarks.many_routers [--vrps FILE] [--rounds 5]

Both serve the same set in version 1; before anything is timed, what they hand out is compared. Routers are
one process that counts octets and looks for End of Data. StayRTR writes PDU by PDU, so fewer ask it at once.
Every router gets all its octets in every round, or the benchmark stops.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

from benchmarks import charts
from benchmarks.measure import CHARTS, Row, load_average, write
from benchmarks.reset_query import (
    REAL_SET,
    SERVERS,
    allow_many_files,
    measure,
    moved_ahead,
    show,
    stayrtr_version,
    synthetic,
)

COUNTS = (1, 2, 10, 100, 1000)

PEER_MOST = 2
"""Routers at once that StayRTR is asked by: each takes it some six seconds a round."""


def draw(rows: list[Row]) -> None:
    """Time and throughput by number of routers, one line for each server."""
    names = dict.fromkeys(str(row["server"]) for row in rows)
    own = {name: sorted(_of(name, rows), key=lambda row: row["routers"]) for name in names}
    counts = [row["routers"] for row in max(own.values(), key=len)]
    panels = [
        (title, unit, {name: [row[key] for row in found] for name, found in own.items()})
        for title, unit, key in (
            ("Until the last one has its set", "seconds", "seconds"),
            ("All of them together", "MB/s", "megabytes_per_second"),
        )
    ]
    label = f"routers that ask at once for {rows[0]['vrps']:,} VRPs"
    charts.lines(CHARTS / "many_routers.png", panels, counts, label, decades=True)


def _of(name: str, rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["server"] == name]


@click.command()
@click.option("--vrps", type=click.Path(exists=True, path_type=Path), help="rpki-client JSON, plain or .bz2.")
@click.option("--routers", multiple=True, type=int, default=COUNTS, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(vrps: Path | None, routers: tuple[int, ...], rounds: int) -> None:
    """Measure, print a table, write JSON and a chart."""
    allow_many_files(max(routers))
    began = load_average()
    names = [name for name in SERVERS if name != "StayRTR" or shutil.which("stayrtr")]
    source = vrps or (REAL_SET if REAL_SET.is_file() else None)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        served = Path(directory) / "vrps.json"
        if source:
            moved_ahead(source, served)
        else:
            click.echo("the real set is missing: a synthetic one", err=True)
            synthetic(served, 700_000)
        small = tuple(count for count in routers if count <= PEER_MOST)
        large = tuple(count for count in routers if count > PEER_MOST)
        if small:
            rows += measure(served, names, small, rounds)
        if large:
            rows += measure(served, ["rtr-server"], large, rounds)
    show(rows)
    data = source.name if source else "synthetic 700000"
    about = {"data": data, "rounds": rounds, "stayrtr": stayrtr_version()}
    write("many_routers", began, {**about, "rows": rows})
    draw(rows)


if __name__ == "__main__":
    main()
