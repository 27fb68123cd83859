"""VrpIndex and RouteBatch: every question, every refusal."""

import copy
import ipaddress
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rov import (
    ArgumentError,
    Prefix,
    PrefixError,
    Reason,
    RouteBatch,
    RovError,
    Snapshot,
    State,
    Vrp,
    VrpIndex,
)
from rov._threads import SLICE

VRPS = [
    Vrp(Prefix.parse("10.0.0.0/8"), 8, 64500),
    Vrp(Prefix.parse("10.1.0.0/16"), 24, 64496),
    Vrp(Prefix.parse("10.1.0.0/16"), 16, 64497),
    Vrp(Prefix.parse("10.1.2.0/24"), 24, 64498),
    Vrp(Prefix.parse("10.9.0.0/16"), 32, 0),
    Vrp(Prefix.parse("198.51.100.0/24"), 32, 0),
    Vrp(Prefix.parse("2001:db8::/32"), 48, 64496),
    Vrp(Prefix.parse("2001:db8::/127"), 128, 64499),
]
SNAPSHOT = Snapshot.from_vrps(VRPS)


@pytest.fixture(scope="module")
def index():
    return VrpIndex(SNAPSHOT)


def test_holds_its_snapshot(index):
    assert index.snapshot is SNAPSHOT
    assert len(index) == 8
    assert repr(index) == "<VrpIndex: 8 VRPs (6 IPv4, 2 IPv6)>"


def test_an_empty_index_knows_nothing():
    index = VrpIndex(Snapshot.empty())
    assert index.validate("0.0.0.0/0", 0) is State.NOT_FOUND
    assert index.validate("::/0", 1) is State.NOT_FOUND
    assert index.covering("255.255.255.255/32") == ()
    assert index.validate_many([], []).shape == (0,)
    assert len(index) == 0


def test_validate_takes_text_and_prefix(index):
    assert index.validate("10.1.2.0/24", 64498) is State.VALID
    assert index.validate(Prefix.parse("10.1.2.0/24"), 64498) is State.VALID
    assert index.validate(Prefix.parse("2001:db8::/127"), 64499) is State.VALID
    assert index.validate("2001:db8::2/127", 64499) is State.INVALID
    assert index.validate("10.1.2.0/24", np.uint32(64498)) is State.VALID


def test_covering_is_shortest_first(index):
    assert index.covering("10.1.2.0/24") == (VRPS[0], VRPS[2], VRPS[1], VRPS[3])
    assert index.covering("10.1.0.0/16") == (VRPS[0], VRPS[2], VRPS[1])
    assert index.covering("10.0.0.0/7") == ()
    assert index.covering(Prefix.parse("2001:db8::1/128")) == (VRPS[6], VRPS[7])
    assert index.covering("2001:db8::2/128") == (VRPS[6],)


def test_explain_sorts_every_covering_vrp(index):
    found = index.explain("10.1.2.0/24", 64496)
    assert (found.state, found.reason) == (State.VALID, Reason.MATCHED)
    assert found.matched == (VRPS[1],)
    assert found.unmatched_as == (VRPS[3],)
    assert found.unmatched_length == (VRPS[0], VRPS[2])
    assert found.covering == index.covering("10.1.2.0/24")


@pytest.mark.parametrize(
    ("prefix", "asn", "reason"),
    [
        ("11.0.0.0/8", 64500, Reason.NOT_COVERED),
        ("10.0.0.0/8", 64500, Reason.MATCHED),
        ("10.0.0.0/8", 64501, Reason.AS),
        ("10.2.0.0/16", 64500, Reason.LENGTH),
        ("10.2.0.0/16", 64501, Reason.AS),
        ("10.9.0.0/16", 64501, Reason.AS),
        ("10.9.0.0/16", 64500, Reason.LENGTH),
        ("198.51.100.0/24", 64500, Reason.AS0),
        ("198.51.100.0/24", 0, Reason.AS0),
        ("10.0.0.0/8", 0, Reason.AS),
        ("2001:db8::/64", 64496, Reason.LENGTH),
        ("2001:db9::/64", 64496, Reason.NOT_COVERED),
    ],
)
def test_reason(index, prefix, asn, reason):
    assert index.explain(prefix, asn).reason is reason
    route = Prefix.parse(prefix)
    if route.family == 4:
        batch = RouteBatch.ipv4([route.address], [route.length], [asn])
    else:
        words = np.array([divmod(route.address, 2**64)], np.uint64)
        batch = RouteBatch.ipv6(words, [route.length], [asn])
    states, reasons = index.validate_batch(batch, reasons=True)
    assert (states.tolist(), reasons.tolist()) == ([index.validate(prefix, asn)], [reason])


def test_the_state_of_a_reason():
    """What validate_batch takes for granted when it asks the trie for reasons alone."""
    invalid = {Reason.AS, Reason.LENGTH, Reason.AS0}
    for reason in Reason:
        kind = {Reason.NOT_COVERED: State.NOT_FOUND, Reason.MATCHED: State.VALID}.get(reason, State.INVALID)
        assert kind is State(min(reason, 2))
        assert (reason in invalid) == (kind is State.INVALID)


@pytest.mark.parametrize("threads", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("rows", [0, 1, SLICE, SLICE + 1, 5 * SLICE - 3])
def test_threads_change_nothing(index, rows, threads):
    rng = np.random.default_rng(rows)
    lengths = rng.integers(16, 33, rows).astype(np.uint8)
    addresses = rng.choice(np.array([0x0A010200, 0x0A090000, 0x0B000000, 0xC6336400], np.uint32), rows)
    addresses = addresses >> (32 - lengths) << (32 - lengths)
    batch = RouteBatch.ipv4(addresses, lengths, rng.integers(64495, 64501, rows).astype(np.uint32))
    states, reasons = index.validate_batch(batch, reasons=True, threads=threads)
    assert states.dtype == reasons.dtype == np.uint8
    alone, grounds = index.validate_batch(batch, reasons=True)
    assert (states == alone).all()
    assert (reasons == grounds).all()
    assert (index.validate_batch(batch, threads=threads) == alone).all()
    if rows > 1:
        assert set(alone.tolist()) == {0, 1, 2}
        # a row depends on no other
        few = rng.integers(0, rows, 50)
        expected = [
            index.validate((int(batch.addresses[i]), int(lengths[i])), int(batch.origins[i]), family=4)
            for i in few
        ]
        assert alone[few].tolist() == expected


@pytest.mark.parametrize("threads", [-1, 1025, None, 1.0, "2", True])
def test_no_number_of_threads(index, threads):
    with pytest.raises(ArgumentError, match="expected an int of 0"):
        index.validate_batch(RouteBatch.ipv4([], [], []), threads=threads)


def test_eight_threads_ask_one_index(index):
    prefixes = ["10.1.2.0/24", "2001:db8::/48", "198.51.100.0/24", "11.0.0.0/8", "10.9.0.0/16"] * 400
    origins = [64498, 64496, 64500, 1, 64500] * 400
    batch = RouteBatch.ipv4([0x0A010200, 0x0A090000] * 50_000, [24, 16] * 50_000, [64498, 64500] * 50_000)
    barrier = threading.Barrier(8)

    def ask(_):
        barrier.wait()
        return (
            index.validate_many(prefixes, origins).tobytes(),
            tuple(map(index.validate, prefixes[:500], origins[:500])),
            tuple(column.tobytes() for column in index.validate_batch(batch, reasons=True)),
            tuple(map(index.covering, prefixes[:500])),
            index.explain("10.1.2.0/24", 64496),
            tuple(index.covered("10.0.0.0/8")),
        )

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert set(answers[0][0]) == {0, 1, 2}


FORMS = [
    (lambda text: text, None),
    (Prefix.parse, None),
    (ipaddress.ip_network, None),
    (lambda text: (Prefix.parse(text).address, Prefix.parse(text).length), "needed"),
    (lambda text: (Address(Prefix.parse(text).address), np.uint8(Prefix.parse(text).length)), "needed"),
    (lambda text: text, "given"),
    (ipaddress.ip_network, "given"),
]


class Address:
    """An integer that is no int."""

    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


@pytest.mark.parametrize(("form", "family"), FORMS)
@pytest.mark.parametrize("text", ["10.1.2.0/24", "2001:db8::/127", "0.0.0.0/0", "::/0", "::a00:0/104"])
def test_every_form_of_a_prefix(index, text, form, family):
    told = {} if family is None else {"family": Prefix.parse(text).family}
    prefix = form(text)
    assert Prefix.of(prefix, **told) == Prefix.parse(text)
    for asn in (64496, 64498, 64499, 0):
        assert index.validate(prefix, asn, **told) is index.validate(text, asn)
        assert index.explain(prefix, asn, **told) == index.explain(text, asn)
        assert (
            index.validate_many([prefix] * 300, [asn] * 300, **told).tolist()
            == [index.validate(text, asn)] * 300
        )
    assert index.covering(prefix, **told) == index.covering(text)
    assert index.covered(prefix, **told) == index.covered(text)
    if family == "needed":
        with pytest.raises(ArgumentError, match="expected family=4 or family=6 with a pair of ints"):
            index.validate(prefix, 1)


@pytest.mark.parametrize(
    ("prefix", "family", "error", "message"),
    [
        ((0x0A000001, 8), 4, PrefixError, "host bits"),
        ((0, 33), 4, PrefixError, "prefix length 33: expected 0 to 32 in IPv4"),
        ((0, -1), 6, PrefixError, "prefix length -1: expected 0 to 128 in IPv6"),
        ((1 << 32, 8), 4, PrefixError, "address 4294967296: expected 0 to"),
        ((1 << 128, 8), 6, PrefixError, "expected 0 to 2.128 - 1 in IPv6"),
        ((-1, 8), 6, PrefixError, "expected 0 to"),
        ((0.0, 8), 4, ArgumentError, "expected a text"),
        ((0, 8, 4), 4, ArgumentError, "expected a text"),
        ([0, 8], 4, ArgumentError, "expected a text"),
        ((0, 8), 5, ArgumentError, "family 5: expected 4 or 6"),
        ((0, 8), "4", ArgumentError, "family '4': expected 4 or 6"),
        ("10.0.0.0/8", 6, PrefixError, "10.0.0.0/8: expected a prefix of IPv6"),
        (ipaddress.ip_network("::/0"), 4, PrefixError, "::/0: expected a prefix of IPv4"),
        (ipaddress.ip_address("::"), 6, ArgumentError, "expected a text"),
    ],
)
def test_what_stands_for_no_prefix(index, prefix, family, error, message):
    for ask in (
        lambda: index.validate(prefix, 1, family),
        lambda: index.explain(prefix, 1, family),
        lambda: index.covering(prefix, family),
        lambda: index.covered(prefix, family),
        lambda: index.validate_many([prefix], [1], family),
        lambda: index.snapshot.within(prefix, family),
    ):
        with pytest.raises(error, match=message):
            ask()


def test_covered_and_by_asn(index):
    assert list(index.covered("10.1.0.0/16")) == [VRPS[2], VRPS[1], VRPS[3]]
    assert list(index.covered("::/0")) == [VRPS[6], VRPS[7]]
    assert list(index.covered("10.1.2.0/25")) == []
    assert index.covered("0.0.0.0/0") | index.covered("::/0") == SNAPSHOT
    assert np.shares_memory(index.covered("10.1.0.0/16").ipv4.asn, SNAPSHOT.ipv4.asn)
    assert list(index.by_asn(64496)) == [VRPS[1], VRPS[6]]
    assert len(index.by_asn(4200000000)) == 0
    with pytest.raises(ArgumentError, match="expected an AS number"):
        index.by_asn("64496")


def test_stands_for_its_set(index):
    again = VrpIndex(Snapshot.from_vrps(reversed(VRPS)))
    other = VrpIndex(Snapshot.from_vrps(VRPS[1:]))
    assert again == index
    assert hash(again) == hash(index)
    assert index != other
    assert index != SNAPSHOT
    assert len({index, again, other}) == 2
    assert list(index) == sorted(VRPS)
    assert VRPS[3] in index
    assert VRPS[0] not in other
    assert "10.0.0.0/8" not in index


def test_pickles_and_copies(index):
    for again in (pickle.loads(pickle.dumps(index)), copy.copy(index), copy.deepcopy(index)):
        assert again == index
        assert again.validate("10.1.2.0/24", 64498) is State.VALID
    batch = RouteBatch.ipv6([[1 << 63, 0]], [1], [5])
    twin = pickle.loads(pickle.dumps(batch))
    assert (twin.family, twin.addresses.tolist()) == (6, batch.addresses.tolist())
    assert not twin.addresses.flags.writeable


def test_as0_stands_under_unmatched(index):
    found = index.explain("198.51.100.0/24", 0)
    assert found.matched == ()
    assert found.unmatched_as == (VRPS[5],)


def test_validate_many_keeps_the_order_of_mixed_families(index):
    prefixes = ["2001:db8::/48", "10.1.2.0/24", Prefix.parse("11.0.0.0/8"), "2001:db8::/49", "10.0.0.0/8"]
    origins = [64496, 64498, 1, 64496, 64500]
    expected = [State.VALID, State.VALID, State.NOT_FOUND, State.INVALID, State.VALID]
    states = index.validate_many(prefixes * 200, origins * 200)
    assert states.dtype == np.uint8
    assert states.tolist() == expected * 200
    columns = index.validate_many(np.array(["10.1.2.0/24"]), np.array([64498], np.uint32))
    assert columns.tolist() == [State.VALID]


@pytest.mark.parametrize(
    ("prefixes", "origins", "error", "message"),
    [
        (["10.0.0.0/8"] * 300 + ["10.0.0.1/8"], [1] * 301, PrefixError, "^position 300: .*host bits"),
        (["10.0.0.0/8", "nonsense"], [1, 1], PrefixError, "^position 1: .*expected ADDRESS/LENGTH"),
        (["10.0.0.0/8", None], [1, 1], ArgumentError, "^position 1: prefix None: expected a text"),
        (["10.0.0.0/8"], ["1"], ArgumentError, "^position 0: origin '1': expected an AS number"),
        (
            ["10.0.0.0/8"],
            [2**32],
            ArgumentError,
            "^position 0: origin 4294967296: expected .* 0 to 4294967295",
        ),
        (["10.0.0.0/8"], [], ArgumentError, "expected an origin a prefix, found 1 prefixes and 0 origins"),
        ("10.0.0.0/8", [1], ArgumentError, "prefixes: expected a sequence, found one str"),
        (["10.0.0.0/8"], 1, ArgumentError, "origins: expected a sequence, found int"),
        (np.array("10.0.0.0/8"), [1], ArgumentError, "prefixes: expected a sequence, found one str"),
    ],
)
def test_validate_many_names_the_fault(index, prefixes, origins, error, message):
    with pytest.raises(error, match=message):
        index.validate_many(prefixes, origins)


def test_a_list_that_shrinks_while_it_is_read_is_an_error(index):
    class Shrinks:
        def __index__(self):
            origins.clear()
            return 1

    origins = [Shrinks(), 1]
    with pytest.raises(ArgumentError, match="became shorter"):
        index.validate_many(["10.0.0.0/8"] * 2, origins)


@pytest.mark.parametrize("asn", [-1, 2**32, 2**80, -(2**80), 1.0, "13335", None])
@pytest.mark.parametrize("ask", ["validate", "explain"])
def test_asn_out_of_range(index, ask, asn):
    with pytest.raises(ArgumentError, match="expected an AS number"):
        getattr(index, ask)("10.0.0.0/8", asn)


@pytest.mark.parametrize(
    "prefix", ["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "::1/64", "", "\ud800", "x" * 999]
)
@pytest.mark.parametrize(
    "ask", [VrpIndex.validate, VrpIndex.explain, lambda index, prefix, _: index.covering(prefix)]
)
def test_no_prefix(index, ask, prefix):
    with pytest.raises(PrefixError):
        ask(index, prefix, 1)


@pytest.mark.parametrize("prefix", [b"10.0.0.0/8", None, 10, ("10.0.0.0", 8)])
def test_wrong_type_of_prefix(index, prefix):
    for ask in (index.validate, index.explain):
        with pytest.raises(ArgumentError, match="expected a text"):
            ask(prefix, 1)
    with pytest.raises(ArgumentError, match="expected a text"):
        index.covering(prefix)


def test_wrong_type_of_snapshot_and_batch(index):
    with pytest.raises(ArgumentError, match="snapshot: expected Snapshot, found \\[\\]"):
        VrpIndex([])
    with pytest.raises(ArgumentError, match="routes: expected RouteBatch, found \\[\\]"):
        index.validate_batch([])


def test_batch_of_nothing(index):
    assert index.validate_batch(RouteBatch.ipv4([], [], [])).tolist() == []
    assert index.validate_batch(RouteBatch.ipv6([], [], [])).tolist() == []


def test_batch_shows_itself():
    batch = RouteBatch.ipv4([0, 0], [0, 8], [1, 0])
    assert repr(batch) == "<RouteBatch IPv4: 2 routes>"
    assert len(batch) == 2
    assert not batch.addresses.flags.writeable


@pytest.mark.parametrize(
    ("make", "columns", "message"),
    [
        (
            RouteBatch.ipv4,
            ([0, 0, 1], [0, 32, 31], [1, 1, 1]),
            "IPv4 row 2: host bits are set beyond the length 31",
        ),
        (RouteBatch.ipv4, ([0, 0], [0, 33], [1, 1]), "IPv4 row 1: expected a length of 0 to 32, found 33"),
        (RouteBatch.ipv4, ([1], [0], [1]), "IPv4 row 0: host bits"),
        (
            RouteBatch.ipv6,
            ([[0, 0], [1, 0]], [0, 63], [1, 1]),
            "IPv6 row 1: host bits are set beyond the length 63",
        ),
        (RouteBatch.ipv6, ([[1, 1]], [64], [1]), "IPv6 row 0: host bits"),
        (RouteBatch.ipv6, ([[0, 1]], [127], [1]), "IPv6 row 0: host bits"),
        (RouteBatch.ipv6, ([[0, 1]], [0], [1]), "IPv6 row 0: host bits"),
        (RouteBatch.ipv6, ([[0, 0]], [129], [1]), "IPv6 row 0: expected a length of 0 to 128, found 129"),
        (RouteBatch.ipv4, ([0], [0, 0], [1, 1]), "column addresses: expected shape"),
        (RouteBatch.ipv4, ([0], [0], [1, 1]), "column origins: expected shape"),
        (RouteBatch.ipv6, ([0], [0], [1]), "column addresses: expected shape"),
        (RouteBatch.ipv4, ([-1], [0], [1]), "column addresses: expected integers that fit uint32"),
        (RouteBatch.ipv4, ([0], [256], [1]), "column lengths: expected integers that fit uint8"),
        (RouteBatch.ipv4, ([0], [0], [2**32]), "column origins: expected integers that fit uint32"),
        (RouteBatch.ipv4, ([0.5], [0], [1]), "column addresses: expected integers"),
        (RouteBatch.ipv4, (["10.0.0.0"], [8], [1]), "column addresses: expected integers"),
        (RouteBatch.ipv4, ([0], 8, [1]), "column lengths: expected shape"),
    ],
)
def test_batch_names_its_first_bad_row(make, columns, message):
    with pytest.raises(ArgumentError, match=message):
        make(*columns)


def test_batch_accepts_every_boundary():
    high = 2**64 - 1
    addresses = np.array([[0, 0], [1 << 63, 0], [high, 0], [high, 1 << 63], [high, high]], np.uint64)
    assert len(RouteBatch.ipv6(addresses, [0, 1, 64, 65, 128], [1] * 5)) == 5
    assert len(RouteBatch.ipv4([0, 1 << 31, 2**32 - 1], [0, 1, 32], [1] * 3)) == 3


def test_only_errors_of_the_library(index):
    for call in (
        lambda: index.validate_many(object(), object()),
        lambda: RouteBatch.ipv6([[1, 2, 3]], [0], [0]),
        lambda: RouteBatch.ipv6([1], [], []),
        lambda: RouteBatch.ipv4([[1], [2, 3]], [0, 0], [0, 0]),
        lambda: RouteBatch.ipv4(None, [0], [0]),
    ):
        with pytest.raises(RovError):
            call()
