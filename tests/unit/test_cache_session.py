"""The cache's end against one table: (state, what the router sends, what it gets, how it goes on).

Each row is run whole, octet by octet, and with more octets behind it. Below the table: what takes more
than one exchange. C-numbers are those of the project's conformance list.
"""

import pytest

from rov import Snapshot
from rtr_server.cache.history import History
from rtr_server.protocol import events
from rtr_server.protocol.pdu import (
    CacheReset,
    CacheResponse,
    ErrorReport,
    ResetQuery,
    SerialNotify,
    SerialQuery,
)
from rtr_server.protocol.session import SessionState
from rtr_server.protocol.source import Timing
from tests.cache_ends import (
    BASE,
    CURRENT,
    FIRST,
    IDS,
    MORE,
    STATES,
    check,
    error,
    flush,
    fresh,
    header,
    make_history,
    opened,
    pdus,
    raw,
    response,
    send,
)


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
