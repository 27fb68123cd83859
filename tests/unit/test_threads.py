"""A frozen index is read by many threads at once, and lets the others run while it works."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rov import RouteBatch, Snapshot, VrpColumns, VrpIndex
from rov._threads import MAX_THREADS, SLICE, in_slices


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
