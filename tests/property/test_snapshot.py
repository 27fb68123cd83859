"""Snapshots and Deltas against Python sets, over small worlds in which elements meet often."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rov.columns import VrpColumns, normal, union
from rov.delta import Delta
from rov.errors import DeltaError
from rov.snapshot import Snapshot
from rov.types import Aspa, Family, Prefix, RouterKey, Vrp


@st.composite
def vrps(draw: st.DrawFn) -> Vrp:
    family = draw(st.sampled_from([4, 6]))
    bits = 32 if family == 4 else 128
    length = draw(st.sampled_from([0, 1, 2, bits // 2, bits // 2 + 1, bits - 1, bits]))
    address = draw(st.integers(0, 3)) << (bits - 2) | draw(st.integers(0, 1))
    address = address >> (bits - length) << (bits - length)
    max_length = draw(st.sampled_from([length, bits]))
    return Vrp(Prefix(family, address, length), max_length, draw(st.sampled_from([0, 1, 2**32 - 1])))


keys = st.builds(
    RouterKey, st.integers(0, 1), st.sampled_from([bytes(20), b"\xff" * 20]), st.sampled_from([b"a", b"ab"])
)
providers = st.sets(st.integers(1, 4), min_size=1, max_size=3).map(lambda asns: tuple(sorted(asns)))
aspas = st.dictionaries(st.integers(1, 3), providers | st.just((0,)), max_size=3)
snapshots = st.builds(
    lambda rows, aspas, keys: Snapshot.from_vrps(rows, [Aspa(*item) for item in aspas.items()], list(keys)),
    st.lists(vrps(), max_size=8),
    aspas,
    st.sets(keys, max_size=3),
)


def elements(snapshot: Snapshot) -> set[object]:
    return {*snapshot.vrps(), *snapshot.aspas, *snapshot.router_keys}


@given(snapshots, snapshots)
def test_set_operations(a: Snapshot, b: Snapshot) -> None:
    assert elements(a & b) == elements(a) & elements(b)
    assert elements(a - b) == elements(a) - elements(b)
    no_aspas = Snapshot.from_vrps(list(b.vrps()), (), b.router_keys)
    assert elements(a | no_aspas) == elements(a) | elements(no_aspas)
    assert (a == b) == (elements(a) == elements(b)) == (a.digest == b.digest)
    assert list((a | b).vrps()) == sorted({*a.vrps(), *b.vrps()})


@given(snapshots, snapshots)
def test_delta_is_the_set_difference(old: Snapshot, new: Snapshot) -> None:
    delta = Delta.between(old, new)
    if delta is None:
        assert old == new
        return
    assert elements(delta.withdrawn) == elements(old) - elements(new)
    assert elements(delta.announced) == elements(new) - elements(old)
    assert delta.apply(old) == new
    with pytest.raises(DeltaError):
        delta.apply(new)


@given(st.lists(snapshots, min_size=2, max_size=6))
def test_folded_steps_are_one_jump(history: list[Snapshot]) -> None:
    folded: Delta | None = None
    for old, new in itertools.pairwise(history):
        step = Delta.between(old, new)
        folded = step if folded is None else folded if step is None else folded.compose(step)
    assert folded == Delta.between(history[0], history[-1])


@given(snapshots, snapshots, snapshots)
def test_composition_refuses_what_does_not_follow(a: Snapshot, b: Snapshot, c: Snapshot) -> None:
    one, two = Delta.between(a, b), Delta.between(a, c)
    if one and two and (elements(one.announced) & elements(two.announced)):
        with pytest.raises(DeltaError):
            one.compose(two)


@st.composite
def columns(draw: st.DrawFn, family: Family = 4) -> VrpColumns:
    rows = [vrp for vrp in draw(st.lists(vrps(), max_size=8)) if vrp.prefix.family == family]
    numbers = st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows))
    plain = VrpColumns.of(family, rows)
    return normal(VrpColumns(family, *plain.keys, draw(numbers), draw(numbers)))


@given(st.sampled_from([4, 6]).flatmap(lambda family: st.tuples(columns(family), columns(family))))
def test_a_union_is_both_sorted_anew(pair: tuple[VrpColumns, VrpColumns]) -> None:
    a, b = pair
    ta = (b.ta + 1).astype(np.uint8)
    both = zip((*a.keys, a.expires, a.ta), (*b.keys, b.expires, ta), strict=True)
    expected = normal(VrpColumns(a.family, *(np.concatenate(columns) for columns in both)))
    found = union(a, b, ta)
    for name in ("address", "length", "max_length", "asn", "expires", "ta"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
