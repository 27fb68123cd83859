"""Whatever is passed to what asks something of VRPs and routes: an answer, or a RovError."""

from __future__ import annotations

import datetime
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
from rov import RouteBatch, State, archive, audit, diff, reference, rib, routers, slurm
from rov.audit import (
    allow,
    bogon_paths,
    bogons,
    contacts,
    hijacks,
    hygiene,
    incident_summary,
    incidents,
    invalid_paths,
    irr,
    ixp,
    ixp_members,
    leaks,
    manrs,
    output,
    participants,
    paths,
    sav,
    suggest,
    whatif,
)
from rov.reference import as_sets, events, ixf, relations, rpsl, special
from rov.reference import contacts as contact_files
from rov.reference import participants as published
from tests import junk
from tests.junk import INDEX, OTHER, PREFIX, SNAPSHOT, VRP, Case

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
DELEGATED = b"2|ripencc|20260101|1|||+0000\nripencc|NL|ipv4|192.0.2.0|256|20260101|allocated\n"
RELATIONS = b"64496|64497|-1\n"
IRR = b"route: 192.0.2.0/24\norigin: AS64496\n"
FILES = {
    "slurm.json": SLURM, "dump.txt": DUMP, "delegated": DELEGATED, "relations": RELATIONS, "irr": IRR,
    "as-sets": b"as-set: AS-X\nmembers: AS1\n", "contacts": b"aut-num: AS1\n",
    "events": b"type,start\nleak,2018-01-01\n",
    "export": b'{"member_list": [{"asnum": 64496}]}', "participants": b"ASN\n64496\n",
    "asns": b'{"asns": [64496]}',
}  # fmt: skip

NUMBERS: dict[str, Any] = {"addresses": [0], "lengths": [8], "origins": [64496], "peers": [3]}
SETS = np.array([[2]], np.uint64)
COLUMNS = rib.RouteColumns(4, peer_sets=SETS, **NUMBERS)
TABLE = rib.RouteTable(COLUMNS, rib.RouteColumns.empty(6), [rib.Peer(None, 0), rib.Peer(None, 64496)])
VERDICTS = audit.judge(TABLE, INDEX)
PASSED = ixp.passed_on(VERDICTS, [])
NO_IRR = rpsl.Irr.of([])
DELEGATIONS = reference.Delegations()
CHANGED = whatif.change(VERDICTS, OTHER)
SUGGESTED = suggest.suggest(VERDICTS)
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


EVENT = events.Event("leak", 2018, 1, 2, "")

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
    "diff.by_trust_anchor": Case(diff.by_trust_anchor, {"delta": junk.DELTA}),
    "diff.by_asn": Case(diff.by_asn, {"delta": junk.DELTA}),
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
    "reference.read_delegated": Case(reference.read_delegated, {"paths": ["delegated"]}, named=("paths",)),
    "reference.Delegations.of_prefix": Case(DELEGATIONS.of_prefix, {"prefix": "10.0.0.0/8"}),
    "reference.Delegations.of_prefixes": Case(DELEGATIONS.of_prefixes, {"prefixes": ["10.0.0.0/8"]}),
    "reference.Delegations.of_asn": Case(DELEGATIONS.of_asn, {"asn": 64496}),
    "reference.read_relations": Case(relations.read_relations, {"path": "relations"}),
    "reference.read_irr": Case(rpsl.read_irr, {"paths": ["irr"]}, named=("paths",)),
    "reference.read_members": Case(ixf.read_members, {"path": "export"}),
    "reference.read_participants": Case(published.read_participants, {"path": "participants"}),
    "reference.read_asns": Case(published.read_asns, {"path": "asns"}),
    "audit.as_community": Case(ixp.as_community, {"text": "64500:1"}),
    "audit.passed_on": Case(
        ixp.passed_on,
        {"verdicts": VERDICTS, "dumps": [], "expected": [(64500, 1)], "lans": [PREFIX], "members": {}},
    ),
    "audit.verify_table": Case(ixp.verify_table, {"passed": PASSED, "names": {}}),
    "audit.invalid_routes": Case(ixp.invalid_routes, {"verdicts": VERDICTS}),
    "audit.members_table": Case(
        ixp_members.members_table,
        {"passed": PASSED, "exchange": None, "manrs": [64496], "thresholds": None},
    ),
    "audit.member_fixes": Case(ixp_members.member_fixes, {"passed": PASSED}),
    "audit.participants_table": Case(
        participants.participants_table,
        {"verdicts": VERDICTS, "participants": [], "irr": None, "match": "exact", "thresholds": None},
    ),
    "reference.read_as_sets": Case(as_sets.read_as_sets, {"paths": ["as-sets"]}, named=("paths",)),
    "reference.as_set_name": Case(as_sets.as_set_name, {"text": "AS-X"}),
    "reference.read_events": Case(events.read_events, {"paths": ["events"]}, named=("paths",)),
    "reference.read_contacts": Case(
        contact_files.read_contacts, {"rpsl": ["contacts"], "peeringdb": None}, named=("rpsl", "peeringdb")
    ),
    "audit.allow_table": Case(
        allow.allow_table,
        {"customers": {1: {1}}, "index": INDEX, "irr": None, "longest_ipv4": 24, "longest_ipv6": 48},
    ),
    "audit.sav_table": Case(
        sav.sav_table,
        {
            "learnt": sav.Learnt((), (), (), {}),
            "interfaces": [],
            "algorithm": "efp-b",
            "snapshot": SNAPSHOT,
            "also": [],
        },
    ),
    "audit.invalid_by_origin": Case(contacts.invalid_by_origin, {"verdicts": VERDICTS, "asns": [1]}),
    "audit.contacts_table": Case(
        contacts.contacts_table,
        {
            "verdicts": VERDICTS,
            "contacts": contact_files.Contacts(),
            "today": datetime.date(2026, 1, 1),
            "asns": [1],
        },
    ),
    "audit.incidents_table": Case(incidents.incidents_table, {"found": [], "delegations": DELEGATIONS}),
    "audit.counted": Case(incident_summary.counted, {"events": [EVENT], "by": "year"}),
    "audit.summary_table": Case(
        incident_summary.summary_table, {"events": [EVENT], "by": "year", "ases": {2018: 7}}
    ),
    "audit.irr_matrix": Case(irr.irr_matrix, {"verdicts": VERDICTS, "irr": NO_IRR}),
    "audit.irr_objects_table": Case(
        irr.irr_objects_table, {"verdicts": VERDICTS, "irr": NO_IRR, "sources": ["RADB"]}
    ),
    "reference.special_asn": Case(special.special_asn, {"asn": 64496}),
    "audit.judge": Case(audit.judge, {"table": TABLE, "index": INDEX, "min_peers": 1, "threads": 1}),
    "audit.Judged.having": Case(VERDICTS.ipv4.having, {"state": State.VALID}),
    "audit.Verdicts.families": Case(VERDICTS.families, {}),
    "audit.Verdicts.count": Case(VERDICTS.count, {"state": State.VALID}),
    "audit.Verdicts.counts": Case(VERDICTS.counts, {}),
    "audit.verdict_table": Case(audit.verdict_table, {"verdicts": VERDICTS}),
    "audit.impact": Case(audit.impact, {"verdicts": VERDICTS, "default_routes": False}),
    "audit.impact_table": Case(audit.impact_table, {"verdicts": VERDICTS, "default_routes": False}),
    "audit.coverage_table": Case(
        audit.coverage_table, {"verdicts": VERDICTS, "by": "country", "delegations": DELEGATIONS}
    ),
    "audit.check_vrps": Case(hygiene.check_vrps, {"verdicts": VERDICTS, "now": 0, "soon": 1}),
    "audit.hygiene_table": Case(hygiene.hygiene_table, {"verdicts": VERDICTS, "now": 0, "soon": 1}),
    "audit.bogon_paths": Case(
        bogon_paths.bogon_paths, {"dumps": [], "table": TABLE, "delegations": DELEGATIONS}
    ),
    "audit.bogons": Case(bogons.bogons, {"routes": COLUMNS, "delegations": DELEGATIONS}),
    "audit.bogons_table": Case(
        bogons.bogons_table, {"table": TABLE, "delegations": DELEGATIONS, "paths": {}}
    ),
    "audit.hijacks_table": Case(
        hijacks.hijacks_table, {"verdicts": VERDICTS, "evidence": hijacks.Evidence()}
    ),
    "audit.invalid_paths": Case(
        invalid_paths.invalid_paths, {"dumps": [], "verdicts": VERDICTS, "neighbor": 1}
    ),
    "audit.as_leaks_table": Case(leaks.as_leaks_table, {"verdicts": VERDICTS, "seen": invalid_paths.Seen()}),
    "audit.peer_leaks_table": Case(leaks.peer_leaks_table, {"verdicts": VERDICTS}),
    "audit.incident_weight": Case(manrs.incident_weight, {"seconds": 1}),
    "audit.incidents_weight": Case(manrs.incidents_weight, {"events": [(0, 1)]}),
    "audit.manrs_table": Case(
        manrs.manrs_table,
        {
            "verdicts": VERDICTS,
            "asns": [64496],
            "irr": None,
            "match": "exact",
            "thresholds": manrs.Thresholds(),
        },
    ),
    "audit.format_of": Case(output.format_of, {"path": "x.csv"}),
    "audit.write_table": Case(
        output.write_table,
        {"table": audit.verdict_table(VERDICTS), "path": "x.csv", "schema": "x/1", "facts": {}},
        also=(OSError,),
    ),
    "audit.judge_paths": Case(
        paths.judge_paths,
        {"verdicts": VERDICTS, "dumps": [], "direction": rov.aspa.Direction.UPSTREAM, "neighbor": 1},
    ),
    "audit.suggest": Case(suggest.suggest, {"verdicts": VERDICTS, "asns": [1], "within": [PREFIX]}),
    "audit.suggest_table": Case(suggest.suggest_table, {"suggested": SUGGESTED}),
    "audit.krill_lines": Case(suggest.krill_lines, {"suggested": SUGGESTED}),
    "audit.slurm_json": Case(suggest.slurm_json, {"suggested": SUGGESTED}),
    "audit.change": Case(whatif.change, {"verdicts": VERDICTS, "after": OTHER}),
    "audit.whatif_table": Case(whatif.whatif_table, {"changed": CHANGED}),
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
    "audit.irr": {"registered"},
    "audit.sav": {"learn", "strict", "efp_a", "efp_b", "cone", "procedure_x", "bar_sav"},
    "audit.incident_summary": {"percent"},
    "audit.ixp": {"address_of"},
    "audit.ixp_members": {"letter", "top_fix"},
    "audit.manrs": {"score_types", "scores", "tally"},
    "audit.nesting": {"group_starts", "nesting", "words"},
    "audit.rows": {"csv_rows", "json_rows"},
    "audit.tables": {
        "arrow", "joined", "origins", "prefix_column", "prefix_texts", "prefixes", "route_columns", "taken",
        "words",
    },
    "reference.lines": {"numbered_lines", "octets_in_pieces", "read_octets"},
    "reference.rpsl": {"objects_of", "read_objects"},
    "reference.special": {"special_asns"},
}  # fmt: skip
"""What the modules of a package call of each other, with what those that are asked have checked."""

PLAIN = {
    "archive.Change", "archive.Counts", "archive.Update", "audit.Judged", "audit.Verdicts", "diff.Counts",
    "diff.RouteChange",
    "reference.Delegation", "reference.Delegations", "rib.Attributes", "rib.Attributes.of", "rib.Peer",
    "rib.Ragged", "rib.RibBatch", "rib.RibCounts", "routers.Cache", "routers.Neighbor", "slurm.Applied",
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
