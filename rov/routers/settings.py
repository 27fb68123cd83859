"""What a configuration is made of: caches, neighbours, the role of the router; each checked, as it is
written into a file that a router executes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address, ip_address
from typing import Any, Self

import msgspec

from rov._checks import as_kind, as_rows, shown
from rov._rows import asn_of
from rov.errors import ArgumentError
from rov.types import Family

ROLES = ("transit", "ibgp", "route-server")
"""transit: neighbours are other ASes. ibgp: they are in our own, which validates what they send, as not
every border router may do so. route-server: they are the members of an exchange."""

MAX_CACHES = 8
"""Routers take that many at least; more is a mistake rather than a plan."""

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
                        r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*")  # fmt: skip


class Cache(msgspec.Struct, frozen=True):
    """An RTR cache: an address or a host name, and its port.

    >>> Cache.parse("[2001:db8::1]:8323")
    Cache(host='2001:db8::1', port=8323)
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From HOST:PORT, an IPv6 address in brackets; ArgumentError if it is none.

        >>> Cache.parse("rpki.example.net:323").is_address
        False
        """
        host, colon, port = as_kind(text, str, "cache").rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        address = _address(bare)
        known = address if (address is not None) else (bare if _is_name(bare) else None)
        bracketed = bare != host
        if not colon or known is None or bracketed != (":" in bare) or not _is_port(port):
            raise ArgumentError(
                f"cache {shown(text)}: expected HOST:PORT such as 192.0.2.10:8323 or [2001:db8::1]:8323"
            )
        return cls(known, int(port))

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address, as some routers want it.

        >>> Cache("192.0.2.1", 323).is_address
        True
        """
        return _address(self.host) is not None


class Neighbor(msgspec.Struct, frozen=True):
    """A BGP neighbour, by the address of its end of the session.

    >>> Neighbor.parse("192.0.2.1=AS64497")
    Neighbor(address='192.0.2.1', asn=64497)
    """

    address: str
    asn: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ADDRESS=ASN; ArgumentError if it is none.

        >>> Neighbor.parse("2001:DB8::1=64497").family
        6
        """
        address, _, asn = as_kind(text, str, "neighbor").partition("=")
        known, number = _address(address), asn_of(asn)
        if known is None or not number:
            raise ArgumentError(f"neighbor {shown(text)}: expected ADDRESS=ASN such as 192.0.2.1=64497")
        return cls(known, number)

    @property
    def family(self) -> Family:
        """4 or 6.

        >>> Neighbor("192.0.2.1", 64497).family
        4
        """
        return 6 if ":" in self.address else 4


def check_router_id(text: str) -> str:
    """A router id as four octets (RFC 6286); ArgumentError if it is none.

    >>> check_router_id("192.0.2.1")
    '192.0.2.1'
    """
    try:
        number = IPv4Address(as_kind(text, str, "router id"))
    except AddressValueError:
        number = IPv4Address(0)
    if not int(number):
        raise ArgumentError(f"router id {shown(text)}: expected one such as 192.0.2.1")
    return str(number)


def check_caches(caches: Sequence[Cache | str]) -> tuple[Cache, ...]:
    """Caches, each once; ArgumentError where one is none, or there are too many.

    >>> check_caches(["192.0.2.1:323"])
    (Cache(host='192.0.2.1', port=323),)
    """
    # a Cache that a caller made is checked as a text is: it ends in a router
    given: tuple[Any, ...] = as_rows(caches, object, "caches")
    texts = [f"[{c.host}]:{c.port}" if isinstance(c, Cache) and ":" in c.host
             else f"{c.host}:{c.port}" if isinstance(c, Cache) else c for c in given]  # fmt: skip
    known = tuple(Cache.parse(text) for text in texts)
    if len(known) > MAX_CACHES or len(set(known)) < len(known):
        raise ArgumentError(f"expected up to {MAX_CACHES} different caches, found {len(known)}")
    return known


def check_neighbors(neighbors: Sequence[Neighbor | str], role: str, asn: int) -> tuple[Neighbor, ...]:
    """Neighbours that fit the role; ArgumentError where one does not, or an address comes twice.

    >>> check_neighbors(["192.0.2.1=64497"], "ibgp", 64496)
    Traceback (most recent call last):
    rov.errors.ArgumentError: neighbor 192.0.2.1 in AS64497: with role ibgp it has to be in AS64496
    """
    given: tuple[Any, ...] = as_rows(neighbors, object, "neighbors")
    texts = [f"{n.address}={n.asn}" if isinstance(n, Neighbor) else n for n in given]
    known = tuple(Neighbor.parse(text) for text in texts)
    for neighbor in known:
        if (neighbor.asn == asn) != (role == "ibgp"):
            must = "has to be" if role == "ibgp" else "must not be"
            raise ArgumentError(
                f"neighbor {neighbor.address} in AS{neighbor.asn}: with role {role} it {must} in AS{asn}"
            )
    if len({neighbor.address for neighbor in known}) < len(known):
        raise ArgumentError("two neighbors have the same address")
    return known


def _address(text: str) -> str | None:
    try:
        return None if "%" in text else str(ip_address(text))
    except ValueError:
        return None


def _is_name(text: str) -> bool:
    """A host name; one whose last label is a number would be taken for an address (RFC 3696)."""
    return bool(_HOST_NAME.fullmatch(text)) and not text.rpartition(".")[2].isdigit()


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535
