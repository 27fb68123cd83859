"""The words of the field as small immutable types: prefixes, VRPs, ASPAs, router keys, verdicts."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import msgspec

from rov._prefix import format_prefix, parse
from rov.errors import PrefixError

IPV4_BITS = 32
IPV6_BITS = 128
MAX_ASN = 2**32 - 1


class State(IntEnum):
    """The validation state of a route (RFC 6811 §2).

    >>> State.INVALID.label
    'invalid'
    """

    NOT_FOUND = 0
    VALID = 1
    INVALID = 2

    @property
    def label(self) -> str:
        """The state in lower case, as files and reports write it: valid, invalid, not_found."""
        return self.name.lower()


class Reason(IntEnum):
    """Why a route has its state.

    An invalid route has the reason LENGTH if a covering VRP has its origin, so that only the length
    fails; AS0 if every covering VRP is for AS 0; AS otherwise.

    >>> Reason.LENGTH.label
    'length'
    """

    NOT_COVERED = 0
    MATCHED = 1
    AS = 2
    LENGTH = 3
    AS0 = 4

    @property
    def label(self) -> str:
        """The reason in lower case, as files and reports write it."""
        return self.name.lower()


class Prefix(msgspec.Struct, frozen=True, order=True):
    """An IP prefix: family (4 or 6), address as an int with no host bits set, length in bits.

    Sorts by family, address, length. ``Prefix.parse`` reads text and raises PrefixError.

    >>> str(Prefix.parse("2001:DB8:0::/32"))
    '2001:db8::/32'
    """

    family: Literal[4, 6]
    address: int
    length: int

    def __post_init__(self) -> None:
        bits = IPV4_BITS if self.family == 4 else IPV6_BITS
        if self.family not in (4, 6):
            raise PrefixError(f"family {self.family!r}: expected 4 or 6")
        if not 0 <= self.length <= bits:
            raise PrefixError(f"prefix length {self.length}: expected 0 to {bits} in IPv{self.family}")
        if not 0 <= self.address < 1 << bits:
            raise PrefixError(f"address {self.address}: expected 0 to 2^{bits} - 1 in IPv{self.family}")
        if self.address & ((1 << (bits - self.length)) - 1):
            raise PrefixError(f"{self}: host bits are set beyond the prefix length")

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """Read ADDRESS/LENGTH; PrefixError if it is no prefix or host bits are set.

        >>> Prefix.parse("192.0.2.0/24").length
        24
        """
        return cls(*parse(text))  # type: ignore[arg-type]

    @property
    def bits(self) -> int:
        """How many bits an address of this family has: 32 or 128.

        >>> Prefix.parse("::/0").bits
        128
        """
        return IPV4_BITS if self.family == 4 else IPV6_BITS

    def covers(self, other: Prefix) -> bool:
        """Whether other is this prefix or lies within it (RFC 6811 §2, "Covered").

        >>> Prefix.parse("10.0.0.0/8").covers(Prefix.parse("10.1.0.0/16"))
        True
        """
        if self.family != other.family or self.length > other.length:
            return False
        return (self.address ^ other.address) >> (self.bits - self.length) == 0

    def __str__(self) -> str:
        return format_prefix(self.family, self.address, self.length)


class Vrp(msgspec.Struct, frozen=True, order=True):
    """A Validated ROA Payload (RFC 6811 §2): asn may originate prefix, up to max_length bits.

    >>> str(Vrp(Prefix.parse("192.0.2.0/24"), 25, 64496))
    '192.0.2.0/24-25 AS64496'
    """

    prefix: Prefix
    max_length: int
    asn: int

    def __str__(self) -> str:
        return f"{self.prefix}-{self.max_length} AS{self.asn}"


class Aspa(msgspec.Struct, frozen=True, order=True):
    """The providers of a customer AS, ascending and unique; (0,) says that it has none.

    >>> Aspa(64496, (64497, 64498)).providers
    (64497, 64498)
    """

    customer: int
    providers: tuple[int, ...]


class RouterKey(msgspec.Struct, frozen=True, order=True):
    """A BGPsec router key (RFC 8635): asn, 20 octets of SKI, the SubjectPublicKeyInfo in DER.

    >>> RouterKey(64496, bytes(20), b"\\x30\\x00").asn
    64496
    """

    asn: int
    ski: bytes
    spki: bytes


class Validity(msgspec.Struct, frozen=True):
    """A verdict with its grounds: every covering VRP stands in exactly one of the three lists.

    matched: has the origin and allows the length. unmatched_as: allows the length, other origin or
    AS 0. unmatched_length: does not allow the length, whatever its origin.

    >>> Validity(State.NOT_FOUND, Reason.NOT_COVERED).covering
    ()
    """

    state: State
    reason: Reason
    matched: tuple[Vrp, ...] = ()
    unmatched_as: tuple[Vrp, ...] = ()
    unmatched_length: tuple[Vrp, ...] = ()

    @property
    def covering(self) -> tuple[Vrp, ...]:
        """All covering VRPs, shortest prefix first."""
        return tuple(sorted(self.matched + self.unmatched_as + self.unmatched_length))
