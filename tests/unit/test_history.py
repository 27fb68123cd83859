"""History as a source: serials, diffs over many steps, limits, and what stays out of sight."""

import itertools

import pytest

from rov import ArgumentError, Aspa, Delta, Prefix, Snapshot, Vrp, VrpColumns
from rtr_server.cache import wire
from rtr_server.cache.history import MAX_CACHED_DIFFS, History, Keep
from rtr_server.protocol.source import SourceState, Timing

IDS = {0: 10, 1: 11, 2: 12}


def vrps(*numbers):
    return Snapshot.from_vrps([Vrp(Prefix(4, number << 8, 24), 24, 64496) for number in numbers])


def history_of(*snapshots, serial=0xFFFFFFF0, keep=None):
    history = History(IDS, serial, keep=keep)
    for now, snapshot in enumerate(snapshots):
        history.update(snapshot, float(now))
    return history


def test_before_the_first_snapshot():
    history = History(IDS, 7)
    assert not history.ready()
    assert (history.snapshot, history.serial) == (None, 7)
    for ask in (history.state, history.full):
        with pytest.raises(LookupError, match="no snapshot yet"):
            ask(1)


def test_the_first_snapshot_gets_the_first_serial():
    history = History(IDS, 7)
    delta = history.update(vrps(1, 2), 0.0)
    assert delta == Delta.between(Snapshot.empty(), vrps(1, 2))
    assert history.state(1) == SourceState(11, 7)
    assert history.serials == []


def test_a_restored_snapshot_goes_on_counting():
    history = History(IDS, 7, snapshot=vrps(1))
    assert history.ready()
    assert history.update(vrps(1), 0.0) is None
    assert history.update(vrps(2), 0.0) == Delta.between(vrps(1), vrps(2))
    assert (history.serial, history.serials) == (8, [7])


def test_equal_payload_makes_no_serial_but_its_expiry_counts():
    def columns(expires):
        return Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496], expires=[expires]))

    history = history_of(columns(100))
    response = history.full(1)
    assert history.update(columns(200), 1.0) is None
    assert history.snapshot.next_expiry() == 200
    assert history.full(1) is response


def test_c13_serials_wrap_around():
    history = history_of(vrps(), vrps(1), vrps(1, 2), serial=0xFFFFFFFF)
    assert history.serial == 1
    assert history.serials == [0xFFFFFFFF, 0]
    assert history.diff(1, 0xFFFFFFFF).count == 2


def test_c14_unknown_serials():
    history = history_of(vrps(), vrps(1), serial=5)
    for serial in (4, 7, 0, 6 + 2**31, 0xFFFFFFFF):
        assert history.diff(1, serial) is None
        with pytest.raises(KeyError):
            history.delta_since(serial)


def test_c10_current_serial_is_an_empty_diff():
    history = history_of(vrps(1), serial=5)
    found = history.diff(2, 5)
    assert (bytes(found.payload), found.count, found.serial, found.session_id) == (b"", 0, 5, 12)


def test_c11_what_cancels_out_is_not_mentioned():
    history = history_of(vrps(1), vrps(1, 2), vrps(1), vrps(3), serial=5)
    assert history.delta_since(5) == Delta.between(vrps(1), vrps(3))
    assert history_of(vrps(1), vrps(2), vrps(1), serial=5).delta_since(5) is None
    assert history_of(vrps(1), vrps(2), vrps(1), serial=5).diff(1, 5).count == 0


def test_every_distance_is_one_delta():
    sets = [vrps(*range(step % 5, step % 7 + step % 3)) for step in range(70)]
    unequal = [sets[0]] + [b for a, b in itertools.pairwise(sets) if a != b]
    history = history_of(*unequal, serial=100, keep=Keep(deltas=50))
    assert len(history.serials) == 50
    for serial in history.serials:
        assert history.delta_since(serial) == Delta.between(unequal[serial - 100], unequal[-1])


def test_aspa_change_is_empty_before_version_2():
    def with_aspa(provider):
        return Snapshot.from_vrps([], [Aspa(64496, (provider,))])

    history = history_of(with_aspa(1), with_aspa(2), serial=5)
    assert [history.diff(version, 5).count for version in (0, 1, 2)] == [0, 0, 1]
    assert {history.diff(version, 5).serial for version in (0, 1, 2)} == {6}


def test_one_buffer_for_all():
    history = history_of(vrps(1), vrps(2), serial=5)
    assert history.full(1).payload is history.full(1).payload
    assert history.diff(1, 5) is history.diff(1, 5)
    assert history.full(1).payload.readonly
    assert bytes(history.full(1).payload[:1]) == b"\1"
    assert bytes(history.full(0).payload[:1]) == b"\0"


def test_an_old_response_outlives_an_update():
    history = history_of(vrps(1), serial=5)
    response = history.full(1)
    before = bytes(response.payload)
    history.update(vrps(2), 1.0)
    assert bytes(response.payload) == before
    assert (response.serial, history.full(1).serial) == (5, 6)


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (Keep(deltas=3), [107, 108, 109]),
        (Keep(seconds=2), [107, 108, 109]),
        (Keep(octets=4 * wire.PREFIX_PDU[6].itemsize), [106, 107, 108, 109]),
        (Keep(octets=0), []),
        (Keep(), list(range(100, 110))),
    ],
)
def test_c57_limits(keep, left):
    history = history_of(*(vrps(*range(count)) for count in range(11)), serial=100, keep=keep)
    assert history.serials == left
    assert history.diff(1, 110).count == 0
    for serial in range(100, 110):
        assert (history.diff(1, serial) is not None) == (serial in left)


def test_a_failed_update_changes_nothing(monkeypatch):
    history = history_of(vrps(1), vrps(2), serial=5)
    full, diff = history.full(1), history.diff(1, 5)

    def fail(self, later):
        raise MemoryError

    monkeypatch.setattr(Delta, "compose", fail)
    with pytest.raises(MemoryError):
        history.update(vrps(3), 9.0)
    assert (history.serial, history.serials, history.snapshot) == (6, [5], vrps(2))
    assert history.full(1) is full
    assert history.diff(1, 5) is diff


def test_cached_diffs_are_bounded():
    history = history_of(*(vrps(*range(count)) for count in range(MAX_CACHED_DIFFS + 10)), serial=0)
    oldest = history.diff(1, 0)
    for serial in range(1, MAX_CACHED_DIFFS + 1):
        history.diff(1, serial)
    assert history.diff(1, 0) is not oldest
    assert history.diff(1, 0).payload == oldest.payload


def test_cached_diffs_are_bounded_in_octets(monkeypatch):
    monkeypatch.setattr("rtr_server.cache.history.MAX_CACHED_OCTETS", 60)
    history = history_of(*(vrps(*range(count)) for count in range(7)), serial=0)
    assert [history.diff(1, serial).payload.nbytes for serial in (5, 4, 0)] == [20, 40, 120]
    oldest = history.diff(1, 0)
    assert history.diff(1, 0) is oldest, "one that is larger than the limit is kept alone"
    two = history.diff(1, 4)
    assert history.diff(1, 5) is history.diff(1, 5)
    assert history.diff(1, 4) is two
    assert history.diff(1, 0) is not oldest


@pytest.mark.parametrize(
    "ids", [{0: 1, 1: 2}, {0: 1, 1: 1, 2: 3}, {0: -1, 1: 1, 2: 2}, {0: 1, 1: 2, 2: 65536}]
)
def test_bad_session_ids(ids):
    with pytest.raises(ArgumentError, match="session ids"):
        History(ids, 0)


@pytest.mark.parametrize("serial", [-1, 2**32])
def test_bad_serial(serial):
    with pytest.raises(ArgumentError, match="serial"):
        History(IDS, serial)


def test_timing():
    assert History(IDS, 0).timing() == Timing(3600, 600, 7200)
    assert History(IDS, 0, timing=Timing(60, 30, 600)).timing().retry == 30
