"""Query arguments and path parts: what they may be, and what a request that has others is told."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from starlette.requests import Request

from rov import ArgumentError, Prefix, PrefixError
from rtr_server.web.problems import Problem, shown

_ODD = re.compile(r"%|/(?!\d{1,3}$)")
"""What ipaddress takes beside a length: a zone, a netmask, a mask of host bits."""

MAX_ASN = 2**32 - 1
MAX_ARGUMENTS = 1_000
"""Arguments of a query: more of them do not fit into a head anyway."""


def arguments(request: Request, known: Collection[str]) -> list[tuple[str, str]]:
    """The arguments in order; 400 if one is not known."""
    items = request.query_params.multi_items()
    if len(items) > MAX_ARGUMENTS:
        raise Problem(400, f"{len(items)} query arguments: expected {MAX_ARGUMENTS} at most")
    for name, _ in items:
        if name not in known:
            expected = ", ".join(known) or "no arguments"
            raise Problem(400, f"query argument {shown(name)}: expected {expected}")
    return items


def single(request: Request, *known: str) -> dict[str, str]:
    """Arguments that may stand once each; 400 otherwise."""
    items = arguments(request, known)
    found = dict(items)
    if len(found) < len(items):
        raise Problem(400, "a query argument stands twice: expected each at most once")
    return found


def asn(text: str) -> int:
    """AS64496 or 64496; 400 if it is neither.

    >>> asn("AS64496"), asn("as1"), asn("0")
    (64496, 1, 0)
    """
    digits = text[2:] if text[:2].upper() == "AS" else text
    if digits.isascii() and digits.isdecimal() and len(digits) <= 10 and int(digits) <= MAX_ASN:
        return int(digits)
    raise Problem(400, f"ASN {shown(text)}: expected AS64496 or 64496, 0 to {MAX_ASN}")


def prefix(text: str, *, host_bits: bool = False) -> Prefix:
    """A prefix; with host_bits also one with such, or an address alone. 400 if it is none.

    >>> str(prefix("192.0.2.1/24", host_bits=True)), str(prefix("::1", host_bits=True))
    ('192.0.2.0/24', '::1/128')
    """
    try:
        if not host_bits:
            return Prefix.parse(text)
        if _ODD.search(text):
            raise ValueError("a zone or a mask")
        return Prefix.of(ipaddress.ip_network(text, strict=False))
    except (PrefixError, ArgumentError, ValueError):
        raise Problem(400, f"prefix {shown(text)}: expected ADDRESS/LENGTH such as 192.0.2.0/24") from None


def number(text: str, name: str, least: int, most: int) -> int:
    """A number in a range; 400 if it is none.

    >>> number("5", "limit", 0, 10)
    5
    """
    if text.isascii() and text.isdecimal() and len(text) <= 20 and least <= int(text) <= most:
        return int(text)
    raise Problem(400, f"{name} {shown(text)}: expected a number from {least} to {most}")
