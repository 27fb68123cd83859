"""The words of the field as small immutable types: prefixes, VRPs, ASPAs, router keys, verdicts."""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal, TypeAlias, Union

import msgspec

from rov._checks import as_index, as_kind, shown
from rov._prefix import format_prefix, parse
from rov.errors import ArgumentError, PrefixError

IPV4_BITS = 32
IPV6_BITS = 128
MAX_ASN = 2**32 - 1

Family = Literal[4, 6]

PrefixLike: TypeAlias = Union[str, "Prefix", IPv4Network, IPv6Network, tuple[int, int]]
"""What stands for a prefix in a question: see ``Prefix.of``."""

_EXPECTED = "expected a text such as '192.0.2.0/24', a rov.Prefix, an ipaddress network or a pair of ints"


def as_asn(value: Any, name: str = "ASN", least: int = 0) -> int:
    """An AS number as an int; ArgumentError if it is none.

    >>> as_asn(64496)
    64496
    """
    asn = as_index(value)
    if asn is None or not least <= asn <= MAX_ASN:
        raise ArgumentError(f"{name} {shown(value)}: expected an AS number of {least} to {MAX_ASN}")
    return asn


def as_family(value: Any) -> Family:
    """4 or 6; ArgumentError if it is neither.

    >>> as_family(6)
    6
    """
    if isinstance(value, int) and value in (4, 6):
        return 4 if value == 4 else 6
    raise ArgumentError(f"family {shown(value)}: expected 4 or 6")


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
    fails; AS0 if every covering VRP is for AS 0; AS otherwise. The State of a reason is ``min(reason, 2)``.

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

    family: Family
    address: int
    length: int

    def __post_init__(self) -> None:
        if not type(self.family) is type(self.address) is type(self.length) is int:
            self._make_ints()
        bits = IPV4_BITS if self.family == 4 else IPV6_BITS
        if self.family not in (4, 6):
            raise PrefixError(f"family {shown(self.family)}: expected 4 or 6")
        if not 0 <= self.length <= bits:
            raise PrefixError(f"prefix length {shown(self.length)}: expected 0 to {bits} in IPv{self.family}")
        if not 0 <= self.address < 1 << bits:
            raise PrefixError(
                f"address {shown(self.address)}: expected 0 to 2^{bits} - 1 in IPv{self.family}"
            )
        if self.address & ((1 << (bits - self.length)) - 1):
            raise PrefixError(f"{self}: host bits are set beyond the prefix length, expected zeros")

    def _make_ints(self) -> None:
        """Integers of other kinds, such as numpy's, become ints; PrefixError if one is none."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            number = as_index(value)
            if number is None:
                raise PrefixError(f"{name} {shown(value)}: expected an int")
            msgspec.structs.force_setattr(self, name, number)

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """Read ADDRESS/LENGTH; PrefixError if it is no prefix or host bits are set.

        >>> Prefix.parse("192.0.2.0/24").length
        24
        """
        if not isinstance(text, str):
            raise ArgumentError(f"prefix {shown(text)}: expected a text such as '192.0.2.0/24'")
        return cls(*parse(text))  # type: ignore[arg-type]

    @classmethod
    def of(cls, value: PrefixLike, family: Family | None = None) -> Prefix:
        """The Prefix that a text, an ipaddress network, an (address, length) pair of ints or a Prefix means.

        Numbers alone do not tell 0.0.0.0/0 from ::/0, so a pair needs family, 4 or 6; the other forms
        know theirs, and it must be the one given. PrefixError: no prefix, host bits set, or another
        family. ArgumentError: value is none of these, or a pair without family.

        >>> str(Prefix.of((0xC0000200, 24), family=4))
        '192.0.2.0/24'
        """
        family = None if family is None else as_family(family)
        if isinstance(value, str):
            prefix = cls.parse(value)
        elif isinstance(value, Prefix):
            prefix = value
        elif isinstance(value, (IPv4Network, IPv6Network)):
            prefix = cls(value.version, int(value.network_address), value.prefixlen)
        else:
            prefix = cls._of_pair(value, family)
        if family is not None and prefix.family != family:
            raise PrefixError(f"{prefix}: expected a prefix of IPv{family}")
        return prefix

    @classmethod
    def _of_pair(cls, value: Any, family: Family | None) -> Prefix:
        numbers = tuple(map(as_index, value)) if isinstance(value, tuple) and len(value) == 2 else ()
        if not numbers or None in numbers:
            raise ArgumentError(f"prefix {shown(value)}: {_EXPECTED}")
        if family is None:
            raise ArgumentError(f"prefix {shown(value)}: expected family=4 or family=6 with a pair of ints")
        return cls(family, *numbers)  # type: ignore[arg-type]

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
        as_kind(other, Prefix, "other")
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


def as_vrp(value: Any) -> Vrp:
    """A Vrp whose parts are what they have to be; ArgumentError if value is none.

    >>> as_vrp("192.0.2.0/24")
    Traceback (most recent call last):
    rov.errors.ArgumentError: expected a Vrp, found '192.0.2.0/24'
    """
    if not isinstance(value, Vrp) or not isinstance(value.prefix, Prefix):
        raise ArgumentError(f"expected a Vrp, found {shown(value)}")
    asn, most = as_index(value.asn), as_index(value.max_length)
    if asn is None or most is None:
        raise ArgumentError(f"{shown(value)}: expected an int as max_length and asn")
    if not value.prefix.length <= most <= value.prefix.bits or not 0 <= asn <= MAX_ASN:
        raise ArgumentError(f"{shown(value)}: expected an ASN to {MAX_ASN} and length <= max_length")
    return value


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
