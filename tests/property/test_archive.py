"""An archive answers as a list of all sets would."""

import tempfile

from hypothesis import given
from hypothesis import strategies as st

from rov import Prefix, Snapshot, Vrp, VrpIndex
from rov.archive import Archive, History
from rov.columns import VrpColumns, over

PREFIXES = [
    Prefix.parse(text) for text in ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "::/0", "2001:db8::/64")
]
vrps = st.builds(lambda p, longer, asn: Vrp(p, min(p.bits, p.length + longer), asn),
                 st.sampled_from(PREFIXES), st.sampled_from([0, 8, 64]), st.integers(0, 2))  # fmt: skip
sets = st.lists(vrps, max_size=5).map(Snapshot.from_vrps)
steps = st.lists(
    st.tuples(st.sampled_from([0, 100, 50_000, 90_000]), sets, st.booleans()), min_size=1, max_size=8
)
routes = st.tuples(st.sampled_from([*PREFIXES, Prefix.parse("10.1.2.0/24")]), st.integers(0, 2))


@given(steps, routes)
def test_history_is_the_list_of_all_sets(taken, route):
    prefix, asn = route
    with tempfile.TemporaryDirectory() as folder:
        archive, time = Archive(folder), 0
        held = []
        for serial, (later, snapshot, reopened) in enumerate(taken):
            if reopened:
                archive.close()
                archive = Archive(folder)
                assert archive.notes == ()
            time += later
            new = archive.append(snapshot, time=time, serial=serial, source="x")
            assert new == (not held or held[-1][1] != snapshot)
            if new:
                held.append((time, snapshot))
        archive.close()
        history = History(folder)
        for at in {time for time, _ in held}:
            expected = [snapshot for time, snapshot in held if time <= at][-1]
            assert history.snapshot(at=at) == expected
            assert history.covering(prefix, at=at) == VrpIndex(expected).covering(prefix)
        states = [VrpIndex(snapshot).validate(prefix, asn) for _, snapshot in held]
        told = [(c.update.time, c.before, c.after) for c in history.changes(prefix, asn)]
        pairs = zip(held[1:], states, states[1:], strict=False)
        assert told == [(time, a, b) for (time, _), a, b in pairs if a != b]
        assert all(c.causes for c in history.changes(prefix, asn))


@given(
    st.lists(st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)), max_size=20),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
    st.sampled_from([4, 6]),
)
def test_over_marks_the_rows_that_cover(rows, address, length, family):
    bits = 32 if family == 4 else 128

    def prefix(number, size):
        size %= bits + 1
        return Prefix(family, (number % 2**bits) >> bits - size << bits - size, size)

    wanted = prefix(address, length)
    near = [prefix(address ^ (number % 4), size) for number, size in rows]
    found = [prefix(number, size) for number, size in rows] + near
    columns = VrpColumns.of(family, [Vrp(p, p.length, 1) for p in found])
    assert over(columns, wanted).tolist() == [p.covers(wanted) for p in found]
