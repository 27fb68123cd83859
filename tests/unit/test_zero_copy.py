"""Columns of the right dtype are used where they lie, without a copy; the caller may write to his own."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rov import RouteBatch, Snapshot, VrpColumns
from rov.aspa import PathBatch

U1, U4, U8, I8 = np.uint8, np.uint32, np.uint64, np.int64
IPV4 = {"addresses": np.array([0, 8 << 24], U4)}
IPV6 = {"addresses": np.array([[0, 0], [1 << 63, 0]], U8)}
REST = {"lengths": np.array([0, 8], U1), "origins": np.array([1, 2], U4)}
VRP4 = {"address": np.array([0, 8 << 24], U4)}
VRP6 = {"address": np.array([[0, 0], [1 << 63, 0]], U8)}
VRPS = {
    "length": np.array([0, 8], U1),
    "max_length": np.array([8, 8], U1),
    "asn": np.array([1, 2], U4),
    "expires": np.array([0, 1], I8),
    "ta": np.array([0, 0], U1),
}
PATHS = {"asns": np.array([1, 2, 3], U4), "offsets": np.array([0, 1, 3], I8)}
SIDES = {"neighbors": np.array([1, 2], U4), "as_sets": np.array([0, 1], U1)}

MADE = [
    (RouteBatch.ipv4, IPV4 | REST),
    (RouteBatch.ipv6, IPV6 | REST),
    (VrpColumns.ipv4, VRP4 | VRPS),
    (VrpColumns.ipv6, VRP6 | VRPS),
    (PathBatch, PATHS | SIDES),
    (PathBatch, PATHS | SIDES | {"as_sets": np.array([False, True])}),
]


@pytest.mark.parametrize(("make", "columns"), MADE)
def test_the_right_dtype_is_used_in_place(make: Any, columns: dict[str, np.ndarray]) -> None:
    made = make(**columns)
    for name, column in columns.items():
        kept = getattr(made, name)
        assert np.shares_memory(kept, column) == (name != "offsets"), name
        assert not kept.flags.writeable, name
        assert column.flags.writeable, "the caller's array stays as it was"
        assert kept.tolist() == column.tolist()


@pytest.mark.parametrize(("make", "columns"), MADE)
@pytest.mark.parametrize("change", [np.ndarray.tolist, lambda c: c.astype(object).astype(c.dtype)[::1]])
def test_lists_and_others_are_copied(make: Any, columns: dict[str, np.ndarray], change: Any) -> None:
    made = make(**{name: change(column) for name, column in columns.items()})
    for name, column in columns.items():
        assert getattr(made, name).tolist() == column.tolist()
        assert not np.shares_memory(getattr(made, name), column)


@pytest.mark.parametrize(("make", "columns"), MADE)
def test_other_dtypes_are_converted(make: Any, columns: dict[str, np.ndarray]) -> None:
    wide = {name: np.repeat(column.astype(np.uint64), 2, axis=0)[::2] for name, column in columns.items()}
    made = make(**wide)
    for name, column in columns.items():
        kept = getattr(made, name)
        assert kept.flags.c_contiguous
        assert kept.tolist() == column.tolist()


def test_a_set_in_order_is_used_in_place() -> None:
    ipv4, ipv6 = VrpColumns.ipv4(**VRP4, **VRPS), VrpColumns.ipv6(**VRP6, **VRPS)
    snapshot = Snapshot.build(ipv4, ipv6)
    for ours, given in ((snapshot.ipv4, VRP4 | VRPS), (snapshot.ipv6, VRP6 | VRPS)):
        for name, column in given.items():
            assert np.shares_memory(getattr(ours, name), column), name
    for part in (
        snapshot.within("0.0.0.0/0").ipv4,
        snapshot.within("8.0.0.0/8").ipv4,
        snapshot.unexpired(0).ipv4,
    ):
        assert np.shares_memory(part.asn, VRPS["asn"])


def test_a_saved_set_is_used_in_its_file(tmp_path: Path) -> None:
    Snapshot.build(VrpColumns.ipv4(**VRP4, **VRPS)).save(tmp_path / "saved.rov")
    column = Snapshot.open(tmp_path / "saved.rov").ipv4.asn
    base: Any = column
    while not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else base.base
    assert not column.flags.writeable
