"""A frozen index is read by many threads at once, and lets the others run while it works."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rov import RouteBatch, Snapshot, VrpColumns, VrpIndex


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
