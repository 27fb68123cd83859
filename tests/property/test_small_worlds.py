"""Every set of up to three VRPs in a universe of four bits, every route: the trie against brute force.

The universe is the addresses below one prefix, cut at four more bits: 31 prefixes with 57 values of
(prefix, max_length). An ASN matters by two questions only, whether it is the origin and whether it is 0, so
0, 1 and 2 stand for all, and the same three for origins: three VRPs of other ASes than the origin give the
verdicts of three of AS 2. What is left is 171 VRPs, 833,341 sets and 93 routes.

Sets of up to two VRPs are a trie each, at five places of the address space. The sets of three stand side by
side in one trie: each has a universe of its own, so its VRPs cover no route of another one's.
"""

import itertools

import numpy as np
import pytest

from rov import Reason, State
from rov._trie import Trie

BITS = 4
ASNS = (0, 1, 2)

PREFIXES = [(address, length) for length in range(BITS + 1) for address in range(0, 16, 16 >> length)]
VRPS = sorted(
    (address, length, max_length, asn)
    for address, length in PREFIXES
    for max_length in range(length, BITS + 1)
    for asn in ASNS
)
ROUTES = [(address, length, origin) for address, length in PREFIXES for origin in ASNS]

COVERED, MATCHED, SAME_AS, OTHER_AS = 1, 2, 4, 8
"""What a VRP is to a route; what a set is to it is all that its members are."""


def grounds(vrp, route):
    """RFC 6811 §2 for one VRP and one route, address by address."""
    address, length, max_length, asn = vrp
    first, route_length, origin = route
    held = set(range(address, address + (16 >> length)))
    if length > route_length or not held.issuperset(range(first, first + (16 >> route_length))):
        return 0
    same = SAME_AS if asn == origin != 0 else 0
    matched = MATCHED if same and route_length <= max_length else 0
    return COVERED | same | matched | (OTHER_AS if asn else 0)


GROUNDS = np.array([[grounds(vrp, route) for route in ROUTES] for vrp in VRPS], np.uint8)


def state_and_reason(found):
    if not found & COVERED:
        return State.NOT_FOUND, Reason.NOT_COVERED
    if found & MATCHED:
        return State.VALID, Reason.MATCHED
    if found & SAME_AS:
        return State.INVALID, Reason.LENGTH
    return State.INVALID, Reason.AS if found & OTHER_AS else Reason.AS0


VERDICTS = np.array([state_and_reason(found) for found in range(16)], np.uint8)


class Place:
    """Where in the address space the universe stands: its first bit, and the bits before it."""

    def __init__(self, family, first_bit, stem=0):
        self.family, self.first_bit, self.stem = family, first_bit, stem

    def addresses(self, numbers, worlds=0):
        """Addresses of a universe, which is one of many if worlds numbers them by the bits before."""
        numbers = np.asarray(numbers, np.uint64)
        if self.family == 4:
            room = np.uint64(28 - self.first_bit)
            stem = np.asarray(worlds, np.uint64) << np.uint64(4) | np.uint64(self.stem)
            return ((stem | numbers) << room).astype(np.uint32)
        words = np.empty((*np.broadcast(numbers, worlds).shape, 2), np.uint64)
        above = np.asarray(worlds, np.uint64) + np.uint64(self.stem)
        cut = min(max(64 - self.first_bit, 0), BITS)  # so many bits of the universe are in the high word
        low_bits = np.uint64(BITS - cut)
        words[..., 0] = above << np.uint64(cut) | numbers >> low_bits
        words[..., 0] <<= np.uint64(max(64 - self.first_bit - BITS, 0))
        lower = numbers & ((np.uint64(1) << low_bits) - np.uint64(1))
        room = 128 - self.first_bit - BITS if self.first_bit >= 64 else 64 - int(low_bits)
        words[..., 1] = lower << np.uint64(room) if low_bits else 0
        return words

    def trie(self, addresses, rows):
        """A trie of VRPS by their numbers."""
        columns = np.array(VRPS, np.uint32)[rows]
        lengths = (columns[:, 1:3] + self.first_bit).astype(np.uint8)
        return Trie(
            self.family,
            addresses,
            np.ascontiguousarray(lengths[:, 0]),
            np.ascontiguousarray(lengths[:, 1]),
            np.ascontiguousarray(columns[:, 3]),
        )

    def verdicts(self, trie, addresses):
        """State and Reason of ROUTES, once or for many worlds."""
        count = len(addresses)
        routes = np.array(ROUTES, np.uint32)
        lengths = np.resize((routes[:, 1] + self.first_bit).astype(np.uint8), count)
        origins = np.resize(routes[:, 2], count)
        judge = trie.judge_ipv4 if self.family == 4 else trie.judge_ipv6
        found = np.empty((2, count), np.uint8)
        for reasons in (False, True):
            judge(addresses, lengths, origins, found[int(reasons)], reasons)
        return found


VRP_ADDRESSES = [vrp[0] for vrp in VRPS]
ROUTE_ADDRESSES = [route[0] for route in ROUTES]

# Under checks, where the last address is, and where two words are: elsewhere memory is used in the same way.
PLACES = [
    pytest.param(Place(4, 0), id="ipv4-top", marks=pytest.mark.exhaustive),
    pytest.param(Place(4, 28, 0xFFFFFFF0), id="ipv4-end"),
    pytest.param(Place(6, 0), id="ipv6-top", marks=pytest.mark.exhaustive),
    pytest.param(Place(6, 62, 2**62 - 1), id="ipv6-across-the-words"),
    pytest.param(Place(6, 124, 0x20010DB800000000), id="ipv6-end", marks=pytest.mark.exhaustive),
]


def test_grounds_by_hand():
    """The brute force itself, where RFC 6811 leaves no doubt."""
    assert len(VRPS) == 171
    assert len(ROUTES) == 93
    assert grounds((0, 1, 2, 1), (0, 2, 1)) == COVERED | MATCHED | SAME_AS | OTHER_AS
    assert grounds((0, 1, 2, 1), (0, 3, 1)) == COVERED | SAME_AS | OTHER_AS
    assert grounds((0, 1, 4, 0), (4, 2, 0)) == COVERED
    assert grounds((0, 1, 4, 1), (8, 1, 1)) == 0
    assert grounds((0, 1, 4, 1), (0, 0, 1)) == 0


@pytest.mark.parametrize("place", PLACES)
def test_up_to_two_vrps(place):
    vrp_addresses, route_addresses = place.addresses(VRP_ADDRESSES), place.addresses(ROUTE_ADDRESSES)
    sets = 0
    for count in range(3):
        for members in itertools.combinations(range(len(VRPS)), count):
            rows = np.array(members, np.intp)
            found = place.verdicts(place.trie(vrp_addresses[rows], rows), route_addresses)
            expected = VERDICTS[np.bitwise_or.reduce(GROUNDS[rows], axis=0)].T
            assert np.array_equal(found, expected), [VRPS[row] for row in members]
            sets += 1
    assert sets == 1 + 171 + 171 * 170 // 2


CHUNK = 100_000
"""Worlds judged at once: what numpy has of them stays in some hundred megabytes."""


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "place", [pytest.param(Place(4, 28), id="ipv4"), pytest.param(Place(6, 62, 2**32), id="ipv6")]
)
def test_three_vrps(place):
    triples = np.fromiter(
        itertools.chain.from_iterable(itertools.combinations(range(len(VRPS)), 3)), np.intp
    ).reshape(-1, 3)
    worlds = np.arange(len(triples), dtype=np.uint64)[:, None]
    assert len(triples) == 171 * 170 * 169 // 6
    addresses = place.addresses(np.array(VRP_ADDRESSES)[triples], worlds)
    trie = place.trie(np.ascontiguousarray(addresses.reshape(-1, *addresses.shape[2:])), triples.ravel())
    for at in range(0, len(triples), CHUNK):
        some = triples[at : at + CHUNK]
        routes = place.addresses(np.array(ROUTE_ADDRESSES)[None, :], worlds[at : at + CHUNK])
        found = place.verdicts(trie, np.ascontiguousarray(routes.reshape(-1, *routes.shape[2:])))
        expected = VERDICTS[GROUNDS[some[:, 0]] | GROUNDS[some[:, 1]] | GROUNDS[some[:, 2]]]
        assert np.array_equal(found[0], expected[..., 0].ravel())
        assert np.array_equal(found[1], expected[..., 1].ravel())
