"""What is wrong with a PDU that a router sends to a cache, judged by its header alone, and what to answer."""

from __future__ import annotations

from typing import NamedTuple

from rtr_server.protocol.errors import ErrorCode
from rtr_server.protocol.limits import MAX_ERROR_REPORT
from rtr_server.protocol.pdu import (
    FIXED_LENGTHS,
    HEADER_OCTETS,
    MAX_ENCAPSULATED,
    MAX_PDU_OCTETS,
    QUERIES,
    TYPES,
    Header,
    PduType,
)


class Fault(NamedTuple):
    """The Error Report to send: its code, text and version, and how many octets of the PDU go into it.

    ``survivable``: the router may try again on the same connection; otherwise it is closed.
    """

    code: ErrorCode
    text: str
    version: int
    needed: int
    survivable: bool = False


def find_fault(header: Header, negotiated: int | None, versions: range) -> Fault | None:
    """What the header breaks, in the order in which it matters; None if it is a query to answer.

    An Error Report is never at fault, since none may be answered (RFC 8210 §5.11). ``versions`` are those
    that the cache speaks, ``negotiated`` is None before the first query in one of them.

    >>> find_fault(Header(3, PduType.RESET_QUERY, 0, 8), None, range(3)).code.label
    'unsupported protocol version'
    """
    version, kind, _, length = header
    if kind == PduType.ERROR_REPORT:
        return None
    if negotiated is None and version not in versions:
        return _version_fault(header, versions)
    stamp = version if negotiated is None else negotiated
    readable = HEADER_OCTETS <= length <= MAX_PDU_OCTETS
    needed = min(length, MAX_ENCAPSULATED) if readable else HEADER_OCTETS
    if version != stamp:
        code = ErrorCode.UNEXPECTED_PROTOCOL_VERSION if stamp else ErrorCode.CORRUPT_DATA
        return Fault(code, f"version {version} in a session of version {stamp}", stamp, needed)
    found = _pdu_fault(header)
    return Fault(*found, stamp, needed) if found else None


def _pdu_fault(header: Header) -> tuple[ErrorCode, str] | None:
    """What is wrong with a PDU of the right version."""
    version, kind, _, length = header
    if not HEADER_OCTETS <= length <= MAX_PDU_OCTETS:
        return ErrorCode.CORRUPT_DATA, f"length {length}: expected 8 to {MAX_PDU_OCTETS}"
    if kind not in TYPES[version]:
        return ErrorCode.UNSUPPORTED_PDU_TYPE, f"type {kind} is not defined in version {version}"
    name = PduType(kind).name
    if kind not in QUERIES:
        return ErrorCode.INVALID_REQUEST, f"{name}: expected a query"
    expected = FIXED_LENGTHS[PduType(kind)]
    if length != expected:
        return ErrorCode.CORRUPT_DATA, f"{name}: length {length}, expected {expected}"
    return None


def _version_fault(header: Header, versions: range) -> Fault:
    """The first PDU is of a version that we do not speak: answers are stamped with our highest.

    A router that sees that version retries with it (8210bis §7); one that is too old cannot.
    """
    version, kind, _, length = header
    highest = versions[-1]
    text = f"version {version}: expected {versions[0]} to {highest}"
    code = ErrorCode.UNSUPPORTED_PROTOCOL_VERSION
    if kind not in QUERIES:
        return Fault(code, text, highest, HEADER_OCTETS)
    if not HEADER_OCTETS <= length <= MAX_ENCAPSULATED:
        text = f"{PduType(kind).name}: length {length}"
        return Fault(ErrorCode.CORRUPT_DATA, text, highest, HEADER_OCTETS)
    return Fault(code, text, highest, length, survivable=version > highest)


def octets_to_read(header: Header) -> int:
    """How much of a PDU without a fault must be there: all of a query, the beginning of an Error Report.

    >>> octets_to_read(Header(1, PduType.ERROR_REPORT, 0, 65535))
    4096
    """
    if header.type == PduType.ERROR_REPORT:
        return max(HEADER_OCTETS, min(header.length, MAX_ERROR_REPORT))
    return header.length
