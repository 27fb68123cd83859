"""Whatever is passed to whatever is public: an answer, or a RovError that says what was expected.

The data model, indexes and files are here; test_junk_questions has the modules that ask something of them.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rov
from rov import Delta, Prefix, RouteBatch, Snapshot, VrpColumns, VrpIndex
from rov.aspa import AspaIndex, Direction, PathBatch
from tests import junk
from tests.junk import ASPAS, DELTA, INDEX, OTHER, PREFIX, SNAPSHOT, VRP, Case


def saved() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        SNAPSHOT.save(Path(folder) / "saved.rov")
        return (Path(folder) / "saved.rov").read_bytes()


SAVED = saved()


def batch() -> RouteBatch:
    return RouteBatch.ipv4([10 << 24], [8], [64496])


COLUMNS4 = {"address": [0], "length": [0], "max_length": [8], "asn": [1], "expires": [0], "ta": [0]}
COLUMNS6 = COLUMNS4 | {"address": [[0, 0]]}
BATCH4 = {"addresses": [0], "lengths": [0], "origins": [1]}
BATCH6 = BATCH4 | {"addresses": [[0, 0]]}
PATHS = {"neighbors": [0], "as_sets": [0]}
WAY = {"direction": Direction.UPSTREAM}

CASES: dict[str, Case] = {
    "Prefix": Case(Prefix, {"family": 4, "address": 0, "length": 0}),
    "Prefix.parse": Case(Prefix.parse, {"text": "10.0.0.0/8"}),
    "Prefix.of": Case(Prefix.of, {"value": (0, 0), "family": 4}),
    "Prefix.covers": Case(PREFIX.covers, {"other": PREFIX}),
    "VrpColumns": Case(VrpColumns, {"family": 4} | COLUMNS4),
    "VrpColumns.ipv4": Case(VrpColumns.ipv4, COLUMNS4),
    "VrpColumns.ipv6": Case(VrpColumns.ipv6, COLUMNS6),
    "VrpColumns.of": Case(VrpColumns.of, {"family": 4, "vrps": [VRP]}),
    "VrpColumns.take": Case(SNAPSHOT.ipv4.take, {"rows": slice(0, 1)}),
    "VrpColumns.vrps": Case(SNAPSHOT.ipv4.vrps, {}),
    "Snapshot": Case(Snapshot, {}),
    "Snapshot.build": Case(
        Snapshot.build,
        {
            "ipv4": SNAPSHOT.ipv4,
            "ipv6": SNAPSHOT.ipv6,
            "aspas": SNAPSHOT.aspas,
            "aspa_expires": [0],
            "router_keys": SNAPSHOT.router_keys,
            "router_key_expires": [0],
            "trust_anchors": ["ripe"],
            "generated": 0,
        },
    ),
    "Snapshot.empty": Case(Snapshot.empty, {}),
    "Snapshot.from_vrps": Case(
        Snapshot.from_vrps,
        {"vrps": [VRP], "aspas": SNAPSHOT.aspas, "router_keys": SNAPSHOT.router_keys},
    ),
    "Snapshot.save": Case(SNAPSHOT.save, {"path": "saved.rov"}, also=(OSError,)),
    "Snapshot.open": Case(Snapshot.open, {"path": "given.rov"}),
    "Snapshot.from_bytes": Case(
        Snapshot.from_bytes, {"data": SAVED, "name": "x"}),
    "Snapshot.vrps": Case(SNAPSHOT.vrps, {}),
    "Snapshot.by_asn": Case(SNAPSHOT.by_asn, {"asn": 64496}),
    "Snapshot.covering": Case(SNAPSHOT.covering, {"prefix": (0, 0), "family": 4}),
    "Snapshot.within": Case(SNAPSHOT.within, {"prefix": (0, 0), "family": 4}),
    "Snapshot.of_trust_anchor": Case(SNAPSHOT.of_trust_anchor, {"name": ""}),
    "Snapshot.next_expiry": Case(SNAPSHOT.next_expiry, {}),
    "Snapshot.unexpired": Case(SNAPSHOT.unexpired, {"now": 0}),
    "Snapshot ==": Case(SNAPSHOT.__eq__, {"other": SNAPSHOT}),
    "Snapshot in": Case(SNAPSHOT.__contains__, {"vrp": VRP}),
    "Snapshot |": Case(SNAPSHOT.__or__, {"other": SNAPSHOT}),
    "Snapshot &": Case(SNAPSHOT.__and__, {"other": SNAPSHOT}),
    "Snapshot -": Case(SNAPSHOT.__sub__, {"other": SNAPSHOT}),
    "Delta": Case(Delta, {"withdrawn": OTHER, "announced": SNAPSHOT - OTHER}),
    "Delta.between": Case(Delta.between, {"old": OTHER, "new": SNAPSHOT}),
    "Delta.apply": Case(DELTA.apply, {"old": OTHER}),
    "Delta.compose": Case(DELTA.compose, {"later": Delta(SNAPSHOT - OTHER, OTHER)}),
    "Delta ==": Case(DELTA.__eq__, {"other": DELTA}),
    "RouteBatch": Case(RouteBatch, {"family": 4} | BATCH4),
    "RouteBatch.ipv4": Case(RouteBatch.ipv4, BATCH4),
    "RouteBatch.ipv6": Case(RouteBatch.ipv6, BATCH6),
    "VrpIndex": Case(VrpIndex, {"snapshot": SNAPSHOT}),
    "VrpIndex.validate": Case(INDEX.validate, {"prefix": (0, 0), "asn": 1, "family": 4}),
    "VrpIndex.validate_many": Case(
        INDEX.validate_many, {"prefixes": [(0, 0)], "origins": [1], "family": 4}
    ),
    "VrpIndex.validate_batch": Case(
        INDEX.validate_batch, {"routes": batch(), "reasons": True, "threads": 1}
    ),
    "VrpIndex.validate_table": Case(
        lambda **options: INDEX.validate_table(**options).read_all(),
        {
            "table": SNAPSHOT,
            "prefix": "prefix",
            "origin": "asn",
            "state": "state",
            "reason": "reason",
            "strict": True,
            "threads": 1,
        },
    ),
    "VrpIndex.covering": Case(INDEX.covering, {"prefix": (0, 0), "family": 4}),
    "VrpIndex.covering_keys": Case(INDEX.covering_keys, {"prefix": (0, 0), "family": 4}),
    "VrpIndex.covered": Case(INDEX.covered, {"prefix": (0, 0), "family": 4}),
    "VrpIndex.by_asn": Case(INDEX.by_asn, {"asn": 1}),
    "VrpIndex.explain": Case(INDEX.explain, {"prefix": (0, 0), "asn": 1, "family": 4}),
    "VrpIndex ==": Case(INDEX.__eq__, {"other": INDEX}),
    "VrpIndex in": Case(INDEX.__contains__, {"vrp": VRP}),
    "load": Case(rov.load, {"path": "given.rov", "strict": True}),
    "read": Case(rov.read, {"path": "given.rov", "strict": True}),
    "read_report": Case(rov.read_report, {"path": "given.rov", "strict": True}),
    "read_bytes": Case(rov.read_bytes, {"data": b"[]", "name": "x", "strict": True}),
    "encode": Case(
        rov.encode, {"snapshot": SNAPSHOT, "to": "csv", "dialect": None, "at": 0, "exclude": ("aspas",)}
    ),
    "aspa.PathBatch": Case(PathBatch, {"asns": [1, 2], "offsets": [0, 2]} | PATHS),
    "aspa.PathBatch.of": Case(PathBatch.of, {"paths": [[1, 2]]} | PATHS),
    "aspa.AspaIndex": Case(AspaIndex, {"aspas": SNAPSHOT.aspas}),
    "aspa.AspaIndex.authorized": Case(ASPAS.authorized, {"customer": 1, "provider": 2}),
    "aspa.AspaIndex.ramps": Case(ASPAS.ramps, {"path": [1, 2]}),
    "aspa.AspaIndex.verify": Case(
        ASPAS.verify, {"path": [1, 2], "neighbor": 1, "as_set": False} | WAY
    ),
    "aspa.AspaIndex.verify_batch": Case(ASPAS.verify_batch, {"paths": PathBatch.of([[1, 2]])} | WAY),
    "aspa.verify": Case(
        rov.aspa.verify, {"path": [1, 2], "aspas": ASPAS, "neighbor": 1, "as_set": False} | WAY
    ),
    "synth.vrps": Case(rov.synth.vrps, {"count": 5, "seed": 1}),
}  # fmt: skip

PLAIN = {"Vrp", "Aspa", "RouterKey", "Validity", "BadRow", "ReadReport", "aspa.Ramps"}
"""Records of values, which check nothing; what takes them does."""

MODULES = {"aspa", "synth"}
"""Of the modules in __all__, those whose cases stand here; the others are tested where they are."""


def public() -> Iterator[str]:
    """Every public callable: functions, classes, their methods, and those of the modules in __all__."""
    for name in rov.__all__:
        value = getattr(rov, name)
        if inspect.ismodule(value):
            if name in MODULES:
                yield from members(value, f"{name}.")
        elif callable(value) and inspect.isroutine(value):
            yield name
        elif inspect.isclass(value):
            yield from class_members(value, name)


def members(module: Any, before: str) -> Iterator[str]:
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
            if inspect.isclass(value):
                yield from class_members(value, before + name)
            elif inspect.isroutine(value):
                yield before + name


def class_members(kind: type, name: str) -> Iterator[str]:
    if issubclass(kind, (BaseException, int)):
        return
    yield name
    for method in dir(kind):
        value = inspect.getattr_static(kind, method)
        if not method.startswith("_") and (
            inspect.isroutine(value) or isinstance(value, (classmethod, staticmethod))
        ):
            yield f"{name}.{method}"


def test_no_public_callable_is_left_out() -> None:
    inherited = {f"aspa.Ramps.{name}" for name in dir(tuple)}
    assert set(public()) - inherited - PLAIN - set(CASES) == set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("junk")
    (folder / "given.rov").write_bytes(SAVED)
    return folder


@pytest.fixture(autouse=True)
def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Junk that happens to be a name makes a file where it does no harm."""
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("name", CASES)
def test_good_arguments_are_good(name: str) -> None:
    case = CASES[name]
    if name != "Snapshot":
        assert case.call(**case.good) is not NotImplemented


@pytest.mark.parametrize("name", CASES)
def test_junk(name: str) -> None:
    junk.one_by_one(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_nothing_but_junk(name: str) -> None:
    junk.all_at_once(CASES[name])
