"""Checks of how a cache answers queries, versions and faults."""

from __future__ import annotations

import time
from functools import partial

from rtr_server.protocol.decode import decode_error
from rtr_server.protocol.errors import ErrorCode, PduError, is_defined, is_fatal
from rtr_server.protocol.pdu import (
    HEADER_LAYOUT,
    VERSIONS,
    CacheReset,
    ErrorReport,
    PduType,
    ResetQuery,
    read_header,
)
from rtr_server.tools.expect import closed, expect, expect_answer, expect_error, reported, silent_end
from rtr_server.tools.link import Broken, Link, Reaction, describe
from rtr_server.tools.probe import QUIET, Check, Probe, Skip, register

OTHER_SESSION = 0x5555
"""Xored into a session id, it gives one that the cache did not hand out in this version."""

FAR_AHEAD = 1_000_000
FAR_BEHIND = -1_000_000
"""Serials that no cache keeps: a million changes away."""

BYTE_PAUSE = 0.005
"""Seconds between the octets of a split query, so that each goes in a segment of its own."""

HUGE = 0x10000000
UNKNOWN_TYPE = 99

CHECKS: list[Check] = []
_check = partial(register, CHECKS)


# Queries


@_check("C04", "MUST", "8210bis §5", "zero fields of a query are ignored: a Reset Query with a session id")
def _zero_fields_ignored(probe: Probe) -> None:
    version = probe.highest
    with probe.link() as link:
        link.send(HEADER_LAYOUT.pack(version, PduType.RESET_QUERY, 0xFFFF, 8))
        expect_answer(link.pdu(), version)


@_check("C10", "MUST", "8210bis §5.3", "a Serial Query at the current serial gives an empty response")
def _empty_diff(probe: Probe) -> None:
    for version in probe.fulls:
        survey = probe.surveys[version]
        if survey.again is None or survey.full is None:
            raise Broken(f"version {version}: {survey.fault}")
        if not survey.again.complete:
            raise Broken(f"version {version}: {describe(survey.again.head)}")
        if survey.again.payload and survey.again.serial == survey.full.serial:
            raise Broken(f"version {version}: payload, though serial {survey.full.serial} is current")


@_check("C14", "MUST", "8210bis §5.3", "an unknown serial, old or future, gives Cache Reset; session goes on")
def _unknown_serial(probe: Probe) -> None:
    for ahead, name in ((FAR_AHEAD, "future"), (FAR_BEHIND, "old")):
        with probe.opened() as link:
            try:
                link.send(probe.query(ahead=ahead))
                expect(link.pdu(), probe.highest, PduType.CACHE_RESET)
                link.send(probe.query())
                expect(link.pdu(), probe.highest, PduType.CACHE_RESPONSE)
            except Broken as error:
                raise Broken(f"{name} serial: {error}") from None


@_check("C36", "robustness", "8210bis §8.4", "without data: Error 2, and the connection stays")
def _no_data(probe: Probe) -> None:
    survey = probe.surveys[probe.highest]
    if survey.full is not None and survey.full.complete:
        if not survey.full.payload:
            raise Broken("an empty set was served: a router would drop all it has")
        raise Skip("the cache has data")
    if survey.after.closed:
        raise Broken("Error 2, connection closed")


# Versions


@_check("C25", "MUST", "8210bis §7", "a query in a supported version is answered in it")
def _supported_versions(probe: Probe) -> str:
    if not probe.versions:
        raise Broken(probe.why_no_version)
    for version in range(probe.versions[0], probe.versions[-1]):
        if version not in probe.versions:
            raise Broken(f"version {version}: {probe.outcome(version)}")
    return "versions " + ", ".join(map(str, probe.versions))


@_check("C26", "MUST", "8210bis §7", "a version too new gives Error 4 with the highest; a retry there works")
def _too_new(probe: Probe) -> None:
    highest = probe.highest
    query = ResetQuery(highest + 1).encode()
    with probe.link() as link:
        link.send(query)
        answer = link.pdu()
        if answer is None:
            raise Broken(f"version {highest + 1}: closed without an Error Report")
        probe.remember("too new", Reaction(query, highest, (answer,), False))
        expect_error(answer, highest, ErrorCode.UNSUPPORTED_PROTOCOL_VERSION)
        link.send(ResetQuery(highest).encode())
        try:
            expect_answer(link.pdu(), highest)
        except Broken as error:
            raise Broken(f"Error 4, but the retry in version {highest} fails: {error}") from None


@_check("C27", "MUST", "8210bis §7", "a version too old gives Error 4 with the highest, then the end")
def _too_old(probe: Probe) -> None:
    lowest = probe.versions[0] if probe.versions else 0
    if lowest == 0:
        raise Skip("the cache speaks version 0")
    survey = probe.surveys[lowest - 1]
    if survey.full is None:
        raise Broken(f"version {lowest - 1}: {survey.fault}")
    expect_error(survey.full.head, probe.highest, ErrorCode.UNSUPPORTED_PROTOCOL_VERSION)
    if not survey.after.closed:
        raise Broken("connection left open")


def _change_version(probe: Probe) -> Reaction:
    other = probe.highest - 1 if probe.highest else 1
    return probe.provoke("version", ResetQuery(other).encode())


@_check("C28", "MUST", "8210bis §7", "a change of version on an open session ends it")
def _version_changed(probe: Probe) -> None:
    closed(_change_version(probe))


@_check("C28", "SHOULD", "8210bis §7", "with Error 8 (version 0: Error 0) first")
def _version_changed_said(probe: Probe) -> None:
    code = ErrorCode.UNEXPECTED_PROTOCOL_VERSION if probe.highest else ErrorCode.CORRUPT_DATA
    reported(_change_version(probe), code)


@_check("C29", "MUST", "8210bis §7", "an Error Report of another version ends the session silently")
def _foreign_error(probe: Probe) -> None:
    report = ErrorReport(probe.highest + 1, ErrorCode.INTERNAL_ERROR).encode()
    silent_end(probe.provoke("foreign error", report))


@_check("C30", "MUST", "8210bis §5.8", "an Error Report is never answered by one")
def _no_error_for_error(probe: Probe) -> None:
    for reaction in _error_reports(probe):
        if reaction.reports:
            raise Broken(reaction.seen)


@_check("C31", "SHOULD", "8210bis §5.8", "a malformed Error Report ends the session")
def _malformed_error(probe: Probe) -> None:
    silent_end(_error_reports(probe)[1])


def _error_reports(probe: Probe) -> tuple[Reaction, Reaction]:
    report = ErrorReport(probe.highest, ErrorCode.INTERNAL_ERROR, text="probe").encode()
    overrun = report[:8] + bytes([0, 0, 0, 200]) + report[12:]
    return probe.provoke("error", report), probe.provoke("malformed error", overrun)


# Error Reports


def _bad_pdus(probe: Probe) -> list[Reaction]:
    """Everything of a wrong type, direction, length or session, provoked."""
    return [_unknown_type(probe), *_wrong_directions(probe), *_bad_lengths(probe), _session_mismatch(probe)]


def _unknown_type(probe: Probe) -> Reaction:
    return probe.provoke("type", HEADER_LAYOUT.pack(probe.highest, UNKNOWN_TYPE, 0, 8))


def _wrong_directions(probe: Probe) -> list[Reaction]:
    return [probe.provoke("direction", CacheReset(probe.highest).encode())]


def _bad_lengths(probe: Probe) -> list[Reaction]:
    version = probe.highest
    serial_query = HEADER_LAYOUT.pack(version, PduType.SERIAL_QUERY, 0, 16) + bytes(8)
    return [
        probe.provoke("short", HEADER_LAYOUT.pack(version, PduType.RESET_QUERY, 0, 4)),
        probe.provoke("huge", HEADER_LAYOUT.pack(version, PduType.RESET_QUERY, 0, HUGE)),
        probe.provoke("long query", serial_query),
    ]


def _session_mismatch(probe: Probe) -> Reaction:
    return probe.provoke("session", probe.query(session_id=OTHER_SESSION))


def _all_reports(probe: Probe) -> list[tuple[Reaction, bytes]]:
    """Every Error Report seen, after the cache was given reason for some; Skip if there are none."""
    if probe.versions:
        _bad_pdus(probe)
        _change_version(probe)
    found = [(reaction, report) for reaction in probe.reactions for report in reaction.reports]
    if not found:
        raise Skip("the cache sent no Error Report")
    return found


@_check("C32", "MUST", "8210bis §12", "only error codes that the session's version defines")
def _defined_codes(probe: Probe) -> str:
    reports = _all_reports(probe)
    for _, report in reports:
        version, _, code, _ = read_header(report)
        if version not in VERSIONS or not is_defined(code, version):
            raise Broken(describe(report))
    return f"{len(reports)} Error Reports"


@_check("C33", "MUST", "8210bis §5.8", "lengths inside Error Reports fit, texts are UTF-8")
def _error_layout(probe: Probe) -> None:
    for _, report in _all_reports(probe):
        try:
            decode_error(report)
            report[16 + int.from_bytes(report[8:12], "big") :].decode()
        except (PduError, UnicodeDecodeError) as error:
            raise Broken(f"{describe(report)}: {error}") from error


@_check(
    "C34", "MUST", "8210bis §5.8", "an Error Report carries a copy of the erroneous PDU, or its beginning"
)
def _encapsulated(probe: Probe) -> None:
    for reaction, report in _all_reports(probe):
        copy = report[12 : 12 + int.from_bytes(report[8:12], "big")]
        generic = read_header(report).field in (ErrorCode.INTERNAL_ERROR, ErrorCode.NO_DATA_AVAILABLE)
        if copy and not reaction.sent.startswith(copy):
            raise Broken(f"{describe(report)}: its PDU is not the one that was sent")
        if len(copy) < 4 and not generic:
            raise Broken(f"{describe(report)}: {len(copy)} octets of the PDU, expected 4 at least")


@_check("C35", "MUST", "8210bis §12", "after a fatal Error Report the session is over")
def _fatal_ends(probe: Probe) -> None:
    _all_reports(probe)
    for reaction in probe.reactions:
        # Fatal in every version: 8210bis lets a session go on after Error 4.
        fatal = [report for report in reaction.reports if is_fatal(read_header(report).field, VERSIONS[-1])]
        if fatal and not reaction.closed:
            raise Broken(reaction.seen)


@_check("C37", "MUST", "8210bis §5.1", "another session id on an open session: Error 0 and the end")
def _other_session(probe: Probe) -> None:
    reaction = _session_mismatch(probe)
    reported(reaction, ErrorCode.CORRUPT_DATA)
    closed(reaction)


@_check("C38", "robustness", "8210bis §5.3", "an unknown session id in the first query gives Cache Reset")
def _stale_session(probe: Probe) -> None:
    with probe.link() as link:
        reaction = link.reaction(probe.query(session_id=OTHER_SESSION), probe.highest, QUIET)
    if reaction.closed or [pdu[1] for pdu in reaction.pdus] != [PduType.CACHE_RESET]:
        raise Broken(f"{reaction.seen}: routers may flush all they have")


@_check("C42", "SHOULD", "8210bis §7", "nothing is sent before the first query")
def _silence_first(probe: Probe) -> None:
    with probe.link() as link:
        reaction = link.reaction(b"", 0, QUIET)
    if reaction.pdus or reaction.closed:
        raise Broken(reaction.seen)


@_check("C43", "MUST", "8210bis §5.2", "only Serial Notify is ever sent unasked")
def _unsolicited(probe: Probe) -> None:
    for version in probe.fulls:
        after = probe.surveys[version].after
        if any(pdu[1] != PduType.SERIAL_NOTIFY for pdu in after.pdus):
            raise Broken(f"version {version}: after End of Data {after.seen}")


# Robustness


@_check("C52", "robustness", "TCP", "a query that comes octet by octet is answered")
def _split_query(probe: Probe) -> None:
    query = probe.query()
    with probe.link() as link:
        for octet in query:
            link.send(bytes([octet]))
            time.sleep(BYTE_PAUSE)
        expect(link.pdu(), probe.highest, PduType.CACHE_RESPONSE)


@_check("C53", "robustness", "TCP", "two queries in one segment are answered in order")
def _joined_queries(probe: Probe) -> None:
    with probe.link() as link:
        link.send(probe.query() + probe.query(ahead=FAR_AHEAD))
        first = link.response()
        expect(first.head, probe.highest, PduType.CACHE_RESPONSE)
        try:
            second = _next_answer(link)
        except Broken as error:
            raise Broken(f"the second one: {error}") from None
        expect_answer(second, probe.highest)


def _next_answer(link: Link) -> bytes | None:
    pdu = link.pdu()
    return _next_answer(link) if pdu is not None and pdu[1] == PduType.SERIAL_NOTIFY else pdu


@_check("C54", "robustness", "8210bis §12", "an unknown PDU type: Error 5 and the end")
def _type_refused(probe: Probe) -> None:
    reported(_unknown_type(probe), ErrorCode.UNSUPPORTED_PDU_TYPE)
    closed(_unknown_type(probe))


@_check("C54", "robustness", "8210bis §12", "a PDU that only caches send: Error 3 and the end")
def _direction_refused(probe: Probe) -> None:
    for reaction in _wrong_directions(probe):
        reported(reaction, ErrorCode.INVALID_REQUEST)
        closed(reaction)


@_check(
    "C54",
    "robustness",
    "8210bis §5.1",
    "a length below 8, a huge one, a query too long: Error 0 or 3 and the end",
)
def _lengths_refused(probe: Probe) -> None:
    for reaction in _bad_lengths(probe):
        reported(reaction, ErrorCode.CORRUPT_DATA, ErrorCode.INVALID_REQUEST)
        closed(reaction)
