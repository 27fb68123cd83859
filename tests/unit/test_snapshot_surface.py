"""The surface of Snapshot: filters, membership, iteration, pickling, against plain Python over its VRPs."""

import copy
import itertools
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rov.columns import VrpColumns
from rov.errors import ArgumentError, PrefixError
from rov.snapshot import Snapshot
from rov.types import Aspa, Prefix, RouterKey, Vrp

KEYS = [RouterKey(1, bytes(20), b"k"), RouterKey(2, bytes(20), b"kk")]
SNAPSHOT = Snapshot.build(
    VrpColumns.ipv4(
        [0x0A000000, 0x0A000000, 0x0A800000, 0x0B000000], [8, 9, 9, 8], [8, 24, 9, 8], [1, 2, 1, 3],
        [100, 0, 200, 300], [0, 1, 1, 0],
    ),
    VrpColumns.ipv6([[0x20010DB800000000, 0], [0x20010DB800000000, 1]], [32, 128], [48, 128], [1, 2],
                    [7, 8], [1, 2]),
    aspas=[Aspa(1, (2, 3)), Aspa(2, (0,))], aspa_expires=[11, 12],
    router_keys=KEYS, router_key_expires=[13, 14],
    trust_anchors=["x", "y", "z"], generated=1234,
)  # fmt: skip


@st.composite
def prefixes(draw: st.DrawFn) -> Prefix:
    """Few bits at both ends of the address, so that prefixes nest often; the words of IPv6 both count."""
    family = draw(st.sampled_from([4, 6]))
    bits = 32 if family == 4 else 128
    length = draw(st.sampled_from([0, 1, 2, 3, bits // 2 - 1, bits // 2, bits // 2 + 1, bits - 1, bits]))
    address = draw(st.integers(0, 7)) << (bits - 3) | draw(st.integers(0, 3)) << (bits // 2 - 1)
    address |= draw(st.integers(0, 3))
    return Prefix(family, address >> (bits - length) << (bits - length), length)


vrps = prefixes().flatmap(
    lambda prefix: st.builds(
        Vrp,
        st.just(prefix),
        st.sampled_from(sorted({prefix.length, prefix.bits})),
        st.sampled_from([0, 1, 2**32 - 1]),
    )
)


@given(st.lists(vrps, max_size=12), prefixes())
def test_within_is_what_the_prefix_covers(rows: list[Vrp], prefix: Prefix) -> None:
    found = Snapshot.from_vrps(rows).within(prefix)
    assert list(found) == sorted({vrp for vrp in rows if prefix.covers(vrp.prefix)})
    assert found == Snapshot.from_vrps(list(found))


@given(st.lists(vrps, max_size=12), vrps)
def test_membership_is_that_of_the_set(rows: list[Vrp], other: Vrp) -> None:
    snapshot = Snapshot.from_vrps(rows)
    assert all(vrp in snapshot for vrp in rows)
    assert (other in snapshot) == (other in set(rows))


@given(st.lists(vrps, max_size=12), st.sampled_from([0, 1, 2, 2**32 - 1]))
def test_by_asn_is_the_rows_of_that_origin(rows: list[Vrp], asn: int) -> None:
    assert list(Snapshot.from_vrps(rows).by_asn(asn)) == sorted({vrp for vrp in rows if vrp.asn == asn})


def test_by_asn_takes_aspa_and_router_keys_along() -> None:
    found = SNAPSHOT.by_asn(2)
    assert [vrp.asn for vrp in found] == [2, 2]
    assert (found.aspas, found.aspa_expires.tolist()) == ((Aspa(2, (0,)),), [12])
    assert (found.router_keys, found.router_key_expires.tolist()) == ((KEYS[1],), [14])
    assert (found.ipv4.expires.tolist(), found.ipv6.expires.tolist()) == ([0], [8])
    assert (found.trust_anchors, found.generated) == (("x", "y", "z"), 1234)
    assert SNAPSHOT.by_asn(np.uint32(2)) == found
    assert not SNAPSHOT.by_asn(2**32 - 1)


def test_within_takes_text_and_leaves_out_what_has_no_prefix() -> None:
    found = SNAPSHOT.within("10.0.0.0/8")
    assert [str(vrp) for vrp in found] == ["10.0.0.0/8-8 AS1", "10.0.0.0/9-24 AS2", "10.128.0.0/9-9 AS1"]
    assert found.ipv4.expires.tolist() == [100, 0, 200]
    assert (found.aspas, found.router_keys, len(found.ipv6)) == ((), (), 0)
    assert len(SNAPSHOT.within("::/0")) == 2


def test_within_copies_no_column() -> None:
    assert np.shares_memory(SNAPSHOT.within("10.0.0.0/8").ipv4.asn, SNAPSHOT.ipv4.asn)


def test_of_trust_anchor() -> None:
    found = SNAPSHOT.of_trust_anchor("x")
    assert [str(vrp) for vrp in found] == ["10.0.0.0/8-8 AS1", "11.0.0.0/8-8 AS3"]
    assert [str(vrp) for vrp in SNAPSHOT.of_trust_anchor("z")] == ["2001:db8::1/128-128 AS2"]
    assert (found.aspas, found.router_keys) == ((), ())
    assert (found.trust_anchors, found.ipv4.ta.tolist()) == (("x", "y", "z"), [0, 0])


def test_trust_anchors_part_the_vrps() -> None:
    parts = [list(SNAPSHOT.of_trust_anchor(name)) for name in SNAPSHOT.trust_anchors]
    assert sorted(itertools.chain(*parts)) == list(SNAPSHOT)


def test_iteration_is_repeatable_and_agrees_with_len() -> None:
    assert list(SNAPSHOT) == list(SNAPSHOT) == list(SNAPSHOT.vrps())
    assert len(list(SNAPSHOT)) == len(SNAPSHOT) == 6


@pytest.mark.parametrize("other", [None, "10.0.0.0/8", Prefix.parse("10.0.0.0/8"), Aspa(1, (2, 3)), KEYS[0]])
def test_only_a_vrp_can_be_in(other: object) -> None:
    assert other not in SNAPSHOT


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SNAPSHOT.by_asn(-1), ArgumentError, "0 to 4294967295"),
        (lambda: SNAPSHOT.by_asn(2**32), ArgumentError, "0 to 4294967295"),
        (lambda: SNAPSHOT.by_asn("AS1"), ArgumentError, "expected an AS number"),
        (lambda: SNAPSHOT.by_asn(1.0), ArgumentError, "expected an AS number"),
        (lambda: SNAPSHOT.by_asn(None), ArgumentError, "expected an AS number"),
        (lambda: SNAPSHOT.within("10.0.0.1/8"), PrefixError, "host bits"),
        (lambda: SNAPSHOT.within("10.0.0.0"), PrefixError, "10.0.0.0"),
        (lambda: SNAPSHOT.within(8), ArgumentError, "expected a text"),
        (lambda: SNAPSHOT.of_trust_anchor("w"), ArgumentError, "expected one of x, y, z"),
        (lambda: Snapshot.build(trust_anchors=["x", "x"]), ArgumentError, "distinct names"),
    ],
)
def test_refused(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, *(lambda s, p=p: pickle.loads(pickle.dumps(s, p)) for p in range(6))],
)
@pytest.mark.parametrize("snapshot", [SNAPSHOT, Snapshot.empty(), SNAPSHOT.within("10.0.0.0/8")])
def test_pickled_and_back(snapshot: Snapshot, again: Callable[[Snapshot], Snapshot]) -> None:
    back = again(snapshot)
    assert back == snapshot
    assert back.digest == snapshot.digest
    for name in ("ipv4", "ipv6"):
        one, two = getattr(snapshot, name), getattr(back, name)
        assert (one.expires.tolist(), one.ta.tolist()) == (two.expires.tolist(), two.ta.tolist())
    assert back.aspa_expires.tolist() == snapshot.aspa_expires.tolist()
    assert back.router_key_expires.tolist() == snapshot.router_key_expires.tolist()
    assert (back.trust_anchors, back.generated) == (snapshot.trust_anchors, snapshot.generated)


def test_a_pickled_snapshot_is_immutable_too() -> None:
    back = pickle.loads(pickle.dumps(SNAPSHOT))
    for column in (back.ipv4.asn, back.ipv6.ta, back.aspa_expires, back.router_key_expires):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0


def test_a_pickle_holds_columns_not_rows() -> None:
    count = 10_000
    rows = VrpColumns.ipv4(np.arange(count), [32] * count, [32] * count, [1] * count)
    assert len(pickle.dumps(rows, 5)) < 20 * count  # 19 octets a row
