"""How long does an audit of a full table take, and how fast are its verdicts beside what people write?

    python -m benchmarks.audits [--rounds 3] [--largest 10000000]

Verdicts on IPv4 routes, of which all get the same sample in the same rounds: columns judged by rovkit, a loop
over py-radix, a range join of duckdb. The benchmark stops if they disagree about one route. Then each audit,
and each format of output, of the whole derived full table (or of the VRPs' own routes without the real data);
then the curve, each audit of tables from 0.1 to 10 million routes, which ``audit_data`` makes.
"""

from __future__ import annotations

import datetime
import resource
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click
import duckdb
import numpy as np
import pyarrow as pa

import rov
from benchmarks import audit_data, charts, measure
from benchmarks.measure import Row
from benchmarks.peers import trees
from rov.audit import Verdicts, coverage_table, impact, impact_table, judge, verdict_table
from rov.audit.allow import allow_table
from rov.audit.bogon_paths import bogon_paths
from rov.audit.bogons import bogons_table
from rov.audit.contacts import contacts_table
from rov.audit.covering import covering_column
from rov.audit.hijacks import hijacks_table
from rov.audit.hygiene import hygiene_table
from rov.audit.incidents import Detector, Rules, incidents_table
from rov.audit.invalid_paths import invalid_paths
from rov.audit.irr import irr_matrix, irr_objects_table
from rov.audit.ixp import passed_on, verify_table
from rov.audit.ixp_members import members_table
from rov.audit.leaks import as_leaks_table, peer_leaks_table
from rov.audit.manrs import manrs_table
from rov.audit.neighbor import path_faults, unfiltered, unfiltered_table
from rov.audit.output import write_table
from rov.audit.paths import judge_paths
from rov.audit.sav import sav_table
from rov.audit.sav_heard import Interface, learn
from rov.audit.suggest import suggest, suggest_table
from rov.audit.whatif import change, whatif_table
from rov.cli.dumps import carried_by_neighbor
from rov.reference import Delegations, read_delegated
from rov.reference.contacts import Contacts
from rov.reference.rpsl import Irr
from rov.report import Subject, sections
from rov.report.html import page
from rov.rib import Dump, RouteColumns, RouteTable, read_table
from rov.rib import open as open_dump

RIB = measure.DATA / "mrt" / "synthetic_rib_4M_entries.mrt.bz2"

SAMPLE = 50_000
"""Routes that the peers judge: enough seconds for a figure, few enough for five rounds."""

SEED = 1

SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)

PANELS = {
    "Verdicts and what they mean": ("verdicts", "verdict table", "impact table", "coverage by AS",
                                    "hijacks table"),
    "VRPs and what would mend them": ("hygiene table", "suggestions for all", "whatif of one VRP",
                                      "bogons table"),
    "Norms": ("MANRS scores of all ASes", "IRR and RPKI matrix", "contacts", "allow-list of all ASes"),
    "Of a dump, read again": ("leaks by AS", "ASPA verdicts of all paths", "IXP: verify",
                              "incidents between two RIBs", "source addresses, bar-sav"),
}  # fmt: skip
"""What the chart shows."""

Runs: TypeAlias = dict[str, Callable[[], object]]

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


def on_table(verdicts: Verdicts, irr: Irr, contacts: Contacts, known: Delegations | None) -> Runs:
    """Each audit that asks the table only, as its user calls it."""
    both = (verdicts.ipv4, verdicts.ipv6)
    subject = Subject(verdicts, ("rib",), "vrps")
    asns = np.unique(np.concatenate([judged.routes.origins for judged in both])).tolist()[1:]
    customers = {asns[0]: frozenset(asns)}
    day = datetime.date(2025, 7, 20)
    runs: Runs = {
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
        "the same with IRRs": lambda: manrs_table(verdicts, asns, irr=irr),
        "suggestions for one AS": lambda: suggest_table(suggest(verdicts, asns=asns[-1:])),
        "suggestions for all": lambda: suggest_table(suggest(verdicts)),
        "whatif of one VRP": lambda: whatif_table(change(verdicts, verdicts.index.snapshot | ONE_VRP)),
        "IRR and RPKI matrix": lambda: irr_matrix(verdicts, irr),
        "route objects to delete": lambda: irr_objects_table(verdicts, irr),
        "contacts": lambda: contacts_table(verdicts, contacts, day),
        "allow-list of all ASes": lambda: allow_table(customers, verdicts.index, irr),
        "all sections": lambda: sections(subject),
        "all sections and the page": lambda: page(subject, sections(subject)),
    }
    if known is not None:
        runs["coverage by country"] = lambda: coverage_table(verdicts, "country", known)
        runs["coverage by registry"] = lambda: coverage_table(verdicts, "registry", known)
    return runs


def on_dump(verdicts: Verdicts, path: Path, later: Path) -> Runs:
    """Each audit that asks for paths or peers; what it reads of the dump once more is in its time.

    verdicts: those of the dump; later: the same table at another time.
    """
    customers = audit_data.busiest(verdicts.table, audit_data.CUSTOMERS)
    interfaces = [Interface.parse(f"customer{asn}=AS{asn}") for asn in customers]
    index = verdicts.index

    def opened(work: Callable[[list[Dump]], object], name: Path = path) -> Callable[[], object]:
        def run() -> object:
            with open_dump(name, paths=True) as dump:
                return work([dump])

        return run

    def incidents(dumps: list[Dump]) -> object:
        detector = Detector(Rules(index), verdicts.table)
        for dump in dumps:
            detector.take(dump)
        return incidents_table(detector.incidents())

    def neighbor(dumps: list[Dump]) -> object:
        sent = judge(carried_by_neighbor(verdicts.table, customers[0]), index)
        return unfiltered_table(sent, unfiltered(sent, path_faults(dumps, sent, customers[0])))

    return {
        "reading it again, with paths": opened(lambda dumps: sum(len(batch) for batch in dumps[0])),
        "what a neighbour let through": opened(neighbor),
        "leaks by peer": lambda: peer_leaks_table(verdicts),
        "leaks by AS": opened(lambda dumps: as_leaks_table(verdicts, invalid_paths(dumps, verdicts))),
        "ASPA verdicts of all paths": opened(lambda dumps: judge_paths(verdicts, dumps)),
        "bogons in paths": opened(lambda dumps: bogon_paths(dumps, verdicts.table)),
        "IXP: verify": opened(lambda dumps: verify_table(passed_on(verdicts, dumps))),
        "IXP: members": opened(lambda dumps: members_table(passed_on(verdicts, dumps))),
        "incidents between two RIBs": opened(incidents, later),
        **{
            f"source addresses, {name}": opened(
                lambda dumps, name=name: sav_table(learn(dumps, interfaces), interfaces, name, index.snapshot)  # type: ignore[misc]
            )
            for name in ("strict", "efp-a", "efp-b", "bar-sav")
        },
    }


def outputs(verdicts: Verdicts, directory: Path) -> Runs:
    """The verdicts as a file of each format."""
    table = verdict_table(verdicts)
    return {
        f"output as {suffix}": lambda suffix=suffix: write_table(  # type: ignore[misc]
            table, str(directory / f"x.{suffix}"), "x/1", {}
        )
        for suffix in ("csv", "parquet", "json")
    }


class Given:
    """What the audits are joined with, the same for each size of the table."""

    def __init__(self, table: RouteTable, index: rov.VrpIndex) -> None:
        words = verdict_table(judge(table, index))
        self.index = index
        self.irr = audit_data.route_objects(words["prefix"].to_pylist(), words["origin"].to_pylist())
        self.contacts = audit_data.contacts_of(audit_data.busiest(table, len(table)))
        files = sorted((measure.DATA / "rir").glob("delegated-*-extended_iptocc*.xz"))
        self.delegations = read_delegated(files) if files else None

    def runs(self, table: RouteTable, directory: Path) -> Runs:
        """All audits of a table, and of a dump of it that is written here."""
        dump, later = directory / "rib.mrt", directory / "later.mrt"
        audit_data.write_dump(table, dump)
        audit_data.write_dump(audit_data.changed(table), later)
        verdicts = judge(table, self.index)
        heard = judge(read_table(dump), self.index)
        return on_table(verdicts, self.irr, self.contacts, self.delegations) | on_dump(heard, dump, later)


def curve(table: RouteTable, given: Given, sizes: Sequence[int]) -> dict[str, list[float]]:
    """Seconds of each audit for each size, the better of two below a million routes, of one from there on."""
    found: dict[str, list[float]] = {}
    for size in sizes:
        sized = audit_data.grown(table, given.index, size)
        with tempfile.TemporaryDirectory() as directory:
            for what, run in given.runs(sized, Path(directory)).items():
                times = [measure.timed(run)() for _ in range(2 if size < 1_000_000 else 1)]
                found.setdefault(what, []).append(min(times))
        shares = judge(sized, given.index).counts()
        click.echo(f"{len(sized):>10,} routes, {shares}; memory {memory_mb():,} MB at most so far")
    return found


def memory_mb() -> int:
    """The most that the process had at a time."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def draw(sizes: Sequence[int], seconds: dict[str, list[float]]) -> None:
    """The chart of docs/audit.md."""
    panels = [
        (title, "seconds", {name: seconds[name] for name in names if name in seconds})
        for title, names in PANELS.items()
    ]
    charts.lines(measure.CHARTS / "audits.png", panels, sizes, "routes", decades=True)


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--largest", default=SIZES[-1], show_default=True, type=click.IntRange(SIZES[0]))
def main(rounds: int, largest: int) -> None:
    """Measure, print the tables, draw the curve, write JSON."""
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
    # the derived table has rows whose origin is not known
    table = RouteTable(*(columns.take(columns.origins != 0) for columns in (table.ipv4, table.ipv6)))
    given, verdicts = Given(table, index), judge(table, index)
    click.echo(f"\n{label}: {verdicts}")
    with tempfile.TemporaryDirectory() as directory:
        runs = given.runs(table, Path(directory)) | outputs(verdicts, Path(directory))
        times = measure.in_turn(rounds, {what: measure.timed(run) for what, run in runs.items()})
        del runs
    for what, seconds in times.items():
        click.echo(
            f"{what:<32}{statistics.median(seconds):>8.2f} s {min(seconds):>8.2f} to {max(seconds):.2f}"
        )
    sizes = [size for size in SIZES if size <= largest]
    click.echo("")
    points = curve(table, given, sizes)
    click.echo(f"{'seconds':<32}" + "".join(f"{size / 1e6:>8g} M" for size in sizes))
    for what, curved in points.items():
        click.echo(f"{what:<32}" + "".join(f"{seconds:>10.2f}" for seconds in curved))
    if largest == SIZES[-1]:
        draw(sizes, points)
    content = {"vrps": name, "tables": list(tables), "routes": len(verdicts), "rounds": rounds}
    measured = {"verdicts": rows, "seconds": times, "sizes": sizes, "curve": points, "memory_mb": memory_mb()}
    measure.write("audits", began, {**content, **measured})


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
