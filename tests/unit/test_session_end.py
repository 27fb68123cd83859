"""The end of a session: planned, by what the router does, or for want of it."""

import pytest

from rtr_server.protocol.pdu import ResetQuery
from rtr_server.protocol.session import Limits
from tests.cache_ends import check, error, flush, fresh, opened, pdus, refused, response


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
