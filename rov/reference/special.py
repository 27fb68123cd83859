"""Addresses and AS numbers that must not be seen in the routing between networks, with the documents.

From the IANA registries of special-purpose addresses (RFC 6890, RFC 8190), of IPv6 global unicast
assignments, and of AS numbers (RFC 7249), as they stood at VERSION. Blocks that may be reached globally,
such as the anycast of AS112, are no bogons, nor are those of which the registry does not say whether they
may: Teredo, 6to4 and its deprecated relays (2001::/32, 2002::/16, 192.88.99.0/24).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rov.types import as_asn

VERSION = "2025-10"
"""When the registries were last compared; told in every answer."""


class Special(NamedTuple):
    """A block of addresses (text), or of AS numbers (first, last), what it is for, and where that stands."""

    block: str
    purpose: str
    source: str


PREFIXES = [
    Special("0.0.0.0/8", "this network", "RFC 791"),
    Special("10.0.0.0/8", "private use", "RFC 1918"),
    Special("100.64.0.0/10", "shared address space", "RFC 6598"),
    Special("127.0.0.0/8", "loopback", "RFC 1122"),
    Special("169.254.0.0/16", "link local", "RFC 3927"),
    Special("172.16.0.0/12", "private use", "RFC 1918"),
    Special("192.0.0.0/24", "IETF protocol assignments", "RFC 6890"),
    Special("192.0.2.0/24", "documentation", "RFC 5737"),
    Special("192.88.99.2/32", "6a44 relay anycast", "RFC 6751"),
    Special("192.168.0.0/16", "private use", "RFC 1918"),
    Special("198.18.0.0/15", "benchmarking", "RFC 2544"),
    Special("198.51.100.0/24", "documentation", "RFC 5737"),
    Special("203.0.113.0/24", "documentation", "RFC 5737"),
    Special("224.0.0.0/4", "multicast", "RFC 5771"),
    Special("240.0.0.0/4", "reserved", "RFC 1112"),
    Special("::/128", "unspecified address", "RFC 4291"),
    Special("::1/128", "loopback", "RFC 4291"),
    Special("::ffff:0:0/96", "IPv4-mapped address", "RFC 4291"),
    Special("2001::/23", "IETF protocol assignments", "RFC 2928"),
    Special("2001:2::/48", "benchmarking", "RFC 5180"),
    Special("2001:10::/28", "ORCHID, deprecated", "RFC 4843"),
    Special("2001:db8::/32", "documentation", "RFC 3849"),
    Special("3fff::/20", "documentation", "RFC 9637"),
    Special("5f00::/16", "SRv6 SIDs", "RFC 9602"),
    Special("64:ff9b:1::/48", "local-use translation", "RFC 8215"),
    Special("100::/64", "discard only", "RFC 6666"),
    Special("100:0:0:1::/64", "dummy prefix", "RFC 9780"),
    Special("fc00::/7", "unique local", "RFC 4193"),
    Special("fe80::/10", "link local", "RFC 4291"),
    Special("fec0::/10", "site local, deprecated", "RFC 3879"),
    Special("ff00::/8", "multicast", "RFC 4291"),
]
"""Not globally reachable."""

REACHABLE = [
    "192.0.0.9/32",
    "192.0.0.10/32",
    "64:ff9b::/96",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:20::/28",
    "2001:30::/28",
]
"""May be reached globally, or nothing is said of that, though they lie in a block above or in none that is
assigned: anycast of PCP and TURN in IPv4, NAT64, Teredo, anycast of PCP, TURN and SRP, AMT, AS112, ORCHIDv2,
drones.

RFC 7723 and 8155, 6052, 4380, 7723, 8155, 9665, 7450, 7535, 7343, 9374: in the order of the rows.
"""

ASSIGNED_IPV6 = [
    "2001::/23",
    "2001:200::/23",
    "2001:400::/23",
    "2001:600::/23",
    "2001:800::/22",
    "2001:c00::/23",
    "2001:e00::/23",
    "2001:1200::/23",
    "2001:1400::/22",
    "2001:1800::/23",
    "2001:1a00::/23",
    "2001:1c00::/22",
    "2001:2000::/19",
    "2001:4000::/23",
    "2001:4200::/23",
    "2001:4400::/23",
    "2001:4600::/23",
    "2001:4800::/23",
    "2001:4a00::/23",
    "2001:4c00::/23",
    "2001:5000::/20",
    "2001:8000::/19",
    "2001:a000::/20",
    "2001:b000::/20",
    "2002::/16",
    "2003::/18",
    "2400::/12",
    "2410::/12",
    "2600::/12",
    "2610::/23",
    "2620::/23",
    "2630::/12",
    "2800::/12",
    "2a00::/12",
    "2a10::/12",
    "2c00::/12",
]
"""What IANA has handed out of 2000::/3, with 2001::/23 of its own and the 6to4 block of RFC 3056."""

UNASSIGNED = Special("::/0", "not assigned by IANA", "IANA IPv6 global unicast assignments")

ASNS = [
    (0, 0, Special("0", "reserved", "RFC 7607")),
    (23456, 23456, Special("23456", "AS_TRANS", "RFC 6793")),
    (64496, 64511, Special("64496-64511", "documentation", "RFC 5398")),
    (64512, 65534, Special("64512-65534", "private use", "RFC 6996")),
    (65535, 65535, Special("65535", "last 16-bit number", "RFC 7300")),
    (65536, 65551, Special("65536-65551", "documentation", "RFC 5398")),
    (65552, 131071, Special("65552-131071", "reserved", "IANA AS numbers")),
    (458752, 4199999999, Special("458752-4199999999", "not assigned by IANA", "IANA AS numbers")),
    (4200000000, 4294967294, Special("4200000000-4294967294", "private use", "RFC 6996")),
    (4294967295, 4294967295, Special("4294967295", "last 32-bit number", "RFC 7300")),
]
"""(first, last, what), ascending.

IANA hands out 32-bit numbers in five runs of 65,536, one a registry, of which the last begins at 393216.
What it has not handed out within these changes too often for a table: delegated files tell.
"""

_FIRST = [first for first, _, _ in ASNS]
_EDGES = np.array([edge for first, last, _ in ASNS for edge in (first, last + 1)], np.uint64)


def special_asn(asn: int) -> Special | None:
    """What an AS number is reserved for, None if it may be used; ArgumentError: it is none.

    >>> special_asn(64512).purpose, special_asn(13335)
    ('private use', None)
    """
    asn = as_asn(asn)
    place = bisect_right(_FIRST, asn) - 1
    return ASNS[place][2] if place >= 0 and asn <= ASNS[place][1] else None


def special_asns(asns: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Which AS numbers are reserved, as bool [n].

    >>> special_asns(np.array([64512, 13335], np.uint32)).tolist()
    [True, False]
    """
    inside: npt.NDArray[np.bool_] = np.searchsorted(_EDGES, asns, "right") % 2 == 1
    return inside
