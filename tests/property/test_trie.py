"""The index against two models: every VRP looked at by brute force, and a walk up a pytricia tree."""

import numpy as np
import pytest
import pytricia
from hypothesis import given
from hypothesis import strategies as st

from rov import Prefix, Reason, RouteBatch, Snapshot, State, Vrp, VrpColumns, VrpIndex
from rov._trie import judge_at_once

BITS = {4: 32, 6: 128}

# Few stems and few origins, so that prefixes nest and coincide; the last addresses, where ends overflow.
STEMS = {
    4: [0, 0x0A000000, 0x0A010000, 0x0A0102FF, 0xC0000280, 0xFFFFFFFF],
    6: [
        0,
        0x20010DB8 << 96,
        (0x20010DB8 << 96) | (0xFFFF << 64),
        (0x20010DB8 << 96) | 0xFF,
        (0x20010DB8 << 96) | (1 << 63),
        (1 << 64) - 1,
        (1 << 128) - 1,
    ],
}


@st.composite
def prefixes(draw, family):
    bits = BITS[family]
    length = draw(st.integers(0, bits))
    stem = draw(st.sampled_from(STEMS[family]))
    address = stem ^ draw(st.one_of(st.just(0), st.integers(0, 2**10), st.integers(0, 2**bits - 1)))
    shift = bits - length
    return Prefix(family, address >> shift << shift, length)


@st.composite
def vrps(draw, family):
    prefix = draw(prefixes(family))
    max_length = draw(st.one_of(st.just(prefix.length), st.integers(prefix.length, prefix.bits)))
    return Vrp(prefix, max_length, draw(asns))


asns = st.sampled_from([0, 1, 2, 3, 2**32 - 1])


@st.composite
def cases(draw):
    """VRPs of one family and routes: some at random, some cut from the VRPs and their neighbours."""
    family = draw(st.sampled_from([4, 6]))
    rows = draw(st.lists(vrps(family), max_size=60))
    found = draw(st.lists(prefixes(family), min_size=1, max_size=20))
    for vrp in rows:
        length = draw(st.integers(0, vrp.prefix.bits))
        shift = vrp.prefix.bits - length
        offset = draw(st.sampled_from([-1, 0, 1])) << (vrp.prefix.bits - vrp.prefix.length)
        address = (vrp.prefix.address + offset) % 2**vrp.prefix.bits
        found.append(Prefix(family, address >> shift << shift, length))
    return family, rows, [(prefix, draw(asns)) for prefix in found]


def expected_state(covering, prefix, asn):
    """RFC 6811 §2, word by word."""
    if not covering:
        return State.NOT_FOUND
    for vrp in covering:
        if vrp.asn == asn and vrp.asn != 0 and prefix.length <= vrp.max_length:
            return State.VALID
    return State.INVALID


def expected_reason(covering, state, asn):
    if state is not State.INVALID:
        return Reason.MATCHED if state is State.VALID else Reason.NOT_COVERED
    if asn != 0 and any(vrp.asn == asn for vrp in covering):
        return Reason.LENGTH
    return Reason.AS if any(vrp.asn for vrp in covering) else Reason.AS0


def batch_of(family, routes):
    lengths, origins = [prefix.length for prefix, _ in routes], [asn for _, asn in routes]
    if family == 4:
        return RouteBatch.ipv4([prefix.address for prefix, _ in routes], lengths, origins)
    words = [divmod(prefix.address, 2**64) for prefix, _ in routes]
    return RouteBatch.ipv6(np.array(words, np.uint64), lengths, origins)


def judged(index, batch):
    """The states of a batch, eight verdicts at once where the processor can, and four."""
    wide = index.validate_batch(batch).tolist()
    try:
        judge_at_once(4)
        assert index.validate_batch(batch).tolist() == wide
    finally:
        judge_at_once(8)
    return wide


def answers(index, family, routes):
    """The states by all roads, which must agree."""
    batch = judged(index, batch_of(family, routes))
    many = index.validate_many([str(prefix) for prefix, _ in routes], [asn for _, asn in routes]).tolist()
    assert batch == many == [index.validate(prefix, asn) for prefix, asn in routes]
    assert batch == [index.explain(str(prefix), asn).state for prefix, asn in routes]
    return batch


@given(cases())
def test_brute_force(case):
    family, rows, routes = case
    index = VrpIndex(Snapshot.from_vrps(rows))
    reasons = index.validate_batch(batch_of(family, routes), reasons=True)[1].tolist()
    for (prefix, asn), state, reason in zip(routes, answers(index, family, routes), reasons, strict=True):
        covering = sorted(vrp for vrp in set(rows) if vrp.prefix.covers(prefix))
        assert state == expected_state(covering, prefix, asn)
        assert reason == expected_reason(covering, State(state), asn)
        assert index.explain(prefix, asn).reason == reason
        assert sorted(index.covering(prefix)) == covering
        lengths = [vrp.prefix.length for vrp in index.covering(prefix)]
        assert lengths == sorted(lengths)


@given(cases(), st.randoms(use_true_random=False))
def test_no_order_of_the_routes_matters(case, random):
    """Sorted columns take another way than others, and some only look sorted."""
    family, rows, routes = case
    index = VrpIndex(Snapshot.from_vrps(rows))
    routes = sorted(routes * 10, key=lambda route: (route[0].address, route[0].length))
    alone = {route: (index.validate(*route), index.explain(*route).reason) for route in set(routes)}
    swapped = list(routes)
    for _ in range(len(swapped) // 20):
        one, other = random.randrange(len(swapped)), random.randrange(len(swapped))
        swapped[one], swapped[other] = swapped[other], swapped[one]
    for order in (routes, routes[::-1], swapped, random.sample(routes, len(routes))):
        states, reasons = index.validate_batch(batch_of(family, order), reasons=True)
        assert states.tolist() == judged(index, batch_of(family, order))
        assert list(zip(states.tolist(), reasons.tolist(), strict=True)) == [alone[route] for route in order]


def pytricia_covering(tree, prefix):
    """The covering VRPs by longest match and then parent by parent."""
    text, found = str(prefix), []
    key = tree.get_key(text)
    while key is not None:
        found += tree[key]
        key = tree.parent(key)
    return found


@given(cases())
def test_pytricia(case):
    family, rows, routes = case
    tree = pytricia.PyTricia(BITS[family])
    for vrp in set(rows):
        text = str(vrp.prefix)
        tree[text] = [*(tree[text] if tree.has_key(text) else []), vrp]
    index = VrpIndex(Snapshot.from_vrps(rows))
    expected = [expected_state(pytricia_covering(tree, prefix), prefix, asn) for prefix, asn in routes]
    assert answers(index, family, routes) == expected


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("shape", ["dense", "deep", "crowded", "spread"])
def test_many_rows(family, shape):
    """Sets that force wide nodes, nodes below nodes, and long lists of VRPs for one prefix."""
    rng = np.random.default_rng(7)
    bits, rows = BITS[family], 3000
    lengths = {
        "dense": rng.integers(20, 33, rows),
        "deep": rng.integers(0, bits + 1, rows),
        "crowded": rng.choice([8, 16, 24], rows),
        "spread": rng.integers(8, 33, rows),
    }[shape]
    stems = {
        "dense": 0x0A000000 + rng.integers(0, 2**16, rows),
        "deep": np.full(rows, 0x0A0A0A0A),
        "crowded": 0x0A000000 + 2**16 * rng.integers(0, 3, rows),
        "spread": rng.integers(0, 2**32, rows),
    }[shape]
    tails = rng.integers(0, 2**62, rows) if shape in ("deep", "dense") else np.zeros(rows, np.int64)
    columns = []
    for stem, tail, length in zip(stems.tolist(), tails.tolist(), lengths.tolist(), strict=True):
        address = stem if family == 4 else (stem << 96) | (tail << 30)
        columns.append((address >> (bits - length) << (bits - length), length))
    origins = rng.integers(0, 300 if shape == "crowded" else 4, rows).tolist()
    found = [
        Vrp(Prefix(family, address, length), min(bits, length + asn % 3), asn)
        for (address, length), asn in zip(columns, origins, strict=True)
    ]
    index = VrpIndex(Snapshot.from_vrps(found))
    unique = {}
    for vrp in set(found):
        unique.setdefault((vrp.prefix.address, vrp.prefix.length), []).append(vrp)
    routes = [(vrp.prefix, int(rng.integers(0, 5))) for vrp in found[:700]]
    routes += [(Prefix(family, 2**bits - 1, bits), 1), (Prefix(family, 0, bits), 1)]
    expected = []
    for prefix, asn in routes:
        keys = (
            (prefix.address >> (bits - length) << (bits - length), length)
            for length in range(prefix.length + 1)
        )
        covering = [vrp for key in keys for vrp in unique.get(key, ())]
        assert sorted(index.covering(prefix)) == sorted(covering)
        expected.append(expected_state(covering, prefix, asn))
    assert answers(index, family, routes) == expected


def test_bytes_grow_with_the_rows():
    """No set of VRPs, however placed, takes more than a few hundred octets a VRP."""
    rng = np.random.default_rng(3)
    for high, low in ((32, 0), (64, 0), (64, 64)):
        words = np.zeros((20_000, 2), np.uint64)
        words[:, 0] = rng.integers(0, 2**63, 20_000, np.uint64) >> np.uint64(64 - high)
        words[:, 1] = rng.integers(0, 2**63, 20_000, np.uint64) if low else 0
        lengths = np.full(20_000, 128, np.uint8)
        columns = VrpColumns.ipv6(words, lengths, lengths, np.ones(20_000, np.uint32))
        index = VrpIndex(Snapshot.build(ipv6=columns))
        assert index.nbytes / len(index) < 400
