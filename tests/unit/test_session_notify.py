"""Serial Notify: when it is due, how often, and what it must not tell."""

import pytest

from rov import Aspa, Snapshot
from rtr_server.protocol.pdu import EndOfData, ResetQuery, SerialNotify, SerialQuery
from tests.cache_ends import (
    ASPA,
    BASE,
    CURRENT,
    FIRST,
    IDS,
    KEY,
    MORE,
    check,
    error,
    flush,
    fresh,
    make_history,
    opened,
    pdus,
    send,
)


def change(history, session, vrps, now):
    history.update(Snapshot.from_vrps(vrps), now)
    session.notify(now)
    return pdus(flush(session))


def test_c41_notifies_are_a_minute_apart_and_the_last_serial_is_told():
    history = make_history()
    session = fresh(history)
    send(session, ResetQuery(1))
    assert change(history, session, BASE[:1], 100.0) == [SerialNotify(1, 11, 1)]
    assert change(history, session, BASE[1:], 110.0) == []
    assert change(history, session, BASE, 120.0) == []
    assert session.deadline() == 160.0
    session.tick(159.9)
    assert flush(session) == b""
    session.tick(160.0)
    assert pdus(flush(session)) == [SerialNotify(1, 11, 3)]
    assert session.deadline() is None


@pytest.mark.parametrize("version", [0, 1, 2])
def test_c42_none_before_negotiation_and_one_after_error_2(version):
    history = make_history(ready=False)
    silent, waiting = fresh(history), fresh(history)
    check(send(waiting, ResetQuery(version)), error(version, 2, ResetQuery(version).encode()))
    history.update(Snapshot.from_vrps(BASE), 20.0)
    for session in (silent, waiting):
        session.notify(20.0)
    assert flush(silent) == b""
    assert pdus(flush(waiting)) == [SerialNotify(version, IDS[version], FIRST)]


def test_no_notify_without_news():
    session = opened(1)
    session.notify(100.0)
    assert flush(session) == b""
    assert session.deadline() is None


def test_no_notify_for_what_the_version_cannot_carry():
    history = make_history()
    sessions = {}
    for version in (0, 1, 2):
        sessions[version] = fresh(history)
        send(sessions[version], ResetQuery(version))
    history.update(Snapshot.from_vrps([*BASE, MORE], [Aspa(64496, (64499,))], [KEY]), 20.0)
    told = {}
    for version, session in sessions.items():
        session.notify(20.0)
        told[version] = bool(flush(session))
    assert told == {0: False, 1: False, 2: True}
    assert pdus(send(sessions[1], SerialQuery(1, 11, CURRENT), now=30.0))[1].serial == CURRENT + 1


@pytest.mark.parametrize(("version", "notified"), [(0, False), (1, False), (2, True)])
def test_there_and_back_is_a_new_serial_but_no_news_to_old_versions(version, notified):
    history = make_history()
    session = fresh(history)
    send(session, ResetQuery(version))
    for vrps in (BASE, [*BASE, MORE]):
        history.update(Snapshot.from_vrps(vrps, [ASPA], [KEY]), 20.0)
    session.notify(20.0)
    assert bool(flush(session)) == notified


def test_an_update_that_nobody_told_of_is_noticed_after_a_response():
    history = make_history()
    session = fresh(history)
    session.receive_data(ResetQuery(1).encode(), 1.0)
    history.update(Snapshot.from_vrps(BASE), 2.0)
    assert pdus(flush(session))[-1] == SerialNotify(1, 11, CURRENT + 1)


def test_notify_waits_for_the_end_of_a_response():
    history = make_history()
    session = fresh(history)
    session.receive_data(ResetQuery(1).encode(), 1.0)
    history.update(Snapshot.from_vrps(BASE), 2.0)
    session.notify(2.0)
    kinds = [type(pdu) for pdu in pdus(flush(session))]
    assert kinds.count(SerialNotify) == 1
    assert kinds[-2:] == [EndOfData, SerialNotify]


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize(("serial", "told"), [(5, FIRST), (FIRST, FIRST + 1)])
def test_a_notify_after_no_data_carries_the_id_that_the_router_named(version, serial, told):
    """Another one would be corrupt data to it (RFC 8210 §5.1); its next query learns of the new id.

    It asks only if the serial is not the one that it has, which may be that of two lives.
    """
    history = make_history(ready=False)
    session, old = fresh(history), 999
    assert pdus(send(session, SerialQuery(version, old, serial)))[0].code == 2
    history.update(Snapshot.from_vrps(BASE, [], [KEY]), 0.0)
    session.notify(20.0)
    assert pdus(flush(session)) == [SerialNotify(version, old, told)]
    kinds = [type(pdu).__name__ for pdu in pdus(send(session, SerialQuery(version, old, 5)))]
    assert kinds == ["CacheReset"]
    assert pdus(send(session, ResetQuery(version)))[0].session_id == IDS[version]
