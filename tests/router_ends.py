"""A router's end of a session, what a cache sends to it, and what it must have answered."""

from rov import Aspa, Prefix, RouterKey, Vrp
from rtr_server.protocol.client import RouterSession, RouterState
from rtr_server.protocol.decode import decode
from rtr_server.protocol.pdu import CacheResponse, EndOfData

SID = 7
V4 = Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)
V6 = Vrp(Prefix.parse("2001:db8::/32"), 48, 64497)
LOW, OTHER = Vrp(Prefix.parse("10.0.0.0/8"), 8, 1), Vrp(Prefix.parse("198.51.100.0/24"), 24, 64496)
KEY = RouterKey(64496, bytes(20), bytes(91))
ASPA = Aspa(64496, (64497,))


def end(version=2, serial=5, session_id=SID, timing=(3600, 600, 7200)):
    return EndOfData(version, session_id, serial, *(timing if version else ()))


def give(end_of_router, *pdus, now=1.0):
    end_of_router.receive_data(b"".join(p if isinstance(p, bytes) else p.encode() for p in pdus), now)


def asked(version=2, **options):
    session = RouterSession(version=version, now=0.0, **options)
    assert session.data_to_send()
    return session


def synced(version=2, serial=5):
    session = asked(version)
    give(session, CacheResponse(version, SID), end(version, serial))
    assert session.state is RouterState.IDLE
    session.events()
    return session


def failed(session, code, version=2):
    """The Error Report that the session sent; it must be closed after it."""
    assert session.closing
    report = decode(session.data_to_send())
    assert (report.version, report.code) == (version, code)
    return report
