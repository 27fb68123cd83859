"""The parts of ``rov watch``: updates judged as they come against a plain count; BMP, RIS Live, a restart."""

import json
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rov import ArgumentError, Prefix, Snapshot, State, Vrp, VrpIndex
from rov.cli.watch import _Session
from rov.live.bmp import MAX_MESSAGE, Bmp, PeerDown
from rov.live.monitor import Monitor, Update
from rov.live.ris import updates_of
from rov.rib import Peer
from tests import mrt_writer as mrt

PREFIXES = [
    Prefix.parse(text) for text in ("1.0.0.0/8", "1.0.0.0/9", "2.0.0.0/8", "2001:db8::/32", "2001:db8::/33")
]
PEERS = [Peer(Prefix.parse(f"192.0.2.{n}/32"), 64600 + n) for n in range(1, 4)]
UPDATES = st.lists(
    st.builds(
        Update,
        st.sampled_from(PREFIXES),
        st.sampled_from([None, 0, 1, 2]),
        st.sampled_from(PEERS),
        st.just(7),
    ),
    max_size=12,
)
VRPS = st.lists(
    st.builds(lambda p, more, asn: Vrp(p, p.length + more, asn), st.sampled_from(PREFIXES), st.integers(0, 1),
              st.integers(0, 2)), max_size=4,
)  # fmt: skip


def index(vrps):
    return VrpIndex(Snapshot.from_vrps(vrps))


@given(st.lists(st.tuples(UPDATES, VRPS, st.booleans()), max_size=5))
def test_alerts_add_up_to_what_is_invalid(steps):
    """After each batch, change of VRPs or lost session, alerts have told what a plain count finds invalid."""
    monitor, routes, vrps, told = Monitor(index([])), {}, [], set()

    def check(alerts):
        for alert in alerts:
            key = alert.prefix, alert.origin
            assert (key in told) == (alert.event == "cleared")
            told.symmetric_difference_update({key})
        now = index(vrps)
        invalid = {
            (str(prefix), origin)
            for (prefix, _), origin in routes.items()
            if now.validate(prefix, origin) == State.INVALID
        }
        assert told == invalid
        assert (len(monitor), monitor.invalid) == (len(routes), len(invalid))

    for updates, other, lost in steps:
        for update in updates:
            routes.pop((update.prefix, update.peer), None)
            if update.origin is not None:
                routes[update.prefix, update.peer] = update.origin
        check(monitor.take(updates))
        vrps = other
        check(monitor.replace(index(vrps), 8))
        if lost:
            routes = {key: origin for key, origin in routes.items() if key[1] != PEERS[0]}
            check(monitor.drop("192.0.2.1", 64601, 9))


def test_what_comes_and_goes_within_a_batch_is_told():
    """An announcement that turns invalid and is withdrawn at once was there, if for a second."""
    monitor = Monitor(index([Vrp(PREFIXES[0], 8, 1)]))
    steps = [(1, 1), (2, 2), (None, 3), (1, 4), (2, 5), (1, 6)]
    for prefix in (PREFIXES[1], PREFIXES[3]):
        alerts = monitor.take([Update(prefix, origin, PEERS[0], time) for origin, time in steps])
        told = [(one.event, one.origin, one.time, one.state) for one in alerts]
        assert told == ([
            ("invalid", 1, 1, "invalid"), ("cleared", 1, 2, "gone"), ("invalid", 2, 2, "invalid"),
            ("cleared", 2, 3, "gone"), ("invalid", 1, 4, "invalid"), ("cleared", 1, 5, "gone"),
            ("invalid", 2, 5, "invalid"), ("cleared", 2, 6, "gone"), ("invalid", 1, 6, "invalid"),
        ] if prefix.family == 4 else [])  # fmt: skip
    assert (monitor.invalid, len(monitor)) == (1, 2)


@given(UPDATES, VRPS, VRPS)
def test_a_restart_goes_on_from_there(updates, vrps, other):
    monitor = Monitor(index(vrps))
    monitor.take(updates)
    with tempfile.TemporaryDirectory() as directory:
        monitor.save(Path(directory, "state"), ["a"])
        again = Monitor(index(other))
        done, alerts = again.load(Path(directory, "state"), 9)
    assert done == ["a"]
    same = monitor.replace(index(other), 9)
    assert {(a.event, a.prefix, a.origin) for a in alerts} == {(a.event, a.prefix, a.origin) for a in same}
    assert (len(again), again.invalid) == (len(monitor), monitor.invalid)


def bmp(kind, body, *, flags=0, peer_kind=0, peer="192.0.2.1", asn=64601):
    """RFC 7854 §4.1, §4.2."""
    packed = bytes(12) + bytes(map(int, peer.split(".")))
    head = struct.pack(">BBQ16sI4sII", peer_kind, flags, 0, packed, asn, bytes(4), 1_700_000_000, 0)
    return struct.pack(">BIB", 3, 6 + len(head) + len(body), kind) + head + body


ANNOUNCED = mrt.message(mrt.update(mrt.prefix("1.0.0.0/9"), mrt.path(64601, 3333)))


def test_bmp_in_whatever_pieces():
    said = struct.pack(">BIB", 3, 6, 4) + bmp(0, ANNOUNCED) + bmp(2, b"\1") + bmp(0, ANNOUNCED)
    for size in (1, 7, len(said)):
        session, found = Bmp(), []
        for at in range(0, len(said), size):
            session.receive_data(said[at : at + size])
            found += session.take()
        assert [isinstance(one, PeerDown) for one in found] == [False, True, False]
        assert found[0] == mrt.bgp4mp(4, ANNOUNCED, "192.0.2.1", 64601, size=4).replace(
            (65000).to_bytes(4, "big"), bytes(4), 1
        )
        assert found[1] == PeerDown("192.0.2.1", 64601)
        assert session.passed == 1


def test_a_session_after_a_restart(tmp_path):
    """What the router sends again is told once; what it does not is gone when the time is over."""
    ours, path = index([Vrp(Prefix.parse("1.0.0.0/8"), 8, 1)]), tmp_path / "state"
    other = mrt.message(mrt.update(mrt.prefix("1.128.0.0/9"), mrt.path(64601, 3333)))
    monitor = Monitor(ours)
    monitor.take([Update(Prefix.parse("1.0.0.0/10"), 2, PEERS[1], 7)])
    assert [one.event for one in _Session().take(monitor, bmp(0, ANNOUNCED) + bmp(0, other), 7)] == [
        "invalid"
    ] * 2
    sizes = []
    for _ in range(3):
        monitor.save(path)
        monitor = Monitor(ours)
        assert monitor.load(path, 8)[1] == []
        assert (len(monitor), monitor.invalid) == (3, 3)
        assert _Session().take(monitor, bmp(0, ANNOUNCED) + bmp(0, other), 9) == []
        assert monitor.drop_stale(10) == []
        sizes.append((len(monitor), monitor.invalid, path.stat().st_size))
    assert sizes[1] == sizes[2], "a state does not grow by restarts"
    # this time only one of them comes back, and the watch ends again before the time is over
    monitor.save(path)
    monitor = Monitor(ours)
    monitor.load(path, 8)
    assert _Session().take(monitor, bmp(0, ANNOUNCED), 9) == []
    monitor.save(path)
    monitor = Monitor(ours)
    (alert,) = monitor.load(path, 11)[1]
    assert (alert.event, alert.prefix, alert.state) == ("cleared", "1.128.0.0/9", "gone")
    assert [one.prefix for one in monitor.drop_stale(12)] == ["1.0.0.0/9"]
    assert (len(monitor), monitor.invalid) == (1, 1), "what came from files stays"
    # numbers of two sessions of one peer are free now; those after them keep their peers
    monitor.take([Update(Prefix.parse("1.0.0.0/11"), 2, PEERS[2], 7)])
    monitor.save(path)
    monitor = Monitor(ours)
    assert monitor.load(path, 13)[1] == []
    gone = [Update(Prefix.parse(text), None, peer, 14) for text, peer in
            (("1.0.0.0/10", PEERS[1]), ("1.0.0.0/11", PEERS[2]))]  # fmt: skip
    assert [(one.event, one.peer_as) for one in monitor.take(gone)] == [
        ("cleared", 64602),
        ("cleared", 64603),
    ]
    assert len(monitor) == 0


@pytest.mark.parametrize(
    "octets",
    [
        b"\2" + bytes(5),
        struct.pack(">BIB", 3, MAX_MESSAGE + 1, 0),
        struct.pack(">BIB", 3, 5, 0),
        struct.pack(">BIB", 3, 9, 0) + bytes(3),
    ],
)
def test_what_is_no_bmp(octets):
    with pytest.raises(ArgumentError, match="BMP"):
        Bmp().receive_data(octets)


def opened(*add_path, extended=False):
    """An OPEN (RFC 4271 §4.2) with the capability of RFC 7911 §4; extended: as RFC 9072 has it."""
    value = b"".join(struct.pack(">HBB", *row) for row in add_path)
    capability = struct.pack(">BBI", 65, 4, 64601) + struct.pack(">BB", 69, len(value)) + value
    if extended:
        options = struct.pack(">BBH", 255, 255, len(capability) + 3) + struct.pack(">BH", 2, len(capability))
    else:
        options = struct.pack(">BBB", len(capability) + 2, 2, len(capability))
    return mrt.message(struct.pack(">BHHI", 4, 23456, 0, 7) + options + capability, 1)


def peer_up(sent, received):
    return bytes(20) + sent + received


def with_id(number, text):
    return number.to_bytes(4, "big") + mrt.prefix(text)


RECEIVE, SEND, BOTH = 1, 2, 3


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize(
    ("sent", "received", "ids"),
    [
        ([(1, 1, RECEIVE)], [(1, 1, SEND)], True),
        ([(2, 1, BOTH), (1, 1, BOTH)], [(1, 1, BOTH)], True),
        ([(1, 1, SEND)], [(1, 1, RECEIVE)], False),
        ([(1, 1, RECEIVE)], [(2, 1, SEND)], False),
        ([(1, 2, RECEIVE)], [(1, 2, SEND)], False),
        ([], [(1, 1, SEND)], False),
    ],
)
def test_bmp_of_a_peer_with_add_path(sent, received, ids, extended):
    """RFC 7854 §4.10: the OPENs of the Peer Up say how its prefixes are written (RFC 7911 §4)."""
    monitor, session = Monitor(index([Vrp(PREFIXES[0], 8, 3333)])), _Session()
    octets = bmp(3, peer_up(opened(*sent, extended=extended), opened(*received, extended=extended)))
    # 0.0.0.1/0 and so on would be sound without ids, too
    announced = [with_id(n, f"1.{n}.0.0/16") if ids else mrt.prefix(f"1.{n}.0.0/16") for n in (1, 2)]
    octets += bmp(0, mrt.message(mrt.update(b"".join(announced), mrt.path(64601, 666))))
    alerts = session.take(monitor, octets, 7)
    assert [(one.event, one.prefix) for one in alerts] == [
        ("invalid", "1.1.0.0/16"),
        ("invalid", "1.2.0.0/16"),
    ]
    if ids:
        # a second path of the same prefix; the first goes, and the route stays
        more = mrt.update(with_id(9, "1.1.0.0/16"), mrt.path(64601, 666))
        less = mrt.update(withdrawn=with_id(1, "1.1.0.0/16"))
        assert session.take(monitor, bmp(0, mrt.message(more)) + bmp(0, mrt.message(less)), 8) == []
        gone = mrt.update(withdrawn=with_id(9, "1.1.0.0/16"))
        (one,) = session.take(monitor, bmp(0, mrt.message(gone)), 9)
        assert (one.event, one.prefix, one.state) == ("cleared", "1.1.0.0/16", "gone")
    # another session has its own OPENs
    plain = bmp(2, b"\1") + bmp(3, peer_up(opened(), opened()))
    plain += bmp(0, mrt.message(mrt.update(mrt.prefix("1.3.0.0/16"), mrt.path(64601, 666))))
    assert session.take(monitor, plain, 9)[-1].prefix == "1.3.0.0/16"


def test_bmp_with_path_ids_of_one_family_only():
    """An UPDATE for both families (RFC 7606 §5.1 warns of it) is read as two."""
    monitor, session = Monitor(index([Vrp(one, 32, 3333) for one in (PREFIXES[0], PREFIXES[3])])), _Session()
    octets = bmp(3, peer_up(opened((2, 1, RECEIVE)), opened((2, 1, SEND))))
    reach = mrt.mp_reach(2, 1, with_id(5, "2001:db8:1::/48"))
    octets += bmp(0, mrt.message(mrt.update(mrt.prefix("1.1.0.0/16"), mrt.path(64601, 666) + reach)))
    assert [one.prefix for one in session.take(monitor, octets, 7)] == ["1.1.0.0/16", "2001:db8:1::/48"]
    assert not session.reader.parser.counts()["bad"]


def test_adj_rib_out_is_passed_over():
    session = Bmp()
    session.receive_data(bmp(0, ANNOUNCED, flags=0x10))
    assert (session.take(), session.passed) == ([], 1)


RIS = {"type": "ris_message", "data": {
    "timestamp": 1.9, "peer": "2001:db8::7", "peer_asn": "64601", "path": [64601, [1, 2]], "type": "UPDATE",
    "announcements": [{"next_hop": "::", "prefixes": ["1.0.0.0/8", "2001:db8::/32"]}],
    "withdrawals": ["2.0.0.0/8"]}}  # fmt: skip


def test_ris_live_lines():
    lines = [
        json.dumps(RIS).encode(),
        b"",
        b"{",
        b'{"type":"ris_error","data":{"message":"x"}}',
        b'{"data":7}',
    ]
    found, bad = updates_of(lines)
    assert [(str(one.prefix), one.origin, one.time) for one in found] == [
        ("2.0.0.0/8", None, 1),
        ("1.0.0.0/8", 0, 1),
        ("2001:db8::/32", 0, 1),
    ]
    assert bad == 2
    wrong = json.loads(json.dumps(RIS))
    wrong["data"]["announcements"][0]["prefixes"] = ["1.0.0.1/8"]
    assert updates_of([json.dumps(wrong).encode()]) == ([], 1)
