"""Several sources become one set, and each VRP knows which of them have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from rov import Prefix, Snapshot, Vrp, VrpColumns
from rtr_server.config.sources import Policy
from rtr_server.feed.feed import FeedError

Mask = npt.NDArray[np.uint32]
Element = TypeVar("Element", bound=Hashable)


class Merged(NamedTuple):
    """The set, and of which sources it was made, by their places in the configuration."""

    snapshot: Snapshot
    used: tuple[int, ...]


def merge(usable: Mapping[int, Snapshot], policy: Policy) -> Merged:
    """Join the sets of the sources that are usable, in the order of the configuration.

    FeedError: there are none, or fewer than a quorum.

    >>> merge({0: Snapshot.empty(), 1: Snapshot.empty()}, Policy("union")).used
    (0, 1)
    """
    wanted = policy.quorum or 1
    if len(usable) < wanted:
        raise FeedError(f"{len(usable)} of the sources usable: expected {wanted} at least", temporary=True)
    places = tuple(sorted(usable))
    parts = [usable[place] for place in places]
    if policy.combine == "any" or len(parts) == 1:
        return Merged(parts[0], places[:1])
    union = reduce(Snapshot.__or__, parts)
    if policy.combine == "union":
        return Merged(union, places)
    return Merged(_at_least(union, parts, len(parts) if policy.combine == "intersection" else wanted), places)


def _at_least(union: Snapshot, parts: Sequence[Snapshot], wanted: int) -> Snapshot:
    """What ``wanted`` of the parts have. An ASPA counts with all its providers, as one element."""
    masks = provenance(union, dict(enumerate(parts)))
    ipv4, ipv6 = (
        columns.take(np.bitwise_count(mask) >= wanted)
        for columns, mask in zip((union.ipv4, union.ipv6), masks, strict=True)
    )
    aspas = _common([zip(part.aspas, part.aspa_expires.tolist(), strict=True) for part in parts], wanted)
    keys = _common(
        [zip(part.router_keys, part.router_key_expires.tolist(), strict=True) for part in parts], wanted
    )
    return Snapshot.build(
        ipv4,
        ipv6,
        aspas=list(aspas),
        aspa_expires=list(aspas.values()),
        router_keys=list(keys),
        router_key_expires=list(keys.values()),
        trust_anchors=union.trust_anchors,
        generated=union.generated,
    )


def _common(parts: Sequence[Iterable[tuple[Element, int]]], wanted: int) -> dict[Element, int]:
    """The elements that enough parts have, with a time of expiry that one of them states."""
    counts: Counter[Element] = Counter()
    expires: dict[Element, int] = {}
    for part in parts:
        for element, time in part:
            counts[element] += 1
            expires[element] = time
    return {element: expires[element] for element, count in counts.items() if count >= wanted}


def provenance(snapshot: Snapshot, sources: Mapping[int, Snapshot]) -> tuple[Mask, Mask]:
    """For each IPv4 and IPv6 VRP of a set a mask of the sources that have it: bit n for source n.

    >>> one = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496]))
    >>> provenance(one, {0: one, 3: one, 4: Snapshot.empty()})[0].tolist()
    [9]
    """
    # Set operations keep the times of expiry of the set on the left: row numbers in their place come
    # out as the rows that are common.
    numbered = Snapshot.build(_numbered(snapshot.ipv4), _numbered(snapshot.ipv6))
    masks = np.zeros(len(snapshot.ipv4), np.uint32), np.zeros(len(snapshot.ipv6), np.uint32)
    for place, source in sources.items():
        found = numbered & source
        for mask, columns in zip(masks, (found.ipv4, found.ipv6), strict=True):
            mask[columns.expires - 1] |= np.uint32(1 << place)
    return masks


def _numbered(columns: VrpColumns) -> VrpColumns:
    make = VrpColumns.ipv4 if columns.family == 4 else VrpColumns.ipv6
    address, length, max_length, asn = columns.keys
    return make(address, length, max_length, asn, np.arange(1, len(columns) + 1))


class Origin(NamedTuple):
    """A VRP, the sources that have it now, and under which trust anchor it is served, None if it is not."""

    vrp: Vrp
    sources: tuple[str, ...]
    served: str | None


def origins(
    served: Snapshot, sources: Mapping[str, Snapshot], prefix: Prefix, asn: int | None = None
) -> list[Origin]:
    """Where each VRP that covers a prefix comes from, be it served or not, in sort order.

    >>> one = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496]), trust_anchors=["x"])
    >>> [found] = origins(one, {"a": one, "b": Snapshot.empty()}, Prefix.parse("10.0.0.0/8"))
    >>> str(found.vrp), found.sources, found.served
    ('0.0.0.0/0-8 AS64496', ('a',), 'x')
    """
    covering = {name: set(part.covering(prefix)) for name, part in sources.items()}
    given = _trust_anchors(served.covering(prefix))
    return [
        Origin(vrp, tuple(name for name, having in covering.items() if vrp in having), given.get(vrp))
        for vrp in sorted(set(given).union(*covering.values()))
        if asn is None or vrp.asn == asn
    ]


def _trust_anchors(snapshot: Snapshot) -> dict[Vrp, str]:
    """Of each VRP that of its row."""
    families = (snapshot.ipv4, snapshot.ipv6)
    names = snapshot.trust_anchors
    return {
        vrp: names[place]
        for columns in families
        for vrp, place in zip(columns.vrps(), columns.ta.tolist(), strict=True)
    }


class Difference(NamedTuple):
    """How a source differs from the others: VRPs that it alone has, and those that all others have."""

    name: str
    only: Snapshot
    lacks: Snapshot


def differences(sources: Mapping[str, Snapshot]) -> list[Difference]:
    """How each source differs from the rest of those that are usable; none where there is only one.

    >>> [found.name for found in differences({"a": Snapshot.empty(), "b": Snapshot.empty()})]
    ['a', 'b']
    """
    if len(sources) < 2:
        return []
    found = []
    for name, snapshot in sources.items():
        others = [other for label, other in sources.items() if label != name]
        only = snapshot - reduce(Snapshot.__or__, others)
        lacks = reduce(Snapshot.__and__, others) - snapshot
        found.append(Difference(name, only, lacks))
    return found


def shown(difference: Difference, limit: int) -> dict[str, Any]:
    """A difference as JSON: counts, and the first VRPs."""
    sides: tuple[tuple[Literal["only", "lacks"], Snapshot], ...] = (
        ("only", difference.only),
        ("lacks", difference.lacks),
    )
    return {"name": difference.name} | {
        side: {"count": len(part), "vrps": [str(vrp) for vrp in islice(part.vrps(), limit)]}
        for side, part in sides
    }
