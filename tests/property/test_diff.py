"""The routes that change their state, found under changed prefixes alone, are all that change."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rov import Prefix, RouteBatch, Snapshot, State, Vrp, VrpIndex
from rov.delta import Delta
from rov.diff import RouteDiff, by_asn, by_trust_anchor

ASNS = st.integers(0, 3)


@st.composite
def prefixes(draw):
    family = draw(st.sampled_from([4, 6]))
    bits = 32 if family == 4 else 128
    length = draw(st.one_of(st.integers(0, 5), st.just(bits)))
    return Prefix(family, draw(st.integers(0, 7)) << bits - 3 >> bits - length << bits - length, length)


@st.composite
def vrps(draw):
    prefix = draw(prefixes())
    return Vrp(prefix, min(prefix.bits, prefix.length + draw(st.sampled_from([0, 1, 3, 128]))), draw(ASNS))


sets = st.lists(vrps(), max_size=10).map(Snapshot.from_vrps)
routes = st.lists(st.tuples(prefixes(), ASNS), max_size=25)


def batches(found):
    for family in (4, 6):
        rows = [(p.address, p.length, asn) for p, asn in found if p.family == family]
        addresses = [a if family == 4 else (a >> 64, a & 2**64 - 1) for a, _, _ in rows]
        yield RouteBatch(
            family,
            np.array(addresses, np.uint32 if family == 4 else np.uint64).reshape(
                (-1,) if family == 4 else (-1, 2)
            ),
            np.array([row[1] for row in rows], np.uint8),
            np.array([row[2] for row in rows], np.uint32),
        )


@given(sets, sets, sets, routes)
def test_what_changes_is_what_the_full_computation_says(common, left, right, found):
    old, new = common | left, common | right
    before, after = VrpIndex(old), VrpIndex(new)
    diff = RouteDiff(old, new, batches(found))
    matrix = np.zeros((3, 3), np.int64)
    expected = []
    for prefix, asn in sorted(found, key=lambda route: route[0].family):
        states = before.validate(prefix, asn), after.validate(prefix, asn)
        matrix[states] += 1
        if states[0] != states[1]:
            expected.append((prefix, asn, *states))
    assert diff.matrix.tolist() == matrix.tolist()
    changes = list(diff.changes())
    assert [(c.prefix, c.origin, c.before, c.after) for c in changes] == expected
    assert len(diff) == len(expected)
    for change in changes:
        check_causes(old, new, change)


def check_causes(old, new, change):
    """Without its causes the change would not have happened."""
    assert change.causes
    went, came = set(old) - set(new), set(new) - set(old)
    assert set(change.causes) <= went | came
    kept = Snapshot.from_vrps(
        [v for v in new if v not in change.causes] + [v for v in change.causes if v in went]
    )
    undone = VrpIndex(kept).validate(change.prefix, change.origin)
    if change.after is State.INVALID or change.before is State.NOT_FOUND:
        assert undone is not change.after
    elif change.after is State.VALID:
        assert undone is not State.VALID
    else:
        assert undone is not State.NOT_FOUND


@given(sets, sets)
def test_counts_add_up(old, new):
    delta = Delta.between(old, new)
    if delta is not None:
        for table in (by_asn(delta), by_trust_anchor(delta)):
            assert sum(counts.withdrawn for counts in table.values()) == len(delta.withdrawn)
            assert sum(counts.announced for counts in table.values()) == len(delta.announced)
