"""What a check expects of PDUs and reactions; Broken says what came instead."""

from __future__ import annotations

from rtr_server.protocol.decode import clean_text
from rtr_server.protocol.errors import ErrorCode
from rtr_server.protocol.pdu import MAX_TEXT, PduType, read_header
from rtr_server.tools.link import Broken, Reaction, describe
from rtr_server.tools.received import type_name


def expect(pdu: bytes | None, version: int, kind: PduType) -> bytes:
    """The PDU, if it is of this version and type; Broken says what came instead."""
    if pdu is None:
        raise Broken(f"connection closed, expected {type_name(kind)}")
    if read_header(pdu)[:2] != (version, kind):
        raise Broken(f"{describe(pdu)}{text(pdu)}, expected {type_name(kind)} of version {version}")
    return pdu


def expect_answer(pdu: bytes | None, version: int) -> None:
    """Any answer to a query that is no fault: No Data is none."""
    no_data = (version, PduType.ERROR_REPORT, ErrorCode.NO_DATA_AVAILABLE)
    if pdu is not None and read_header(pdu)[:3] in (no_data, (version, PduType.CACHE_RESET, 0)):
        return
    expect(pdu, version, PduType.CACHE_RESPONSE)


def expect_error(pdu: bytes, version: int, code: ErrorCode) -> None:
    """An Error Report of this version and code."""
    if read_header(pdu)[:3] != (version, PduType.ERROR_REPORT, code):
        raise Broken(f"{describe(pdu)}{text(pdu)}, expected error {code.value} of version {version}")


def text(pdu: bytes) -> str:
    """What an Error Report says in words, fit for a terminal."""
    if pdu[1] != PduType.ERROR_REPORT:
        return ""
    start = 16 + int.from_bytes(pdu[8:12], "big")
    words = clean_text(pdu[start : start + MAX_TEXT])
    return f" ({words})" if words else ""


def reported(reaction: Reaction, *codes: ErrorCode) -> None:
    """One of the codes was reported, in the version of the session."""
    wanted = [(reaction.version, PduType.ERROR_REPORT, code) for code in codes]
    if not any(read_header(report)[:3] in wanted for report in reaction.reports):
        expected = " or ".join(str(code.value) for code in codes)
        raise Broken(f"{reaction.seen}; expected error {expected} of version {reaction.version}")


def closed(reaction: Reaction) -> None:
    """The cache ended the connection."""
    if not reaction.closed:
        raise Broken(reaction.seen)


def silent_end(reaction: Reaction) -> None:
    """The cache ended the connection without a word."""
    if reaction.pdus or not reaction.closed:
        raise Broken(reaction.seen)
