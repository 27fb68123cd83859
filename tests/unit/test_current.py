"""What a thread builds, sessions must not see until it is put in place."""

from rov import Snapshot, VrpColumns
from rtr_server.cache.current import Current, advanced, fork
from rtr_server.cache.history import History, Keep


def vrps(*asns):
    count = len(asns)
    return Snapshot.build(VrpColumns.ipv4([0] * count, [0] * count, [8] * count, list(asns)))


def answers(source, serials):
    return [
        (response.serial, bytes(response.payload)) if response else None
        for response in (source.diff(1, serial) for serial in serials)
    ]


def test_the_original_answers_as_before():
    """With so little history that each step also drops one."""
    history = History({0: 1, 1: 2, 2: 3}, 5, snapshot=vrps(1), keep=Keep(deltas=3))
    for asn in range(2, 9):
        serials = range(5, 15)
        before = answers(fork(history), serials)
        after, delta = advanced(history, vrps(1, asn), 0.0, [0, 1, 2])
        assert len(delta.announced) == 1
        assert answers(history, serials) == before
        assert after.serial == history.serial + 1
        assert after.full(1).serial == after.serial
        assert answers(after, [history.serial])[0][0] == after.serial
        history = after
    assert history.serials == [9, 10, 11]


def test_nothing_new_is_no_step():
    history = History({0: 1, 1: 2, 2: 3}, 5, snapshot=vrps(1))
    after, delta = advanced(history, vrps(1), 0.0, [1])
    assert delta is None
    assert after.serial == 5


def test_sessions_see_the_history_that_is_put_in_place():
    first = History({0: 1, 1: 2, 2: 3}, 5)
    current = Current(first)
    assert not current.ready()
    current.history, delta = advanced(first, vrps(1, 2), 0.0, [1])
    assert len(delta.announced) == 2
    assert current.ready()
    assert (current.state(1).serial, current.full(1).count, current.diff(1, 5).count) == (5, 2, 0)
    assert current.diff(1, 6) is None
    assert not first.ready()
