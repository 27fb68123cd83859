"""How fast is a set written, and what do ten thousand local exceptions cost?

    python -m benchmarks.formats_out [--rounds 5]

The peer of the writers is the standard library: csv.writer and json.dumps over rows that are Python values
already; the time to make these values is not counted. Both write the same octets, or this stops. SLURM has no
peer in Python; the naive way, filters times VRPs, would take 7 billion comparisons.
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable
from typing import Any

import click

import rov
from benchmarks import measure
from rov.formats.lines import routinator_order
from rov.slurm import PrefixFilter, Slurm

FILTERS = 10_000


def rows(snapshot: rov.Snapshot) -> list[tuple[str, str, int, str]]:
    """What a CSV of Routinator has, as Python values, in its order."""
    found = []
    for columns in (snapshot.ipv4, snapshot.ipv6):
        ordered = columns.take(routinator_order(columns))
        names = (snapshot.trust_anchors[ta] or "N/A" for ta in ordered.ta.tolist())
        found += [
            (f"AS{vrp.asn}", str(vrp.prefix), vrp.max_length, name)
            for vrp, name in zip(ordered.vrps(), names, strict=True)
        ]
    return found


def csv_of_the_library(values: list[tuple[str, str, int, str]]) -> bytes:
    """Routinator's csv by csv.writer."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("ASN", "IP Prefix", "Max Length", "Trust Anchor"))
    writer.writerows(values)
    return out.getvalue().encode()


def json_of_the_library(values: list[tuple[str, str, int, str]]) -> list[Any]:
    """The rows of Routinator's json by json.dumps, which cannot lay them out one a line."""
    listed = [dict(zip(("asn", "prefix", "maxLength", "ta"), value, strict=True)) for value in values]
    return [json.dumps({"roas": listed})]


def ten_thousand(snapshot: rov.Snapshot) -> Slurm:
    """Filters by prefix, by ASN, and by both, of VRPs that are there."""
    step = max(1, len(snapshot.ipv4) // FILTERS)
    filters = tuple(
        PrefixFilter("x", "$", vrp.prefix if row % 3 else None, vrp.asn if row % 3 < 2 else None)
        for row, vrp in enumerate(snapshot.ipv4.take(slice(None, None, step)).vrps())
    )
    return Slurm(("x",), filters[:FILTERS], (), ())


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
def main(rounds: int) -> None:
    """Measure, print a table, write JSON."""
    began = measure.load_average()
    snapshot, name = measure.real_or_synthetic()
    values, exceptions = rows(snapshot), ten_thousand(snapshot)

    def ours(to: str) -> bytes:
        return b"".join(rov.encode(snapshot, to, "routinator", at=0))

    if ours("csv") != csv_of_the_library(values):
        raise click.ClickException("rov and csv.writer write different octets")
    read = json.loads(ours("json"))["roas"]
    if read != json.loads(json_of_the_library(values)[0])["roas"]:
        raise click.ClickException("rov and json.dumps write different rows")
    works: dict[str, Callable[[], object]] = {
        "csv, rov": lambda: ours("csv"),
        "csv, csv.writer": lambda: csv_of_the_library(values),
        "json, rov": lambda: ours("json"),
        "json, json.dumps": lambda: json_of_the_library(values),
        "msgpack, rov": lambda: b"".join(rov.encode(snapshot, "msgpack", at=0)),
        f"SLURM, {len(exceptions.filters)} filters": lambda: exceptions.apply(snapshot),
    }
    times = measure.in_turn(rounds, {label: measure.timed(work) for label, work in works.items()})
    found = []
    for label, seconds in times.items():
        middle = statistics.median(seconds)
        found.append({"question": label, "seconds": middle, "vrps_per_second": len(snapshot) / middle})
        click.echo(f"{label:<24}{middle:>8.3f} s {len(snapshot) / middle / 1e6:>8.2f} M VRPs/s")
    measure.write("formats_out", began, {"vrps": name, "rounds": rounds, "rows": found})


if __name__ == "__main__":
    main()
