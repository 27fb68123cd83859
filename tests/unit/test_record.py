"""What a session leaves for the operator: its last reset and why, errors, those that ended."""

import pytest

from rtr_server.protocol.events import CacheResetSent, Closed, CloseReason, ErrorReceived, ErrorSent, Kind
from rtr_server.protocol.events import QueryReceived as Query
from rtr_server.protocol.events import ResponseStarted as Started
from rtr_server.transport.record import ASKED, FIRST, Record, Told

FULL, DIFF = Started(Kind.FULL, 9, 0, 32), Started(Kind.DIFF, 9, 0, 32)
RESET, SERIAL = Query(Kind.FULL), Query(Kind.DIFF, 1, 5)


@pytest.mark.parametrize(
    ("happened", "why"),
    [
        ([], None),
        ([RESET, FULL], FIRST),
        ([SERIAL, DIFF], None),
        ([SERIAL, DIFF, RESET, FULL], ASKED),
        ([RESET, FULL, RESET, FULL], ASKED),
        ([SERIAL, CacheResetSent(5), RESET, FULL], "serial 5 is not known"),
        ([RESET, FULL, SERIAL, CacheResetSent(6), RESET, FULL], "serial 6 is not known"),
        ([SERIAL, CacheResetSent(5), RESET, FULL, RESET, FULL], ASKED),
    ],
)
def test_why_a_router_got_everything(happened, why):
    record = Record()
    for at, event in enumerate(happened):
        record.note(event, float(at))
    assert record.reset_why == why
    assert (record.reset_at is None) == (why is None)
    if why is not None:
        assert record.reset_at == len(happened) - 1


def test_errors_of_both_ends_and_the_end():
    record = Record()
    record.note(ErrorSent(1, 4, "no such version"), 1.0)
    record.note(ErrorReceived(1, 7, "duplicate", malformed=False), 2.0)
    record.note(Closed(CloseReason.ERROR_RECEIVED), 2.0)
    assert record.error_sent == Told(1.0, 4, "no such version")
    assert record.error_received == Told(2.0, 7, "duplicate")
    assert record.closed == "error received"
