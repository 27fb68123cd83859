"""The cache's end of a session in each of its states, and what it must send."""

from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache.history import History
from rtr_server.protocol.decode import PduReader
from rtr_server.protocol.pdu import CacheResponse, EndOfData, ResetQuery
from rtr_server.protocol.session import CacheSession

IDS = {0: 10, 1: 11, 2: 12}
FIRST = 0xFFFFFFFE  # serials wrap around in these tests
BASE = [Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496), Vrp(Prefix.parse("2001:db8::/32"), 48, 64497)]
MORE = Vrp(Prefix.parse("198.51.100.0/24"), 24, 64498)
KEY = RouterKey(64496, bytes(20), bytes(91))
ASPA = Aspa(64496, (64497,))


def make_history(ready=True):
    """Three serials: FIRST without MORE, then with it, then an ASPA on top; the last is current."""
    history = History(IDS, FIRST)
    if ready:
        history.update(Snapshot.from_vrps(BASE, [], [KEY]), 0.0)
        history.update(Snapshot.from_vrps([*BASE, MORE], [], [KEY]), 1.0)
        history.update(Snapshot.from_vrps([*BASE, MORE], [ASPA], [KEY]), 2.0)
    return history


CURRENT = (FIRST + 2) % 2**32


def flush(session, size=1 << 20):
    """Everything that the session has to send, as a transport takes it."""
    out = b""
    while (chunk := session.next_chunk(size)) is not None:
        out += chunk
        session.sent(len(chunk), session._now)
    return out


def pdus(octets):
    reader = PduReader()
    reader.receive_data(octets)
    found = []
    while (pdu := reader.next_pdu()) is not None:
        found.append(pdu)
    assert not len(reader)
    return found


def send(session, *queries, now=10.0):
    session.receive_data(b"".join(q if isinstance(q, bytes) else q.encode() for q in queries), now)
    return flush(session)


def fresh(history=None, **options):
    return CacheSession(history or make_history(), now=0.0, **options)


def negotiated(version):
    """Accepted at version, but without data at that time; data have come since."""
    history = make_history(ready=False)
    session = fresh(history)
    assert pdus(send(session, ResetQuery(version)))[0].code == 2
    history.update(Snapshot.from_vrps(BASE, [], [KEY]), 0.0)
    history.update(Snapshot.from_vrps([*BASE, MORE], [], [KEY]), 1.0)
    history.update(Snapshot.from_vrps([*BASE, MORE], [ASPA], [KEY]), 2.0)
    return session


def opened(version):
    session = fresh()
    send(session, ResetQuery(version))
    return session


def refused(version):
    session = fresh(max_version=version)
    assert pdus(send(session, bytes([version + 1]) + ResetQuery(0).encode()[1:]))[0].code == 4
    return session


STATES = {
    "NEW": lambda version: fresh(),
    "NEW, 1 to 1": lambda version: fresh(min_version=1, max_version=1),
    "NEW, no data": lambda version: fresh(make_history(ready=False)),
    "REFUSED": refused,
    "NEGOTIATED": negotiated,
    "OPEN": opened,
}


def end_of_data(version):
    timing = (3600, 600, 7200) if version else ()
    return EndOfData(version, IDS[version], CURRENT, *timing).encode()


def response(version, since=None):
    history = make_history()
    found = history.full(version) if since is None else history.diff(version, since)
    return CacheResponse(version, IDS[version]).encode() + bytes(found.payload) + end_of_data(version)


def error(version, code, pdu=b""):
    """An Error Report by its code and copy of the PDU; the text is free."""
    return ("error", version, code, pdu)


def raw(version, kind, length, field=0):
    """A PDU of zeros with this header."""
    return bytes([version, kind]) + field.to_bytes(2, "big") + length.to_bytes(4, "big") + bytes(length - 8)


def header(version, kind, length):
    return bytes([version, kind, 0, 0]) + length.to_bytes(4, "big")


def check(reply, expected):
    if isinstance(expected, tuple):
        _, version, code, pdu = expected
        (found,) = pdus(reply)
        assert (found.version, found.code, found.pdu) == (version, code, pdu)
    else:
        assert reply == expected
