"""Snapshot: normal form, what is refused, what takes part in comparison."""

import numpy as np
import pytest

from rov.columns import VrpColumns
from rov.errors import ArgumentError
from rov.snapshot import Snapshot
from rov.types import Aspa, Prefix, RouterKey, Vrp


def vrp(text: str, max_length: int, asn: int) -> Vrp:
    return Vrp(Prefix.parse(text), max_length, asn)


SOME = [vrp("192.0.2.0/24", 24, 64496), vrp("10.0.0.0/8", 16, 64497), vrp("10.0.0.0/8", 16, 0),
        vrp("10.0.0.0/9", 9, 64497), vrp("2001:db8::/32", 48, 64496), vrp("2001:db8::/48", 48, 1),
        vrp("::/0", 0, 2**32 - 1), vrp("2001:db8:0:0:1::/80", 128, 7)]  # fmt: skip


def test_sorted_and_unique_whatever_the_order() -> None:
    snapshot = Snapshot.from_vrps(SOME[::-1] + SOME)
    assert list(snapshot.vrps()) == sorted(SOME)
    assert snapshot == Snapshot.from_vrps(SOME)
    assert hash(snapshot) == hash(Snapshot.from_vrps(SOME))
    assert (len(snapshot.ipv4), len(snapshot.ipv6), len(snapshot)) == (4, 4, 8)


def test_columns_cannot_be_written() -> None:
    snapshot = Snapshot.from_vrps(SOME)
    for columns in (snapshot.ipv4, snapshot.ipv6):
        for column in (*columns.keys, columns.expires, columns.ta):
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 0


def test_a_callers_array_stays_writable() -> None:
    asn = np.array([1], np.uint32)
    VrpColumns.ipv4([0], [0], [0], asn)
    asn[0] = 2


@pytest.mark.parametrize("expires", [[5, 9, 7], [9, 7, 5], [5, 0, 9]])
def test_of_equal_vrps_the_longest_lived_stays(expires: list[int]) -> None:
    columns = VrpColumns.ipv4([0] * 3, [0] * 3, [8] * 3, [64496] * 3, expires, [0, 1, 2])
    snapshot = Snapshot.build(columns, trust_anchors=["a", "b", "c"])
    kept = max(range(3), key=lambda row: expires[row] or 100)
    assert snapshot.ipv4.expires.tolist() == [expires[kept]]
    assert snapshot.ipv4.ta.tolist() == [kept]


def test_expiry_and_trust_anchor_are_no_payload() -> None:
    one = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [1], [100], [0]), trust_anchors=["x"], generated=1)
    two = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [1], [200], [0]), trust_anchors=["y"], generated=2)
    assert one == two
    assert one.digest == two.digest
    assert one != Snapshot.build(VrpColumns.ipv4([0], [0], [9], [1]))


def test_numbers_of_other_kinds_leave_no_trace() -> None:
    one = Snapshot.build(aspas=[Aspa(1, (2, 3))], router_keys=[RouterKey(4, bytes(20), b"k")])
    two = Snapshot.build(
        aspas=[Aspa(np.uint32(1), (np.int64(2), np.uint32(3)))],  # type: ignore[arg-type]
        router_keys=[RouterKey(np.uint32(4), bytes(20), b"k")],  # type: ignore[arg-type]
    )
    assert (one, one.digest) == (two, two.digest)
    assert {type(number) for aspa in two.aspas for number in (aspa.customer, *aspa.providers)} == {int}


def test_unexpired() -> None:
    snapshot = Snapshot.build(
        VrpColumns.ipv4([0, 1 << 31], [1, 1], [8, 8], [1, 2], [100, 0]),
        aspas=[Aspa(1, (2,)), Aspa(2, (3,))],
        aspa_expires=[100, 101],
        router_keys=[RouterKey(1, bytes(20), b"k")],
        router_key_expires=[100],
    )
    assert snapshot.next_expiry() == 100
    assert snapshot.unexpired(99) is snapshot
    left = snapshot.unexpired(100)
    assert [v.asn for v in left.vrps()] == [2]
    assert (left.aspas, left.router_keys) == ((Aspa(2, (3,)),), ())
    assert left.next_expiry() == 101
    assert left.unexpired(1000).next_expiry() is None


def test_aspas_of_one_customer_are_one() -> None:
    snapshot = Snapshot.build(
        aspas=[Aspa(5, (9, 7)), Aspa(4, (0,)), Aspa(5, (0, 8, 7)), Aspa(4, (0,))],
        aspa_expires=[50, 0, 40, 60],
    )
    assert snapshot.aspas == (Aspa(4, (0,)), Aspa(5, (7, 8, 9)))
    assert snapshot.aspa_expires.tolist() == [60, 40]


def test_router_keys_differ_by_spki() -> None:
    keys = [RouterKey(1, bytes(20), b"b"), RouterKey(1, bytes(20), b"a"), RouterKey(1, bytes(20), b"b")]
    snapshot = Snapshot.build(router_keys=keys, router_key_expires=[10, 20, 30])
    assert snapshot.router_keys == (keys[1], keys[0])
    assert snapshot.router_key_expires.tolist() == [20, 30]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VrpColumns.ipv4([1, 2], [32], [32], [1]), "length: expected shape"),
        (lambda: VrpColumns.ipv4([1 << 32], [32], [32], [1]), "address: expected integers"),
        (lambda: VrpColumns.ipv4([1], [32], [32], [-1]), "asn: expected integers"),
        (lambda: VrpColumns.ipv4([1.5], [32], [32], [1]), "address: expected integers"),
        (lambda: VrpColumns.ipv6([1, 2], [32, 32], [32, 32], [1, 1]), "address: expected shape"),
        (lambda: Snapshot.build(VrpColumns.ipv4([0], [33], [33], [1])), "length <= max_length <= 32"),
        (lambda: Snapshot.build(VrpColumns.ipv4([0], [9], [8], [1])), "length <= max_length <= 32"),
        (lambda: Snapshot.build(VrpColumns.ipv4([0, 1], [8, 31], [8, 32], [1, 1])), "row 1: host bits"),
        (lambda: Snapshot.build(None, VrpColumns.ipv6([[0, 1]], [127], [128], [1])), "row 0: host bits"),
        (lambda: Snapshot.build(None, VrpColumns.ipv6([[1, 0]], [63], [128], [1])), "row 0: host bits"),
        (lambda: Snapshot.build(VrpColumns.ipv6([], [], [], [])), "IPv4 columns first"),
        (lambda: Snapshot.build(VrpColumns.ipv4([0], [0], [0], [1], None, [1])), "trust anchors"),
        (lambda: Snapshot.build(aspas=[Aspa(0, (1,))]), "customer 0"),
        (lambda: Snapshot.build(aspas=[Aspa(1, ())]), "one or more provider"),
        (lambda: Snapshot.build(router_keys=[RouterKey(1, b"", b"")]), "20 octets"),
        (lambda: Snapshot.from_vrps([vrp("10.0.0.0/8", 7, 1)]), "length <= max_length"),
        (lambda: Snapshot.from_vrps([vrp("10.0.0.0/8", 8, 2**32)]), "ASN to"),
        (lambda: Snapshot(), "rov.read"),
    ],
)
def test_refused(make, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_union_keeps_trust_anchors() -> None:
    one = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [1], None, [0]), trust_anchors=["x"], generated=5)
    two = Snapshot.build(
        VrpColumns.ipv4([0], [0], [9], [1], None, [1]), trust_anchors=["y", "z"], generated=7
    )
    union = one | two
    assert [union.trust_anchors[index] for index in union.ipv4.ta] == ["x", "z"]
    assert union.generated == 7
