"""Columns judged by several threads at once: slices of one answer, each written by one of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from rov._checks import shown
from rov.errors import ArgumentError

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
