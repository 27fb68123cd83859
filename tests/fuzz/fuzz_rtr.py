"""Coverage-guided fuzzing of RTR: the decoder, the cache's end, the router's end with its mirror.

    python tests/fuzz/fuzz_rtr.py tests/fuzz/corpus/rtr -max_total_time=300

The first octet of an input chooses the target, the second the size of the pieces in which the rest comes.

What must hold, whatever the octets are. Decoder: a PDU, or PduError with a code that a version defines; what
was decoded is decoded again from its encoding. Cache's end: no exception; what it sends is whole PDUs of the
session's version, with errors that the version defines; what waits to be read is bounded; the end of file
ends it. Router's end: no exception; what it sends is whole PDUs; a set is there only after an End of Data;
what waits to be read is bounded; the end of file ends it.
"""

import sys

import atheris

with atheris.instrument_imports(include=["rtr_server"]):
    from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp
    from rtr_server.cache.history import History
    from rtr_server.cache.mirror import Mirror, SnapshotReceived
    from rtr_server.protocol.client import EndOfDataReceived, RouterSession
    from rtr_server.protocol.decode import PduReader, decode
    from rtr_server.protocol.errors import PduError, is_defined
    from rtr_server.protocol.pdu import ErrorReport
    from rtr_server.protocol.session import CacheSession, Limits

IDS = {0: 10, 1: 11, 2: 12}
FIRST = Snapshot.from_vrps(
    [Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496), Vrp(Prefix.parse("2001:db8::/32"), 48, 64497)],
    [Aspa(64496, (64497,))],
    [RouterKey(64496, bytes(20), bytes(91))],
)
SECOND = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 25, 64496)], [Aspa(64496, (1, 2))])
LIMITS = Limits(max_input=4096, pause_input=1024)


def fuzz_decoder(octets, size):
    """One PDU, and a stream."""
    try:
        pdu = decode(octets)
    except PduError as error:
        pdu, code = None, error.code
    assert is_defined(code, 2) if pdu is None else decode(pdu.encode()) == pdu
    reader = PduReader()
    try:
        for start in range(0, len(octets), size):
            reader.receive_data(octets[start : start + size])
            while reader.next_pdu() is not None:
                pass
    except PduError:
        pass


def fuzz_cache(octets, size):
    """A router that sends the octets; the set changes once, in the middle."""
    history = History(IDS, 2**32 - 1, snapshot=FIRST)
    session = CacheSession(history, now=0.0, limits=LIMITS)
    out, now = b"", 0.0
    for start in range(0, len(octets), size):
        now += 7.0
        session.receive_data(octets[start : start + size], now)
        assert len(session._input) <= LIMITS.max_input
        if start // size == 3:
            history.update(SECOND, now)
            session.notify(now)
        if start // size % 3:
            out += drain(session, now)
        session.tick(now)
    session.receive_eof(now)
    out += drain(session, now)
    assert session.closing
    assert session.deadline() is None
    check(out, session.version)


def drain(session, now):
    """All that is to be sent."""
    out = b""
    while (chunk := session.next_chunk(1 << 16)) is not None:
        out += chunk
        session.sent(len(chunk), now)
    return out


def check(out, version):
    """Whole PDUs, of the session's version once that is known."""
    for pdu in read_all(out):
        if isinstance(pdu, ErrorReport):
            assert is_defined(pdu.code, pdu.version)
        else:
            assert pdu.version == version


def read_all(octets):
    """The PDUs of a stream that must be whole."""
    reader = PduReader()
    reader.receive_data(octets)
    found = list(iter(reader.next_pdu, None))
    assert len(reader) == 0
    return found


def fuzz_router(octets, size):
    """A cache that sends the octets; the first of them says what the router begins with."""
    version, known = octets[0] % 3 if octets else 2, {}
    if octets and octets[0] & 4:
        known = {"session_id": IDS[version], "serial": 5}
    session = RouterSession(version=version, now=0.0, **known)
    mirror = Mirror(session, FIRST if known else None)
    out, now = session.data_to_send(), 0.0
    for start in range(1, len(octets), size):
        now += 1.0
        before = mirror.snapshot
        mirror.receive_data(octets[start : start + size], now)
        events = mirror.events()
        if not any(isinstance(event, SnapshotReceived) for event in events):
            assert mirror.snapshot is before
        received = sum(isinstance(event, SnapshotReceived) for event in events)
        assert received <= sum(isinstance(event, EndOfDataReceived) for event in events)
        assert len(session._rest) <= 65_535
        out += session.data_to_send()
        session.tick(now)
    out += session.data_to_send()
    session.receive_eof(now)
    assert session.closing
    read_all(out)


TARGETS = (fuzz_decoder, fuzz_cache, fuzz_router)


def test_one_input(data):
    """What atheris calls."""
    if len(data) >= 2:
        TARGETS[data[0] % len(TARGETS)](data[2:], data[1] + 1)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
