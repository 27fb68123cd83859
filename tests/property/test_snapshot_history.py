"""Any history of deltas: the Snapshot is the set of what is held, and its index is that of a fresh one."""

import tempfile

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rov import Aspa, Delta, Prefix, RouteBatch, RouterKey, Snapshot, Vrp, VrpIndex
from rov.errors import DeltaError

BITS = {4: 32, 6: 128}
LENGTHS = {4: [0, 1, 8, 15, 16, 24, 31, 32], 6: [0, 1, 32, 48, 63, 64, 65, 127, 128]}
ASNS = [0, 1, 2, 2**32 - 1]


def prefix(family, seed, length):
    """Prefixes that nest and meet: their addresses are a few bits at the top and at the bottom."""
    bits = BITS[family]
    address = (seed & 3) << (bits - 2) | (seed >> 2 & 1) << (bits // 2) | seed >> 3 & 1
    return Prefix(family, address >> (bits - length) << (bits - length), length)


families = st.sampled_from([4, 6])
prefixes = families.flatmap(
    lambda family: st.builds(prefix, st.just(family), st.integers(0, 15), st.sampled_from(LENGTHS[family]))
)
vrps = prefixes.flatmap(
    lambda held: st.builds(
        Vrp, st.just(held), st.sampled_from([held.length, held.bits]), st.sampled_from(ASNS)
    )
)
crowds = st.builds(
    lambda held, count: [Vrp(held, held.length, asn) for asn in range(count)], prefixes, st.integers(14, 40)
)
keys = st.builds(RouterKey, st.integers(0, 1), st.just(bytes(20)), st.sampled_from([b"a", b"ab"]))
aspas = st.builds(Aspa, st.integers(1, 3), st.sampled_from([(0,), (4,), (4, 5)]))

ROUTES = {
    family: [
        (prefix(family, seed, length), origin)
        for seed in range(16)
        for length in LENGTHS[family]
        for origin in (0, 1, 7)
    ]
    for family in BITS
}


def batch_of(family):
    lengths, origins = zip(*((route.length, origin) for route, origin in ROUTES[family]), strict=True)
    numbers = [route.address for route, _ in ROUTES[family]]
    if family == 4:
        return RouteBatch.ipv4(numbers, lengths, origins)
    return RouteBatch.ipv6(
        np.array([divmod(number, 2**64) for number in numbers], np.uint64), lengths, origins
    )


BATCHES = {family: batch_of(family) for family in BITS}


def model_states(held, family):
    """RFC 6811 §2 over a set of VRPs."""
    states = []
    for route, origin in ROUTES[family]:
        covering = [vrp for vrp in held if vrp.prefix.family == family and vrp.prefix.covers(route)]
        matched = any(vrp.asn == origin != 0 and route.length <= vrp.max_length for vrp in covering)
        states.append(1 if matched else 2 if covering else 0)
    return states


class History(RuleBasedStateMachine):
    """The held Snapshot beside a set of its VRPs and keys and a dict of its ASPAs."""

    @initialize(rows=st.lists(vrps, max_size=12))
    def begin(self, rows):
        self.set = set(rows)
        self.aspas = {}
        self.snapshot = Snapshot.from_vrps(rows)
        self.steps = []

    def model(self):
        rows = [item for item in self.set if isinstance(item, Vrp)]
        router_keys = [item for item in self.set if isinstance(item, RouterKey)]
        return Snapshot.from_vrps(rows, list(self.aspas.values()), router_keys)

    def move_on(self):
        """By the delta from what is held to what the model holds."""
        delta = Delta.between(self.snapshot, self.model())
        if delta is None:
            assert self.snapshot == self.model()
            return
        before, self.snapshot = self.snapshot, delta.apply(self.snapshot)
        self.steps.append((before, delta))
        with pytest.raises(DeltaError):
            delta.apply(self.snapshot)

    @rule(gained=st.lists(vrps | keys, max_size=6), lost=st.integers(0, 6), data=st.data())
    def change(self, gained, lost, data):
        ordered = sorted(self.set, key=repr)
        gone = data.draw(st.lists(st.sampled_from(ordered), max_size=lost)) if ordered else []
        self.set = self.set - set(gone) | set(gained)
        self.move_on()

    @rule(crowd=crowds)
    def crowd(self, crowd):
        self.set |= set(crowd)
        self.move_on()

    @rule(aspa=aspas)
    def attest(self, aspa):
        self.aspas[aspa.customer] = aspa
        self.move_on()

    @rule()
    def forget(self):
        self.set, self.aspas = set(), {}
        self.move_on()

    @precondition(lambda self: len(self.steps) >= 2)
    @rule()
    def jump(self):
        """The steps composed are the one delta from the first to the last."""
        first, whole = self.steps[0]
        for _, delta in self.steps[1:]:
            whole = delta if whole is None else whole.compose(delta)
        if whole is None:
            assert first == self.snapshot
        else:
            assert whole.apply(first) == self.snapshot

    @rule()
    def save_and_open(self):
        with tempfile.TemporaryDirectory() as folder:
            self.snapshot.save(f"{folder}/held")
            self.snapshot = Snapshot.open(f"{folder}/held")

    @invariant()
    def the_set_is_held(self):
        if not hasattr(self, "set"):
            return
        assert list(self.snapshot.vrps()) == sorted(item for item in self.set if isinstance(item, Vrp))
        assert set(self.snapshot.router_keys) == {item for item in self.set if isinstance(item, RouterKey)}
        assert self.snapshot.aspas == tuple(self.aspas[customer] for customer in sorted(self.aspas))
        assert self.snapshot == self.model()
        assert self.snapshot.digest == self.model().digest

    @invariant()
    def the_index_is_a_fresh_one(self):
        if not hasattr(self, "set"):
            return
        index, fresh = VrpIndex(self.snapshot), VrpIndex(self.model())
        assert index.nbytes == fresh.nbytes
        held = [item for item in self.set if isinstance(item, Vrp)]
        for family, batch in BATCHES.items():
            states = index.validate_batch(batch).tolist()
            assert states == fresh.validate_batch(batch).tolist()
            assert states == model_states(held, family)


TestHistory = History.TestCase
# a step judges some hundred routes by brute force: as many in all as the other laws take
TestHistory.settings = settings(max_examples=settings().max_examples // 5, stateful_step_count=12)
