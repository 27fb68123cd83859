"""``rov watch``: updates judged as they come, against a plain count; BMP, files, a restart, HTTP."""

import contextlib
import errno
import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rov import ArgumentError, Prefix, Snapshot, State, Vrp, VrpIndex
from rov.cli import main
from rov.cli.watch import _Session
from rov.cli.webhook import Webhook
from rov.live.bmp import MAX_MESSAGE, Bmp, PeerDown
from rov.live.monitor import Monitor, Update
from rov.live.ris import updates_of
from rov.rib import Peer
from tests import mrt_writer as mrt
from tests.unit.test_incidents import heard

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


@pytest.fixture
def watch(tmp_path, capsys):
    index([Vrp(Prefix.parse("1.0.0.0/8"), 8, 3333)]).snapshot.save(tmp_path / "vrps")

    def run(*words):
        code = main([*map(str, ["watch", "--vrps", tmp_path / "vrps", "--once", *words])])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_files_of_a_directory_and_a_restart(watch, tmp_path):
    updates = tmp_path / "updates"
    updates.mkdir()
    (updates / "1.mrt").write_bytes(heard(0, 64601, "1.0.7.0/24", 666) + heard(1, 64602, "1.0.7.0/24", 666))
    (updates / ".hidden").write_bytes(b"no dump")
    code, out, err = watch(updates, "--state", tmp_path / "state", "--fail-on", "alert")
    (alert,) = map(json.loads, out.splitlines())
    assert (code, alert["event"], alert["cause"], alert["prefix"], alert["origin"]) == (
        1, "invalid", "update", "1.0.7.0/24", 666,
    )  # fmt: skip
    assert (alert["reason"], alert["vrps"], alert["peer_as"]) == ("asn", ["1.0.0.0/8-8 AS3333"], 64601)
    assert "2 updates, 2 routes, 1 invalid, 1 alerts" in err
    # nothing is told twice, and the other peer's withdrawal clears it
    assert watch(updates, "--state", tmp_path / "state")[:2] == (0, "")
    (updates / "2.mrt").write_bytes(heard(9, 64601, "1.0.7.0/24"))
    assert watch(updates, "--state", tmp_path / "state")[1] == ""
    (updates / "3.mrt").write_bytes(heard(10, 64602, "1.0.7.0/24"))
    (alert,) = map(json.loads, watch(updates, "--state", tmp_path / "state")[1].splitlines())
    assert (alert["event"], alert["state"]) == ("cleared", "gone")


def test_vrps_that_changed_while_it_was_down(watch, tmp_path):
    (tmp_path / "u").write_bytes(heard(0, 64601, "1.0.7.0/24", 666) + heard(0, 64601, "3.0.0.0/8", 666))
    watch(tmp_path / "u", "--state", tmp_path / "state")
    index([Vrp(Prefix.parse("3.0.0.0/8"), 8, 9)]).snapshot.save(tmp_path / "vrps")
    alerts = [
        json.loads(line) for line in watch(tmp_path / "u", "--state", tmp_path / "state")[1].splitlines()
    ]
    assert {(one["event"], one["cause"], one["prefix"], one["state"]) for one in alerts} == {
        ("cleared", "vrps", "1.0.7.0/24", "not_found"),
        ("invalid", "vrps", "3.0.0.0/8", "invalid"),
    }


def test_mail_filters_and_a_webhook(watch, tmp_path):
    (tmp_path / "u").write_bytes(heard(0, 64601, "1.0.7.0/24", 666) + heard(0, 64601, "1.1.7.0/24", 667))
    _, out, _ = watch(tmp_path / "u", "--format", "mail", "--asn", "666")
    assert out.startswith("Subject: rov: 1.0.7.0/24 AS666 invalid\n\n2023-11-14 22:13:20 UTC")
    assert "VRP 1.0.0.0/8-8 AS3333" in out
    assert "1.1.7.0/24" not in out
    assert len(watch(tmp_path / "u", "--asn", "3333")[1].splitlines()) == 2, "the holder hears of both"
    assert len(watch(tmp_path / "u", "--prefix", "1.1.0.0/16")[1].splitlines()) == 1
    got = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        watch(tmp_path / "u", "--webhook", f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
        thread.join()
    assert sorted(alert["origin"] for alert in got[0]) == [666, 667]
    code, out, err = watch(tmp_path / "u", "--webhook", f"http://127.0.0.1:{server.server_port}/")
    assert (code, len(out.splitlines()), "alerts were not taken" in err) == (0, 2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected SOURCE or --bmp"),
        (["/nonexistent"], "there is no such file or directory"),
        (["--bmp", "x"], "expected ADDRESS:PORT"),
        (["-", "--webhook", "file:///etc/passwd"], "expected a URL of http or https"),
        (["-", "--webhook", "http://[::1"], "expected a URL of http or https"),
        (["-", "--webhook", "http://a b/"], "expected a URL of http or https"),
    ],
)
def test_wrong_usage(watch, words, said):
    code, _, err = watch(*words)
    assert (code, said in err) == (2, True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"hello\r\n\r\n", "alerts were not taken: hello"),
        (b"HTTP/1.1 500 No\r\n\r\n", "HTTP Error 500"),
        (b"", "no answer"),
    ],
)
def test_a_receiver_that_is_no_good(watch, tmp_path, monkeypatch, answer, said):
    """One that talks nonsense, refuses, or sends its answer octet by octet without end."""
    monkeypatch.setattr("rov.cli.webhook.SECONDS", 0.3)
    (tmp_path / "u").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
    over = threading.Event()

    def receive(listener):
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(answer or b"HTTP/1.1 200 OK\r\nX: ")
            while not answer and not over.wait(0.05):
                connection.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=receive, args=[listener])
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        code, out, err = watch(tmp_path / "u", "--webhook", url)
        over.set()
        thread.join()
    assert (code, len(out.splitlines()), said in err, "1 alerts" in err) == (0, 1, True, True), err


def test_what_waits_for_a_receiver_is_bounded(monkeypatch, capsys):
    """It is sent in parts, and what does not fit is told, while the caller goes on."""
    monkeypatch.setattr("rov.cli.webhook.MAX_WAITING", 5)
    monkeypatch.setattr("rov.cli.webhook.AT_ONCE", 2)
    posted, go = [], threading.Event()

    def post(_, body):
        go.wait(10)
        posted.append(json.loads(body))

    monkeypatch.setattr(Webhook, "_post", post)
    receiver = Webhook("http://192.0.2.1/")
    receiver.give([b"1"])
    while receiver._waiting:
        pass
    receiver.give([b"2", b"3", b"4"])
    receiver.give([b"5", b"6", b"7", b"8"])
    go.set()
    receiver.close()
    assert posted == [[1], [2, 3], [4, 5], [6]]
    assert "2 alerts were not sent" in capsys.readouterr().err


def test_a_full_disk_and_a_file_that_cannot_be_read_do_not_end_it(watch, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
    (tmp_path / "in" / "2").symlink_to("/proc/self/mem")
    monkeypatch.setattr("rov.cli.watch.STATE_SECONDS", -1.0)
    monkeypatch.setattr("rov.live.monitor.write_file", _full)
    code, out, err = watch(tmp_path / "in", "--state", tmp_path / "state")
    assert (code, len(out.splitlines())) == (2, 1)
    assert "state: the state was not kept: No space left on device" in err
    assert f"rov: {tmp_path}/in/2: cannot be read" in err
    assert ("1 alerts" in err, "rov: error" in err) == (True, False)


def _full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_pipe_with_messages_and_one_with_mrt(watch, tmp_path):
    for octets, said in (
        (json.dumps(RIS).encode(), None),
        (heard(0, 64601, "1.0.7.0/24", 666), "not from a pipe"),
    ):
        ours, theirs = os.pipe()
        with os.fdopen(ours, "rb"), os.fdopen(theirs, "wb") as end:
            end.write(octets + b"\n")
            end.close()
            code, out, err = watch(f"/dev/fd/{ours}")
        if said:
            assert (code, said in err) == (2, True)
        else:
            assert (code, json.loads(out)["prefix"]) == (0, "1.0.0.0/8")


def test_alerts_are_counted_as_events(watch, tmp_path, capsys):
    (tmp_path / "u").write_bytes(
        heard(0, 64601, "1.0.7.0/24", 666)
        + heard(1, 64601, "1.0.8.0/24", 666)
        + heard(9, 64601, "1.0.7.0/24")
    )
    (tmp_path / "alerts.jsonl").write_text(watch(tmp_path / "u")[1])
    assert main(["incidents", "summarize", str(tmp_path / "alerts.jsonl"), "--by", "culprit", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["group"], row["incidents"], row["victims"], row["culprits"]) == ("AS666", 2, 1, 1)
    code, _, err = watch(tmp_path / "u", "--state", "/nonexistent/state")
    assert (code, "there is no directory /nonexistent" in err) == (2, True)


def test_what_is_named_must_be_sound_and_what_appears_may_not_end_it(watch, tmp_path):
    updates = tmp_path / "updates"
    updates.mkdir()
    (updates / "1").write_bytes(b"no dump at all\n")
    (updates / "2").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
    code, out, err = watch(updates)
    assert (code, len(out.splitlines()), f"rov: {updates}/1: expected an MRT dump" in err) == (0, 1, True)
    code, _, err = watch(updates / "1")
    assert (code, f"rov: error: {updates}/1: expected an MRT dump" in err) == (2, True)


def test_a_state_that_is_none(watch, tmp_path):
    (tmp_path / "state").write_bytes(b"PK\3\4 nothing")
    (tmp_path / "u").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
    code, _, err = watch(tmp_path / "u", "--state", tmp_path / "state")
    assert (code, "expected a state of rov watch" in err) == (2, True)
    (tmp_path / "state").write_bytes(b"\x80\x04N.")
    code, _, err = watch(tmp_path / "u", "--state", tmp_path / "state")
    assert (code, "it is another file" in err, "pickle" in err) == (2, True, False)


@pytest.mark.realdata
def test_real_updates_end_as_their_table_does(data, first_snapshot, tmp_path, capsys):
    """The invalid routes that stand at the end, by a count in plain Python over the same dump."""
    from rov import rib

    name = data("mrt/ris.rrc06.updates.1427846400.gz")
    now, monitor, routes = VrpIndex(first_snapshot), Monitor(VrpIndex(first_snapshot)), {}
    with rib.open(name) as dump:
        for batch in dump:
            monitor.take_batch(batch, dump.peers)
            shift = 32 if batch.routes.family == 4 else 128
            for row in range(len(batch)):
                address = batch.routes.addresses[row]
                number = int(address) if shift == 32 else int(address[0]) << 64 | int(address[1])
                prefix = Prefix(batch.routes.family, number, int(batch.routes.lengths[row]))
                key = prefix, dump.peers[batch.peers[row]]
                routes.pop(key, None)
                if not batch.has(rib.Flag.WITHDRAWN)[row]:
                    routes[key] = int(batch.routes.origins[row])
    invalid = {(p, o) for (p, _), o in routes.items() if now.validate(p, o) == State.INVALID}
    assert len(routes) > 100
    assert (len(monitor), monitor.invalid) == (len(routes), len(invalid))


def test_lines_on_standard_input_from_a_file(tmp_path):
    """epoll takes no regular file."""
    index([Vrp(Prefix.parse("1.0.0.0/8"), 8, 3333)]).snapshot.save(tmp_path / "vrps")
    (tmp_path / "lines").write_text(json.dumps(RIS) + "\n")
    program = "import sys; from rov.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "watch", "-", "--vrps", str(tmp_path / "vrps")]
    with open(tmp_path / "lines", "rb") as lines:
        ended = subprocess.run(command, stdin=lines, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, json.loads(ended.stdout)["prefix"]) == (0, "1.0.0.0/8"), ended.stderr


def test_it_follows_files_and_vrps_and_ends_in_order(tmp_path):
    """A running process: a new file, other VRPs, SIGTERM; the state is kept."""
    (tmp_path / "spool").mkdir()
    index([Vrp(Prefix.parse("1.0.0.0/8"), 8, 3333)]).snapshot.save(tmp_path / "vrps")
    program = "import sys; from rov.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [
        "watch",
        tmp_path / "spool",
        "--vrps",
        tmp_path / "vrps",
        "--state",
        tmp_path / "state",
        "--poll",
        "0.05",
    ]
    command = [sys.executable, "-c", program, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            (tmp_path / "new").write_bytes(heard(0, 64601, "1.0.7.0/24", 666))
            (tmp_path / "new").rename(tmp_path / "spool" / "1.mrt")
            assert json.loads(process.stdout.readline())["event"] == "invalid"
            index([Vrp(Prefix.parse("1.0.0.0/8"), 24, 666)]).snapshot.save(tmp_path / "other")
            (tmp_path / "other").rename(tmp_path / "vrps")
            alert = json.loads(process.stdout.readline())
            assert (alert["event"], alert["cause"], alert["state"]) == ("cleared", "vrps", "valid")
        finally:
            process.terminate()
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "1 routes, 0 invalid, 2 alerts" in said) == (130, True)
    again = Monitor(index([]))
    assert again.load(tmp_path / "state", 9)[0] == [str(tmp_path / "spool" / "1.mrt")]
    assert len(again) == 1
