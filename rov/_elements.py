"""What stands beside the VRPs of a Snapshot: ASPAs and router keys in normal form, trust anchors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from rov._checks import as_index, as_rows, shown
from rov.columns import NO_EXPIRY, as_column, as_times
from rov.errors import ArgumentError
from rov.types import MAX_ASN, Aspa, RouterKey

MAX_TRUST_ANCHORS = 256
"""The ta column is a uint8; five trust anchors are in use, and some local ones."""

SKI_OCTETS = 20
"""A Subject Key Identifier is a SHA-1 hash (RFC 6487 §4.8.2)."""


def _numbers_of(aspa: Aspa) -> tuple[int, list[int]]:
    """Customer and providers, checked, as ints: other integers, such as numpy's, would show in the digest."""
    customer = as_index(aspa.customer)
    if customer is None or not 1 <= customer <= MAX_ASN:
        raise ArgumentError(f"ASPA customer {shown(aspa.customer)}: expected 1 to {MAX_ASN}")
    given = [as_index(asn) for asn in as_rows(aspa.providers, object, f"ASPA of AS{customer}")]
    providers = [asn for asn in given if asn is not None and 0 <= asn <= MAX_ASN]
    if not providers or len(providers) < len(given):
        raise ArgumentError(f"ASPA of AS{customer}: expected one or more provider ASNs to {MAX_ASN}")
    return customer, providers


def _checked(key: RouterKey) -> RouterKey:
    """The key, its AS number as an int."""
    asn = as_index(key.asn)
    if asn is None or not 0 <= asn <= MAX_ASN:
        raise ArgumentError(f"router key of AS {shown(key.asn)}: expected an ASN to {MAX_ASN}")
    if not isinstance(key.ski, bytes) or len(key.ski) != SKI_OCTETS or not isinstance(key.spki, bytes):
        raise ArgumentError(
            f"router key of AS{asn}: expected an SKI of {SKI_OCTETS} octets and a key, both as bytes"
        )
    return key if type(key.asn) is int else RouterKey(asn, key.ski, key.spki)


def _union_aspas(aspas: Iterable[Aspa], expires: Sequence[int]) -> dict[int, tuple[set[int], int]]:
    """Customer to the union of providers; the union is whole for as long as its first part lasts."""
    union: dict[int, tuple[set[int], int]] = {}
    for aspa, until in zip(aspas, expires, strict=True):
        customer, more = _numbers_of(aspa)
        providers, earlier = union.get(customer, (set(), NO_EXPIRY))
        stated = [time for time in (earlier, until) if time != NO_EXPIRY]
        union[customer] = providers.union(more), min(stated, default=NO_EXPIRY)
    return union


def _providers(union: set[int]) -> tuple[int, ...]:
    """AS 0 says "none" and counts only alone (8210bis §5.12)."""
    return tuple(sorted(union - {0})) or (0,)


def normal_aspas(
    aspas: Iterable[Aspa], expires: Sequence[int] | None
) -> tuple[tuple[Aspa, ...], npt.NDArray[np.int64]]:
    """One ASPA per customer, ascending, with times of expiry (int64 unix seconds; 8210bis §5.12).

    ArgumentError: an ASN out of range, or no provider.

    >>> normal_aspas([Aspa(64496, (2,)), Aspa(64496, (1,))], None)[0]
    (Aspa(customer=64496, providers=(1, 2)),)
    """
    aspas = as_rows(aspas, Aspa, "ASPAs")
    union = _union_aspas(aspas, as_times(expires, "aspa_expires", len(aspas)))
    rows = sorted((customer, *entry) for customer, entry in union.items())
    times = as_column([row[2] for row in rows], np.int64, "aspa_expires", (len(rows),))
    return tuple(Aspa(customer, _providers(providers)) for customer, providers, _ in rows), times


def normal_keys(
    keys: Iterable[RouterKey], expires: Sequence[int] | None
) -> tuple[tuple[RouterKey, ...], npt.NDArray[np.int64]]:
    """Router keys ascending and unique, with times of expiry: of equal ones the last.

    ArgumentError: an SKI that has not 20 octets, or an ASN out of range.

    >>> len(normal_keys([RouterKey(64496, bytes(20), b"k")] * 2, None)[0])
    1
    """
    lasting: dict[RouterKey, int] = {}
    keys = as_rows(keys, RouterKey, "router keys")
    for key, until in zip(keys, as_times(expires, "router_key_expires", len(keys)), strict=True):
        key = _checked(key)
        seen = lasting.get(key, until)
        lasting[key] = NO_EXPIRY if NO_EXPIRY in (seen, until) else max(seen, until)
    rows = tuple(sorted(lasting))
    return rows, as_column([lasting[key] for key in rows], np.int64, "router_key_expires", (len(rows),))


def merge_trust_anchors(names: dict[str, int], others: Sequence[str]) -> npt.NDArray[np.uint8]:
    """The table from an index into others to the index in names, which grows as needed.

    ArgumentError: more names than a ta column can tell apart.

    >>> merge_trust_anchors({"x": 0}, ["y", "x"])[:2].tolist()
    [1, 0]
    """
    table = np.zeros(MAX_TRUST_ANCHORS, np.uint8)
    for index, name in enumerate(others):
        place = names.setdefault(name, len(names))
        if place >= MAX_TRUST_ANCHORS:
            raise ArgumentError(f"more than {MAX_TRUST_ANCHORS} trust anchors in a union")
        table[index] = place
    return table
