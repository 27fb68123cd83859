"""ASPA path verification: the published vectors, the checks before them, bad arguments, the real set."""

import pickle
import sys
import threading

import numpy as np
import pytest

from rov.aspa import AspaIndex, AspaState, Direction, Hop, PathBatch, Ramps, verify
from rov.errors import ArgumentError
from rov.snapshot import Snapshot
from rov.types import MAX_ASN, Aspa

UP, DOWN = Direction.UPSTREAM, Direction.DOWNSTREAM
VALID, INVALID, UNKNOWN = AspaState.VALID, AspaState.INVALID, AspaState.UNKNOWN


def asn(letter):
    return 64496 + ord(letter) - ord("A")


def path(letters):
    return [asn(letter) for letter in letters.split()]


def aspas(table):
    """ "A:CD" is an ASPA of A with the providers C and D, "G:" one with AS 0 alone."""
    rows = (entry.split(":") for entry in table.split())
    return [Aspa(asn(customer), tuple(map(asn, providers)) or (0,)) for customer, providers in rows]


# Sriram, Borchert, Matejka, ASPA verification examples, August 2025.
DB1 = aspas("A:CD B:E C:F D:FG G:")
DB3 = aspas("H: K: L:K P: Q: R:Q S:R")

VECTORS = [
    (DB1, UP, "F C A", VALID),
    (DB1, UP, "D C A", INVALID),
    (DB1, UP, "D F C A", UNKNOWN),
    (DB1, UP, "D E B", UNKNOWN),
    (DB1, UP, "A D E B", INVALID),
    (DB1, UP, "A D G E B", INVALID),
    (DB1, UP, "A C F", INVALID),
    (DB1, UP, "A C F G", INVALID),
    (DB1, UP, "E B", VALID),
    (DB1, DOWN, "E G F C A", UNKNOWN),
    (DB1, DOWN, "E G D A", VALID),
    (DB1, DOWN, "E D C A", UNKNOWN),
    (DB1, DOWN, "E G D C A", INVALID),
    (DB1, DOWN, "C F D G", UNKNOWN),
    (DB1, DOWN, "D G E B", VALID),
    (DB1, DOWN, "C D G E B", INVALID),
    (DB1, DOWN, "F C A", VALID),
    (DB1, DOWN, "E A", VALID),
    (DB1, DOWN, "E C A", VALID),
    (DB3, UP, "J H", INVALID),  # from a customer
    (DB3, UP, "J H", INVALID),  # from a peer: another session, the same procedure
    (DB3, DOWN, "K J H", INVALID),
    (DB3, UP, "Q P", INVALID),
    (DB3, DOWN, "Q P", VALID),
    (DB3, DOWN, "R Q P", VALID),
]

RAMPS = [
    ("E G F C A", (4, 3, 2, 1)),
    ("E G D A", (3, 3, 2, 1)),
    ("E D C A", (2, 2, 2, 1)),
    ("E G D C A", (2, 2, 2, 1)),
    ("C F D G", (1, 1, 4, 2)),
    ("D G E B", (3, 2, 2, 2)),
    ("C D G E B", (3, 2, 1, 1)),
    ("F C A", (3, 3, 2, 1)),
    ("E A", (1, 1, 2, 1)),
    ("E C A", (2, 2, 2, 1)),
]


def test_there_are_25_vectors():
    assert len(VECTORS) == 25


@pytest.mark.parametrize(("database", "direction", "letters", "state"), VECTORS)
def test_published_vectors(database, direction, letters, state):
    as_path = path(letters)
    assert verify(as_path, direction, database, neighbor=as_path[0]) is state
    assert verify(as_path, direction, Snapshot.from_vrps((), database)) is state


@pytest.mark.parametrize("database", [DB1, DB3], ids=["DB1", "DB3"])
def test_published_vectors_as_one_batch(database):
    rows = [row for row in VECTORS if row[0] is database]
    batch = PathBatch.of(path(row[2]) for row in rows)
    directions = np.array([row[1] for row in rows], np.uint8)
    assert AspaIndex(database).verify_batch(batch, directions).tolist() == [row[3] for row in rows]


@pytest.mark.parametrize(("letters", "ramps"), RAMPS)
def test_published_ramps(letters, ramps):
    assert AspaIndex(DB1).ramps(path(letters)) == Ramps(*ramps)


@pytest.mark.parametrize("direction", Direction)
class TestBeforeTheRamps:
    """Steps 1 to 3 of both procedures (verification-28 §5)."""

    def test_empty_path(self, direction):
        assert verify([], direction, DB1) is INVALID

    def test_as_set(self, direction):
        assert verify(path("F C A"), direction, DB1, as_set=True) is INVALID

    def test_neighbor(self, direction):
        assert verify(path("F C A"), direction, DB1, neighbor=asn("F")) is VALID
        assert verify(path("F C A"), direction, DB1, neighbor=asn("C")) is INVALID
        assert verify(path("F C A"), direction, DB1) is VALID

    def test_one_as_alone(self, direction):
        assert verify(path("A A A"), direction, DB1) is VALID

    def test_columns(self, direction):
        batch = PathBatch.of(
            [path("F C A")] * 5 + [[]],
            neighbors=[asn("F"), asn("C"), 0, asn("F"), asn("C"), 0],
            as_sets=[False, False, False, True, True, False],
        )
        expected = [VALID, INVALID, VALID, INVALID, INVALID, INVALID]
        assert AspaIndex(DB1).verify_batch(batch, direction).tolist() == expected


def test_as_0_authorizes_nobody():
    # Alone or beside others, and even where a path has AS 0 in it.
    index = AspaIndex([Aspa(1, (0,)), Aspa(2, (0, 3))])
    assert index.authorized(1, 0) is Hop.NOT_PROVIDER
    assert index.authorized(2, 0) is Hop.NOT_PROVIDER
    assert index.authorized(2, 3) is Hop.PROVIDER
    assert index.authorized(0, 1) is Hop.NO_ATTESTATION


def test_aspas_of_one_customer_are_their_union():
    index = AspaIndex([Aspa(1, (2,)), Aspa(1, (3,)), Aspa(1, (0,))])
    assert [index.authorized(1, asn) for asn in (2, 3, 4)] == [Hop.PROVIDER, Hop.PROVIDER, Hop.NOT_PROVIDER]
    assert len(index) == 1


def test_customers_that_share_all_low_bits():
    # All in one bucket: found all the same, and the ASes between them are not.
    customers = [(number << 20) + 1 for number in range(1, 1000)]
    index = AspaIndex([Aspa(customer, (customer + 1,)) for customer in customers])
    assert {index.authorized(customer, customer + 1) for customer in customers} == {Hop.PROVIDER}
    assert {index.authorized(customer, customer + 2) for customer in customers} == {Hop.NOT_PROVIDER}
    assert {index.authorized(customer + 1, customer) for customer in customers} == {Hop.NO_ATTESTATION}


def test_highest_asns():
    index = AspaIndex([Aspa(MAX_ASN, (MAX_ASN - 1,))])
    assert index.verify([MAX_ASN - 1, MAX_ASN], UP) is VALID
    assert index.verify([MAX_ASN - 2, MAX_ASN], UP) is INVALID


def test_only_neighbors_in_the_path_are_compressed():
    assert AspaIndex([]).ramps([2, 2, 1, 1, 2, 2, 2]).max_up == 3


def test_the_empty_path_has_no_ramps():
    assert AspaIndex(DB1).ramps([]) == Ramps(0, 0, 0, 0)


def test_offsets_may_leave_out_the_ends():
    # A slice of a longer column, as Arrow hands it over.
    asns = np.array([*path("A A"), *path("F C A"), *path("C F")], np.uint32)
    batch = PathBatch(asns, np.array([2, 5]))
    assert batch.asns.base is asns, "used in place"
    assert AspaIndex(DB1).verify_batch(batch, UP).tolist() == [VALID]


def test_offsets_changed_afterwards_do_not_matter():
    offsets = np.array([0, 1])
    batch = PathBatch([64496], offsets)
    offsets[1] = 2**40
    assert AspaIndex([]).verify_batch(batch, DOWN).tolist() == [VALID]


def test_no_paths():
    assert AspaIndex(DB1).verify_batch(PathBatch.of([]), UP).size == 0


def test_pickle():
    index = pickle.loads(pickle.dumps(AspaIndex(DB1)))
    assert index.aspas == tuple(DB1)
    assert index.verify(path("F C A"), UP) is VALID


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: verify("F C A", UP, DB1), "column path"),
        (lambda: verify([1.5], UP, DB1), "column path: expected integers"),
        (lambda: verify([-1], UP, DB1), "column path: expected integers that fit uint32"),
        (lambda: verify([1, 2**32], UP, DB1), "column path: expected integers that fit uint32"),
        (lambda: verify([1, 2**70], UP, DB1), "column path"),
        (lambda: verify([1, [2, 3]], UP, DB1), "column path"),
        (lambda: verify(7, UP, DB1), "column path: expected shape"),
        (lambda: verify(None, UP, DB1), "column path"),
        (lambda: verify([1], 2, DB1), "direction 2: expected a rov.aspa.Direction"),
        (lambda: verify([1], None, DB1), "direction None"),
        (lambda: verify([1], UP, DB1, neighbor=0), "neighbor 0: expected an AS number of 1 to"),
        (lambda: verify([1], UP, DB1, neighbor="1"), "neighbor '1'"),
        (lambda: verify([1], UP, 5), "ASPAs: expected rows of Aspa, found "),
        (lambda: verify([1], UP, ["x"]), "ASPAs row 0: expected Aspa, found 'x'"),
        (lambda: verify([1], UP, [Aspa(0, (1,))]), "ASPA customer 0"),
        (lambda: AspaIndex([]).authorized(2**32, 1), "customer 4294967296: expected an AS number"),
        (lambda: AspaIndex([]).authorized(1, -1), "provider -1"),
        (lambda: AspaIndex([]).verify_batch([[1]], UP), "expected a PathBatch, found list"),
        (
            lambda: AspaIndex([]).verify_batch(PathBatch.of([[1]]), [0, 1]),
            "column direction: expected 1 row",
        ),
        (lambda: AspaIndex([]).verify_batch(PathBatch.of([[1]]), [2]), "direction row 0: expected 0 or 1"),
        (lambda: PathBatch([1], []), "column offsets: expected one row more"),
        (lambda: PathBatch([1], [-1, 1]), "offsets row 0"),
        (lambda: PathBatch([1], [0, 2]), "offsets row 1: expected ascending offsets of 0 to 1, found 2"),
        (lambda: PathBatch([1, 2], [0, 2, 1]), "offsets row 2"),
        (lambda: PathBatch([1], [0, 1], neighbors=[1, 2]), "column neighbors: expected 1 rows"),
        (lambda: PathBatch([1], [0, 1], as_sets=[300]), "column as_sets: expected integers that fit uint8"),
        (lambda: PathBatch.of([5]), "paths: expected sequences of AS numbers"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_batch_lets_other_threads_run():
    # With a switch interval this long, a thread gets the GIL only where another gives it up by itself.
    rounds, stop = [], []
    index, batch = AspaIndex(DB1), PathBatch(np.arange(1_000_000) % 7, [0, 1_000_000])

    def work():
        while not stop and len(rounds) < 200:
            rounds.append(index.verify_batch(batch, DOWN))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        worker = threading.Thread(target=work)
        worker.start()
        stop.append(True)
        worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(rounds) < 200


@pytest.mark.realdata
def test_every_attested_hop_of_the_real_set(first_snapshot):
    index = AspaIndex(first_snapshot)
    assert len(index) == 100
    hops = [(p, aspa.customer) for aspa in first_snapshot.aspas for p in aspa.providers if p]
    states = index.verify_batch(PathBatch.of(hops), UP)
    assert len(hops) > 500
    assert set(states.tolist()) == {VALID}
    strangers = PathBatch.of([[MAX_ASN, aspa.customer] for aspa in first_snapshot.aspas])
    assert set(index.verify_batch(strangers, UP).tolist()) == {INVALID}
