"""What a person asks for: a prefix, an address, an AS number, or a prefix and an AS number."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

import msgspec

from rov import Prefix, PrefixError
from rtr_server.web import query
from rtr_server.web.problems import Problem, shown

MAX_TEXT = 100
"""Characters of a field that are looked at and given back: the longest prefix with an AS number has 60."""

_ASN = re.compile(r"(?:AS)?\d{1,10}", re.IGNORECASE)

EXPECTED = "expected a prefix such as 192.0.2.0/24, an address such as 2001:db8::1, or an AS number"


class Form(NamedTuple):
    """The two fields as they were filled in."""

    prefix: str = ""
    asn: str = ""


class Asked(msgspec.Struct, frozen=True):
    """What the fields mean: one of ``prefix`` and ``asn`` at least.

    ``address``: the prefix is that of one address, which was asked for; ``typed``: the prefix as it was
    given where it had host bits set, else "".
    """

    prefix: Prefix | None
    asn: int | None
    address: bool = False
    typed: str = ""


def form_of(given: dict[str, str]) -> Form:
    """The fields of a query, cut to what is looked at.

    >>> form_of({"prefix": " 192.0.2.0/24 "})
    Form(prefix='192.0.2.0/24', asn='')
    """
    return Form(*(given.get(name, "").strip()[:MAX_TEXT] for name in Form._fields))


def asked(form: Form) -> Asked | None:
    """What is asked for, None where both fields are empty; Problem 400 says what was expected.

    One field may hold both, and either field may hold an AS number.

    >>> asked(Form("192.0.2.0/24 AS64496")).asn, asked(Form("AS64496")).prefix
    (64496, None)
    """
    first, second = _parted(form)
    if not first and not second:
        return None
    asn = query.asn(second) if second else None
    if not first:
        return Asked(None, asn)
    prefix = _prefix(first)
    is_address = "/" not in first
    return Asked(prefix, asn, is_address, "" if is_address or _is_exact(first) else first)


def _parted(form: Form) -> tuple[str, str]:
    """Prefix and AS number, whichever field they stand in."""
    words = form.prefix.replace(",", " ").split()
    numbers = [word for word in words if _ASN.fullmatch(word)]
    others = [word for word in words if not _ASN.fullmatch(word)]
    if form.asn and not words and not _ASN.fullmatch(form.asn) and ("/" in form.asn or ":" in form.asn):
        return form.asn, ""
    if len(numbers) + bool(form.asn) > 1 or len(others) > 1:
        raise Problem(400, f"{shown(f'{form.prefix} {form.asn}'.strip())}: {EXPECTED}, one of each at most")
    return "".join(others), form.asn or "".join(numbers)


def _prefix(text: str) -> Prefix:
    """A prefix with or without host bits, or an address."""
    try:
        if "%" in text:
            raise ValueError("no zones")
        return Prefix.of(ipaddress.ip_network(text, strict=False))
    except (PrefixError, ValueError):
        raise Problem(400, f"{shown(text)}: {EXPECTED}") from None


def _is_exact(text: str) -> bool:
    """Whether no host bits are set."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
