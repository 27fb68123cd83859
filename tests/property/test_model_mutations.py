"""What the model of test_sessions_model.py is worth: single faults are put into the code, it finds each."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from rov import Aspa, Snapshot
from rtr_server.cache import wire
from rtr_server.cache.history import History
from rtr_server.protocol.notices import Notices
from rtr_server.protocol.pdu import AspaPdu
from rtr_server.protocol.session import CacheSession
from tests.property.test_sessions_model import Sessions

EXAMPLES = 50


def a_withdrawal_dropped(patch):
    encode_delta = wire.encode_delta

    def fewer(delta, version):
        withdrawn = delta.withdrawn
        if not len(withdrawn.ipv4):
            return encode_delta(delta, version)
        rest = Snapshot.build(
            withdrawn.ipv4.take(slice(1, None)),
            withdrawn.ipv6,
            aspas=withdrawn.aspas,
            router_keys=withdrawn.router_keys,
        )
        return wire.encode(delta.announced, rest, version)

    patch.setattr(wire, "encode_delta", fewer)


def a_step_too_few(patch):
    def shorter(history, serial):
        index, last = history._index(serial), len(history._steps)
        return history._compose(history._dropped + min(index + 1, last), history._dropped + last)

    patch.setattr(History, "delta_since", shorter)


def a_step_too_many(patch):
    def longer(history, serial):
        index, last = history._index(serial), len(history._steps)
        return history._compose(history._dropped + max(index - 1, 0), history._dropped + last)

    patch.setattr(History, "delta_since", longer)


def carried_over(patch, kept):
    """Something of the view before an update is taken for that of the one after it."""
    update = History.update

    def then(history, snapshot, now):
        before = history._view
        delta = update(history, snapshot, now)
        if before is not None and delta is not None:
            setattr(history._view, kept, getattr(before, kept))
        return delta

    patch.setattr(History, "update", then)


def a_diff_kept_over_an_update(patch):
    carried_over(patch, "diffs")


def the_serial_not_advanced(patch):
    carried_over(patch, "serial")


def the_first_full_set_for_ever(patch):
    carried_over(patch, "full")


def an_aspa_withdrawn_again(patch):
    encode_delta = wire.encode_delta

    def more(delta, version):
        payload = encode_delta(delta, version)
        changed = {aspa.customer for aspa in delta.announced.aspas}
        again = sorted(changed & {aspa.customer for aspa in delta.withdrawn.aspas})
        if version < 2 or not again:
            return payload
        pdus = b"".join(AspaPdu(version, False, Aspa(customer, ())).encode() for customer in again)
        return wire.Payload(memoryview(bytes(payload.octets) + pdus), payload.count + len(again))

    patch.setattr(wire, "encode_delta", more)


def a_change_within_a_response_not_told(patch):
    def responded(notices, session_id, serial):
        notices._told, notices.news = (session_id, serial), False

    patch.setattr(Notices, "responded", responded)


def a_change_that_the_version_sees_never_told(patch):
    patch.setattr(Notices, "_unseen", lambda *_: True)


def two_notifies_in_a_minute(patch):
    take = Notices.take

    def at_once(notices, *arguments):
        notices._at = None
        return take(notices, *arguments)

    patch.setattr(Notices, "take", at_once)


def an_answer_of_the_next_snapshot(patch):
    """End of Data names the serial that is current when it is sent, not that of its payload."""
    respond = CacheSession._respond

    def wrong(session, kind, response):
        ahead = type(response)(
            response.session_id, (response.serial + 1) % 2**32, response.payload, response.count
        )
        return respond(session, kind, ahead if response.count else response)

    patch.setattr(CacheSession, "_respond", wrong)


MUTATIONS = [
    a_withdrawal_dropped,
    a_step_too_few,
    a_step_too_many,
    a_diff_kept_over_an_update,
    an_aspa_withdrawn_again,
    the_serial_not_advanced,
    the_first_full_set_for_ever,
    an_answer_of_the_next_snapshot,
    a_change_within_a_response_not_told,
    a_change_that_the_version_sees_never_told,
    two_notifies_in_a_minute,
]

quick = settings(
    max_examples=EXAMPLES,
    stateful_step_count=60,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_the_model_finds(mutation, monkeypatch):
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Sessions, settings=quick)
