"""A frozen index is read by many threads at once, and lets the others run while it works."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rov import RouteBatch, Snapshot, State, VrpColumns, VrpIndex
from rov._threads import MAX_THREADS, SLICE, in_slices, side_by_side
from rov._trie import Trie
from rov.index import WORTH_A_THREAD


def random_index(rows, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(8, 25, rows).astype(np.uint8)
    shift = (32 - lengths).astype(np.uint32)
    addresses = rng.integers(0, 2**32, rows, np.uint32) >> shift << shift
    return VrpIndex(
        Snapshot.build(VrpColumns.ipv4(addresses, lengths, lengths, rng.integers(1, 50, rows, np.uint32)))
    )


def random_routes(rows, seed):
    rng = np.random.default_rng(seed)
    lengths = np.full(rows, 24, np.uint8)
    addresses = rng.integers(0, 2**24, rows, np.uint32) << np.uint32(8)
    return RouteBatch.ipv4(addresses, lengths, rng.integers(0, 50, rows, np.uint32))


def test_threads_agree():
    index = random_index(5000, seed=1)
    batches = [random_routes(20_000, seed) for seed in range(8)]
    alone = [index.validate_batch(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(index.validate_batch, batches * 4))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))
    assert len(np.unique(np.concatenate(alone))) == 3


def crowded_trie(family, rng):
    """300 VRPs under one octet of address, so that they nest and crowd, and some down to single addresses."""
    bits, word = (32, np.uint32) if family == 4 else (64, np.uint64)
    lengths = rng.integers(3, 9, 300).astype(np.uint8)
    shift = (bits - lengths).astype(word)
    address = rng.integers(0, 2**bits, 300, word) >> shift << shift
    lengths[:20] = 32 if family == 4 else 128
    longest = np.minimum(lengths + rng.integers(0, 9, 300), lengths.max()).astype(np.uint8)
    words = address if family == 4 else np.c_[address, np.where(lengths == 128, address, word(0))]
    asns = rng.integers(1, 5, 300).astype(np.uint32)
    make = VrpColumns.ipv4 if family == 4 else VrpColumns.ipv6
    snapshot = Snapshot.from_vrps(make(words, lengths, longest, asns).vrps())
    return Trie(family, *(snapshot.ipv4 if family == 4 else snapshot.ipv6).keys)


@pytest.mark.parametrize("family", [4, 6])
def test_eight_threads_on_one_trie(family):
    """States, reasons and covering VRPs, in any order and ascending, by threads that begin at once."""
    rng, count = np.random.default_rng(family), 1003
    trie = crowded_trie(family, rng)
    judge = trie.judge_ipv4 if family == 4 else trie.judge_ipv6
    lengths = rng.integers(0, 33, count).astype(np.uint8)
    origins = rng.integers(0, 5, count).astype(np.uint32)
    shape, word = ((8, count), np.uint32) if family == 4 else ((8, count, 2), np.uint64)
    addresses = rng.integers(0, np.iinfo(word).max, shape, word)
    addresses[::2] = np.sort(addresses[::2], axis=1)
    start = threading.Barrier(8)

    def answers(asked):
        columns = [np.empty(count, np.uint8), np.empty(count, np.uint8)]
        for reasons in (False, True):
            judge(asked, lengths, origins, columns[reasons], reasons)
        words = [(address << 32, 0) if family == 4 else address for address in asked[:30].tolist()]
        return [column.tobytes() for column in columns], [trie.covering(*word, 32) for word in words]

    def at_once(asked):
        start.wait()
        return [answers(asked) for _ in range(30)]

    alone = [answers(asked) for asked in addresses]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(at_once, addresses))
    assert together == [[one] * 30 for one in alone]
    assert {state for (states, _), _ in alone for state in states} == {0, 1, 2}


def rounds_until_seen(work, most=200):
    """How often a thread does its work before another one gets on, if nothing takes the GIL from it."""
    seen, rounds = threading.Event(), []

    def repeat():
        while len(rounds) < most and not seen.is_set():
            work()
            rounds.append(None)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        worker = threading.Thread(target=repeat)
        worker.start()
        while not rounds and worker.is_alive():
            time.sleep(0)
        seen.set()
        worker.join()
    finally:
        sys.setswitchinterval(interval)
    return len(rounds)


def test_a_batch_releases_the_gil():
    index, routes = random_index(5000, seed=1), random_routes(100_000, seed=2)
    assert rounds_until_seen(lambda: index.validate_batch(routes)) < 200
    # the measure itself: work in Python keeps the GIL to the end
    assert rounds_until_seen(lambda: sum(range(1000))) == 200


@pytest.mark.parametrize("count", [0, 1, SLICE, SLICE + 1, 145_000, 10 * SLICE + 3])
@pytest.mark.parametrize("workers", [1, 2, 3, MAX_THREADS])
def test_slices_are_even_and_make_up_the_whole(count, workers):
    found = []
    in_slices(found.append, count, workers)
    found.sort(key=lambda rows: rows.start)
    sizes = [rows.stop - rows.start for rows in found]
    assert [rows.start for rows in found] == [0, *(rows.stop for rows in found[:-1])]
    assert (found[-1].stop, max(sizes) - min(sizes) <= 1) == (count, True)
    if len(found) > 1:
        assert len(found) % min(workers, -(-count // SLICE)) == 0
        assert max(sizes) <= SLICE


@pytest.mark.parametrize("wrong", [0, 1, 5])
def test_what_a_slice_raises_is_raised_when_no_thread_works(wrong):
    working, lock = [], threading.Lock()

    def work(part):
        with lock:
            working.append(part)
        time.sleep(0.001)
        if part.start >= wrong * SLICE:
            raise IndexError("no such row")
        with lock:
            working.remove(part)

    with pytest.raises(IndexError, match="no such row"):
        in_slices(work, 6 * SLICE, 3)
    kept = list(working)
    assert kept
    time.sleep(0.01)
    assert working == kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
# Python 3.12 warns of any fork beside threads
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    index, routes = random_index(100, seed=1), random_routes(3 * SLICE, seed=2)
    expected = index.validate_batch(routes, threads=2)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(index.validate_batch(routes, threads=2), expected) else 1)
    until = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < until, "the forked process waits for threads that it does not have"
        time.sleep(0.01)
    assert ended == (child, 0)


def test_both_families_are_built_at_once():
    """By two threads where it is worth one, with the answers of tries that were built in turn."""
    rng, count = np.random.default_rng(7), WORTH_A_THREAD
    high = np.arange(count, dtype=np.uint64) << np.uint64(32)
    lengths, asns = np.full(count, 32, np.uint8), rng.integers(1, 9, count).astype(np.uint32)
    words = np.arange(count, dtype=np.uint32), np.c_[high, np.zeros(count, np.uint64)]
    snapshot = Snapshot.build(
        VrpColumns.ipv4(words[0], lengths, lengths, asns), VrpColumns.ipv6(words[1], lengths, lengths, asns)
    )
    before = threading.active_count()
    index = VrpIndex(snapshot)
    assert threading.active_count() >= max(before, 2)
    asked = np.roll(asns, 1)
    for batch, addresses in zip((RouteBatch.ipv4, RouteBatch.ipv6), words, strict=True):
        states = index.validate_batch(batch(addresses, lengths, asked))
        assert np.array_equal(states == State.VALID, asked == asns)
    assert VrpIndex(snapshot) == index


def test_the_first_error_comes_when_both_have_ended():
    ended = threading.Event()

    def slow():
        time.sleep(0.02)
        ended.set()
        return 4

    def fails():
        raise MemoryError("second")

    with pytest.raises(MemoryError, match="second"):
        side_by_side(slow, fails)
    with pytest.raises(MemoryError, match="second"):
        side_by_side(fails, slow)
    assert ended.is_set()
    assert side_by_side(slow, lambda: 6) == (4, 6)
