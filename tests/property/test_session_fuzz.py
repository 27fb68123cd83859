"""Both ends fed with anything, cut anywhere: they never raise, answer in whole PDUs, and stay small."""

from hypothesis import given
from hypothesis import strategies as st

from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache.history import History
from rtr_server.cache.mirror import Mirror
from rtr_server.protocol.client import RouterSession
from rtr_server.protocol.decode import PduReader
from rtr_server.protocol.errors import is_defined
from rtr_server.protocol.events import Closed
from rtr_server.protocol.pdu import (
    CacheResponse,
    EndOfData,
    ErrorReport,
    PrefixPdu,
    ResetQuery,
    SerialNotify,
    SerialQuery,
)
from rtr_server.protocol.session import CacheSession, Limits

IDS = {0: 10, 1: 11, 2: 12}
V4 = Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)
V6 = Vrp(Prefix.parse("2001:db8::/32"), 48, 64497)
SETS = [
    Snapshot.from_vrps([V4], [Aspa(1, (2,))]),
    Snapshot.from_vrps([V4, V6], [], [RouterKey(1, bytes(20), b"k")]),
    Snapshot.from_vrps([V6], [Aspa(1, (3,))]),
]
LIMITS = Limits(max_input=4096)

numbers = st.integers(0, 3)
serials = st.sampled_from([0, 1, 2**31, 2**32 - 2, 2**32 - 1])
queries = st.one_of(
    st.builds(lambda v: ResetQuery(v).encode(), numbers),
    st.builds(lambda v, i, s: SerialQuery(v, i, s).encode(), numbers, st.integers(9, 13), serials),
)
reports = st.builds(lambda v, c: ErrorReport(v, c).encode(), numbers, st.integers(0, 14))
headers = st.builds(
    lambda v, t, f, n: bytes([v, t]) + f.to_bytes(2, "big") + n.to_bytes(4, "big"),
    numbers,
    st.integers(0, 12),
    st.sampled_from([0, 256, 10]),
    st.sampled_from([0, 7, 8, 12, 20, 24, 32, 65535, 65536, 2**32 - 1]),
)
noise = st.one_of(headers, st.binary(max_size=40))
to_cache = st.lists(st.one_of(queries, queries, reports, noise), max_size=8).map(b"".join)


def check_output(octets, version):
    """Whole, well-formed PDUs, all of one version once it is known; error codes of that version only."""
    reader = PduReader()
    reader.receive_data(octets)
    after_negotiation = False
    while (pdu := reader.next_pdu()) is not None:
        if isinstance(pdu, ErrorReport):
            assert is_defined(pdu.code, pdu.version)
            assert len(pdu.pdu) <= 200
            refusal = pdu.code == 4 and not after_negotiation
            assert refusal or version in (None, pdu.version)
        else:
            after_negotiation = True
            assert pdu.version == version
    assert len(reader) == 0


steps = st.lists(
    st.tuples(
        st.sampled_from(["data", "data", "data", "drain", "update", "tick", "notify"]),
        st.integers(1, 4096),
        st.floats(0, 100),
    ),
    max_size=30,
)


@given(to_cache, steps, st.booleans(), st.sampled_from(["eof", "restart", "shutdown", "stalled", "internal"]))
def test_cache_session(stream, steps, ready, ending):
    history = History(IDS, 2**32 - 2, snapshot=SETS[0] if ready else None)
    session = CacheSession(history, now=0.0, limits=LIMITS)
    now, out, updates, told = 0.0, b"", 0, []
    for step, size, seconds in steps:
        now += seconds
        match step:
            case "data":
                session.receive_data(stream[:size], now)
                stream = stream[size:]
            case "drain":
                chunk = session.next_chunk(size)
                if chunk is not None:
                    out += chunk
                    session.sent(len(chunk), now)
            case "update":
                updates += 1
                history.update(SETS[updates % 3], now)
            case "tick":
                session.tick(now)
            case "notify":
                session.notify(now)
        assert len(session._input) <= LIMITS.max_input
        assert session.pending <= 4096
        told += session.events()
    if ending == "eof":
        session.receive_data(stream, now)
        session.receive_eof(now)
    else:
        session.close(ending, now)
    while (chunk := session.next_chunk(7)) is not None:
        out += chunk
        session.sent(len(chunk), now)
    told += session.events()
    assert session.closing
    assert session.deadline() is None
    assert [type(event) for event in told].count(Closed) == 1
    assert session.next_chunk(1) is None
    if not any(event == Closed("stalled") for event in told):
        check_output(out, session.version)


answers = st.one_of(
    st.builds(lambda v, i: CacheResponse(v, i).encode(), numbers, st.integers(10, 12)),
    st.builds(lambda v, f, p: PrefixPdu(v, f, p).encode(), numbers, st.booleans(), st.sampled_from([V4, V6])),
    st.builds(lambda i, s: EndOfData(0, i, s).encode(), st.integers(10, 12), serials),
    st.builds(lambda v, i, s: EndOfData(v, i, s, 0, s, 9).encode(), st.integers(1, 2), st.just(12), serials),
    st.builds(lambda v, i, s: SerialNotify(v, i, s).encode(), numbers, st.integers(10, 12), serials),
)
to_router = st.lists(st.one_of(answers, answers, reports, noise), max_size=12).map(b"".join)


@given(to_router, st.lists(st.integers(1, 200), max_size=8), st.integers(0, 2), st.booleans())
def test_router_session_and_mirror(stream, sizes, version, restored):
    known = {"session_id": 12, "serial": 1} if restored else {}
    session = RouterSession(version=version, now=0.0, **known)
    mirror = Mirror(session, SETS[0] if restored else None)
    out, told = session.data_to_send(), []
    for now, size in enumerate([*sizes, len(stream)]):
        mirror.receive_data(stream[:size], float(now))
        stream = stream[size:]
        out += session.data_to_send()
        told += mirror.events()
        assert len(session._rest) < 65536
        session.tick(float(now))
    mirror.session.receive_eof(1e6)
    told += mirror.events()
    assert session.closing
    assert [type(event) for event in told].count(Closed) == 1
    reader = PduReader()
    reader.receive_data(out)
    while (pdu := reader.next_pdu()) is not None:
        assert pdu.version <= version
    assert len(reader) == 0
