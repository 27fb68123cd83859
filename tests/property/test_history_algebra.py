"""History as algebra: wherever a router stands, its diff makes its set the snapshot at End of Data."""

from hypothesis import given
from hypothesis import strategies as st

from rov import Aspa, Delta, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache.history import History, Keep
from rtr_server.cache.mirror import Mirror
from rtr_server.protocol.client import RouterSession
from rtr_server.protocol.decode import PduReader
from rtr_server.protocol.pdu import AspaPdu, PrefixPdu, RouterKeyPdu
from rtr_server.protocol.session import CacheSession

IDS = {0: 10, 1: 11, 2: 12}

vrps = st.builds(
    lambda prefix, more, asn: Vrp(prefix, min(prefix.length + more, prefix.bits), asn),
    st.sampled_from(
        [Prefix.parse(p) for p in ("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "::/0", "2001:db8::/32")]
    ),
    st.integers(0, 2),
    st.integers(0, 2),
)
aspas = st.builds(Aspa, st.integers(1, 3), st.sampled_from([(0,), (5,), (5, 6)]))
keys = st.builds(RouterKey, st.integers(1, 2), st.just(bytes(20)), st.sampled_from([b"a", b"b"]))
snapshots = st.builds(
    Snapshot.from_vrps,
    st.lists(vrps, max_size=6),
    st.lists(aspas, max_size=3, unique_by=lambda aspa: aspa.customer),
    st.lists(keys, max_size=2),
)
histories = st.lists(snapshots, min_size=1, max_size=12)
first_serials = st.sampled_from([0, 1, 2**31 - 3, 2**32 - 4, 2**32 - 1])


def view(snapshot, version):
    """What a version can carry of a snapshot."""
    return Snapshot.build(
        snapshot.ipv4,
        snapshot.ipv6,
        aspas=snapshot.aspas if version >= 2 else (),
        router_keys=snapshot.router_keys if version >= 1 else (),
    )


def elements(snapshot, version):
    shown = view(snapshot, version)
    return {*shown.vrps(), *shown.aspas, *shown.router_keys}


def apply(octets, held):
    """A router in its simplest form: a set of elements, PDU by PDU, strict about duplicates and unknowns."""
    reader = PduReader()
    reader.receive_data(octets)
    changes = 0
    while (pdu := reader.next_pdu()) is not None:
        changes += 1
        match pdu:
            case PrefixPdu(announce=announce, vrp=element) | RouterKeyPdu(announce=announce, key=element):
                assert announce != (element in held)
                held = held | {element} if announce else held - {element}
            case AspaPdu():
                old = {e for e in held if isinstance(e, Aspa) and e.customer == pdu.aspa.customer}
                assert pdu.aspa not in old
                assert pdu.announce or old
                held = held - old | ({pdu.aspa} if pdu.announce else set())
    return held, changes


@given(histories, first_serials, st.integers(0, 2))
def test_c12_c13_every_diff_leads_to_the_snapshot(sets, first, version):
    history = History(IDS, first)
    by_serial = {}
    for now, snapshot in enumerate(sets):
        history.update(snapshot, float(now))
        by_serial[history.serial] = snapshot
    current = elements(history.snapshot, version)
    assert set(history.serials) | {history.serial} == set(by_serial)
    for serial, snapshot in by_serial.items():
        response = history.diff(version, serial)
        held, changes = apply(response.payload, elements(snapshot, version))
        assert held == current
        assert changes == response.count
        assert response.serial == history.serial


@given(histories, first_serials, st.integers(0, 2))
def test_c09_a_full_set_is_the_snapshot(sets, first, version):
    history = History(IDS, first)
    for now, snapshot in enumerate(sets):
        history.update(snapshot, float(now))
    held, changes = apply(history.full(version).payload, set())
    assert held == elements(sets[-1], version)
    assert changes == history.full(version).count == len(held)


@given(histories, st.integers(0, 2))
def test_c11_a_diff_is_minimal(sets, version):
    history = History(IDS, 5)
    for now, snapshot in enumerate(sets):
        history.update(snapshot, float(now))
    first, last = elements(sets[0], version), elements(sets[-1], version)
    gone, come = first - last, last - first
    customers = [{e.customer for e in part if isinstance(e, Aspa)} for part in (gone, come)]
    assert history.diff(version, 5).count == len(gone) + len(come) - len(customers[0] & customers[1])


@given(histories, st.integers(1, 4))
def test_folded_steps_are_one_jump_and_limits_hold(sets, deltas):
    history = History(IDS, 0, keep=Keep(deltas=deltas))
    by_serial = {}
    for now, snapshot in enumerate(sets):
        history.update(snapshot, float(now))
        by_serial[history.serial] = snapshot
    assert len(history.serials) == min(deltas, len(by_serial) - 1)
    for serial in history.serials:
        assert history.delta_since(serial) == Delta.between(by_serial[serial], sets[-1])


@given(histories, st.lists(st.booleans(), min_size=12, max_size=12), st.integers(0, 2), st.integers(1, 100))
def test_a_router_that_listens_now_and_then(sets, listens, version, size):
    """Both real ends: the mirror polls after some of the updates and has the snapshot whenever it did."""
    history = History(IDS, 2**32 - 3, snapshot=sets[0], keep=Keep(deltas=3))
    cache = CacheSession(history, now=0.0)
    session = RouterSession(version=version, now=0.0)
    mirror = Mirror(session)
    for now, (snapshot, listen) in enumerate(zip(sets, listens, strict=False)):
        history.update(snapshot, float(now))
        if not listen:
            continue
        session.query(float(now))
        while query := session.data_to_send():
            cache.receive_data(query, float(now))
            while (chunk := cache.next_chunk(size)) is not None:
                octets = bytes(chunk)
                cache.sent(len(octets), float(now))
                mirror.receive_data(octets, float(now))
        assert mirror.snapshot == view(snapshot, version)
        assert session.serial == history.serial
    assert not session.closing
