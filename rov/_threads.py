"""Columns judged by several threads at once: slices of one answer, each written by one of them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

from rov._checks import shown
from rov.errors import ArgumentError

T = TypeVar("T")
R = TypeVar("R")

MAX_THREADS = 1024
"""More than any machine has processors: a larger number was meant for something else."""

SLICE = 1 << 16
"""Rows that a thread takes at a time, at most: a millisecond of work, so that a slow one holds up little."""


def worker_count(threads: int) -> int:
    """How many threads an argument asks for, where 0 means the processors that the process may use.

    ArgumentError: it is no number of threads.

    >>> worker_count(2)
    2
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 0 <= threads <= MAX_THREADS:
        raise ArgumentError(
            f"threads {shown(threads)}: expected an int of 0 (all processors) to {MAX_THREADS}"
        )
    if threads:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_slices(work: Callable[[slice], None], count: int, workers: int) -> None:
    """Call work for slices that make up rows 0 to count, in the calling thread if one is enough.

    The slices are as many for each thread, and even, so that the threads end together.

    >>> in_slices(print, 3, 1)
    slice(0, 3, None)
    """
    if workers == 1 or count <= SLICE:
        work(slice(0, count))
        return
    workers = min(workers, -(-count // SLICE))
    number = workers * -(-count // (workers * SLICE))
    slices = [slice(*ends) for ends in pairwise(count * i // number for i in range(number + 1))]
    with ThreadPoolExecutor(workers, "rov") as pool:
        for _ in pool.map(work, slices):
            pass


def in_order(work: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """What work makes of each item, in their order, so many at a time; the caller may be as many behind.

    The first error of work is raised in its place; what has not begun then is left.

    >>> list(in_order(abs, [-1, -2, 3], 2))
    [1, 2, 3]
    """
    pool = ThreadPoolExecutor(workers, "rov")
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            # one that takes long must not leave the others without work
            if len(waiting) == 2 * workers:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
