"""Whatever is passed to what asks something of VRPs and routes: an answer, or a RovError."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rov
from rov import RouteBatch, archive, audit, diff, reference, rib, routers, slurm
from tests import junk, junk_audits
from tests.junk import OTHER, PREFIX, SNAPSHOT, VRP, Case
from tests.junk_audits import COLUMNS, NUMBERS, SETS, TABLE

HOME = tempfile.TemporaryDirectory()
ARCHIVE = archive.Archive(Path(HOME.name) / "archive")
ARCHIVE.append(OTHER, time=1_700_000_000, serial=1, source="vrps.json")
ARCHIVE.append(SNAPSHOT, time=1_700_000_600, serial=2, source="vrps.json")
HISTORY = archive.History(Path(HOME.name) / "archive")

SLURM = b"""{"slurmVersion": 1,
"validationOutputFilters": {"prefixFilters": [{"asn": 1}], "bgpsecFilters": []},
"locallyAddedAssertions": {"prefixAssertions": [], "bgpsecAssertions": []}}"""
EXCEPTIONS = slurm.read_bytes([("local.json", SLURM)])
DUMP = b"192.0.2.0/24\t64496\n"
FILES = {"slurm.json": SLURM, "dump.txt": DUMP, **junk_audits.FILES}

RAGGED = rib.Ragged(np.array([1, 2, 3]), np.array([0, 2, 3]))
BATCH = RouteBatch.ipv4([10 << 24], [8], [64496])


def rib_batch() -> rib.RibBatch:
    path = Path(HOME.name) / "dump.txt"
    path.write_bytes(DUMP)
    with rib.open(path) as dump:
        (batch,) = dump
    return batch


def opened(**options: Any) -> rib.Dump:
    """A dump that is opened, and closed again, as the test ends with no thread that reads ahead."""
    with rib.open(**options) as dump:
        list(dump)
    return dump


def written(**options: Any) -> archive.Archive:
    with archive.Archive(**options) as writer:
        return writer


CASES: dict[str, Case] = {
    "archive.Archive": Case(
        written, {"directory": "new", "keep_seconds": 0, "keep_octets": 0}, named=("directory",)
    ),
    "archive.Archive.append": Case(
        ARCHIVE.append,
        {"snapshot": SNAPSHOT, "time": 1_700_000_600, "serial": 2, "source": "vrps.json", "why": ""},
    ),
    "archive.Archive.close": Case(lambda: None, {}),
    "archive.History": Case(
        lambda **options: list(archive.History(**options).updates()),
        {"directory": HISTORY.directory},
        named=("directory",),
    ),
    "archive.History.updates": Case(HISTORY.updates, {"since": 1_700_000_000}),
    "archive.History.counts": Case(HISTORY.counts, {"since": 1_700_000_000}),
    "archive.History.snapshot": Case(HISTORY.snapshot, {"at": 1_700_000_000}),
    "archive.History.covering": Case(HISTORY.covering, {"prefix": "10.0.0.0/8", "at": 1_700_000_000}),
    "archive.History.state": Case(HISTORY.state, {"prefix": PREFIX, "asn": 1, "at": 1_700_000_000}),
    "archive.History.changes": Case(HISTORY.changes, {"prefix": PREFIX, "asn": 1, "since": 1_700_000_000}),
    "diff.RouteDiff": Case(diff.RouteDiff, {"old": OTHER, "new": SNAPSHOT, "routes": [BATCH]}),
    "diff.RouteDiff.changes": Case(diff.RouteDiff(OTHER, SNAPSHOT, [BATCH]).changes, {}),
    "diff.RouteDiff.steps": Case(diff.RouteDiff(OTHER, SNAPSHOT, [BATCH]).steps, {}),
    "diff.by_trust_anchor": Case(diff.by_trust_anchor, {"delta": junk.DELTA}),
    "diff.by_asn": Case(diff.by_asn, {"delta": junk.DELTA}),
    "rib.Spool": Case(rib.Spool, {"limit": 1000}),
    "rib.Spool.close": Case(rib.Spool().close, {}),
    "rib.open": Case(opened, {"path": "dump.txt", "paths": False, "multicast": False, "local": False}),
    "rib.Dump": Case(lambda **options: rib.Dump(**options).close(), {"path": "dump.txt"}),
    "rib.Dump.close": Case(lambda: None, {}),
    "rib.read_table": Case(
        rib.read_table,
        {"paths": "dump.txt", "multicast": False, "local": False},
        named=("paths",),
    ),
    "rib.RouteColumns": Case(rib.RouteColumns, {"family": 4, "peer_sets": SETS} | NUMBERS),
    "rib.RouteColumns.empty": Case(rib.RouteColumns.empty, {"family": 4}),
    "rib.RouteColumns.take": Case(COLUMNS.take, {"rows": slice(1)}),
    "rib.RouteColumns.carried_by": Case(COLUMNS.carried_by, {"peer": 1}),
    "rib.RouteTable": Case(
        rib.RouteTable,
        {
            "ipv4": COLUMNS,
            "ipv6": rib.RouteColumns.empty(6),
            "peers": TABLE.peers,
            "counts": TABLE.counts,
            "warnings": ["x"],
        },
    ),
    "rib.RouteTable.seen_by": Case(TABLE.seen_by, {"min_peers": 1}),
    "rib.RibBatch.has": Case(rib_batch().has, {"flag": rib.Flag.AS_SET}),
    "rib.Ragged.row": Case(RAGGED.row, {"at": 0}),
    "slurm.read": Case(
        lambda path, allow_overlap: slurm.read(path, allow_overlap=allow_overlap),
        {"path": "slurm.json", "allow_overlap": False},
    ),
    "slurm.read_bytes": Case(slurm.read_bytes, {"files": [("x.json", SLURM)], "allow_overlap": False}),
    "slurm.Slurm.apply": Case(EXCEPTIONS.apply, {"snapshot": SNAPSHOT, "examples": 1}),
    "slurm.shown": Case(slurm.shown, {"element": VRP}),
    "routers.configure": Case(
        routers.configure,
        {
            "router": "bird2",
            "asn": 64496,
            "caches": ["192.0.2.1:323"],
            "vrps": None,
            "role": "transit",
            "neighbors": ["192.0.2.1=64497"],
            "router_id": "192.0.2.1",
            "templates": None,
            "directory": "/etc/arouteserver",
            "at": 0,
        },
    ),
    "routers.configure with VRPs": Case(
        routers.configure, {"router": "junos", "asn": 64496, "vrps": SNAPSHOT, "at": 0}
    ),
    "routers.Cache.parse": Case(routers.Cache.parse, {"text": "192.0.2.1:323"}),
    "routers.Neighbor.parse": Case(routers.Neighbor.parse, {"text": "192.0.2.1=64497"}),
    **junk_audits.CASES,
}

MODULES = (archive, audit, diff, reference, rib, routers, slurm)

OPEN = (audit, reference)
"""Packages whose modules are asked by their own names as well."""

INNER = {
    "audit.bogons": {"administrative", "full", "in_order", "reserved"},
    "audit.coverage": {"shares", "space_of"},
    "audit.covering": {"covering", "covering_column", "vrp_texts"},
    "audit.entries": {"entries", "finders"},
    "audit.hijacks": {"candidates"},
    "audit.impact": {"cover_hops"},
    "audit.incident_summary": {"percent"},
    "audit.irr": {"registered"},
    "audit.ixp": {"address_of"},
    "audit.ixp_listed": {"family_at"},
    "audit.ixp_members": {"letter"},
    "audit.manrs": {"score_types", "scores", "tally"},
    "audit.neighbor": {"reasons_column"},
    "audit.nesting": {"distinct", "group_starts", "nesting", "words"},
    "audit.output": {"write_tables"},
    "audit.prefixes": {"spans", "united"},
    "audit.rows": {"csv_rows", "json_rows"},
    "audit.sav": {"bar_sav", "cone", "efp_a", "efp_b", "procedure_x", "strict"},
    "audit.sav_heard": {"pairs_of"},
    "audit.tables": {
        "arrow", "as_names", "joined", "list_column", "name_column", "number_column", "origins",
        "prefix_column", "prefix_texts", "prefixes", "route_columns", "taken", "text_column", "words",
    },
    "reference.lines": {"numbered_lines", "octets_in_pieces", "read_octets"},
    "reference.rpsl": {"objects_of", "read_objects"},
    "reference.rows": {"rows_of_csv", "rows_of_file"},
    "reference.special": {"special_asns"},
}  # fmt: skip
"""What the modules of a package call of each other, with what those that are asked have checked."""

PLAIN = {
    "archive.Change", "archive.Counts", "archive.Update", "audit.Judged", "audit.Verdicts", "diff.Counts",
    "diff.RouteChange",
    "reference.Delegation", "reference.Delegations", "rib.Attributes", "rib.Attributes.of", "rib.Peer",
    "rib.Ragged", "rib.RibBatch", "rib.RibCounts",
    "rib.Spool.again", "rib.Spool.has", "rib.Spool.keep",
    "routers.Cache", "routers.Neighbor", "slurm.Applied",
    "slurm.AspaFilter", "slurm.Assertion", "slurm.Effect", "slurm.PrefixFilter", "slurm.RouterKeyFilter",
    "slurm.Slurm",
}  # fmt: skip
"""Records of values and what the library alone makes: what takes them checks them."""


def public(module: ModuleType) -> Iterator[str]:
    """Every public callable of a module: functions, classes, and methods of classes."""
    prefix = module.__name__.removeprefix("rov.")
    for name in getattr(module, "__all__", vars(module)):
        value = getattr(module, name)
        if name.startswith("_") or not getattr(value, "__module__", "").startswith(module.__name__):
            continue
        if inspect.isfunction(value):
            yield f"{prefix}.{name}"
        elif inspect.isclass(value) and not issubclass(value, int):
            yield f"{prefix}.{name}"
            for method, defined in vars(value).items():
                if not method.startswith("_") and isinstance(
                    defined, (classmethod, staticmethod, type(public))
                ):
                    yield f"{prefix}.{name}.{method}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_public_callable_is_left_out(module: ModuleType) -> None:
    assert set(public(module)) - set(CASES) - PLAIN == set()


def functions(package: ModuleType) -> Iterator[str]:
    """Every function of the modules of a package that is none of INNER."""
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        name = module.__name__.removeprefix("rov.")
        inner = INNER.get(name, set())
        assert inner <= set(vars(module)), f"INNER names what {name} has not"
        for function, value in inspect.getmembers(module, inspect.isfunction):
            if value.__module__ == module.__name__ and function[0] != "_" and function not in inner:
                yield f"{package.__name__.removeprefix('rov.')}.{function}"


@pytest.mark.parametrize("package", OPEN, ids=lambda package: package.__name__)
def test_no_function_of_its_modules_is_left_out(package: ModuleType) -> None:
    assert set(functions(package)) - set(CASES) == set()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of every kind that is read; junk that happens to be a name makes one where it does no harm."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("read", [rib.open, rib.read_table])
def test_progress_is_a_function(read: Any) -> None:
    with pytest.raises(rov.ArgumentError, match="progress: expected a function, found 7"):
        read("dump.txt", progress=7)


@pytest.mark.parametrize("name", CASES)
def test_good_arguments_are_good(name: str) -> None:
    case = CASES[name]
    junk.drained(case.call(**case.good))


@pytest.mark.parametrize("name", CASES)
def test_junk(name: str) -> None:
    junk.one_by_one(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_nothing_but_junk(name: str) -> None:
    junk.all_at_once(CASES[name])
