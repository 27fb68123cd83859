"""The cache's end against one table: (state, what the router sends, what it gets, how it goes on).

Each row is run whole, octet by octet, and with more octets behind it. Below the table: what takes more
than one exchange or the passing of time. C-numbers are those of the project's conformance list.
"""

import pytest

from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache.history import History
from rtr_server.protocol import events
from rtr_server.protocol.decode import PduReader
from rtr_server.protocol.pdu import (
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    ResetQuery,
    SerialNotify,
    SerialQuery,
)
from rtr_server.protocol.session import CacheSession, Limits, SessionState
from rtr_server.protocol.source import Timing

IDS = {0: 10, 1: 11, 2: 12}
FIRST = 0xFFFFFFFE  # serials wrap around in these tests
BASE = [Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496), Vrp(Prefix.parse("2001:db8::/32"), 48, 64497)]
MORE = Vrp(Prefix.parse("198.51.100.0/24"), 24, 64498)
KEY = RouterKey(64496, bytes(20), bytes(91))
ASPA = Aspa(64496, (64497,))


def make_history(ready=True):
    """Three serials: FIRST without MORE, then with it, then an ASPA on top; the last is current."""
    history = History(IDS, FIRST)
    if ready:
        history.update(Snapshot.from_vrps(BASE, [], [KEY]), 0.0)
        history.update(Snapshot.from_vrps([*BASE, MORE], [], [KEY]), 1.0)
        history.update(Snapshot.from_vrps([*BASE, MORE], [ASPA], [KEY]), 2.0)
    return history


CURRENT = (FIRST + 2) % 2**32


def flush(session, size=1 << 20):
    """Everything that the session has to send, as a transport takes it."""
    out = b""
    while (chunk := session.next_chunk(size)) is not None:
        out += chunk
        session.sent(len(chunk), session._now)
    return out


def pdus(octets):
    reader = PduReader()
    reader.receive_data(octets)
    found = []
    while (pdu := reader.next_pdu()) is not None:
        found.append(pdu)
    assert not len(reader)
    return found


def send(session, *queries, now=10.0):
    session.receive_data(b"".join(q if isinstance(q, bytes) else q.encode() for q in queries), now)
    return flush(session)


def fresh(history=None, **options):
    return CacheSession(history or make_history(), now=0.0, **options)


def negotiated(version):
    """Accepted at version, but without data at that time; data have come since."""
    history = make_history(ready=False)
    session = fresh(history)
    assert pdus(send(session, ResetQuery(version)))[0].code == 2
    history.update(Snapshot.from_vrps(BASE, [], [KEY]), 0.0)
    history.update(Snapshot.from_vrps([*BASE, MORE], [], [KEY]), 1.0)
    history.update(Snapshot.from_vrps([*BASE, MORE], [ASPA], [KEY]), 2.0)
    return session


def opened(version):
    session = fresh()
    send(session, ResetQuery(version))
    return session


def refused(version):
    session = fresh(max_version=version)
    assert pdus(send(session, bytes([version + 1]) + ResetQuery(0).encode()[1:]))[0].code == 4
    return session


STATES = {
    "NEW": lambda version: fresh(),
    "NEW, 1 to 1": lambda version: fresh(min_version=1, max_version=1),
    "NEW, no data": lambda version: fresh(make_history(ready=False)),
    "REFUSED": refused,
    "NEGOTIATED": negotiated,
    "OPEN": opened,
}


def end_of_data(version):
    timing = (3600, 600, 7200) if version else ()
    return EndOfData(version, IDS[version], CURRENT, *timing).encode()


def response(version, since=None):
    history = make_history()
    found = history.full(version) if since is None else history.diff(version, since)
    return CacheResponse(version, IDS[version]).encode() + bytes(found.payload) + end_of_data(version)


def error(version, code, pdu=b""):
    """An Error Report by its code and copy of the PDU; the text is free."""
    return ("error", version, code, pdu)


def raw(version, kind, length, field=0):
    """A PDU of zeros with this header."""
    return bytes([version, kind]) + field.to_bytes(2, "big") + length.to_bytes(4, "big") + bytes(length - 8)


def header(version, kind, length):
    return bytes([version, kind, 0, 0]) + length.to_bytes(4, "big")


def rows():
    """(id, state, version of the state, input, reply, state afterwards)."""
    for v in (0, 1, 2):
        reset, sid = ResetQuery(v).encode(), IDS[v]
        for state in ("NEW", "REFUSED", "NEGOTIATED", "OPEN"):
            yield f"C09 C25 {state} reset query", state, v, reset, response(v), "open"
            yield f"C04 {state} reset query, session id", state, v, raw(v, 2, 8, 77), response(v), "open"
            for name, serial in (("C10 current", CURRENT), ("C13 in history", FIRST)):
                query = SerialQuery(v, sid, serial).encode()
                yield f"{name} {state} serial query", state, v, query, response(v, serial), "open"
            for name, serial in (("old", FIRST - 1), ("future", CURRENT + 1), ("far", CURRENT + 2**31)):
                query = SerialQuery(v, sid, serial % 2**32).encode()
                after = state if state in ("OPEN", "NEGOTIATED") else "NEGOTIATED"
                answer = CacheReset(v).encode()
                yield f"C14 {name} {state} serial query", state, v, query, answer, after.lower()
            yield f"C30 {state} error report", state, v, ErrorReport(v, 0).encode(), b"", "closed"
            yield f"C29 {state} error, other version", state, v, ErrorReport(7, 0).encode(), b"", "closed"
            bad = raw(v, 10, 16)[:-1] + b"\x09"
            yield f"C31 {state} malformed error report", state, v, bad, b"", "closed"
            short = header(v, 10, 4)
            yield f"C31 {state} error report of 4", state, v, short, b"", "closed"
            for length in (0, 7, 65536, 2**32 - 1):
                for kind in (1, 2, 4):
                    pdu = header(v, kind, length)
                    yield f"framing {state} {kind} {length}", state, v, pdu, error(v, 0, pdu), "closed"
            known = {0: (0, 3, 4, 6, 7, 8), 1: (0, 3, 4, 6, 7, 8, 9), 2: (0, 3, 4, 6, 7, 8, 9, 11)}[v]
            for kind in (0, 3, 4, 5, 6, 7, 8, 9, 11, 12, 255):
                pdu = raw(v, kind, 20)
                answer = error(v, 3 if kind in known else 5, pdu)
                yield f"C54 {state} type {kind}", state, v, pdu, answer, "closed"
            big = raw(v, 9, 5000)
            yield f"C34 {state} long", state, v, big, error(v, 3 if v else 5, big[:200]), "closed"
            for kind, length in ((1, 8), (1, 13), (2, 12), (2, 9)):
                pdu = raw(v, kind, length)
                yield f"length {state} {kind} {length}", state, v, pdu, error(v, 0, pdu), "closed"
        for state in ("NEW", "REFUSED", "NEGOTIATED"):
            query = SerialQuery(v, 999, CURRENT).encode()
            answer = CacheReset(v).encode()
            yield f"C38 {state} unknown session id", state, v, query, answer, "negotiated"
        query = SerialQuery(v, 999, CURRENT).encode()
        yield "C37 OPEN other session id", "OPEN", v, query, error(v, 0, query), "closed"
        for query in (reset, SerialQuery(v, sid, 1).encode()):
            yield f"C36 no data {query[1]}", "NEW, no data", v, query, error(v, 2, query), "negotiated"
        for other in {0, 1, 2, 3, 255} - {v}:
            for state in ("NEGOTIATED", "OPEN"):
                query = ResetQuery(other).encode()
                answer = error(v, 8 if v else 0, query)
                yield f"C28 {state} version {other}", state, v, query, answer, "closed"
    for version in (3, 4, 255):
        for query in (ResetQuery(version).encode(), SerialQuery(version, 1, 1).encode()):
            yield f"C26 too new {version}", "NEW", 2, query, error(2, 4, query), "refused"
        for kind in (0, 3, 5, 83):
            pdu = raw(version, kind, 20)
            yield f"unknown version {version} {kind}", "NEW", 2, pdu, error(2, 4, pdu[:8]), "closed"
    query = ResetQuery(0).encode()
    yield "C27 too old", "NEW, 1 to 1", 1, query, error(1, 4, query), "closed"
    query = ResetQuery(2).encode()
    yield "C26 too new for 1", "NEW, 1 to 1", 1, query, error(1, 4, query), "refused"
    banner = b"SSH-2.0-OpenSSH_9.2p1\r\n"
    yield "SSH banner", "NEW", 2, banner, error(2, 4, banner[:8]), "closed"


TABLE = list(rows())


def check(reply, expected):
    if isinstance(expected, tuple):
        _, version, code, pdu = expected
        (found,) = pdus(reply)
        assert (found.version, found.code, found.pdu) == (version, code, pdu)
    else:
        assert reply == expected


@pytest.mark.parametrize(
    ("state", "version", "given", "reply", "then"),
    [row[1:] for row in TABLE],
    ids=[f"{row[0]} v{row[2]}" for row in TABLE],
)
def test_answer(state, version, given, reply, then):
    whole = STATES[state](version)
    check(send(whole, given), reply)
    assert whole.state == then
    assert whole.closing == (then == "closed")

    bytewise, out = STATES[state](version), b""
    for octet in given:
        out += send(bytewise, bytes([octet]))
    check(out, reply)
    assert bytewise.state == then

    followed = STATES[state](version)
    check(send(followed, given + b"\x01\x02\x00\x00"), reply)
    assert followed.state == then


def test_ids_of_the_table_are_unique():
    names = [f"{row[0]} {row[1]} v{row[2]} {row[3].hex()}" for row in TABLE]
    assert len(set(names)) == len(names)


def test_c26_retry_on_the_same_connection():
    session = fresh(max_version=1)
    check(send(session, ResetQuery(2)), error(1, 4, ResetQuery(2).encode()))
    assert send(session, ResetQuery(1)) == response(1)
    assert session.version == 1


def test_refusals_are_capped():
    session = fresh()
    out = pdus(send(session, *[ResetQuery(3)] * 5))
    assert [pdu.code for pdu in out] == [4, 4, 4]
    assert session.closing


def test_c53_queries_in_one_segment_are_answered_in_order():
    session = fresh()
    out = send(session, ResetQuery(1), SerialQuery(1, 11, CURRENT), SerialQuery(1, 11, 5), ResetQuery(1))
    assert out == response(1) + response(1, CURRENT) + CacheReset(1).encode() + response(1)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_c02_chunks_of_any_size(size):
    session = fresh()
    session.receive_data(ResetQuery(2).encode(), 1.0)
    assert flush(session, size) == response(2)
    assert session.octets_out == len(response(2))


def test_c06_c07_end_of_data_carries_the_timing():
    history = History(IDS, 1, timing=Timing(100, 50, 600))
    history.update(Snapshot.from_vrps(BASE), 0.0)
    for version, octets, timing in ((0, 12, (None,) * 3), (1, 24, (100, 50, 600)), (2, 24, (100, 50, 600))):
        out = send(fresh(history), ResetQuery(version))
        last = pdus(out)[-1]
        assert (last.refresh, last.retry, last.expire) == timing
        assert len(last.encode()) == octets


@pytest.mark.parametrize(
    "intervals",
    [(0, 600, 7200), (86401, 1, 172800), (1, 7201, 7300), (600, 1, 600), (1, 600, 600), (1, 1, 599)],
)
def test_c07_timing_out_of_range(intervals):
    with pytest.raises(ValueError, match="expected"):
        Timing(*intervals)


def test_c08_c15_a_response_ends_with_the_snapshot_it_began_with():
    history = make_history()
    session = fresh(history)
    session.receive_data(ResetQuery(2).encode(), 1.0)
    first = bytes(session.next_chunk(10))
    session.sent(10, 1.0)
    history.update(Snapshot.from_vrps([MORE]), 5.0)
    session.notify(5.0)
    out = first + flush(session)
    assert out.startswith(response(2))
    assert pdus(out)[-1] == SerialNotify(2, 12, (CURRENT + 1) % 2**32)


def test_c22_versions_carry_what_they_know():
    kinds = {version: {pdu.encode()[1] for pdu in pdus(response(version))} for version in (0, 1, 2)}
    assert kinds == {0: {3, 4, 6, 7}, 1: {3, 4, 6, 7, 9}, 2: {3, 4, 6, 7, 9, 11}}


def test_c39_session_ids():
    history = make_history()
    for version in (0, 1, 2):
        for _ in range(2):
            assert pdus(send(fresh(history), ResetQuery(version)))[0].session_id == IDS[version]


def test_session_id_rotated_under_an_open_session():
    history = make_history()
    session = fresh(history)
    send(session, ResetQuery(1))
    history.session_ids[1] = 99
    history.update(Snapshot.from_vrps([MORE]), 5.0)
    session.notify(20.0)
    assert pdus(flush(session)) == [SerialNotify(1, 11, (CURRENT + 1) % 2**32)]
    assert send(session, SerialQuery(1, 11, CURRENT), now=21.0) == CacheReset(1).encode()
    assert pdus(send(session, ResetQuery(1), now=22.0))[0] == CacheResponse(1, 99)
    query = SerialQuery(1, 11, CURRENT).encode()
    check(send(session, query, now=23.0), error(1, 0, query))


# Serial Notify


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


# The end of a session


@pytest.mark.parametrize(("reason", "code"), [("restart", 12), ("shutdown", 13), ("stalled", 10)])
@pytest.mark.parametrize("version", [0, 1, 2])
def test_c32_c44_planned_end(version, reason, code):
    session = opened(version)
    session.close(reason, 20.0)
    out = flush(session)
    assert session.closing
    if version == 2:
        check(out, error(2, code))
    else:
        assert out == b""


def test_planned_end_lets_the_response_finish():
    session = fresh()
    session.receive_data(ResetQuery(2).encode() * 2, 1.0)
    session.sent(len(session.next_chunk(9)), 1.0)
    session.close("restart", 2.0)
    out = pdus(response(2)[:9] + flush(session))
    assert out[:-1] == pdus(response(2))
    assert out[-1].code == 12


def test_before_negotiation_it_just_closes():
    session = fresh()
    session.close("restart", 1.0)
    assert session.closing
    assert flush(session) == b""


def test_c33_internal_error_is_generic():
    session = opened(0)
    session.close("internal", 1.0)
    check(flush(session), error(0, 1))


def test_c45_stalled_reader():
    session = fresh()
    session.receive_data(ResetQuery(2).encode(), 0.0)
    session.sent(len(session.next_chunk(10)), 0.0)
    assert session.deadline() == 1800.0
    session.tick(1800.0)
    assert session.closing
    assert session.next_chunk(100) is None


def test_a_slow_reader_is_not_stalled_but_limited():
    session = fresh(limits=Limits(response=4000.0))
    session.receive_data(ResetQuery(2).encode(), 0.0)
    session.sent(1, 1700.0)
    session.tick(1700.0)
    assert session.deadline() == 3500.0
    session.sent(1, 3499.0)
    session.tick(3500.0)
    assert not session.closing
    session.sent(1, 3999.0)
    session.tick(4000.0)
    assert session.closing


@pytest.mark.parametrize(("version", "reply"), [(0, b""), (1, b""), (2, error(2, 10))])
def test_partial_pdu_times_out(version, reply):
    session = opened(version)
    session.receive_data(ResetQuery(version).encode()[:5], 100.0)
    session.receive_data(b"\0", 150.0)
    assert session.deadline() == 160.0
    session.tick(159.0)
    assert not session.closing
    session.tick(160.0)
    assert session.closing
    check(flush(session), reply)


def test_the_age_of_a_partial_pdu_is_its_own():
    session = opened(1)
    session.receive_data(ResetQuery(1).encode()[:5], 100.0)
    session.receive_data(ResetQuery(1).encode()[5:] + b"\x01", 150.0)
    flush(session)
    assert session.deadline() == 210.0


def test_c56_only_a_session_without_query_may_not_be_silent():
    silent, refused_session, active = fresh(), refused(1), opened(1)
    for session in (silent, refused_session):
        assert session.deadline() == 60.0
        session.tick(60.0)
        assert session.closing
        assert flush(session) == b""
    assert active.deadline() is None
    active.tick(1e9)
    assert not active.closing


@pytest.mark.parametrize("given", [b"", b"\x01\x02\x00"])
def test_end_of_file(given):
    session = fresh()
    session.receive_data(given, 1.0)
    session.receive_eof(1.0)
    assert session.closing
    assert flush(session) == b""


def test_half_closed_router_still_gets_its_answer():
    session = fresh()
    session.receive_data(ResetQuery(1).encode(), 1.0)
    session.receive_eof(1.0)
    assert not session.closing
    assert flush(session) == response(1)
    assert session.closing


def test_input_is_bounded():
    session = fresh()
    session.receive_data(ResetQuery(1).encode(), 1.0)
    assert session.wants_data
    session.receive_data(ResetQuery(1).encode() * 128, 1.0)
    assert not session.wants_data
    session.receive_data(bytes(65536), 1.0)
    assert session.closing


def test_wants_data_again_when_answers_are_out():
    session = fresh()
    session.receive_data(ResetQuery(1).encode() * 200, 1.0)
    assert not session.wants_data
    assert flush(session) == response(1) * 200
    assert session.wants_data


ENDS = {
    "operator": lambda session: session.close("restart", 10.0),
    "flood": lambda session: session.receive_data(bytes(70_000), 10.0),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_router_that_takes_nothing_does_not_outlive_its_session(version, end):
    """What is under way may finish, but not be waited for without end."""
    session = fresh()
    session.receive_data(ResetQuery(version).encode(), 1.0)
    session.sent(10, 5.0)
    end(session)
    assert session.closing
    assert session.next_chunk(1) is not None
    assert session.deadline() == 1801.0, "the response began at 1.0"
    session.sent(1, 1700.0)
    session.tick(1801.0)
    assert session.next_chunk(1) is None
    assert session.deadline() is None


def test_sent_more_than_given():
    session = fresh()
    with pytest.raises(ValueError, match="never given out"):
        session.sent(1, 0.0)


# What the owner sees


def test_events_tell_the_story():
    session = fresh(max_version=1)
    send(session, ResetQuery(2))
    send(session, ResetQuery(1), now=11.0)
    send(session, SerialQuery(1, 11, 5), now=12.0)
    send(session, ErrorReport(1, 6, b"", "who\x1b?"), now=13.0)
    full = make_history().full(1)
    octets = len(response(1))
    assert session.events() == [
        events.ErrorSent(1, 4, "version 2: expected 0 to 1"),
        events.Negotiated(1),
        events.QueryReceived(events.Kind.FULL),
        events.ResponseStarted(events.Kind.FULL, CURRENT, full.count, octets),
        events.ResponseFinished(events.Kind.FULL, CURRENT, octets, 0.0),
        events.QueryReceived(events.Kind.DIFF, 11, 5),
        events.CacheResetSent(5),
        events.ErrorReceived(1, 6, "who\ufffd?"),
        events.Closed(events.CloseReason.ERROR_RECEIVED),
    ]
    assert session.events() == []
    assert (session.queries, session.responses, session.errors_sent, session.serial) == (2, 1, 1, CURRENT)


@pytest.mark.parametrize(("octets", "heard"), [(1000, "x" * 1000), (5000, "error report: length of text")])
def test_long_error_report_is_read_to_a_limit(octets, heard):
    session = opened(1)
    header = bytes.fromhex("010a0000") + (octets + 16).to_bytes(4, "big")
    send(session, header + bytes(4) + octets.to_bytes(4, "big") + b"x" * octets)
    received = next(event for event in session.events() if isinstance(event, events.ErrorReceived))
    assert received.text.startswith(heard)
    assert not received.malformed
    assert session.closing


def test_states_are_all_reached():
    reached = {row[5] for row in TABLE} | {fresh().state}
    assert reached == set(SessionState)


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
