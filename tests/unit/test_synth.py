"""A synthetic set has the proportions of the real one and the size asked for; its seed decides the rest."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from rov import ArgumentError, Snapshot, VrpColumns
from rov._shape import TRUST_ANCHORS
from rov.synth import MAX_COUNT, vrps

COUNT = 723_521
"""The size of the real set that the proportions are of, so that counts compare directly."""


@pytest.fixture(scope="module")
def made() -> Snapshot:
    return vrps(COUNT, seed=7)


def origins(snapshot: Snapshot) -> npt.NDArray[np.uint32]:
    return np.concatenate((snapshot.ipv4.asn, snapshot.ipv6.asn))


def prefixes(columns: VrpColumns) -> list[tuple[int, int]]:
    """Distinct prefixes, shorter before longer at the same address."""
    if columns.family == 4:
        numbers = columns.address.tolist()
    else:
        numbers = [high << 64 | low for high, low in columns.address.tolist()]
    return sorted(set(zip(numbers, columns.length.tolist(), strict=True)))


def depths(columns: VrpColumns) -> Counter[int]:
    """How many prefixes have so many others above them."""
    bits = 32 if columns.family == 4 else 128
    above: list[tuple[int, int]] = []
    found: Counter[int] = Counter()
    for address, length in prefixes(columns):
        while above and (address ^ above[-1][0]) >> (bits - above[-1][1]):
            above.pop()
        found[len(above)] += 1
        above.append((address, length))
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 10, 77, 1000, 20_011])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_exactly_so_many(count: int, seed: int) -> None:
    assert len(vrps(count, seed)) == count


def test_same_seed_same_set() -> None:
    assert vrps(5000, 3).digest == vrps(5000, 3).digest
    assert vrps(5000, 3) != vrps(5000, 4)


@pytest.mark.parametrize(("count", "seed"), [(0, 1), (-1, 1), (MAX_COUNT + 1, 1), (10, -1)])
def test_arguments(count: int, seed: int) -> None:
    with pytest.raises(ArgumentError, match="expected"):
        vrps(count, seed)


def test_families(made: Snapshot) -> None:
    assert (len(made.ipv4), len(made.ipv6)) == (580_366, 143_155)


@pytest.mark.parametrize(
    ("family", "length", "real"),
    [
        (4, 16, 9123),
        (4, 19, 14434),
        (4, 20, 24083),
        (4, 21, 26263),
        (4, 22, 71072),
        (4, 23, 79869),
        (4, 24, 333121),
        (4, 32, 3944),
        (6, 29, 6145),
        (6, 32, 17927),
        (6, 36, 5689),
        (6, 40, 10779),
        (6, 44, 8486),
        (6, 48, 68200),
        (6, 128, 3611),
    ],
)
def test_lengths(made: Snapshot, family: int, length: int, real: int) -> None:
    columns = made.ipv4 if family == 4 else made.ipv6
    assert int((columns.length == length).sum()) == pytest.approx(real, rel=0.04)


def test_rare_lengths_are_there(made: Snapshot) -> None:
    assert set(made.ipv4.length.tolist()) == set(range(8, 33))
    assert set(range(20, 129)) <= set(made.ipv6.length.tolist())


@pytest.mark.parametrize(
    ("family", "gap", "real"),
    [
        (4, 0, 498_698),
        (4, 1, 20_688),
        (4, 2, 24_284),
        (4, 3, 7_975),
        (4, 4, 6_506),
        (4, 5, 4_501),
        (4, 8, 8_300),
        (6, 0, 123_154),
        (6, 16, 5_406),
        (6, 8, 3_466),
        (6, 4, 2_753),
        (6, 19, 1_068),
        (6, 96, 820),
    ],
)
def test_max_lengths(made: Snapshot, family: int, gap: int, real: int) -> None:
    columns = made.ipv4 if family == 4 else made.ipv6
    assert int((columns.max_length - columns.length == gap).sum()) == pytest.approx(real, rel=0.12)


def test_host_routes_allowed(made: Snapshot) -> None:
    assert int((made.ipv4.max_length == 32).sum()) == pytest.approx(12_347, rel=0.05)
    assert int((made.ipv6.max_length == 128).sum()) == pytest.approx(5_067, rel=0.05)


@pytest.mark.parametrize(
    ("family", "real"), [(4, (47.04, 31.08, 16.69, 2.86)), (6, (43.09, 32.60, 17.13, 5.79))]
)
def test_nesting(made: Snapshot, family: int, real: tuple[float, ...]) -> None:
    found = depths(made.ipv4 if family == 4 else made.ipv6)
    total = sum(found.values())
    for depth, share in enumerate(real):
        assert 100 * found[depth] / total == pytest.approx(share, abs=3.0), depth
    assert max(found) >= 5


def test_distinct_prefixes(made: Snapshot) -> None:
    assert len(prefixes(made.ipv4)) == pytest.approx(512_044, rel=0.01)
    assert len(prefixes(made.ipv6)) == pytest.approx(128_671, rel=0.01)


def test_vrps_per_asn(made: Snapshot) -> None:
    sizes = np.sort(np.unique(origins(made), return_counts=True)[1])[::-1]
    assert len(sizes) == pytest.approx(50_106, abs=60)
    assert int((sizes == 1).sum()) == pytest.approx(14_920, rel=0.02)
    assert int((sizes == 2).sum()) == pytest.approx(11_052, rel=0.02)
    assert (np.median(sizes), np.percentile(sizes, 90)) == (2, 16)
    assert 10_000 < sizes[0] < 16_000
    held = [100 * sizes[:top].sum() / COUNT for top in (10, 100, 1000, 5000)]
    assert held == pytest.approx([10.8, 35.2, 60.3, 79.0], abs=2.5)


def test_families_of_asns(made: Snapshot) -> None:
    four, six = set(made.ipv4.asn.tolist()), set(made.ipv6.asn.tolist())
    found = (len(four - six), len(six - four), len(four & six))
    assert found == pytest.approx((23_248, 4_057, 22_801), rel=0.12)


def test_as0_and_asns_of_four_bytes(made: Snapshot) -> None:
    asns = origins(made)
    assert int((asns == 0).sum()) == 2_419
    assert int((asns > 65_535).sum()) == pytest.approx(181_711, rel=0.1)
    assert not np.isin(asns, [23_456, *range(64_496, 131_072)]).any()


def test_trust_anchors(made: Snapshot) -> None:
    assert made.trust_anchors == TRUST_ANCHORS
    total = len(made.ipv4)
    real4 = {"ripe": 244_062, "arin": 167_034, "apnic": 116_404, "lacnic": 27_453, "afrinic": 25_413}
    for index, name in enumerate(TRUST_ANCHORS):
        assert (made.ipv4.ta == index).sum() / total == pytest.approx(real4[name] / total, abs=0.04), name
    real6 = {"ripe": 56_926, "arin": 36_961, "apnic": 36_797, "lacnic": 11_558, "afrinic": 913}
    for index, name in enumerate(TRUST_ANCHORS):
        assert int((made.ipv6.ta == index).sum()) == pytest.approx(real6[name], rel=0.2), name


def test_only_public_space(made: Snapshot) -> None:
    first = made.ipv4.address >> 24
    assert not np.isin(first, [0, 10, 127, *range(224, 256)]).any()
    assert not (made.ipv4.address >> 16 == 0xC0A8).any()
    tops = set((made.ipv6.address[:, 0] >> np.uint64(52)).tolist())
    assert tops == {0x240, 0x260, 0x280, 0x2A0, 0x2C0}


def test_aspas_and_router_keys(made: Snapshot) -> None:
    assert len(made.aspas) == 100
    sizes = [len(aspa.providers) for aspa in made.aspas]
    assert sum(sizes) / 100 == pytest.approx(5.45, abs=1.0)
    assert max(sizes) <= 55
    assert sum(aspa.providers == (0,) for aspa in made.aspas) == 2
    assert set(origins(made).tolist()) >= {aspa.customer for aspa in made.aspas}
    assert all(aspa.customer not in aspa.providers for aspa in made.aspas)
    assert [len(key.spki) for key in made.router_keys] == [91, 91]


def test_nothing_expires(made: Snapshot) -> None:
    assert made.next_expiry() is None
    assert made.generated is None
