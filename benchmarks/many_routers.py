"""How does a full synchronization grow with the number of routers at once? Ours beside StayRTR.

    python -m benchmarks.many_routers [--vrps FILE] [--rounds 5] [--chart docs/many_routers.png]

Both serve the same set in version 1; before anything is timed, what they hand out is compared. Routers are
one process that counts octets and looks for End of Data. StayRTR writes PDU by PDU, so fewer ask it at once.
Every router gets all its octets in every round, or the benchmark stops.
"""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
from pathlib import Path

import click

from benchmarks.reset_query import REAL_SET, ROOT, SERVERS, measure, moved_ahead, synthetic

RESULTS = ROOT / "build" / "benchmarks" / "many_routers.json"

PEER_MOST = 2
"""Routers at once that StayRTR is asked by: each takes it about six seconds a round."""


def chart(rows: list[dict[str, object]], path: Path) -> None:
    """Throughput by number of routers, one line for each server."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name in dict.fromkeys(str(row["server"]) for row in rows):
        own = [row for row in rows if row["server"] == name]
        speeds = [row["megabytes_per_second"] for row in own]
        axes.plot([row["routers"] for row in own], speeds, marker="o", label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("routers that synchronize at once")
    axes.set_ylabel("MB/s to all of them")
    axes.set_title(f"Full synchronization, {rows[0]['vrps']:,} VRPs each")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


@click.command()
@click.option("--vrps", type=click.Path(exists=True, path_type=Path), help="rpki-client JSON, plain or .bz2.")
@click.option("--routers", multiple=True, type=int, default=(1, 2, 10, 100, 1000), show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--chart", "picture", type=click.Path(path_type=Path), help="A PNG of the curve.")
def main(vrps: Path | None, routers: tuple[int, ...], rounds: int, picture: Path | None) -> None:
    """Measure, print a table, write build/benchmarks/many_routers.json."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = [name for name in SERVERS if name != "StayRTR" or shutil.which("stayrtr")]
    source = vrps or (REAL_SET if REAL_SET.is_file() else None)
    rows: list[dict[str, object]] = []
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
    click.echo(f"{'server':<12}{'routers':>8}{'median s':>10}{'min':>9}{'max':>9}{'MB/s':>9}{'peak MB':>9}")
    for row in rows:
        click.echo(
            f"{row['server']:<12}{row['routers']:>8}{row['seconds']:>10.3f}{row['fastest']:>9.3f}"
            f"{row['slowest']:>9.3f}{row['megabytes_per_second']:>9.1f}{row['resident_megabytes']:>9.0f}"
        )
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    data = source.name if source else "synthetic 700000"
    RESULTS.write_text(json.dumps({"data": data, "rounds": rounds, "rows": rows}, indent=2) + "\n")
    click.echo(f"written to {RESULTS.relative_to(ROOT)}")
    if picture:
        chart(rows, picture)


if __name__ == "__main__":
    main()
