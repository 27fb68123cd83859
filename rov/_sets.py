"""Payloads as sets: what two have in common, both together, whether they are one, the digest that names it.

VRPs, ASPAs and router keys are the elements; an ASPA is one with all its providers. Times of expiry and trust
anchors go along with their rows, and count for nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rov._elements import merge_trust_anchors, normal_aspas, normal_keys
from rov.columns import NO_EXPIRY, common, union

if TYPE_CHECKING:
    from rov.snapshot import Snapshot

DIGEST_OCTETS = 16
"""What it takes that two payloads of one digest never meet, by accident or by design."""

Mask = npt.NDArray[np.bool_]


def in_both(one: Snapshot, other: Snapshot) -> tuple[Mask, ...]:
    """Which elements of one are in the other too: masks of VRPs (IPv4, IPv6), ASPAs and router keys."""
    aspas, keys = set(other.aspas), set(other.router_keys)
    return (
        common(one.ipv4, other.ipv4)[0],
        common(one.ipv6, other.ipv6)[0],
        np.array([aspa in aspas for aspa in one.aspas], np.bool_),
        np.array([key in keys for key in one.router_keys], np.bool_),
    )


def together(one: Snapshot, other: Snapshot) -> tuple[Any, ...]:
    """The elements of both, in normal form, as ``Snapshot._of`` takes them; the later time of the two."""
    names = {name: index for index, name in enumerate(one.trust_anchors)}
    table = merge_trust_anchors(names, other.trust_anchors)
    times = [time for time in (one.generated, other.generated) if time is not None]
    return (
        union(one.ipv4, other.ipv4, table[other.ipv4.ta]),
        union(one.ipv6, other.ipv6, table[other.ipv6.ta]),
        normal_aspas(one.aspas + other.aspas, [*one.aspa_expires.tolist(), *other.aspa_expires.tolist()]),
        normal_keys(
            one.router_keys + other.router_keys,
            [*one.router_key_expires.tolist(), *other.router_key_expires.tolist()],
        ),
        tuple(names),
        max(times, default=None),
    )


def equal(one: Snapshot, other: Snapshot) -> bool:
    """Whether both have the same elements."""
    pairs = [*zip(one.ipv4.keys, other.ipv4.keys, strict=True)]
    pairs += zip(one.ipv6.keys, other.ipv6.keys, strict=True)
    return (
        all(np.array_equal(a, b) for a, b in pairs)
        and one.aspas == other.aspas
        and one.router_keys == other.router_keys
    )


def digest(payload: Snapshot) -> bytes:
    """Octets that are the same for equal payloads."""
    state = hashlib.blake2b(digest_size=DIGEST_OCTETS)
    for columns in (payload.ipv4, payload.ipv6):
        for column in columns.keys:
            state.update(column.astype(column.dtype.newbyteorder("<"), copy=False).data)
    state.update(repr((payload.aspas, payload.router_keys)).encode())
    return state.digest()


def _expiries(payload: Snapshot) -> tuple[npt.NDArray[np.int64], ...]:
    return payload.ipv4.expires, payload.ipv6.expires, payload.aspa_expires, payload.router_key_expires


def live(payload: Snapshot, now: int) -> tuple[Mask, ...]:
    """Which elements have not expired at ``now``: masks as those of in_both."""
    return tuple((column == NO_EXPIRY) | (column > now) for column in _expiries(payload))


def next_expiry(payload: Snapshot) -> int | None:
    """The earliest stated time of expiry, None if none is stated."""
    stated = [column[column != NO_EXPIRY] for column in _expiries(payload)]
    return min((int(column.min()) for column in stated if len(column)), default=None)
