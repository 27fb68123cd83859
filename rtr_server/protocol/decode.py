"""Octets to PDUs: one whole PDU, or a stream of them however it was split. Every length is checked first.

Fields that must be zero are ignored (RFC 8210 §5), so that a sloppy peer is still understood.
"""

from __future__ import annotations

import itertools
import struct

from rov import Aspa, Prefix, PrefixError, RouterKey, Vrp
from rtr_server.protocol.errors import ErrorCode, PduError
from rtr_server.protocol.pdu import (
    ANNOUNCE,
    ASPA_LAYOUT,
    END_OF_DATA_LAYOUT,
    FIXED_LENGTHS,
    HEADER_OCTETS,
    KEY_OCTETS,
    MAX_PDU_OCTETS,
    PREFIX_LAYOUT,
    ROUTER_KEY_LAYOUT,
    SERIAL_LAYOUT,
    TYPES,
    VERSIONS,
    AspaPdu,
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    Header,
    Pdu,
    PduType,
    PrefixPdu,
    ResetQuery,
    RouterKeyPdu,
    SerialNotify,
    SerialQuery,
    read_header,
)


def check_header(header: Header, pdu: bytes = b"") -> None:
    """PduError if no PDU can have this length, or this type in this version: framing would be lost.

    >>> check_header(Header(1, PduType.RESET_QUERY, 0, 8))
    """
    version, kind, _, length = header
    if not HEADER_OCTETS <= length <= MAX_PDU_OCTETS:
        raise PduError(ErrorCode.CORRUPT_DATA, f"length {length}: expected 8 to 65535", pdu)
    if version not in TYPES:
        text = f"version {version}: expected 0 to {VERSIONS[-1]}"
        raise PduError(ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, text, pdu)
    if kind not in TYPES[version]:
        text = f"type {kind} is not defined in version {version}"
        raise PduError(ErrorCode.UNSUPPORTED_PDU_TYPE, text, pdu)
    expected = fixed_length(version, kind)
    if expected is not None and length != expected:
        text = f"{PduType(kind).name}: length {length}, expected {expected}"
        raise PduError(ErrorCode.CORRUPT_DATA, text, pdu)


def fixed_length(version: int, kind: int) -> int | None:
    """The one length that a type has in a version; None where it varies.

    >>> fixed_length(0, PduType.END_OF_DATA), fixed_length(1, PduType.END_OF_DATA)
    (12, 24)
    """
    if kind == PduType.END_OF_DATA:
        return SERIAL_LAYOUT.size if version == 0 else END_OF_DATA_LAYOUT.size
    return FIXED_LENGTHS.get(PduType(kind))


def decode(data: bytes) -> Pdu:
    """The one PDU that data is, exactly; PduError with the code to report otherwise.

    >>> decode(bytes.fromhex("0202000000000008"))
    ResetQuery(version=2)
    """
    if len(data) < HEADER_OCTETS:
        raise PduError(ErrorCode.CORRUPT_DATA, f"{len(data)} octets: expected a header of 8", data)
    header = read_header(data)
    check_header(header, data)
    if header.length != len(data):
        text = f"length {header.length}: found {len(data)} octets"
        raise PduError(ErrorCode.CORRUPT_DATA, text, data)
    return _decode_body(header, data)


def _decode_body(header: Header, data: bytes) -> Pdu:
    version, kind, field, _ = header
    match kind:
        case PduType.SERIAL_NOTIFY:
            return SerialNotify(version, field, SERIAL_LAYOUT.unpack(data)[4])
        case PduType.SERIAL_QUERY:
            return SerialQuery(version, field, SERIAL_LAYOUT.unpack(data)[4])
        case PduType.RESET_QUERY:
            return ResetQuery(version)
        case PduType.CACHE_RESPONSE:
            return CacheResponse(version, field)
        case PduType.IPV4_PREFIX:
            return _decode_prefix(version, 4, data)
        case PduType.IPV6_PREFIX:
            return _decode_prefix(version, 6, data)
        case PduType.END_OF_DATA:
            layout = SERIAL_LAYOUT if version == 0 else END_OF_DATA_LAYOUT
            return EndOfData(version, field, *layout.unpack(data)[4:])
        case PduType.CACHE_RESET:
            return CacheReset(version)
        case PduType.ROUTER_KEY:
            return _decode_router_key(version, data)
        case PduType.ASPA:
            return _decode_aspa(version, data)
        case _:
            return decode_error(data)


def _decode_prefix(version: int, family: int, data: bytes) -> PrefixPdu:
    *_, flags, length, max_length, address, asn = PREFIX_LAYOUT[family].unpack(data)
    try:
        prefix = Prefix(4 if family == 4 else 6, int.from_bytes(address, "big"), length)
    except PrefixError as error:
        raise PduError(ErrorCode.CORRUPT_DATA, str(error), data) from error
    if not length <= max_length <= prefix.bits:
        text = f"max length {max_length}: expected {length} to {prefix.bits}"
        raise PduError(ErrorCode.CORRUPT_DATA, text, data)
    return PrefixPdu(version, bool(flags & ANNOUNCE), Vrp(prefix, max_length, asn))


def _decode_router_key(version: int, data: bytes) -> RouterKeyPdu:
    if len(data) <= KEY_OCTETS:
        text = f"router key of {len(data)} octets: expected more than {KEY_OCTETS}"
        raise PduError(ErrorCode.CORRUPT_DATA, text, data)
    _, _, flags, _, ski, asn = ROUTER_KEY_LAYOUT.unpack_from(data)
    return RouterKeyPdu(version, bool(flags & ANNOUNCE), RouterKey(asn, ski, data[KEY_OCTETS:]))


def _decode_aspa(version: int, data: bytes) -> AspaPdu:
    if len(data) < ASPA_LAYOUT.size or len(data) % 4:
        text = f"ASPA of {len(data)} octets: expected 12 and 4 for each provider"
        raise PduError(ErrorCode.CORRUPT_DATA, text, data)
    _, _, flags, _, customer = ASPA_LAYOUT.unpack_from(data)
    providers = struct.unpack_from(f"!{len(data) // 4 - 3}I", data, ASPA_LAYOUT.size)
    if customer == 0:
        raise PduError(ErrorCode.CORRUPT_DATA, "ASPA of AS0: expected a customer of 1 or more", data)
    announce = bool(flags & ANNOUNCE)
    fault = _provider_fault(announce, providers)
    if fault:
        raise PduError(ErrorCode.ASPA_PROVIDER_LIST_ERROR, f"ASPA of AS{customer}: {fault}", data)
    return AspaPdu(version, announce, Aspa(customer, providers))


def _provider_fault(announce: bool, providers: tuple[int, ...]) -> str:
    """What is wrong with the providers of an ASPA PDU (8210bis §5.12); empty if nothing is."""
    if not announce:
        return "a withdrawal has no providers" if providers else ""
    if not providers:
        return "an announcement has at least one provider"
    if any(low >= high for low, high in itertools.pairwise(providers)):
        return "providers are strictly ascending"
    return "AS 0 stands alone" if providers[0] == 0 and len(providers) > 1 else ""


def decode_error(data: bytes) -> ErrorReport:
    """The Error Report that data is, whatever its version; PduError if its lengths do not fit.

    >>> decode_error(bytes.fromhex("010a0002 00000010 00000000 00000000")).code
    2
    """
    room = len(data) - HEADER_OCTETS - 8
    if room < 0:
        raise PduError(ErrorCode.CORRUPT_DATA, "error report: shorter than 16 octets", data)
    encapsulated = int.from_bytes(data[8:12], "big")
    if encapsulated > room:
        text = f"error report: {encapsulated} octets of PDU in room for {room}"
        raise PduError(ErrorCode.CORRUPT_DATA, text, data)
    end = 12 + encapsulated
    if int.from_bytes(data[end : end + 4], "big") != room - encapsulated:
        raise PduError(ErrorCode.CORRUPT_DATA, "error report: length of text does not fit", data)
    version, _, code, _ = read_header(data)
    return ErrorReport(version, code, data[12:end], clean_text(data[end + 4 :]))


def clean_text(octets: bytes) -> str:
    """Text from a peer, fit for a log: decoded, without control characters, without BIRD's final NUL.

    >>> clean_text(b"bad\\x1b[31m\\x00")
    'bad\\ufffd[31m'
    """
    text = octets.decode(errors="replace").rstrip("\0")
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


class PduReader:
    """Cuts a stream of octets into PDUs, however it was split; holds no more than it was given.

    >>> reader = PduReader()
    >>> reader.receive_data(bytes.fromhex("02020000"))
    >>> reader.next_pdu() is None
    True
    >>> reader.receive_data(bytes.fromhex("00000008"))
    >>> reader.next_pdu()
    ResetQuery(version=2)
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer)

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Add what came in."""
        self._buffer += data

    def header(self) -> Header | None:
        """The header of the next PDU, not yet checked; None until eight octets are there."""
        return read_header(self._buffer) if len(self._buffer) >= HEADER_OCTETS else None

    def peek(self, count: int) -> bytes:
        """The first count octets, or as many as there are; they stay."""
        return bytes(self._buffer[:count])

    def take(self, count: int) -> bytes:
        """Remove and return the first count octets; they must be there."""
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def clear(self) -> None:
        """Forget all octets."""
        self._buffer.clear()

    def next_pdu(self) -> Pdu | None:
        """The next PDU, None until it is complete; PduError if it is wrong: framing is lost then."""
        header = self.header()
        if header is None:
            return None
        check_header(header, self.peek(HEADER_OCTETS))
        if len(self._buffer) < header.length:
            return None
        return _decode_body(header, self.take(header.length))
