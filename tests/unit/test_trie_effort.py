"""However VRPs crowd on one prefix or nest, a verdict looks at few of them."""

import math

import numpy as np
import pytest

from rov._trie import Trie

CROWD_LEAST = 16
"""From so many VRPs of one prefix on they are searched (rov/_trie_leaves.pyx)."""


def trie_of(family, rows):
    """Rows (address, length, max_length, asn), sorted here."""
    rows = sorted(rows)
    numbers = [row[0] for row in rows]
    address = (
        np.array(numbers, np.uint32) if family == 4 else np.array([divmod(n, 2**64) for n in numbers], "u8")
    )
    octets = [np.array([row[column] for row in rows], np.uint8) for column in (1, 2)]
    return Trie(family, address, *octets, np.array([row[3] for row in rows], np.uint32))


def efforts(trie, bits, address, origins):
    """The most VRPs that the State and the Reason of routes for one address look at, at any length."""
    words = (address << 32, 0) if bits == 32 else divmod(address, 2**64)
    seen = [trie.effort(*words, length, origin) for length in range(bits + 1) for origin in origins]
    return max(map(max, seen))


@pytest.mark.parametrize(("family", "bits"), [(4, 32), (6, 128)])
@pytest.mark.parametrize("length", [0, 8, 32])
def test_a_crowd_on_one_prefix(family, bits, length):
    address = 10 << (bits - 8) if length else 0
    for count in (1_000, 30_000):
        crowd = trie_of(family, [(address, length, bits, asn) for asn in range(count)])
        allowed = 2 + math.log2(count)
        assert efforts(crowd, bits, address, (0, 1, count // 2, count + 1)) <= allowed
        assert (
            len(crowd.covering(*((address << 32, 0) if bits == 32 else divmod(address, 2**64)), bits))
            == count
        )


@pytest.mark.parametrize(("family", "bits"), [(4, 32), (6, 128)])
@pytest.mark.parametrize("each", [1, CROWD_LEAST - 1, CROWD_LEAST, 100])
def test_every_length_above_the_route(family, bits, each):
    """One prefix of every length around one address, with some VRPs of other ASes each."""
    rows = [(0, length, bits, 10 + asn) for length in range(bits + 1) for asn in range(each)]
    nest = trie_of(family, rows)
    for_one = 2 + math.log2(each) if each >= CROWD_LEAST else each
    assert efforts(nest, bits, 0, (0, 1, 10 + each // 2, 10 + each)) <= (bits + 1) * for_one
    assert len(nest.covering(0, 0, bits)) == (bits + 1) * each


def test_a_crowd_below_and_above_single_vrps():
    """The first two of a leaf may be one VRP and one of a crowd, or both of it."""
    for least in range(CROWD_LEAST - 2, CROWD_LEAST + 2):
        rows = [(0, 0, 32, 7)] + [(0, 8, 8 + asn % 3, asn) for asn in range(least)] + [(0, 16, 20, 9)]
        trie = trie_of(4, rows)
        for length in (0, 8, 16, 32):
            expected = sorted((length_, most, asn) for _, length_, most, asn in rows if length_ <= length)
            assert sorted(trie.covering(0, 0, length)) == expected
        assert sorted(trie.covering(1 << 56, 0, 8)) == [(0, 32, 7)]
