"""ASPA path verification against the draft's definitions written out, and the laws that follow from them."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rov.aspa import AspaIndex, AspaState, Direction, PathBatch, Ramps
from rov.types import Aspa

# Few ASes, so that attested hops meet often; some share their low bits, as buckets do.
ASNS = (1, 2, 3, 4, 5, 2**16 + 1, 2**31 + 1, 2**32 - 1)

asns = st.sampled_from(ASNS)
paths = st.lists(asns, max_size=8)
tables = st.dictionaries(asns, st.sets(asns, max_size=4), max_size=len(ASNS))
directions = st.sampled_from(Direction)
rows = st.tuples(paths, directions, st.sampled_from((0, *ASNS)), st.booleans())

BETTER = {AspaState.INVALID: 0, AspaState.UNKNOWN: 1, AspaState.VALID: 2}

Table = dict[int, set[int]]


def index_of(table: Table) -> AspaIndex:
    return AspaIndex([Aspa(customer, tuple(sorted(of)) or (0,)) for customer, of in table.items()])


def model_ramps(path: list[int], table: Table) -> Ramps:
    """The four definitions of verification-28 §5, word for word."""
    a = [asn for i, asn in enumerate(path) if i == 0 or path[i - 1] != asn]
    a = [0, *reversed(a)]  # A(1) is the origin
    n = len(a) - 1

    def refused(x: int, y: int) -> bool:
        return x in table and y not in table[x]

    def unproven(x: int, y: int) -> bool:
        return x not in table or y not in table[x]

    def up(fails) -> int:
        return min((i for i in range(1, n) if fails(a[i], a[i + 1])), default=n)

    def down(fails) -> int:
        j = max((j for j in range(2, n + 1) if fails(a[j], a[j - 1])), default=1)
        return n - j + 1 if n else 0

    return Ramps(up(refused), up(unproven), down(refused), down(unproven))


def model(path: list[int], direction: Direction, table: Table, neighbor: int, as_set: bool) -> AspaState:
    if not path or as_set or (neighbor and path[0] != neighbor):
        return AspaState.INVALID
    n = 1 + sum(x != y for x, y in itertools.pairwise(path))
    ramps = model_ramps(path, table)
    down = direction is Direction.DOWNSTREAM
    if ramps.max_up + down * ramps.max_down < n:
        return AspaState.INVALID
    if ramps.min_up + down * ramps.min_down < n:
        return AspaState.UNKNOWN
    return AspaState.VALID


@given(tables, st.lists(rows, max_size=12))
def test_batch_and_scalar_are_the_definition(table, given_rows):
    index = index_of(table)
    batch = PathBatch.of(
        [row[0] for row in given_rows], [row[2] for row in given_rows], [row[3] for row in given_rows]
    )
    states = index.verify_batch(batch, np.array([row[1] for row in given_rows], np.uint8)).tolist()
    expected = [model(path, direction, table, *rest) for path, direction, *rest in given_rows]
    scalar = [
        index.verify(path, direction, neighbor=neighbor or None, as_set=as_set)
        for path, direction, neighbor, as_set in given_rows
    ]
    assert states == expected
    assert scalar == expected


@given(tables, paths)
def test_ramps_are_the_definition(table, path):
    assert index_of(table).ramps(path) == model_ramps(path, table)


@given(tables, paths, directions, st.data())
def test_prepending_changes_nothing(table, path, direction, data):
    prepended = [asn for asn in path for _ in range(data.draw(st.integers(1, 3)))]
    index = index_of(table)
    assert index.ramps(prepended) == index.ramps(path)
    assert index.verify(prepended, direction) is index.verify(path, direction)


@given(tables, paths)
def test_a_path_turned_round_has_its_ramps_exchanged(table, path):
    index = index_of(table)
    max_up, min_up, max_down, min_down = index.ramps(path)
    assert index.ramps(path[::-1]) == Ramps(max_down, min_down, max_up, min_up)
    assert index.verify(path[::-1], Direction.DOWNSTREAM) is index.verify(path, Direction.DOWNSTREAM)


@given(tables, paths)
def test_downstream_is_never_worse_than_upstream(table, path):
    index = index_of(table)
    upstream = index.verify(path, Direction.UPSTREAM)
    assert BETTER[index.verify(path, Direction.DOWNSTREAM)] >= BETTER[upstream]


@given(tables, paths, directions, asns, st.sets(asns, max_size=4))
def test_a_new_customer_settles_only_what_was_unknown(table, path, direction, customer, providers):
    before = {asn: of for asn, of in table.items() if asn != customer}
    old = index_of(before).verify(path, direction)
    new = index_of({**before, customer: providers}).verify(path, direction)
    assert new is old or old is AspaState.UNKNOWN


@given(tables, paths, directions, asns, st.sets(asns, min_size=1, max_size=4))
def test_a_further_provider_never_makes_a_path_worse(table, path, direction, customer, providers):
    before = {customer: set(), **table}
    after = {**before, customer: before[customer] | providers}
    old, new = index_of(before).verify(path, direction), index_of(after).verify(path, direction)
    assert BETTER[new] >= BETTER[old]


@given(paths.filter(bool), directions)
def test_nothing_is_invalid_without_an_attestation(path, direction):
    assert index_of({}).verify(path, direction) is not AspaState.INVALID
