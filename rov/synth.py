"""Synthetic VRP sets with the shape of the real one: the embedded default, tests and benchmarks.

Nothing of the real set is in it but the proportions of rov._shape.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rov import _shape as shape
from rov._checks import shown
from rov.columns import VrpColumns
from rov.errors import ArgumentError
from rov.snapshot import Snapshot
from rov.types import Aspa, RouterKey

MAX_COUNT = 4_000_000
"""Beyond about six times the real set the IPv4 space has no room left for its proportions."""

_U8: TypeAlias = npt.NDArray[np.uint64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

_SEGMENTS_PER_DRAW, _FEW_SEGMENTS = 16, 1024
"""A small draw looks at so many segments per prefix instead of all."""


def vrps(count: int = 700_000, seed: int = 1) -> Snapshot:
    """Make a set of exactly count VRPs, the same for the same seed, that never expires.

    Families, prefix lengths, max lengths, nesting, VRPs per ASN, ASNs per prefix, AS0, 4-byte ASNs and
    trust anchors stand in the proportions of the real set; with 100 ASPAs and 2 router keys.
    ArgumentError: count is not in 1 to MAX_COUNT.

    >>> len(vrps(1000, seed=7)), vrps(1000, seed=7) == vrps(1000, seed=7)
    (1000, True)
    """
    if not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
        raise ArgumentError(f"count {shown(count)}: expected 1 to {MAX_COUNT:,} VRPs")
    if not isinstance(seed, int) or seed < 0:
        raise ArgumentError(f"seed {shown(seed)}: expected 0 or more")
    rng = np.random.default_rng(seed)
    count4 = round(count * shape.REAL_IPV4 / shape.REAL_VRPS)
    asns, share4, share6 = _origins(rng, count, count - count4)
    spare = int(asns.max()) + 1
    return Snapshot.build(
        _columns(rng, 4, count4, asns, share4, spare),
        _columns(rng, 6, count - count4, asns, share6, spare),
        aspas=_aspas(rng, asns[asns > 0]),
        router_keys=_router_keys(rng, asns[asns > 0]),
        trust_anchors=shape.TRUST_ANCHORS,
    )


def _apportion(weights: npt.ArrayLike, total: int) -> _Ints:
    """Whole numbers in the proportion of weights that sum to total (largest remainders)."""
    exact = np.asarray(weights, np.float64)
    exact = exact * (total / exact.sum())
    parts: _Ints = np.floor(exact).astype(np.int64)
    order = np.argsort(parts - exact, kind="stable")
    parts[order[: total - int(parts.sum())]] += 1
    return parts


def _distinct(values: _U8) -> _U8:
    """The values sorted, each once: np.unique hashes first, which is slower here."""
    values.sort()
    new = np.ones(len(values), np.bool_)
    new[1:] = values[1:] != values[:-1]
    return values[new]


# --- prefixes -----------------------------------------------------------------------------------------


class _Space:
    """The address space as segments with the number of prefixes above; -1: no prefix may stand here."""

    def __init__(self, start: _U8, depth: _Ints, density: npt.NDArray[np.float64]) -> None:
        self.start, self.depth, self.density = start, depth, density

    def add(self, prefixes: _U8, length: int) -> None:
        """One more level where these prefixes are; none of them may hold an older one."""
        ends = prefixes + (np.uint64(1) << np.uint64(64 - length))
        points = _distinct(np.concatenate((self.start, prefixes, ends)))
        segment = np.searchsorted(self.start, points, "right") - 1
        self.start, self.density = points, self.density[segment]
        self.depth = self.depth[segment]
        self.depth[np.searchsorted(points, np.sort(prefixes))] += 1

    def draw(self, rng: np.random.Generator, length: int, nesting: _Ints) -> _U8:
        """Distinct prefixes of one length, nesting[d] of them with d others above.

        Where a depth has no room, the rest goes one level up, and in the end anywhere.
        """
        taken: list[_U8] = []
        missing = 0
        for depth in range(len(nesting) - 1, -1, -1):
            wanted = int(nesting[depth]) + missing
            taken.append(self._sample(rng, length, wanted, self.depth == depth))
            missing = wanted - len(taken[-1])
        if missing:
            rest = self._sample(rng, length, int(nesting.sum()) + missing, self.depth >= 0)
            rest = np.setdiff1d(rest, np.concatenate(taken))
            taken.append(rng.permutation(rest)[:missing])
        return np.concatenate(taken)

    def _sample(self, rng: np.random.Generator, length: int, count: int, where: _Bools) -> _U8:
        """Up to count distinct prefixes of one length within the segments where says."""
        found = np.empty(0, np.uint64)
        segment = np.flatnonzero(where)
        if count and len(segment) > _SEGMENTS_PER_DRAW * count + _FEW_SEGMENTS:
            segment = rng.choice(segment, _SEGMENTS_PER_DRAW * count + _FEW_SEGMENTS)
        first, room = self._blocks(segment, length)
        # areas decide at the top; below, large blocks must not draw all more-specifics to themselves
        top = self.depth[segment] == 0
        edges = np.cumsum(np.where(top, room * self.density[segment], np.sqrt(room.astype(np.float64))))
        if count == 0 or len(edges) == 0 or not edges[-1]:
            return found
        for _ in range(8):
            more = int((count - len(found)) * 1.2) + 8
            pick = np.searchsorted(edges, rng.random(more) * edges[-1], "right")
            block = (rng.random(more) * room[pick]).astype(np.uint64)
            found = _distinct(np.concatenate((found, (first[pick] + block) << np.uint64(64 - length))))
            if len(found) >= count:
                break
        return rng.permutation(found)[:count]

    def _blocks(self, segment: _Ints, length: int) -> tuple[_U8, _U8]:
        """The first block of a length in each segment, and how many; what is not public may cut one."""
        shift = np.uint64(64 - length)
        start, one = self.start[segment], np.uint64(1)
        first = np.where(start == 0, start, ((start - one) >> shift) + one)
        end = np.append(self.start, np.uint64(2**64 - 1))[segment + 1]
        return first, np.maximum(end >> shift, first) - first


def _space4() -> _Space:
    """All of IPv4 but what is not public."""
    edges = {0: 0}
    for lead, length in shape.NOT_PUBLIC:
        octets = (lead.bit_length() + 7) // 8 or 1
        begin = lead << (64 - 8 * octets)
        edges[begin] = -1
        edges.setdefault(begin + (1 << (64 - length)), 0)
    edges.pop(1 << 64, None)
    start = np.array(sorted(edges), np.uint64)
    return _Space(start, np.array([edges[int(edge)] for edge in start], np.int64), np.ones(len(start)))


def _space6() -> _Space:
    """The /12 of each trust anchor, as dense as it has VRPs."""
    edges = {0: (-1, 0)}
    for block, vrps_there in zip(shape.IPV6_BLOCKS, shape.IPV6.trust_anchors, strict=True):
        edges[block << 48] = (0, vrps_there)
        edges[(block + 16) << 48] = (-1, 0)
    start = np.array(sorted(edges), np.uint64)
    depth, density = zip(*(edges[int(edge)] for edge in start), strict=True)
    return _Space(start, np.array(depth, np.int64), np.array(density, np.float64))


def _prefixes(rng: np.random.Generator, family: int, count: int) -> tuple[_U8, _U8, _Ints]:
    """Distinct prefixes as high words, low words and lengths, sorted."""
    plan = shape.IPV4 if family == 4 else shape.IPV6
    space = _space4() if family == 4 else _space6()
    highs, lengths, missing = [], [], 0
    for length, wanted in zip(plan.lengths, _apportion([*plan.lengths.values()], count), strict=True):
        nesting = plan.nesting[max(start for start in plan.nesting if start <= length)]
        found = space.draw(rng, min(length, 64), _apportion(nesting, int(wanted) + missing))
        missing += int(wanted) - len(found)
        if length <= plan.spread_from and len(found):
            space.add(found, length)
        highs.append(found)
        lengths.append(np.full(len(found), length))
    if missing:
        raise ArgumentError(f"no room for {count} distinct IPv{family} prefixes")
    high, length_of = np.concatenate(highs), np.concatenate(lengths)
    below = np.uint64(128) - np.maximum(length_of, 65).astype(np.uint64)
    low = np.where(
        length_of > 64, rng.integers(0, 2**64, len(high), np.uint64) >> below << below, np.uint64(0)
    )
    order = np.lexsort((length_of, low, high))
    return high[order], low[order], length_of[order]


# --- origins ------------------------------------------------------------------------------------------


def _origins(rng: np.random.Generator, count: int, count6: int) -> tuple[_Ints, _Ints, _Ints]:
    """ASNs, AS 0 last, and how many IPv4 and IPv6 VRPs each has."""
    as0 = round(count * shape.REAL_AS0 / shape.REAL_VRPS)
    number = max(1, round(count * shape.REAL_ASNS / shape.REAL_VRPS))
    sizes = np.append(_sizes(number, count - as0), as0)
    asns = np.append(_asns(rng, sizes[:-1]), 0)
    share6 = _share6(rng, sizes, count6)
    return asns, sizes - share6, share6


def _sizes(number: int, total: int) -> _Ints:
    """VRPs of each of number ASNs, ascending, total in sum."""
    low, high, weight = (np.array(column, np.float64) for column in zip(*shape.VRPS_PER_ASN, strict=True))
    place = (np.arange(number) + 0.5) * (weight.sum() / number)
    ends = np.cumsum(weight)
    bucket = np.searchsorted(ends, place)
    within = (place - (ends - weight)[bucket]) / weight[bucket]
    # few are near the upper end of a bucket; the last one is the thinnest
    within = np.where(bucket == len(ends) - 1, within**3, within)
    sizes = np.floor(low[bucket] * ((high + 1) / low)[bucket] ** within).astype(np.int64)
    return _fit(sizes, np.ones(number, np.int64), np.full(number, total), total)


def _fit(values: _Ints, least: _Ints, most: _Ints, total: int) -> _Ints:
    """The values moved within their bounds, each in proportion to its room, until they sum to total."""
    values = np.clip(values, least, most)
    excess = int(values.sum()) - total
    room = values - least if excess > 0 else np.minimum(most - values, values + 1)
    if excess and room.sum():
        values = values - np.sign(excess) * np.minimum(_apportion(room, abs(excess)), room)
    # what bounds and rounding left over, one by one
    excess = int(values.sum()) - total
    while excess:
        able = np.flatnonzero(values > least if excess > 0 else values < most)
        if not len(able):
            least, most = np.zeros_like(least), np.full_like(most, total)
            continue
        some = able[-abs(excess) :]
        values[some] -= np.sign(excess)
        excess = int(values.sum()) - total
    return values


def _share6(rng: np.random.Generator, sizes: _Ints, count6: int) -> _Ints:
    """How many of each ASN's VRPs are IPv6."""
    number = len(sizes)
    able = np.flatnonzero(sizes >= 2)
    both = rng.permutation(able)[: round(number * shape.BOTH_FAMILIES)]
    single = np.ones(number, np.bool_)
    single[both] = False
    only6 = single & (sizes <= 20) & (rng.random(number) < shape.IPV6_ONLY)
    least, most = np.where(only6, sizes, 0), np.where(only6, sizes, 0)
    least[both], most[both] = 1, sizes[both] - 1
    drawn = np.round(sizes * rng.beta(1, 3, number)).astype(np.int64)
    return _fit(drawn, least, most, count6)


def _asns(rng: np.random.Generator, sizes: _Ints) -> _Ints:
    """Distinct public AS numbers for ASNs with so many VRPs."""
    number = len(sizes)
    short = np.setdiff1d(np.arange(1, 64_496), [23_456])
    long = max(round(number * shape.FOUR_BYTE_SHARE), number - len(short))
    scale = max(1.0, long / 50_000)
    blocks = [np.arange(first, first + int(width * scale)) for first, width in shape.FOUR_BYTE_BLOCKS]
    young = np.argsort(np.log2(sizes) * shape.FOUR_BYTE_SLOPE + rng.standard_normal(number))[:long]
    asns = np.empty(number, np.int64)
    is_young = np.zeros(number, np.bool_)
    is_young[young] = True
    asns[is_young] = rng.choice(np.unique(np.concatenate(blocks)), long, replace=False)
    asns[~is_young] = rng.choice(short, number - long, replace=False)
    return asns


def _spread(rng: np.random.Generator, asns: _Ints, sizes: _Ints) -> _Ints:
    """One ASN for each row, in runs: the prefixes of a network lie side by side."""
    run = np.maximum(4, np.sqrt(sizes).astype(np.int64))
    runs = -(-sizes // run)
    owner = np.repeat(np.arange(len(sizes)), runs)
    last = np.cumsum(runs) - 1
    size = run[owner]
    has = runs > 0
    size[last[has]] = (sizes - run * (runs - 1))[has]
    order = rng.permutation(len(owner))
    return np.repeat(asns[owner[order]], size[order])


# --- rows ---------------------------------------------------------------------------------------------


def _columns(
    rng: np.random.Generator, family: int, count: int, asns: _Ints, sizes: _Ints, spare: int
) -> VrpColumns | None:
    """Rows of one family; spare is the first ASN that is free to break ties with."""
    if count == 0:
        return None
    plan = shape.IPV4 if family == 4 else shape.IPV6
    distinct = max(1, round(count / plan.per_prefix))
    high, low, length = _prefixes(rng, family, distinct)
    row = np.concatenate((np.arange(distinct), _extra(rng, distinct, count - distinct)))
    high, low, length = high[row], low[row], length[row]
    gap = _gaps(rng, plan, length)
    asn = _unlike(rng, row * 256 + gap, _spread(rng, asns, sizes), distinct, spare)
    ta = _trust_anchor(rng, family, high)
    if family == 4:
        return VrpColumns.ipv4((high >> np.uint64(32)).astype(np.uint32), *_small(length, gap, asn), None, ta)
    return VrpColumns.ipv6(np.stack((high, low), axis=1), *_small(length, gap, asn), None, ta)


def _small(
    length: _Ints, gap: _Ints, asn: _Ints
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    return length.astype(np.uint8), (length + gap).astype(np.uint8), asn.astype(np.uint32)


def _extra(rng: np.random.Generator, distinct: int, count: int) -> _Ints:
    """For each VRP beyond the first of its prefix, the prefix."""
    kinds = np.array([*shape.MORE_ORIGINS])
    weights = np.array([*shape.MORE_ORIGINS.values()], np.float64)
    times = rng.choice(kinds, distinct, p=weights / weights.sum())
    chosen = rng.permutation(distinct)
    upto = int(np.searchsorted(np.cumsum(times[chosen]), count)) + 1
    rows = np.repeat(np.sort(chosen[:upto]), times[np.sort(chosen[:upto])])
    return rng.permutation(rows)[:count] if len(rows) > count else rows


def _gaps(rng: np.random.Generator, plan: shape.Plan, length: _Ints) -> _Ints:
    """max_length minus length, for each row."""
    gap = np.zeros(len(length), np.int64)
    for at, weights in plan.max_gaps.items():
        rows = np.flatnonzero(length == at)
        rest = plan.lengths[at] - sum(weights.values())
        shares = np.array([rest, *weights.values()], np.float64) / plan.lengths[at]
        gap[rows] = rng.choice(np.array([0, *weights]), len(rows), p=shares)
    return gap


def _unlike(rng: np.random.Generator, key: _Ints, asn: _Ints, first: int, spare: int) -> _Ints:
    """The ASNs exchanged among rows from first on until no two rows with one key have the same."""
    for _ in range(20):
        same = _repeated(key, asn)
        if not len(same):
            return asn
        if len(key) > first:
            other = rng.integers(first, len(key), len(same))
            for a, b in zip(same.tolist(), other.tolist(), strict=True):
                asn[a], asn[b] = asn[b], asn[a]
    same = _repeated(key, asn)
    asn[same] = np.arange(spare, spare + len(same))
    return asn


def _repeated(key: _Ints, asn: _Ints) -> _Ints:
    """The rows that repeat an earlier one."""
    order = np.lexsort((asn, key))
    again = (key[order][1:] == key[order][:-1]) & (asn[order][1:] == asn[order][:-1])
    rows: _Ints = order[1:][again]
    return rows


def _trust_anchor(rng: np.random.Generator, family: int, high: _U8) -> npt.NDArray[np.uint8]:
    """IPv4: each /8 belongs to one; IPv6: each has its /12."""
    owners = np.repeat(
        np.arange(len(shape.TRUST_ANCHORS), dtype=np.uint8), _apportion(shape.IPV4.trust_anchors, 256)
    )
    table = rng.permutation(owners)
    if family == 6:
        table = np.zeros(2**16, np.uint8)
        for index, block in enumerate(shape.IPV6_BLOCKS):
            table[block : block + 16] = index
    column: npt.NDArray[np.uint8] = table[high >> np.uint64(56 if family == 4 else 48)]
    return column


# --- ASPAs and router keys ------------------------------------------------------------------------------


def _aspas(rng: np.random.Generator, asns: _Ints) -> list[Aspa]:
    """ASPAs of some of the ASNs; the last ones, which have the most VRPs, are everybody's providers."""
    customers = rng.permutation(asns)[: shape.ASPAS]
    sizes = rng.permutation(np.repeat([*shape.PROVIDERS], [*shape.PROVIDERS.values()]))
    sizes[: shape.ASPAS_AS0] = 0
    large = asns[-min(len(asns), 400) :]
    aspas = []
    for customer, size in zip(customers.tolist(), sizes.tolist(), strict=False):
        others = large[large != customer]
        drawn = rng.permutation(others)[:size] if size and len(others) else np.zeros(1, np.int64)
        aspas.append(Aspa(customer, tuple(sorted(drawn.tolist()))))
    return aspas


def _router_keys(rng: np.random.Generator, asns: _Ints) -> list[RouterKey]:
    """Keys of one ASN; the points are random, on no curve: no signature will ever fit them."""
    asn = int(rng.choice(asns))
    return [RouterKey(asn, rng.bytes(20), shape.P256_SPKI + rng.bytes(64)) for _ in range(shape.ROUTER_KEYS)]
