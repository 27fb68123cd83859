"""The index against RTRlib, pytricia and py-radix: real data, and sets that an adversary would choose."""

import csv
import io
import lzma
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import pytricia
import radix

from benchmarks.peers import rtrlib
from rov import Prefix, RouteBatch, Snapshot, VrpColumns, VrpIndex
from rov._rows import Rows

ROUTES_FILE = "rib/fulltable_bart2024_x_iplocdb202606_prefix_origin.csv.xz"
BITS = {4: 32, 6: 128}
MODEL_ROUTES = 2_000
"""Routes that the models in Python judge: enough to meet every kind, at some microseconds each."""


class World(NamedTuple):
    """VRPs and routes of one family, as Python integers."""

    family: int
    vrps: list[tuple[int, int, int, int]]  # address, length, max_length, asn
    routes: list[tuple[int, int, int]]  # address, length, origin

    @property
    def snapshot(self):
        address, length, max_length, asn = zip(*self.vrps, strict=True)
        columns = VrpColumns.ipv4 if self.family == 4 else VrpColumns.ipv6
        built = columns(numbers(self.family, address), length, max_length, asn)
        return Snapshot.build(**{f"ipv{self.family}": built})

    @property
    def batch(self):
        address, length, origin = zip(*self.routes, strict=True)
        batch = RouteBatch.ipv4 if self.family == 4 else RouteBatch.ipv6
        return batch(numbers(self.family, address), length, origin)


def numbers(family, addresses):
    if family == 4:
        return np.array(addresses, np.uint32)
    return np.array([divmod(address, 2**64) for address in addresses], np.uint64)


def cut(family, address, length):
    """The prefix of a length that holds an address."""
    shift = BITS[family] - length
    return address >> shift << shift


def routes_around(family, vrps, rng, count):
    """Routes at, above, below and beside VRPs, with the origin of one of them, another one, or none."""
    bits, found = BITS[family], []
    for row in rng.integers(0, len(vrps), count).tolist():
        address, length, _, asn = vrps[row]
        step = (int(rng.integers(-1, 2)) << (bits - length)) + int(rng.integers(0, 2**16))
        longer = min(bits, max(0, length + int(rng.integers(-3, 12))))
        origin = (asn, vrps[rng.integers(0, len(vrps))][3], 0, 1)[rng.integers(0, 4)]
        found.append((cut(family, (address + step) % 2**bits, longer), longer, origin))
    return found


def nested(family, rng):
    """Every length down to the last bit around a few addresses, several ASes at each."""
    bits = BITS[family]
    stems = [0, 2**bits - 1, 0xA0000001 << (bits - 32), int(rng.integers(0, 2**31)) << (bits - 31)]
    return [
        (cut(family, stem, length), length, min(bits, length + extra), asn)
        for stem in stems
        for length in range(bits + 1)
        for asn, extra in ((0, 0), (1 + length % 5, 0), (7, 3), (2**32 - 1, bits))
    ]


def on_one_prefix(family, rng):
    """10,000 VRPs on one prefix, a VRP above it and one below."""
    bits = BITS[family]
    address = 10 << (bits - 8)
    crowd = [(address, 16, 16 + asn % 9, asn) for asn in range(2, 5_002)]
    crowd += [(address, 16, 16 + (asn + 3) % 9, asn) for asn in range(2, 5_002)]
    return [*crowd, (address, 8, 8, 1), (address, 18, 24, 3)]


def all_at_the_top(family, rng):
    """Nothing but /0: 300 ASes with nine values of max_length."""
    return [(0, 0, most, asn) for asn in range(300) for most in range(0, BITS[family] + 1, BITS[family] // 8)]


def scattered(family, rng):
    """Prefixes of any length anywhere, so that nodes of all kinds come up."""
    bits = BITS[family]
    found = []
    for _ in range(5_000):
        length = int(rng.integers(0, bits + 1))
        address = cut(family, int.from_bytes(rng.bytes(bits // 8), "big"), length)
        found.append((address, length, int(rng.integers(length, bits + 1)), int(rng.integers(0, 4))))
    return found


def world_of(family, made):
    rng = np.random.default_rng(family)
    vrps = made(family, rng)
    return World(family, vrps, routes_around(family, vrps, rng, MODEL_ROUTES))


def states_by(covering, routes):
    """RFC 6811 over a function that gives the covering (length, max_length, asn) of a route."""
    states = []
    for address, length, origin in routes:
        found = [vrp for vrp in covering(address, length) if vrp[0] <= length]
        matched = any(asn == origin != 0 and length <= most for _, most, asn in found)
        states.append(1 if matched else 2 if found else 0)
    return states


def texts(family, rows):
    return [str(Prefix(family, address, length)) for address, length, *_ in rows]


def pytricia_states(world):
    """The longest match, then parent by parent."""
    tree = pytricia.PyTricia(BITS[world.family])
    for text, vrp in zip(texts(world.family, world.vrps), world.vrps, strict=True):
        if not tree.has_key(text):
            tree[text] = []
        tree[text].append(vrp[1:])

    def covering(address, length):
        key = tree.get_key(str(Prefix(world.family, address, length)))
        while key is not None:
            yield from tree[key]
            key = tree.parent(key)

    return states_by(covering, world.routes)


def radix_states(world):
    """The covering prefixes, as py-radix gives them."""
    tree = radix.Radix()
    for text, vrp in zip(texts(world.family, world.vrps), world.vrps, strict=True):
        tree.add(text).data.setdefault("vrps", []).append(vrp[1:])

    def covering(address, length):
        for node in tree.search_covering(str(Prefix(world.family, address, length))):
            yield from node.data["vrps"]

    return states_by(covering, world.routes)


def rtrlib_states(program, snapshot, batch):
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / rtrlib.PROGRAM).symlink_to(program)
        vrps = [(columns.family, *columns.keys) for columns in (snapshot.ipv4, snapshot.ipv6)]
        routes = (batch.family, batch.addresses, batch.lengths, batch.origins)
        with rtrlib.Table(directory, vrps, routes) as table:
            table.run()
            return table.states()


@pytest.fixture(scope="module")
def peer(tmp_path_factory, program):
    """RTRlib, built from benchmarks/peers."""
    program("cc")
    directory = tmp_path_factory.mktemp("rtrlib")
    if not rtrlib.build(directory):
        program("RTRlib (Debian: librtr-dev)")
    return directory / rtrlib.PROGRAM


def agree(ours, theirs):
    different = np.flatnonzero(np.asarray(ours) != np.asarray(theirs))
    assert len(ours) == len(theirs)
    assert not len(different), f"{len(different)} routes judged differently, the first {different[0]}"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("made", [nested, on_one_prefix, all_at_the_top, scattered])
def test_models_on_adversaries(family, made):
    world = world_of(family, made)
    index = VrpIndex(world.snapshot)
    ours = index.validate_batch(world.batch)
    agree(ours, pytricia_states(world))
    agree(ours, radix_states(world))
    ordered = World(family, world.vrps, sorted(world.routes))
    assert sorted(ours) == sorted(index.validate_batch(ordered.batch))
    assert len(set(ours)) >= 2


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("made", [nested, on_one_prefix, scattered])
def test_rtrlib_on_adversaries(family, made, peer):
    """Without length 0, and 128 VRPs one below the other: there assertions of RTRlib 0.8 end its process."""
    world = world_of(family, made)
    vrps = [vrp for vrp in world.vrps if vrp[1] > 1]
    routes = [route for route in world.routes if route[1] > 1]
    for asked in (routes, sorted(routes)):
        some = World(family, vrps, asked)
        ours = VrpIndex(some.snapshot).validate_batch(some.batch)
        agree(ours, rtrlib_states(peer, some.snapshot, some.batch))


def test_rtrlib_on_a_million_vrps_under_one_slash_8(peer):
    rng = np.random.default_rng(8)
    lengths = rng.integers(20, 33, 1_000_000).astype(np.uint8)
    shifts = (32 - lengths).astype(np.uint32)
    address = (np.uint32(10 << 24) + rng.integers(0, 2**24, 1_000_000, np.uint32)) >> shifts << shifts
    asn = rng.integers(0, 50, 1_000_000, np.uint32)
    snapshot = Snapshot.build(
        VrpColumns.ipv4(address, lengths, np.minimum(lengths + asn % 3, 32).astype(np.uint8), asn)
    )
    at = rng.integers(0, 1_000_000, 200_000)
    batch = RouteBatch.ipv4(address[at], lengths[at], asn[rng.permutation(at)])
    index = VrpIndex(snapshot)
    agree(index.validate_batch(batch), rtrlib_states(peer, snapshot, batch))
    assert index.nbytes / len(index) < 60


@pytest.fixture(scope="module")
def table(data):
    """The derived full table: a RouteBatch of each family, in table order."""
    rows = Rows()
    with lzma.open(data(ROUTES_FILE)) as file:
        for route in csv.DictReader(io.TextIOWrapper(file)):
            if route["origin_asn"]:
                assert rows.add(route["origin_asn"], route["prefix"], None, None, None) is None
    return {
        family: batch(columns[0], columns[1], columns[3])
        for family, batch, columns in ((4, RouteBatch.ipv4, rows.ipv4()), (6, RouteBatch.ipv6, rows.ipv6()))
    }


@pytest.mark.realdata
@pytest.mark.parametrize("family", [4, 6])
def test_rtrlib_on_the_full_table(family, first_snapshot, table, peer):
    batch, index = table[family], VrpIndex(first_snapshot)
    ours = index.validate_batch(batch)
    agree(ours, rtrlib_states(peer, first_snapshot, batch))
    order = np.random.default_rng(family).permutation(len(batch))
    make = RouteBatch.ipv4 if family == 4 else RouteBatch.ipv6
    shuffled = make(batch.addresses[order], batch.lengths[order], batch.origins[order])
    agree(index.validate_batch(shuffled), ours[order])


@pytest.mark.realdata
@pytest.mark.parametrize("family", [4, 6])
def test_models_on_a_part_of_the_full_table(family, first_snapshot, table):
    """Every route of one /8 or /16, and the VRPs under it and above."""
    batch = table[family]
    first = batch.addresses if family == 4 else batch.addresses[:, 0]
    stem = 45 if family == 4 else 0x2A03
    routes = np.flatnonzero(first >> (24 if family == 4 else np.uint64(48)) == stem)
    vrps = [
        (vrp.prefix.address, vrp.prefix.length, vrp.max_length, vrp.asn)
        for vrp in first_snapshot.within("45.0.0.0/8" if family == 4 else "2a03::/16").vrps()
    ]
    rows = [batch.addresses[routes], batch.lengths[routes], batch.origins[routes]]
    found = rows[0].tolist()
    if family == 6:
        found = [high << 64 | low for high, low in found]
    world = World(family, vrps, list(zip(found, rows[1].tolist(), rows[2].tolist(), strict=True)))
    ours = VrpIndex(first_snapshot).validate_batch(world.batch)
    agree(ours, pytricia_states(world))
    agree(ours, radix_states(world))
    assert len(routes) > 2_000
    assert len(vrps) > 2_000
