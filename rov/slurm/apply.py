"""Filters and assertions against a Snapshot: sorted columns and searches, never VRPs times filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from rov.columns import VrpColumns
from rov.slurm.entries import AspaFilter, Assertion, Filter, PrefixFilter, RouterKeyFilter
from rov.snapshot import Snapshot
from rov.types import IPV6_BITS, Aspa, Prefix, RouterKey, Vrp

TRUST_ANCHOR = "slurm"
"""The trust anchor that added VRPs are shown under."""

_BEYOND = b"\xff"
"""As a prefix length, sorts behind every one there is."""

Element = Vrp | RouterKey | Aspa
_KeyName = tuple[int | None, bytes | None]
_Places = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


class Effect(msgspec.Struct, frozen=True):
    """What one entry did: how many elements a filter matched (another may match them too), or whether
    an assertion added its element (1) or found it there (0); the first of a filter's elements.

    >>> Effect(AspaFilter("x.json", "$", 64496), 0).examples
    ()
    """

    entry: Filter | Assertion
    count: int
    examples: tuple[Element, ...] = ()


class Applied(msgspec.Struct, frozen=True):
    """The Snapshot that results; what filters removed and what assertions added; each entry's effect.

    What was removed and added again by an assertion is in both.

    >>> Applied(Snapshot.empty(), Snapshot.empty(), Snapshot.empty(), (), ()).filters
    ()
    """

    snapshot: Snapshot
    removed: Snapshot
    added: Snapshot
    filters: tuple[Effect, ...]
    assertions: tuple[Effect, ...]


class _Hits(NamedTuple):
    """Runs [low, high) of an order of the rows, one for each filter; order None: as they stand."""

    low: _Places
    high: _Places
    order: _Places | None

    def mark(self, mask: _Mask) -> None:
        """Set the rows of all runs, in one pass however many runs there are."""
        size = len(mask)
        steps = np.bincount(self.low, minlength=size + 1) - np.bincount(self.high, minlength=size + 1)
        inside = np.cumsum(steps[:size]) > 0
        if self.order is None:
            mask |= inside
        else:
            mask[self.order[inside]] = True

    def rows(self, filter_row: int, most: int) -> Any:
        """The first rows of one filter's run."""
        low = int(self.low[filter_row])
        part = slice(low, min(int(self.high[filter_row]), low + most))
        return part if self.order is None else self.order[part]


def _sort_key(columns: VrpColumns) -> npt.NDArray[Any]:
    """Address and length of each row as one value that sorts as the rows do."""
    if columns.family == 4:
        return columns.address.astype(np.uint64) << np.uint64(8) | columns.length
    octets = np.empty((len(columns), 17), np.uint8)
    octets[:, :16] = columns.address.astype(">u8").view(np.uint8).reshape(-1, 16)
    octets[:, 16] = columns.length
    return octets.view("S17").reshape(-1)


def _runs(columns: VrpColumns, prefixes: Sequence[Prefix]) -> tuple[_Places, _Places]:
    """For each prefix the run of rows that it covers: sorted by address and length they are neighbours."""
    key = _sort_key(columns)
    if columns.family == 4:
        first = np.array([prefix.address << 8 | prefix.length for prefix in prefixes], np.uint64)
        beyond = [(prefix.address + (1 << prefix.bits - prefix.length)) << 8 for prefix in prefixes]
        return np.searchsorted(key, first), np.searchsorted(key, np.array(beyond, np.uint64))
    starts = [prefix.address.to_bytes(16, "big") + bytes([prefix.length]) for prefix in prefixes]
    ends = [
        (prefix.address | (1 << IPV6_BITS - prefix.length) - 1).to_bytes(16, "big") + _BEYOND
        for prefix in prefixes
    ]
    return np.searchsorted(key, np.array(starts, "S17")), np.searchsorted(key, np.array(ends, "S17"))


def _of_asn(columns: VrpColumns, low: _Places, high: _Places, asns: Sequence[int]) -> _Hits:
    """Runs of the rows as they stand, cut down to those of an ASN: runs in the order by (ASN, place)."""
    order = np.argsort(columns.asn, kind="stable")
    key = columns.asn[order].astype(np.uint64) << np.uint64(32) | order.astype(np.uint64)
    asn = np.array(asns, np.uint64) << np.uint64(32)
    start, end = (np.searchsorted(key, asn | places.astype(np.uint64)) for places in (low, high))
    return _Hits(start, end, order)


def _family_hits(columns: VrpColumns, filters: Sequence[PrefixFilter]) -> tuple[_Mask, npt.NDArray[np.int64]]:
    """Which rows the filters remove, and how many rows each matches."""
    mask = np.zeros(len(columns), np.bool_)
    counts = np.zeros(len(filters), np.int64)
    for rows, hits in _hits(columns, filters):
        hits.mark(mask)
        counts[rows] = hits.high - hits.low
    return mask, counts


def _hits(columns: VrpColumns, filters: Sequence[PrefixFilter]) -> list[tuple[list[int], _Hits]]:
    """The filters with a prefix alone, then those with an ASN: their rows, and what they match."""
    whole = Prefix(columns.family, 0, 0)
    found = []
    for with_asn in (False, True):
        rows = [
            row
            for row, entry in enumerate(filters)
            if (entry.asn is not None) == with_asn
            and (entry.prefix is None or entry.prefix.family == columns.family)
        ]
        if rows:
            low, high = _runs(columns, [filters[row].prefix or whole for row in rows])
            asns = [filters[row].asn or 0 for row in rows]
            found.append((rows, _of_asn(columns, low, high, asns) if with_asn else _Hits(low, high, None)))
    return found


def _vrp_examples(
    columns: VrpColumns, filters: Sequence[PrefixFilter], most: int
) -> dict[int, list[Element]]:
    """The first elements that each filter matches."""
    found: dict[int, list[Element]] = {}
    for rows, hits in _hits(columns, filters):
        for place, row in enumerate(rows):
            picked = columns.take(hits.rows(place, most))
            if len(picked):
                found[row] = list(picked.vrps())
    return found


def _vrps(
    snapshot: Snapshot, filters: Sequence[PrefixFilter], examples: int
) -> tuple[tuple[_Mask, _Mask], list[Effect]]:
    """Which VRPs of each family the filters remove, and what each filter did."""
    families = (snapshot.ipv4, snapshot.ipv6)
    masks, counts = zip(*(_family_hits(columns, filters) for columns in families), strict=True)
    shown: list[list[Element]] = [[] for _ in filters]
    for columns in families if examples else ():
        for row, elements in _vrp_examples(columns, filters, examples).items():
            shown[row] += elements
    totals = (counts[0] + counts[1]).tolist()
    effects = [
        Effect(entry, total, tuple(found[:examples]))
        for entry, total, found in zip(filters, totals, shown, strict=True)
    ]
    return (masks[0], masks[1]), effects


def _router_keys(
    snapshot: Snapshot, filters: Sequence[RouterKeyFilter], examples: int
) -> tuple[_Mask, list[Effect]]:
    """Each key is looked up under its ASN, its SKI and both."""
    wanted = {(entry.asn, entry.ski) for entry in filters}
    hits: Counter[_KeyName] = Counter()
    shown: dict[_KeyName, list[Element]] = {}
    mask = np.zeros(len(snapshot.router_keys), np.bool_)
    for row, key in enumerate(snapshot.router_keys):
        names: tuple[_KeyName, ...] = ((key.asn, None), (None, key.ski), (key.asn, key.ski))
        for name in names:
            if name in wanted:
                mask[row] = True
                hits[name] += 1
                shown.setdefault(name, []).append(key)
    asked = [(entry, (entry.asn, entry.ski)) for entry in filters]
    return mask, [
        Effect(entry, hits[name], tuple(islice(shown.get(name, ()), examples))) for entry, name in asked
    ]


def _aspas(snapshot: Snapshot, filters: Sequence[AspaFilter], examples: int) -> tuple[_Mask, list[Effect]]:
    by_customer = {aspa.customer: aspa for aspa in snapshot.aspas}
    wanted = {entry.customer for entry in filters}
    mask = np.array([aspa.customer in wanted for aspa in snapshot.aspas], np.bool_)
    effects = []
    for entry in filters:
        aspa = by_customer.get(entry.customer)
        effects.append(Effect(entry, int(aspa is not None), (aspa,) if aspa and examples else ()))
    return mask, effects


def _picked(snapshot: Snapshot, masks: tuple[_Mask, _Mask], keys: _Mask, aspas: _Mask) -> Snapshot:
    """The elements that masks pick; the same object where that is all of them."""
    if all(mask.all() for mask in (*masks, keys, aspas)):
        return snapshot
    return Snapshot.build(
        snapshot.ipv4.take(masks[0]),
        snapshot.ipv6.take(masks[1]),
        aspas=[snapshot.aspas[row] for row in np.flatnonzero(aspas)],
        aspa_expires=snapshot.aspa_expires[aspas].tolist(),
        router_keys=[snapshot.router_keys[row] for row in np.flatnonzero(keys)],
        router_key_expires=snapshot.router_key_expires[keys].tolist(),
        trust_anchors=snapshot.trust_anchors,
        generated=snapshot.generated,
    )


def asserted(assertions: Sequence[Assertion]) -> Snapshot:
    """What assertions add, under the trust anchor TRUST_ANCHOR; nothing of it expires."""
    elements = [entry.element for entry in assertions]
    vrps = [element for element in elements if isinstance(element, Vrp)]
    return Snapshot.build(
        VrpColumns.of(4, [vrp for vrp in vrps if vrp.prefix.family == 4]),
        VrpColumns.of(6, [vrp for vrp in vrps if vrp.prefix.family == 6]),
        aspas=[element for element in elements if isinstance(element, Aspa)],
        router_keys=[element for element in elements if isinstance(element, RouterKey)],
        trust_anchors=[TRUST_ANCHOR],
    )


def apply(
    snapshot: Snapshot, filters: Sequence[Filter], assertions: Sequence[Assertion], examples: int
) -> Applied:
    """Filters first, then assertions, which no filter touches (RFC 8416 §3.4)."""
    groups = [[entry for entry in filters if isinstance(entry, kind)] for kind in _KINDS]
    masks, vrp_effects = _vrps(snapshot, groups[0], examples)
    keys, key_effects = _router_keys(snapshot, groups[1], examples)
    aspas, aspa_effects = _aspas(snapshot, groups[2], examples)
    rest = _picked(snapshot, (~masks[0], ~masks[1]), ~keys, ~aspas)
    extra = asserted(assertions)
    result = rest | extra if extra else rest
    there = _Others(set(rest.router_keys), {aspa.customer: set(aspa.providers) for aspa in rest.aspas})
    effects = [_assertion_effect(entry, rest, there) for entry in assertions]
    return Applied(
        result,
        _picked(snapshot, masks, keys, aspas),
        result - rest if extra else Snapshot.empty(),
        (*vrp_effects, *key_effects, *aspa_effects),
        tuple(effects),
    )


_KINDS: tuple[Any, ...] = (PrefixFilter, RouterKeyFilter, AspaFilter)


class _Others(NamedTuple):
    """What stands beside the VRPs, for lookups."""

    router_keys: set[RouterKey]
    providers: dict[int, set[int]]


def _assertion_effect(entry: Assertion, rest: Snapshot, there: _Others) -> Effect:
    element = entry.element
    if isinstance(element, Vrp):
        new = element not in rest
    elif isinstance(element, Aspa):
        new = not set(element.providers) <= there.providers.get(element.customer, set())
    else:
        new = element not in there.router_keys
    return Effect(entry, int(new))
