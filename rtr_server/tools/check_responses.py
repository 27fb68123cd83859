"""Checks of what full responses carry, in every version that the cache speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from rtr_server.protocol.pdu import END_OF_DATA_LAYOUT, VERSIONS, PduType, ResetQuery, read_header
from rtr_server.protocol.source import EXPIRE_RANGE, REFRESH_RANGE, RETRY_RANGE
from rtr_server.tools.expect import expect
from rtr_server.tools.link import Broken, describe
from rtr_server.tools.probe import Check, Probe, Skip, register
from rtr_server.tools.received import PAYLOAD_TYPES, Payload, Response, type_name

FIRST_SECONDS, GAP_SECONDS, TABLE_SECONDS = 1.0, 10.0, 60.0
"""What routers wait for the first octet, between octets, and for everything, at the least."""

CHECKS: list[Check] = []
_check = partial(register, CHECKS)


def _each_payload(probe: Probe) -> Iterator[tuple[int, Response, Payload]]:
    for version, full in probe.fulls.items():
        yield version, full, probe.payload(version)


def _no_fault(probe: Probe, fault: Callable[[Payload], str], versions: tuple[int, ...] = VERSIONS) -> None:
    """Broken if the payload has the fault in any of the versions; Skip if none of them is spoken."""
    judged = [(version, payload) for version, _, payload in _each_payload(probe) if version in versions]
    if not judged:
        raise Skip("no full response in " + " or ".join(f"version {version}" for version in versions))
    for version, payload in judged:
        found = fault(payload)
        if found:
            raise Broken(f"version {version}: {found}")


@_check("C01", "MUST", "8210bis §7", "every PDU carries the negotiated version")
def _version_of_pdus(probe: Probe) -> None:
    for version, full, _ in _each_payload(probe):
        fault = Payload(full.parts).bad_version(version)
        if full.end[0] != version:
            fault = describe(full.end)
        if fault:
            raise Broken(f"version {version} was asked: {fault}")


@_check("C02", "MUST", "8210bis §5.1", "each length fits its type, responses run to End of Data")
def _lengths(probe: Probe) -> None:
    for version, survey in probe.surveys.items():
        if survey.cut:
            raise Broken(f"version {version}: {survey.fault}")
        if survey.full is not None and survey.full.complete:
            fault = Payload(survey.full.parts).bad_length(version)
            if fault:
                raise Broken(f"version {version}: {fault}")
    if not probe.versions:
        raise Broken(probe.why_no_version)


@_check("C03", "MUST", "8210bis §5", "zero fields and reserved flags are zero")
def _zero_fields(probe: Probe) -> None:
    _no_fault(probe, Payload.nonzero_field)


@_check("C05", "MUST", "8210bis §5.9", "length <= max length <= 32 or 128, no host bits")
def _prefixes(probe: Probe) -> None:
    _no_fault(probe, Payload.bad_prefix)


@_check("C06", "MUST", "8210 §5.8", "End of Data has 12 octets in version 0, 24 in versions 1 and 2")
def _end_length(probe: Probe) -> None:
    for version, full, _ in _each_payload(probe):
        expected = END_OF_DATA_LAYOUT.size if version else 12
        if len(full.end) != expected:
            raise Broken(f"version {version}: {len(full.end)} octets, expected {expected}")


@_check("C07", "MUST", "8210 §6", "timers in range, expire above refresh and retry")
def _timers(probe: Probe) -> str:
    note = ""
    for version, full, _ in _each_payload(probe):
        if version and len(full.end) == END_OF_DATA_LAYOUT.size:
            refresh, retry, expire = END_OF_DATA_LAYOUT.unpack(full.end)[5:]
            note = f"refresh {refresh}, retry {retry}, expire {expire} s"
            if expire <= max(refresh, retry) or not _in_range(refresh, retry, expire):
                raise Broken(f"version {version}: {note}")
    if not note:
        raise Skip("no End of Data with timers")
    return note


def _in_range(*timers: int) -> bool:
    ranges = (REFRESH_RANGE, RETRY_RANGE, EXPIRE_RANGE)
    return all(low <= timer <= high for timer, (low, high) in zip(timers, ranges, strict=True))


@_check("C08", "MUST", "8210bis §5.7", "End of Data has the session id of its Cache Response")
def _end_session(probe: Probe) -> None:
    for version, full, _ in _each_payload(probe):
        end = read_header(full.end).field
        if end != full.session_id:
            raise Broken(f"version {version}: End of Data {end}, Cache Response {full.session_id}")


@_check("C09", "MUST", "8210bis §5.4", "a Reset Query gives announcements only, in one response")
def _full_response(probe: Probe) -> str:
    _no_fault(probe, Payload.withdrawal)
    for version, full, _ in _each_payload(probe):
        expected = PAYLOAD_TYPES | {PduType.SERIAL_NOTIFY}
        strange = [part.type for part in full.parts if part.type not in expected]
        if strange:
            raise Broken(f"version {version}: {type_name(strange[0])} inside the response")
    payload = probe.payload(probe.highest)
    counts = [f"{len(payload.prefixes[family]):,} IPv{family}" for family in (4, 6)]
    return f"{', '.join(counts)}, {len(payload.keys):,} router keys, {len(payload.aspas):,} ASPAs"


@_check("C16", "MUST", "8210bis §5.9", "no VRP twice")
def _unique_vrps(probe: Probe) -> None:
    _no_fault(probe, Payload.duplicate_prefix)


@_check("C17", "MUST", "8210bis §5.11", "no router key twice")
def _unique_keys(probe: Probe) -> None:
    if not any(payload.keys for *_, payload in _each_payload(probe)):
        raise Skip("no router keys served")
    _no_fault(probe, Payload.duplicate_key, (1, 2))


@_check("C18", "MUST", "8210bis §5.12", "one ASPA for each customer, providers strictly ascending")
def _unique_aspas(probe: Probe) -> None:
    _need_aspas(probe)
    _no_fault(probe, Payload.duplicate_aspa, (2,))


@_check("C19", "MUST", "8210bis §5.12", "an announced ASPA has providers, AS 0 only alone")
def _providers(probe: Probe) -> None:
    _need_aspas(probe)
    _no_fault(probe, Payload.bad_providers, (2,))


def _need_aspas(probe: Probe) -> None:
    if 2 not in probe.fulls or not probe.payload(2).aspas:
        raise Skip("no ASPAs served")


@_check("C22", "MUST", "8210bis §14", "no router keys in version 0, no ASPAs in versions 0 and 1")
def _types_of_version(probe: Probe) -> None:
    for version, _, payload in _each_payload(probe):
        if (payload.keys and version < 1) or (payload.aspas and version < 2):
            kind = "router key" if payload.keys and version < 1 else "ASPA"
            raise Broken(f"version {version}: has a PDU of type {kind}")


@_check("C23", "MUST", "8210bis §11.2", "payload in the one order of version 2")
def _order(probe: Probe) -> None:
    _no_fault(probe, Payload.misordered, (2,))


@_check("C24", "SHOULD", "8210bis §11.2", "the same order in versions 0 and 1")
def _order_of_old(probe: Probe) -> None:
    _no_fault(probe, Payload.misordered, (0, 1))


@_check("C39", "SHOULD", "8210bis §5.1", "a session id for each version, the same on all connections")
def _session_ids(probe: Probe) -> None:
    ids = {version: full.session_id for version, full in probe.fulls.items()}
    if len(set(ids.values())) != len(ids):
        raise Broken("session ids " + ", ".join(f"{value} in version {key}" for key, value in ids.items()))
    with probe.link() as link:
        link.send(ResetQuery(probe.highest).encode())
        again = read_header(expect(link.pdu(), probe.highest, PduType.CACHE_RESPONSE)).field
    if again != ids.get(probe.highest, again):
        raise Broken(f"session id {again} on another connection, {ids[probe.highest]} before")


@_check(
    "C55", "robustness", "routers", "a response starts within 1 s, has no gap over 10 s, takes under 60 s"
)
def _speed(probe: Probe) -> str:
    slowest = max(probe.fulls.values(), key=lambda full: full.seconds)
    note = f"first octets {slowest.first:.2f} s, longest gap {slowest.gap:.2f} s, all {slowest.seconds:.2f} s"
    for full in probe.fulls.values():
        if full.first > FIRST_SECONDS or full.gap > GAP_SECONDS or full.seconds > TABLE_SECONDS:
            raise Broken(note)
    return note
