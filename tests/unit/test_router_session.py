"""The router's end: queries, negotiation down, strict framing, when it polls and gives up."""

import pytest

from rov import Aspa
from rtr_server.protocol.client import (
    CacheResetReceived,
    EndOfDataReceived,
    NotifyReceived,
    ObjectReceived,
    PrefixesReceived,
    ResponseBegan,
    RouterSession,
    VersionLowered,
)
from rtr_server.protocol.events import Closed, CloseReason, ErrorReceived
from rtr_server.protocol.pdu import (
    AspaPdu,
    CacheReset,
    CacheResponse,
    ErrorReport,
    PrefixPdu,
    ResetQuery,
    RouterKeyPdu,
    SerialNotify,
    SerialQuery,
)
from rtr_server.protocol.runs import run_length
from tests.router_ends import ASPA, KEY, SID, V4, V6, asked, end, failed, give, synced


def test_first_query():
    assert RouterSession(version=2, now=0.0).data_to_send() == ResetQuery(2).encode()
    restored = RouterSession(version=1, session_id=SID, serial=5, now=0.0)
    assert restored.data_to_send() == SerialQuery(1, SID, 5).encode()
    assert restored.data_to_send() == b""


@pytest.mark.parametrize(
    "options", [{"version": 3}, {"version": -1}, {"version": 0, "min_version": 1}, {"session_id": 1}]
)
def test_bad_arguments(options):
    with pytest.raises(ValueError, match="expected"):
        RouterSession(now=0.0, **options)


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("octets", [1, 3, 20, 10_000])
def test_a_response_in_pieces_of_any_size(version, octets):
    objects = [RouterKeyPdu(version, True, KEY)][:version] + [AspaPdu(version, True, ASPA)][: version // 2]
    prefixes = [PrefixPdu(version, True, vrp) for vrp in (V4, V6, V4, V4, V6)]
    pdus = [CacheResponse(version, SID), *prefixes, *objects, end(version)]
    stream = b"".join(pdu.encode() for pdu in pdus)
    session = asked(version)
    for start in range(0, len(stream), octets):
        session.receive_data(stream[start : start + octets], 1.0)
    events = session.events()
    assert events[0] == ResponseBegan(SID, full=True)
    payload = b"".join(event.octets for event in events if isinstance(event, PrefixesReceived))
    assert payload == b"".join(pdu.encode() for pdu in prefixes)
    assert [event.pdu for event in events if isinstance(event, ObjectReceived)] == objects
    timing = (3600, 600, 7200) if version else (None,) * 3
    assert events[-1] == EndOfDataReceived(SID, 5, *timing)
    assert (session.session_id, session.serial, session.octets_in) == (SID, 5, len(stream))


def test_runs_are_handed_on_whole():
    session = asked()
    pdus = [PrefixPdu(2, True, V4)] * 1000 + [PrefixPdu(2, True, V6)] * 1000
    give(session, CacheResponse(2, SID), *pdus)
    runs = [(event.family, len(event.octets)) for event in session.events()[1:]]
    assert runs == [(4, 20_000), (6, 32_000)]


@pytest.mark.parametrize("column", [0, 1, 4, 5, 6, 7])
@pytest.mark.parametrize("where", [0, 1, 15, 16, 17, 79, 80, 500, 999])
def test_run_ends_where_a_header_differs(column, where):
    stream = bytearray(PrefixPdu(2, True, V4).encode() * 1000)
    stream[where * 20 + column] ^= 0x40
    # the first header is the model: if it is the odd one, it is a run of its own
    assert run_length(bytes(stream), 0, 20) == max(where, 1)


def test_run_ignores_the_zero_octets_and_bodies():
    stream = bytearray(PrefixPdu(2, True, V4).encode() * 10)
    stream[2::20] = stream[3::20] = stream[8::20] = bytes(range(10))
    assert run_length(bytes(stream), 0, 20) == 10


# Negotiation


def test_error_4_with_a_lower_version_retries_on_the_same_connection():
    session = asked(2)
    give(session, ErrorReport(1, 4, ResetQuery(2).encode(), "try 1"))
    assert session.events() == [VersionLowered(1), ErrorReceived(1, 4, "try 1")]
    assert session.data_to_send() == ResetQuery(1).encode()
    give(session, CacheResponse(1, SID), end(1))
    assert session.serial == 5


def test_error_4_octet_by_octet_with_events_drained():
    session = asked(2)
    for octet in ErrorReport(0, 4).encode():
        session.receive_data(bytes([octet]), 1.0)
        session.events()
    assert session.data_to_send() == ResetQuery(0).encode()


@pytest.mark.parametrize("version", [2, 3])
def test_error_4_without_a_lower_version_is_the_end(version):
    session = asked(2)
    give(session, ErrorReport(version, 4))
    assert session.events() == [ErrorReceived(version, 4, ""), Closed(CloseReason.ERROR_RECEIVED)]
    assert session.data_to_send() == b""


def test_error_4_below_what_we_speak():
    session = asked(2, min_version=1)
    give(session, ErrorReport(0, 4))
    assert session.closing
    assert session.data_to_send() == b""


def test_a_cache_that_answers_in_a_lower_version():
    session = asked(2)
    give(session, CacheResponse(0, SID), end(0))
    assert session.events()[:2] == [VersionLowered(0), ResponseBegan(SID, True)]
    assert session.version == 0


@pytest.mark.parametrize("version", [0, 1, 2])
def test_version_change_after_negotiation(version):
    session = synced(version)
    give(session, SerialNotify((version + 1) % 3, SID, 9))
    failed(session, 8 if version else 0, version)


def test_notify_in_another_version_before_negotiation_is_skipped():
    session = asked(2)
    stream = SerialNotify(0, SID, 9).encode() + CacheResponse(2, SID).encode() + end().encode()
    for octet in stream:
        session.receive_data(bytes([octet]), 1.0)
    assert session.serial == 5


def test_end_of_file_before_an_answer_suggests_a_lower_version():
    session, lowest, known = asked(2), asked(0), synced(2)
    for each in (session, lowest, known):
        each.receive_eof(2.0)
        assert each.events() == [Closed(CloseReason.END_OF_FILE)]
    assert (session.retry_version, lowest.retry_version, known.retry_version) == (1, None, None)


def test_end_of_file_after_error_4_suggests_the_version_that_was_told():
    """RFC 8210 has the cache close the connection after Error 4."""
    session = asked(2)
    give(session, ErrorReport(0, 4))
    session.receive_eof(2.0)
    assert session.retry_version == 0
    told_again = asked(0)
    give(told_again, ErrorReport(0, 4))
    assert (told_again.closing, told_again.retry_version) == (True, None), "nothing is tried for ever"


# The course of a session


def test_cache_reset_leads_to_a_reset_query():
    session = asked(2, session_id=SID, serial=4)
    give(session, CacheReset(2))
    assert session.events() == [CacheResetReceived()]
    assert session.data_to_send() == ResetQuery(2).encode()


def test_notify_leads_to_a_serial_query():
    session = synced()
    give(session, SerialNotify(2, SID, 5))
    assert session.data_to_send() == b""
    give(session, SerialNotify(2, SID, 6))
    assert session.data_to_send() == SerialQuery(2, SID, 5).encode()
    assert session.events() == [NotifyReceived(SID, 5), NotifyReceived(SID, 6)]


def test_notify_within_a_response_waits_for_its_end():
    session = asked()
    give(session, CacheResponse(2, SID), SerialNotify(2, SID, 6))
    assert session.data_to_send() == b""
    give(session, end(serial=5))
    assert session.data_to_send() == SerialQuery(2, SID, 5).encode()


def test_refresh_and_retry():
    session = asked()
    give(session, CacheResponse(2, SID), end(timing=(100, 50, 600)), now=10.0)
    assert session.deadline() == 110.0
    session.tick(109.0)
    assert session.data_to_send() == b""
    session.tick(110.0)
    assert session.data_to_send() == SerialQuery(2, SID, 5).encode()
    give(session, ErrorReport(2, 2), now=120.0)
    assert not session.closing
    assert session.deadline() == 170.0


@pytest.mark.parametrize("timing", [(0, 0, 0), (2**32 - 1,) * 3])
def test_intervals_out_of_range_do_not_rule_us(timing):
    session = asked()
    give(session, CacheResponse(2, SID), end(timing=timing))
    assert 2.0 <= session.deadline() <= 86401.0


@pytest.mark.parametrize(
    ("version", "timing", "lives", "polls"),
    [
        (2, (3600, 600, 7200), 7200, 3600),
        (1, (1, 1, 600), 600, 1),
        (1, (3600, 600, 5), 600, 300),
        (1, (3600, 7200, 2**32 - 1), 172_800, 3600),
        (0, (None, None, None), 7200, 3600),
    ],
    ids=["usual", "short", "too short", "too long", "none told"],
)
def test_data_expire_after_the_last_end_of_data(version, timing, lives, polls):
    """RFC 8210 §6: each End of Data begins the interval anew; nothing else does."""
    session = asked(version)
    assert session.expires_at is None
    give(session, CacheResponse(version, SID), end(version, 5, timing=timing), now=100.0)
    assert session.expires_at == 100.0 + lives
    assert session.deadline() == 100.0 + polls
    session.tick(100.0 + polls)
    give(session, CacheResponse(version, SID), now=101.0 + polls)
    assert session.expires_at == 100.0 + lives, "a response that has only begun"
    give(session, end(version, 5, timing=timing), now=102.0 + polls)
    assert session.expires_at == 102.0 + polls + lives


def test_silent_cache_is_given_up():
    session = asked()
    give(session, CacheResponse(2, SID), now=30.0)
    assert session.deadline() == 90.0
    session.tick(89.0)
    assert not session.closing
    session.tick(90.0)
    assert session.events()[-1] == Closed(CloseReason.STALLED)


@pytest.mark.parametrize(
    ("version", "code", "ends"), [(2, 12, False), (2, 13, True), (1, 12, True), (2, 99, True)]
)
def test_error_reports_by_version(version, code, ends):
    session = synced(version)
    give(session, ErrorReport(version, code, b"", "why"))
    assert session.closing == ends
    assert session.events()[0] == ErrorReceived(version, code, "why")
    assert session.data_to_send() == b""


STRICT = {
    "payload before cache response": ([PrefixPdu(2, True, V4)], 0),
    "end of data before cache response": ([end()], 0),
    "cache reset to a reset query": ([CacheReset(2)], 0),
    "cache response twice": ([CacheResponse(2, SID)] * 2, 0),
    "query": ([ResetQuery(2)], 0),
    "other session id at the end": ([CacheResponse(2, SID), end(session_id=8)], 0),
    "unassigned type": ([CacheResponse(2, SID), bytes.fromhex("0205000000000008")], 5),
    "prefix of wrong length": ([CacheResponse(2, SID), bytes.fromhex("0204000000000015") + bytes(13)], 0),
    "length 0": ([bytes.fromhex("0203000000000000")], 0),
    "providers not ascending": (
        [CacheResponse(2, SID), AspaPdu(2, True, Aspa(1, (3, 2)))],
        9,
    ),
}


@pytest.mark.parametrize(("pdus", "code"), STRICT.values(), ids=STRICT)
def test_strict(pdus, code):
    session = asked()
    give(session, *pdus)
    failed(session, code)
    assert isinstance(session.events()[-1], Closed)


def test_other_session_id_in_a_serial_response():
    session = asked(session_id=SID, serial=4)
    give(session, CacheResponse(2, 8))
    failed(session, 0)


def test_other_session_id_in_a_notify():
    session = synced()
    give(session, SerialNotify(2, 8, 9))
    failed(session, 0)


def test_other_session_id_in_a_notify_before_the_first_answer():
    """The cache has restarted: it will answer our query by a Cache Reset."""
    session = asked(session_id=SID, serial=4)
    give(session, SerialNotify(2, 8, 9), CacheReset(2), CacheResponse(2, 8), end(session_id=8))
    assert not session.closing
    assert session.session_id == 8


def test_c30_a_malformed_error_report_is_not_answered():
    session = synced()
    give(session, bytes.fromhex("020a0000 00000010 00000000 00000009"))
    assert session.data_to_send() == b""
    assert session.events()[0].malformed
    assert session.closing
