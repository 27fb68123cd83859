"""Mirror: a response applied as a whole or not at all, in order, within bounds."""

import pytest

import rov
from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache import wire
from rtr_server.cache.history import History
from rtr_server.cache.mirror import Mirror, SnapshotReceived
from rtr_server.protocol.client import RouterSession
from rtr_server.protocol.events import Closed, ErrorSent
from rtr_server.protocol.pdu import (
    AspaPdu,
    CacheReset,
    CacheResponse,
    ErrorReport,
    PrefixPdu,
    ResetQuery,
    RouterKeyPdu,
    SerialNotify,
)
from rtr_server.protocol.session import CacheSession
from tests.router_ends import ASPA, KEY, LOW, OTHER, SID, V4, V6, asked, end, failed, give


def mirror_of(version=2, **options):
    return Mirror(asked(version, **options))


def begin_full(*pdus, version=2):
    mirror = mirror_of(version)
    give(mirror, CacheResponse(version, SID), *pdus, end(version))
    return mirror


def announce(vrp, flag=True, version=2):
    return PrefixPdu(version, flag, vrp)


@pytest.mark.parametrize("version", [0, 1])
def test_mirror_takes_a_full_set_in_any_order_before_version_2(version):
    pdus = [announce(V6, True, version), announce(V4, True, version), announce(LOW, True, version)]
    keys = [RouterKeyPdu(version, True, KEY)][:version]
    mirror = begin_full(*keys, pdus[0], pdus[2], pdus[1], version=version)
    assert mirror.snapshot == Snapshot.from_vrps([LOW, V4, V6], [], [KEY][:version])
    assert mirror.events()[-1] == SnapshotReceived(mirror.snapshot, SID, 5)


KEY_2, ASPA_2 = RouterKey(64497, b"\1" * 20, bytes(91)), Aspa(64499, (7,))
IN_ORDER = [
    *[announce(V4), announce(LOW), announce(V6), RouterKeyPdu(2, True, KEY), RouterKeyPdu(2, True, KEY_2)],
    *[AspaPdu(2, True, ASPA), AspaPdu(2, True, ASPA_2)],
]


def test_mirror_takes_a_full_set_in_order():
    mirror = begin_full(*IN_ORDER)
    assert mirror.snapshot == Snapshot.from_vrps([LOW, V4, V6], [ASPA, ASPA_2], [KEY, KEY_2])


@pytest.mark.parametrize("first", range(len(IN_ORDER) - 1))
def test_c23_mirror_refuses_any_two_neighbours_changed(first):
    changed = [*IN_ORDER]
    changed[first : first + 2] = changed[first + 1], changed[first]
    mirror = begin_full(*changed)
    report = failed(mirror.session, 11)
    assert report.pdu == IN_ORDER[first].encode()
    assert mirror.snapshot is None


@pytest.mark.parametrize(
    "pdus",
    [
        [announce(V4, False), announce(OTHER)],
        [announce(V4, False), announce(LOW, False)],
        [RouterKeyPdu(2, False, KEY), RouterKeyPdu(2, True, KEY_2)],
        [AspaPdu(2, False, Aspa(64496, ())), AspaPdu(2, True, ASPA_2)],
        [announce(Vrp(V4.prefix, 25, 1)), announce(Vrp(V4.prefix, 26, 1))],
        [announce(Vrp(V4.prefix, 25, 1)), announce(Vrp(V4.prefix, 25, 2))],
        [announce(Vrp(Prefix.parse("10.0.0.0/8"), 24, 1)), announce(Vrp(Prefix.parse("10.0.0.0/9"), 24, 1))],
    ],
)
def test_c23_mirror_refuses_a_diff_out_of_order(pdus):
    base = Snapshot.from_vrps([LOW, V4], [ASPA], [KEY])
    mirror = Mirror(asked(session_id=SID, serial=4), base)
    give(mirror, CacheResponse(2, SID), *pdus, end())
    assert failed(mirror.session, 11).pdu == pdus[1].encode()
    assert mirror.snapshot is base


def test_mirror_takes_a_diff_in_order():
    base = Snapshot.from_vrps([LOW, V4], [ASPA], [KEY])
    mirror = Mirror(asked(session_id=SID, serial=4), base)
    pdus = [announce(OTHER), announce(LOW, False), announce(V4, False), RouterKeyPdu(2, True, KEY_2)]
    give(mirror, CacheResponse(2, SID), *pdus, AspaPdu(2, False, Aspa(64496, ())), end())
    assert mirror.snapshot == Snapshot.from_vrps([OTHER], [], [KEY, KEY_2])


def test_mirror_shows_nothing_before_the_end():
    mirror = mirror_of()
    give(mirror, CacheResponse(2, SID), announce(V4))
    assert mirror.snapshot is None


def test_mirror_follows():
    mirror = begin_full(announce(V4), RouterKeyPdu(2, True, KEY), AspaPdu(2, True, ASPA))
    give(mirror, SerialNotify(2, SID, 6))
    give(
        mirror,
        CacheResponse(2, SID),
        announce(V4, False),
        announce(V6),
        RouterKeyPdu(2, False, KEY),
        AspaPdu(2, True, Aspa(64496, (1, 2))),
        end(serial=6),
    )
    assert mirror.snapshot == Snapshot.from_vrps([V6], [Aspa(64496, (1, 2))])
    give(mirror, SerialNotify(2, SID, 7))
    give(mirror, CacheResponse(2, SID), AspaPdu(2, False, Aspa(64496, ())), end(serial=7))
    assert mirror.snapshot == Snapshot.from_vrps([V6])


def test_mirror_starts_anew_on_a_full_response():
    mirror = Mirror(asked(session_id=SID, serial=4), Snapshot.from_vrps([V4]))
    give(mirror, CacheReset(2))
    give(mirror, CacheResponse(2, 9), announce(V6), end(session_id=9))
    assert mirror.snapshot == Snapshot.from_vrps([V6])


def test_a_vrp_may_come_and_go_in_one_response():
    there, gone, v6 = announce(V4, True, 1), announce(V4, False, 1), announce(V6, True, 1)
    mirror = begin_full(there, gone, v6, there, version=1)
    assert mirror.snapshot == Snapshot.from_vrps([V4, V6])
    assert begin_full(announce(V4), announce(V4, False)).snapshot == Snapshot.empty()


MISFITS = {
    "duplicate in one response": ([announce(V4), announce(V4)], 7),
    "duplicate key": ([RouterKeyPdu(2, True, KEY)] * 2, 7),
    "duplicate of what is there": ([announce(V6)], 7),
    "unknown VRP": ([announce(V4, False)], 6),
    "withdrawn twice": ([announce(V6, False)] * 2, 6),
    "unknown key": ([RouterKeyPdu(2, False, KEY)], 6),
    "unknown ASPA": ([AspaPdu(2, False, Aspa(1, ()))], 6),
    "ASPA of AS 0": ([AspaPdu(2, True, Aspa(0, (1,)))], 0),
    "host bits": ([bytes.fromhex("0204000000000014 01080800 c0000200 00000001")], 0),
}


@pytest.mark.parametrize(("pdus", "code"), MISFITS.values(), ids=MISFITS)
def test_mirror_refuses_a_response_that_does_not_fit(pdus, code):
    base = Snapshot.from_vrps([V6])
    mirror = Mirror(asked(session_id=SID, serial=4), base)
    give(mirror, CacheResponse(2, SID), *pdus, end())
    report = failed(mirror.session, code)
    last = pdus[-1] if isinstance(pdus[-1], bytes) else pdus[-1].encode()
    assert report.pdu == last
    assert mirror.snapshot is base
    kinds = [type(event) for event in mirror.events()]
    assert SnapshotReceived not in kinds
    assert Closed in kinds


def test_mirror_applies_nothing_behind_a_response_that_does_not_fit():
    base = Snapshot.from_vrps([V6])
    mirror = Mirror(asked(session_id=SID, serial=4), base)
    wrong = [SerialNotify(2, SID, 6), CacheResponse(2, SID), announce(V6), end()]
    right = [CacheResponse(2, SID), announce(V4), end(serial=6), ErrorReport(2, 1)]
    give(mirror, *wrong, *right)
    assert mirror.snapshot is base
    assert [type(event) for event in mirror.events()][-1] is Closed
    assert mirror.session.closing


def test_mirror_bounds_what_it_collects(monkeypatch):
    monkeypatch.setattr("rtr_server.cache.mirror.MAX_RESPONSE_OCTETS", 100)
    monkeypatch.setattr("rtr_server.cache.mirror.MAX_OBJECTS", 2)
    for pdu in (announce(V4), AspaPdu(2, True, ASPA)):
        mirror = mirror_of()
        give(mirror, CacheResponse(2, SID), *[pdu] * 6)
        failed(mirror.session, 1)


def test_mirror_bounds_what_it_takes_one_by_one(monkeypatch):
    monkeypatch.setattr("rtr_server.cache.mirror.MAX_REPLAYED", 3)
    there, gone = announce(V4, True, 1), announce(V4, False, 1)
    assert begin_full(there, gone, there, version=1).snapshot == Snapshot.from_vrps([V4])
    mirror = begin_full(there, gone, there, gone, version=1)
    failed(mirror.session, 1, version=1)
    assert mirror.snapshot is None


def test_mirror_bounds_the_providers_that_it_collects(monkeypatch):
    monkeypatch.setattr("rtr_server.cache.mirror.MAX_OBJECT_OCTETS", 1_000)
    small = [AspaPdu(2, True, Aspa(customer, (1,))) for customer in range(1, 60)]
    mirror = mirror_of()
    give(mirror, CacheResponse(2, SID), *small, end())
    assert len(mirror.snapshot.aspas) == 59
    mirror = mirror_of()
    give(mirror, CacheResponse(2, SID), *small, AspaPdu(2, True, Aspa(60, tuple(range(1, 20)))), end())
    failed(mirror.session, 1)
    assert mirror.snapshot is None


@pytest.mark.parametrize("version", [0, 1, 2])
def test_both_ends_together(version):
    """A router that begins too high, syncs, is notified, follows; over pieces of eleven octets."""
    history = History({0: 10, 1: 11, 2: 12}, 0xFFFFFFFF, snapshot=Snapshot.from_vrps([V4], [ASPA], [KEY]))
    cache = CacheSession(history, max_version=version, now=0.0)
    mirror = mirror_of(2)
    cache.receive_data(ResetQuery(2).encode(), 0.0)

    def pump(now):
        while True:
            chunk = cache.next_chunk(11)
            query = mirror.session.data_to_send()
            if chunk is None and not query:
                return
            cache.receive_data(query, now)
            if chunk is not None:
                octets = bytes(chunk)
                cache.sent(len(octets), now)
                mirror.receive_data(octets, now)

    pump(1.0)
    wanted = Snapshot.from_vrps([V4], [ASPA][: version // 2], [KEY][:version])
    assert mirror.snapshot == wanted
    history.update(Snapshot.from_vrps([V6], [Aspa(64496, (5,))]), 100.0)
    cache.notify(100.0)
    pump(100.0)
    assert mirror.snapshot == Snapshot.from_vrps([V6], [Aspa(64496, (5,))][: version // 2])
    assert (mirror.session.version, mirror.session.serial) == (version, 0)
    assert wire.encode_snapshot(mirror.snapshot, version).octets == history.full(version).payload
    assert ErrorSent not in {type(event) for event in mirror.events()}


@pytest.mark.realdata
def test_the_real_set_and_the_one_after_it(data):
    """Each VRP of a day in 2025 goes over; thirty minutes later, 6 withdrawals and 9 announcements."""
    name = "vrp/rpki-client_global_20250720T{}Z.json.bz2"
    first, second = (rov.read(data(name.format(time))) for time in ("093133", "100143"))
    history = History({0: 10, 1: 11, 2: 12}, 0xFFFFFFFF, snapshot=first)
    cache, mirror = CacheSession(history, now=0.0), Mirror(RouterSession(now=0.0))

    def pump(now):
        cache.receive_data(mirror.session.data_to_send(), now)
        while (chunk := cache.next_chunk(1 << 17)) is not None:
            octets = bytes(chunk)
            cache.sent(len(octets), now)
            mirror.receive_data(octets, now)

    pump(1.0)
    assert mirror.snapshot == first
    delta = history.update(second, 100.0)
    assert (len(delta.withdrawn), len(delta.announced)) == (6, 9)
    cache.notify(100.0)
    pump(100.0)
    pump(100.0)
    assert mirror.snapshot == second
    assert mirror.session.serial == 0
    assert history.diff(2, 0xFFFFFFFF).count == 15
