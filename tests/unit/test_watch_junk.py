"""What comes from routers, files and pipes to ``rov watch`` is hostile: no crash, no hang, a clear error."""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rov import ArgumentError, RibFileError, Vrp
from rov.cli.watch import _Session
from rov.live.bmp import MAX_MESSAGE
from rov.live.monitor import Monitor, Update
from rov.live.ris import updates_of
from tests import mrt_writer as mrt
from tests.unit.test_watch import (
    PEERS,
    PREFIXES,
    RECEIVE,
    RIS,
    SEND,
    bmp,
    index,
    opened,
    peer_up,
    with_id,
)

JUNK = st.binary(max_size=200)


@given(
    st.lists(
        st.one_of(JUNK, st.tuples(st.sampled_from([0, 2, 3]), st.integers(0, 255), st.binary(max_size=120)))
    )
)
def test_junk_in_a_bmp_session_is_an_error_of_it(messages):
    """Whatever comes: nothing is kept beyond a message, and only the errors that end a session are raised."""
    monitor, session = Monitor(index([Vrp(PREFIXES[0], 8, 1)])), _Session()
    for one in messages:
        octets = one if isinstance(one, bytes) else bmp(one[0], one[2], flags=one[1], peer_kind=one[1] % 5)
        try:
            session.take(monitor, octets, 7)
        except (ArgumentError, RibFileError):
            return
        assert len(session.bmp._buffer) < MAX_MESSAGE


@given(st.data())
def test_a_bmp_session_with_octets_that_flipped(data):
    sound = bmp(3, peer_up(opened((1, 1, RECEIVE)), opened((1, 1, SEND))))
    sound += bmp(0, mrt.message(mrt.update(with_id(7, "1.0.0.0/9"), mrt.path(64601, 666))))
    sound += bmp(0, mrt.message(mrt.update(attrs=mrt.mp_reach(2, 1, mrt.prefix("2001:db8::/33")))))
    octets = bytearray(sound)
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=4)):
        octets[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ArgumentError, RibFileError):
        _Session().take(Monitor(index([])), bytes(octets[: data.draw(st.integers(0, len(octets)))]), 7)


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.just("192.0.2.1")
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    JUNK, st.sampled_from(["peer", "peer_asn", "timestamp", "path", "announcements", "withdrawals"]), VALUES
)
def test_junk_in_lines_of_ris_live_is_counted(junk, name, value):
    spoiled = RIS | {"data": RIS["data"] | {name: value}}
    nested = b"[" * 100_000, b'{"x":' + b"[" * 100_000
    lines = [*junk.split(b"\n"), json.dumps(spoiled).encode(), *nested, json.dumps(RIS).encode()]
    found, bad = updates_of(lines)
    assert [one.origin for one in found[-3:]] == [None, 0, 0]
    assert len(nested) <= bad <= len(lines)
    Monitor(index([])).take(found)


@given(st.data())
def test_a_state_that_is_damaged(data):
    """Cut, or octets changed: its error, or a state as good as another."""
    monitor = Monitor(index([Vrp(PREFIXES[0], 8, 1)]))
    monitor.take([Update(prefix, 2, peer, 7) for prefix in PREFIXES for peer in PEERS])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "state")
        monitor.save(path, ["a"])
        octets = bytearray(path.read_bytes())
        for at in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=3)):
            octets[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(octets[: data.draw(st.integers(0, len(octets)))])
        with contextlib.suppress(ArgumentError):
            again = Monitor(index([]))
            again.load(path, 9)
            again.take([Update(PREFIXES[0], 1, PEERS[0], 9)])


def forged(**columns):
    """A state whose columns are written anew: its checksums are right."""
    octets = io.BytesIO()
    about = json.dumps({"version": 1, "peers": [[None, 1, 0]], "done": []}).encode()
    sound = {"about": np.frombuffer(about, np.uint8)}
    for family in "46":
        sound |= {f"{name}{family}": np.empty(0, kind) for name, kind in (
            ("keys", np.uint64), ("origins", np.uint32), ("states", np.uint8), ("high", np.uint64),
            ("low", np.uint64), ("lengths", np.uint8))}  # fmt: skip
    np.savez(octets, allow_pickle=False, **sound | columns)
    return octets.getvalue()


ONE_ROW = {"origins4": np.ones(1, np.uint32), "states4": np.zeros(1, np.uint8)}


@pytest.mark.parametrize(
    "columns",
    [
        ONE_ROW | {"keys4": np.array([40 << 24], np.uint64)},
        ONE_ROW | {"keys4": np.array([(1 << 38 | 8) << 24], np.uint64)},
        ONE_ROW | {"keys4": np.array([8 << 24 | 5], np.uint64)},
        ONE_ROW | {"keys4": np.array([8 << 24], np.uint64), "states4": np.array([9], np.uint8)},
        {
            "keys4": np.array([2, 1], np.uint64),
            "origins4": np.ones(2, np.uint32),
            "states4": np.zeros(2, np.uint8),
        },
        {"keys4": np.array([["a"]])},
        {
            "keys6": np.zeros(1, np.uint64),
            "origins6": np.ones(1, np.uint32),
            "states6": np.zeros(1, np.uint8),
        },
        {
            "high6": np.zeros(1, np.uint64),
            "low6": np.zeros(1, np.uint64),
            "lengths6": np.array([200], np.uint8),
        },
        {"lengths6": np.zeros(3, np.uint8)},
        {"about": np.frombuffer(b'{"version":2,"peers":[],"done":[]}', np.uint8)},
        {"about": np.frombuffer(b'{"version":1,"peers":[["x",1,0]],"done":[]}', np.uint8)},
        {"about": np.frombuffer(b'{"version":1,"peers":[],"done":[],"sessions":[0]}', np.uint8)},
        {"about": np.frombuffer(b'{"version":1,"peers":[[null,1,0]],"done":[],"stale":[0]}', np.uint8)},
    ],
)
def test_a_state_whose_columns_do_not_fit(columns, tmp_path):
    (tmp_path / "state").write_bytes(forged(**columns))
    with pytest.raises(ArgumentError, match="expected a state of rov watch"):
        Monitor(index([])).load(tmp_path / "state", 9)
    (tmp_path / "state").write_bytes(forged())
    assert Monitor(index([])).load(tmp_path / "state", 9) == ([], [])
