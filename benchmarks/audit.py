"""How long does an audit of a full table take, and how fast are its verdicts beside what people write?

    python -m benchmarks.audit [--rounds 5]

Verdicts on IPv4 routes, of which all get the same sample in the same rounds: columns judged by rovkit, a loop
over py-radix, a range join of duckdb. The benchmark stops if they disagree about one route. Then each audit,
and each format of output, of the whole derived full table (or of the VRPs' own routes without the real data).
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import duckdb
import numpy as np
import pyarrow as pa

import rov
from benchmarks import measure
from benchmarks.measure import Row
from benchmarks.peers import trees
from rov.audit import Verdicts, coverage_table, impact, impact_table, judge, verdict_table
from rov.audit.bogons import bogons_table
from rov.audit.covering import covering_column
from rov.audit.hijacks import hijacks_table
from rov.audit.hygiene import hygiene_table
from rov.audit.manrs import manrs_table
from rov.audit.output import write_table
from rov.audit.suggest import suggest, suggest_table
from rov.audit.whatif import change, whatif_table
from rov.report import Subject, sections
from rov.report.html import page
from rov.rib import RouteColumns, RouteTable, read_table

RIB = measure.DATA / "mrt" / "synthetic_rib_4M_entries.mrt.bz2"

SAMPLE = 50_000
"""Routes that the peers judge: enough seconds for a figure, few enough for five rounds."""

SEED = 1

ONE_VRP = rov.Snapshot.from_vrps([rov.Vrp(rov.Prefix.parse("8.0.0.0/8"), 8, 64496)])

RANGE_JOIN = """
select r.id, case when bool_or(v.asn = r.origin and v.asn <> 0 and r.length <= v.max_length) then 1
                  when count(v.asn) > 0 then 2 else 0 end as state
from routes r left join vrps v on r.first >= v.first and r.first <= v.last and r.last <= v.last
group by r.id order by r.id
"""


def sample_of(columns: RouteColumns) -> RouteColumns:
    """Some rows, in table order."""
    count = min(SAMPLE, len(columns))
    rows = np.random.default_rng(SEED).choice(len(columns), count, replace=False)
    return columns.take(np.sort(rows))


def range_table(addresses: Any, lengths: Any, **more: Any) -> pa.Table:
    """Prefixes as first and last address, which is how a database takes them."""
    first = addresses.astype(np.uint64)
    last = first + (np.uint64(1) << (np.uint64(32) - lengths.astype(np.uint64))) - np.uint64(1)
    return pa.table({"first": first, "last": last, "length": lengths, **more})


class RangeJoin:
    """The verdicts as one query."""

    def __init__(self, snapshot: rov.Snapshot, routes: RouteColumns) -> None:
        vrps = snapshot.ipv4
        self._database = duckdb.connect()
        self._database.register(
            "given_vrps", range_table(vrps.address, vrps.length, max_length=vrps.max_length, asn=vrps.asn)
        )
        ids = np.arange(len(routes))
        self._database.register(
            "given_routes", range_table(routes.addresses, routes.lengths, id=ids, origin=routes.origins)
        )
        self._database.execute("create table vrps as from given_vrps")
        self._database.execute("create table routes as from given_routes")

    def states(self) -> Any:
        """One State a route."""
        return self._database.execute(RANGE_JOIN).fetchnumpy()["state"]


def verdicts_beside_peers(index: rov.VrpIndex, columns: RouteColumns, name: str, rounds: int) -> list[Row]:
    """The same sample by everybody."""
    routes = sample_of(columns)
    whole = RouteTable(routes, RouteColumns.empty(6))
    texts = verdict_table(judge(whole, index))["prefix"].to_pylist()
    origins = routes.origins.tolist()
    tree = trees.radix_tree(index.snapshot)
    join = RangeJoin(index.snapshot, routes)
    ours = judge(whole, index).ipv4.states
    measure.agree("py-radix", ours, trees.radix_states(tree, texts, origins))
    measure.agree("duckdb", ours, join.states())
    times = measure.in_turn(
        rounds,
        {
            "rov": measure.timed(lambda: judge(whole, index), 10),
            "py-radix, a loop": measure.timed(lambda: trees.radix_states(tree, texts, origins)),
            "duckdb, a range join": measure.timed(join.states),
        },
    )
    return measure.rates(f"IPv4 routes of {name}"[:29], len(routes), times)


def audits(verdicts: Verdicts, directory: Path) -> dict[str, Callable[[], object]]:
    """Each audit as its user calls it."""
    table = verdict_table(verdicts)
    subject = Subject(verdicts, ("rib",), "vrps")
    both = (verdicts.ipv4, verdicts.ipv6)
    origins = np.concatenate([judged.routes.origins for judged in both])
    asns = np.unique(origins[origins != 0]).tolist()
    runs: dict[str, Callable[[], object]] = {
        "verdicts": lambda: judge(verdicts.table, verdicts.index),
        "verdict table": lambda: verdict_table(verdicts),
        "covering VRPs of each route": lambda: covering_column(both, verdicts.index.snapshot),
        "impact": lambda: impact(verdicts),
        "impact table": lambda: impact_table(verdicts),
        "coverage by AS": lambda: coverage_table(verdicts),
        "hygiene table": lambda: hygiene_table(verdicts),
        "hijacks table": lambda: hijacks_table(verdicts),
        "bogons table": lambda: bogons_table(verdicts.table),
        "MANRS scores of all ASes": lambda: manrs_table(verdicts, asns),
        "suggestions for one AS": lambda: suggest_table(suggest(verdicts, asns=asns[-1:])),
        "suggestions for all": lambda: suggest_table(suggest(verdicts)),
        "whatif of one VRP": lambda: whatif_table(change(verdicts, verdicts.index.snapshot | ONE_VRP)),
        "all sections": lambda: sections(subject),
        "all sections and the page": lambda: page(subject, sections(subject)),
    }
    for suffix in ("csv", "parquet", "json"):
        path = str(directory / f"x.{suffix}")
        runs[f"output as {suffix}"] = lambda path=path: write_table(table, path, "x/1", {})  # type: ignore[misc]
    return runs


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
def main(rounds: int) -> None:
    """Measure, print two tables, write JSON."""
    began = measure.load_average()
    snapshot, name = measure.real_or_synthetic()
    index = rov.VrpIndex(snapshot)
    tables = {path.name: read_table(path) for path in (measure.REAL_ROUTES, RIB) if path.is_file()} or {
        "the routes of the VRPs": own_routes(snapshot)
    }
    rows: list[Row] = []
    for label, table in tables.items():
        rows += verdicts_beside_peers(index, table.ipv4, label, rounds)
    measure.show_rates(rows)
    label, table = next(iter(tables.items()))
    verdicts = judge(table, index)
    click.echo(f"\n{label}: {verdicts}")
    with tempfile.TemporaryDirectory() as directory:
        runs = audits(verdicts, Path(directory))
        times = measure.in_turn(rounds, {what: measure.timed(run) for what, run in runs.items()})
    for what, seconds in times.items():
        click.echo(
            f"{what:<32}{statistics.median(seconds):>8.2f} s {min(seconds):>8.2f} to {max(seconds):.2f}"
        )
    content = {"vrps": name, "tables": list(tables), "routes": len(verdicts), "rounds": rounds}
    measure.write("audit", began, {**content, "verdicts": rows, "seconds": times})


def own_routes(snapshot: rov.Snapshot) -> RouteTable:
    """The prefixes of the VRPs as routes of their ASes."""
    vrps = snapshot.ipv4
    keys = np.stack([vrps.address, vrps.length.astype(np.uint32), vrps.asn], axis=1)
    rows = np.unique(keys, axis=0)
    columns = RouteColumns(
        4, rows[:, 0], rows[:, 1].astype(np.uint8), rows[:, 2], np.ones(len(rows), np.uint32)
    )
    return RouteTable(columns, RouteColumns.empty(6))


if __name__ == "__main__":
    main()
