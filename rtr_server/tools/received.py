"""What a cache sent, kept octet by octet, and what is wrong with the payload of a full response.

The decoder of ``protocol`` overlooks what a receiver must ignore (RFC 8210 §5); a probe may not.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rtr_server.cache.order import compare_neighbors
from rtr_server.cache.wire import PREFIX_PDU, PREFIX_TYPES
from rtr_server.protocol.decode import fixed_length
from rtr_server.protocol.pdu import (
    ANNOUNCE,
    ASPA_LAYOUT,
    HEADER_OCTETS,
    KEY_OCTETS,
    ROUTER_KEY_LAYOUT,
    TYPES,
    VERSIONS,
    Header,
    PduType,
    read_header,
)

PAYLOAD_TYPES = frozenset({PduType.IPV4_PREFIX, PduType.IPV6_PREFIX, PduType.ROUTER_KEY, PduType.ASPA})

_HOST_BITS = np.array([(1 << (64 - length)) - 1 for length in range(65)], np.uint64)

Columns = dict[str, npt.NDArray[np.uint64]]


class Part(NamedTuple):
    """PDUs of one type that came one after another: many prefixes, or one of anything else."""

    type: int
    octets: bytes


class Response(NamedTuple):
    """An answer to a query: its first PDU, and from a Cache Response the rest up to End of Data.

    ``first``, ``gap``, ``seconds``: until the first octets, the longest wait between octets, everything.

    >>> Response(bytes.fromhex("0108000000000008")).header.type == PduType.CACHE_RESET
    True
    """

    head: bytes
    parts: tuple[Part, ...] = ()
    end: bytes = b""
    first: float = 0.0
    gap: float = 0.0
    seconds: float = 0.0

    @property
    def header(self) -> Header:
        """The header of the first PDU."""
        return read_header(self.head)

    @property
    def complete(self) -> bool:
        """Whether it has a Cache Response and an End of Data."""
        return self.header.type == PduType.CACHE_RESPONSE and bool(self.end)

    @property
    def session_id(self) -> int:
        """As the Cache Response says it."""
        return self.header.field

    @property
    def serial(self) -> int:
        """As End of Data says it; 0 if that is too short for one."""
        return int.from_bytes(self.end[8:12], "big")

    @property
    def payload(self) -> tuple[Part, ...]:
        """Without notifies and whatever else came in between."""
        return tuple(part for part in self.parts if part.type in PAYLOAD_TYPES)


class Payload:
    """The payload of one response as columns; each method says what is wrong, an empty text if nothing.

    >>> pdu = bytes.fromhex("0104000000000014 01181800 c0000201 0000fbf0")
    >>> Payload([Part(4, pdu)]).bad_prefix()
    'IPv4 prefix 1 of 1: bits set beyond length 24'
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.keys = [part.octets for part in parts if part.type == PduType.ROUTER_KEY]
        self.aspas = [part.octets for part in parts if part.type == PduType.ASPA]
        self.prefixes = {
            family: np.frombuffer(
                b"".join(part.octets for part in parts if part.type == kind and _fits(part, family)),
                PREFIX_PDU[family],
            )
            for family, kind in PREFIX_TYPES.items()
        }

    # What the octets are

    def bad_length(self, version: int) -> str:
        """A PDU whose length its type cannot have."""
        for kind, octets in self.parts:
            length = read_header(octets).length
            name = type_name(kind)
            expected = fixed_length(version, kind) if kind in TYPES[VERSIONS[-1]] else None
            if expected is not None and length != expected:
                return f"{name} of length {length}, expected {expected}"
            if kind == PduType.ROUTER_KEY and length <= KEY_OCTETS:
                return f"{name} of length {length}, expected more than {KEY_OCTETS}"
            if kind == PduType.ASPA and (length < ASPA_LAYOUT.size or length % 4):
                return f"{name} of length {length}, expected 12 and 4 for each provider"
        return ""

    def bad_version(self, version: int) -> str:
        """A PDU of another version; a run of prefixes has one version throughout."""
        found = next((part for part in self.parts if part.octets[0] != version), None)
        return f"{type_name(found.type)} has version {found.octets[0]}" if found else ""

    def nonzero_field(self) -> str:
        """A field that must be zero and is not."""
        for family, rows in self.prefixes.items():
            for name in ("zero", "zero_too"):
                if (wrong := _first(rows[name] != 0)) is not None:
                    return f"{_place(family, wrong, rows)}: a zero field is not zero"
            if (wrong := _first(rows["flags"] & ~np.uint8(ANNOUNCE) != 0)) is not None:
                return f"{_place(family, wrong, rows)}: flags {rows['flags'][wrong]:#04x}, expected 0 or 1"
        for octets in self.keys + self.aspas:
            if octets[3] or octets[2] & ~ANNOUNCE:
                return (
                    f"{type_name(octets[1])}: octets 2 and 3 are {octets[2:4].hex()}, expected 0000 or 0100"
                )
        return ""

    def withdrawal(self) -> str:
        """A PDU that does not announce."""
        for family, rows in self.prefixes.items():
            if (wrong := _first(rows["flags"] & ANNOUNCE == 0)) is not None:
                return f"{_place(family, wrong, rows)} is a withdrawal"
        found = next((octets for octets in self.keys + self.aspas if not octets[2] & ANNOUNCE), None)
        return f"{type_name(found[1])} is a withdrawal" if found else ""

    def bad_prefix(self) -> str:
        """Lengths out of range, or host bits."""
        for family, rows in self.prefixes.items():
            bits = 32 if family == 4 else 128
            wrong = _first((rows["length"] > rows["max_length"]) | (rows["max_length"] > bits))
            if wrong is not None:
                lengths = f"length {rows['length'][wrong]}, max length {rows['max_length'][wrong]}"
                return f"{_place(family, wrong, rows)}: {lengths}"
            columns = _columns(family, rows)
            high = columns["high"] & _HOST_BITS[np.minimum(rows["length"], 64)]
            low = columns["low"] & _HOST_BITS[np.maximum(rows["length"].astype(np.int64) - 64, 0)]
            if (wrong := _first((high | low) != 0)) is not None:
                return f"{_place(family, wrong, rows)}: bits set beyond length {rows['length'][wrong]}"
        return ""

    # How they stand to each other

    def misordered(self) -> str:
        """The first pair that breaks the order of 8210bis §11.2; for a payload of announcements."""
        kinds = [part.type for part in self.parts]
        if any(before > after for before, after in itertools.pairwise(kinds)):
            return "types are mixed: expected IPv4, IPv6, router keys, ASPAs"
        for family, rows in self.prefixes.items():
            rising, _ = compare_neighbors(list(_columns(family, rows).values()))
            if (wrong := _first(rising)) is not None:
                return f"{_place(family, wrong + 1, rows)}: expected before its predecessor"
        if _falls(list(map(_key_order, self.keys))):
            return "router keys: expected to rise by SKI, SPKI, ASN"
        return "ASPAs: expected to rise by customer" if _falls(list(map(_customer, self.aspas))) else ""

    def duplicate_prefix(self) -> str:
        """A VRP that comes twice."""
        for family, rows in self.prefixes.items():
            columns = _columns(family, rows)
            order = np.lexsort(list(columns.values()))
            _, equal = compare_neighbors([column[order] for column in columns.values()])
            if equal.any():
                return f"{int(equal.sum())} of {len(rows)} IPv{family} VRPs come again"
        return ""

    def duplicate_key(self) -> str:
        """A router key that comes twice: same SKI, ASN and SPKI."""
        again = len(self.keys) - len({octets[HEADER_OCTETS:] for octets in self.keys})
        return f"{again} of {len(self.keys)} router keys come again" if again else ""

    def duplicate_aspa(self) -> str:
        """A customer that comes twice, or providers that do not strictly rise."""
        customers = list(map(_customer, self.aspas))
        if len(set(customers)) != len(customers):
            return f"{len(customers)} ASPAs for {len(set(customers))} customers"
        for customer, providers in self._providers():
            if any(low >= high for low, high in itertools.pairwise(providers)):
                return f"ASPA of AS{customer}: providers do not rise strictly"
        return ""

    def bad_providers(self) -> str:
        """An ASPA without providers, or with AS 0 beside others."""
        for customer, providers in self._providers():
            if not providers:
                return f"ASPA of AS{customer} is announced without providers"
            if 0 in providers and len(providers) > 1:
                return f"ASPA of AS{customer}: AS 0 beside other providers"
        return ""

    def _providers(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        for octets in self.aspas:
            count = max(0, (len(octets) - ASPA_LAYOUT.size) // 4)
            yield _customer(octets), struct.unpack_from(f"!{count}I", octets.ljust(12, b"\0"), 12)


def type_name(kind: int) -> str:
    """A PDU type as text, also one that no version defines.

    >>> type_name(4), type_name(99)
    ('IPv4 prefix', 'type 99')
    """
    if kind not in TYPES[VERSIONS[-1]]:
        return f"type {kind}"
    name = PduType(kind).name.replace("_", " ").lower()
    return name.replace("ipv", "IPv").replace("aspa", "ASPA")


def _fits(part: Part, family: int) -> bool:
    return read_header(part.octets).length == (20 if family == 4 else 32)


def _place(family: int, row: int, rows: npt.NDArray[Any]) -> str:
    return f"IPv{family} prefix {row + 1:,} of {len(rows):,}"


def _first(wrong: npt.NDArray[Any]) -> int | None:
    return int(wrong.argmax()) if wrong.any() else None


def _columns(family: int, rows: npt.NDArray[Any]) -> Columns:
    """What makes a VRP, widest first: IPv4 addresses stand in the upper half of ``high``."""
    if family == 4:
        high = rows["address"].astype(np.uint64) << np.uint64(32)
        low = np.zeros(len(rows), np.uint64)
    else:
        high, low = (rows["address"][:, word].astype(np.uint64) for word in (0, 1))
    rest = {name: rows[name].astype(np.uint64) for name in ("max_length", "length", "asn")}
    return {"high": high, "low": low, **rest}


def _key_order(octets: bytes) -> tuple[bytes, int, bytes, int]:
    *_, ski, asn = ROUTER_KEY_LAYOUT.unpack_from(octets.ljust(KEY_OCTETS, b"\0"))
    spki = octets[KEY_OCTETS:]
    return ski, len(spki), spki, asn


def _customer(octets: bytes) -> int:
    return int.from_bytes(octets[8:12], "big")


def _falls(keys: Sequence[Any]) -> bool:
    return any(before > after for before, after in itertools.pairwise(keys))
