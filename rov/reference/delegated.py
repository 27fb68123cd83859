"""Who holds which addresses and AS numbers: the registries' delegated and delegated-extended files.

A line is registry|country|type|start|value|date|status[|...], value being a number of addresses in IPv4, a
prefix length in IPv6, a number of AS numbers for asn. IPv4 ranges need not be prefixes: they are split.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, summarize_address_range
from socket import AF_INET6

import msgspec
import numpy as np
import numpy.typing as npt
import pytricia

from rov._checks import as_paths, as_rows
from rov._prefix import parse
from rov.errors import PrefixError, ReferenceFileError
from rov.reference.lines import numbered_lines
from rov.types import IPV4_BITS, MAX_ASN, Family, Prefix, as_asn

REGISTRIES = frozenset({"afrinic", "apnic", "arin", "iana", "lacnic", "ripencc"})

FIELDS = 7
"""Of a delegation at least; extended files add an opaque id."""

UNKNOWN = 0
"""The number of the delegation that stands for none."""


class Delegation(msgspec.Struct, frozen=True):
    """What a registry says of a resource: country is an ISO 3166 code, "" where none is given.

    >>> Delegation("ripencc", "NL", "allocated").delegated
    True
    """

    registry: str
    country: str
    status: str

    @property
    def delegated(self) -> bool:
        """Whether somebody holds it: allocated or assigned, not available or reserved."""
        return self.status in ("allocated", "assigned")


class Delegations:
    """Delegations by prefix and AS number; ``kinds`` has each distinct one, number 0 for none."""

    def __init__(self) -> None:
        self.kinds: list[Delegation] = [Delegation("", "", "")]
        self._numbers: dict[Delegation, int] = {}
        self._tries = {4: pytricia.PyTricia(32), 6: pytricia.PyTricia(128, AF_INET6)}
        self._asns: list[tuple[int, int, int]] = []

    def of_prefix(self, prefix: str) -> Delegation:
        """The delegation that covers a prefix, given as text; PrefixError, ArgumentError: it is none.

        >>> Delegations().of_prefix("192.0.2.0/24").registry
        ''
        """
        return self.kinds[int(self.of_prefixes([prefix])[0])]

    def of_prefixes(self, prefixes: Sequence[str]) -> npt.NDArray[np.int32]:
        """The number in ``kinds`` of the delegation that covers each prefix of one family, int32 [n].

        PrefixError: the first text that is no prefix of the family of the first one. ArgumentError: no texts.

        >>> Delegations().of_prefixes(["192.0.2.0/24"]).tolist()
        [0]
        """
        texts = as_rows(prefixes, str, "prefixes")
        if not texts:
            return np.empty(0, np.int32)
        family: Family = 6 if ":" in texts[0] else 4
        find = self._tries[family].get
        try:
            return np.fromiter((find(text, UNKNOWN) for text in texts), np.int32, len(texts))
        except ValueError:
            for text in texts:
                Prefix.of(text, family)
            raise PrefixError(f"expected prefixes of IPv{family}") from None

    def of_asn(self, asn: int) -> Delegation:
        """The delegation of an AS number; ArgumentError: it is none.

        >>> Delegations().of_asn(64496).country
        ''
        """
        asn = as_asn(asn)
        at = bisect_right(self._asns, (asn, MAX_ASN + 1, 0)) - 1
        if at >= 0 and self._asns[at][0] <= asn <= self._asns[at][1]:
            return self.kinds[self._asns[at][2]]
        return self.kinds[UNKNOWN]

    def _number(self, delegation: Delegation) -> int:
        number = self._numbers.get(delegation)
        if number is None:
            number = self._numbers[delegation] = len(self.kinds)
            self.kinds.append(delegation)
        return number

    def _add(self, kind: str, start: str, value: int, delegation: Delegation) -> None:
        number = self._number(delegation)
        if kind == "asn":
            self._asns.append((int(start), int(start) + value - 1, number))
        elif kind == "ipv6":
            self._tries[6][f"{start}/{value}"] = number
        else:
            for prefix in _ipv4_prefixes(start, value):
                self._tries[4][prefix] = number


def _ipv4_prefixes(start: str, count: int) -> Iterable[str]:
    """The prefixes that make up a range; most ranges are one."""
    first = parse(f"{start}/32")[1]
    if count & (count - 1) == 0 and first % count == 0:
        return (f"{start}/{IPV4_BITS + 1 - count.bit_length()}",)
    networks = summarize_address_range(IPv4Address(first), IPv4Address(first + count - 1))
    return map(str, networks)


def read_delegated(paths: Iterable[str | os.PathLike[str]]) -> Delegations:
    """The delegations of one file or more, plain or packed; what comes later counts where they differ.

    ReferenceFileError: a file cannot be read or is none, with the line. ArgumentError: no names.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("2|ripencc|20260101|1|||+0000", file=file)
    ...     print("ripencc|NL|ipv4|192.0.2.0|256|20260101|allocated", file=file, flush=True)
    ...     read_delegated([file.name]).of_prefix("192.0.2.128/25").country
    'NL'
    """
    delegations = Delegations()
    for name in as_paths(paths):
        for kind, start, value, delegation in _rows(name):
            delegations._add(kind, start, value, delegation)
    delegations._asns.sort()
    return delegations


def _rows(name: str) -> Iterator[tuple[str, str, int, Delegation]]:
    """What each line says: type, start, value, delegation."""
    found = False
    for number, line in numbered_lines(name):
        fields = line.strip().split("|")
        if not line.strip() or line.startswith("#") or fields[-1] == "summary" or fields[0][:1].isdigit():
            continue
        if len(fields) < FIELDS or fields[0] not in REGISTRIES:
            raise ReferenceFileError(
                name, f"expected registry|country|type|start|value|date|status, found {line[:60]!r}", number
            )
        try:
            yield _row(fields)
        except ValueError as error:
            raise ReferenceFileError(name, str(error), number) from error
        found = True
    if not found:
        raise ReferenceFileError(name, "expected a delegated file of a registry, found no delegation")


def _row(fields: list[str]) -> tuple[str, str, int, Delegation]:
    registry, country, kind, start, value, _, status = fields[:FIELDS]
    count = int(value)
    if kind == "ipv4":
        fits = 0 < count <= 2**32 - parse(f"{start}/32")[1]
    elif kind == "ipv6":
        fits = parse(f"{start}/{value}")[0] == 6
    elif kind == "asn":
        fits = count > 0 and 0 <= int(start) <= MAX_ASN - count + 1
    else:
        raise ValueError(f"type {kind!r}: expected asn, ipv4 or ipv6")
    if not fits:
        raise ValueError(f"{kind} {start} with value {value}: out of range")
    known = country.upper() if len(country) == 2 and country.upper() != "ZZ" else ""
    return kind, start, count, Delegation(registry, known, status)
