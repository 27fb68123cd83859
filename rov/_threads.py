"""Columns judged by several threads at once: slices of one answer, each written by one of them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
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


_pool: ThreadPoolExecutor
"""Kept, as to start a thread takes longer than a small batch; it has as many as were ever wanted at once."""


def _begin() -> None:
    global _pool
    _pool = ThreadPoolExecutor(MAX_THREADS, "rov")


_begin()
if hasattr(os, "register_at_fork"):
    # the threads stay behind in the parent
    os.register_at_fork(after_in_child=_begin)


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

    The calling thread is one of the workers, and whoever is done takes the next slice, so that a thread whose
    processor is busy elsewhere holds up little. What work raises is raised when no thread works any more.

    >>> in_slices(print, 3, 1)
    slice(0, 3, None)
    """
    if workers == 1 or count <= SLICE:
        work(slice(0, count))
        return
    workers = min(workers, -(-count // SLICE))
    number = workers * -(-count // (workers * SLICE))
    left = deque(slice(*ends) for ends in pairwise(count * i // number for i in range(number + 1)))

    def some() -> None:
        try:
            while (part := _taken(left)) is not None:
                work(part)
        except BaseException:
            left.clear()
            raise

    others = [_pool.submit(some) for _ in range(workers - 1)]
    try:
        some()
    finally:
        # one that has not begun has nothing to do
        begun = [other for other in others if not other.cancel()]
        wait(begun)
    for other in begun:
        other.result()


def side_by_side(first: Callable[[], T], second: Callable[[], R]) -> tuple[T, R]:
    """What two functions return, called at the same time: the second in the calling thread.

    Each has ended when this returns or raises; the error of the second goes before that of the first.

    >>> side_by_side(lambda: 4, lambda: 6)
    (4, 6)
    """
    other = _pool.submit(first)
    try:
        mine = second()
    finally:
        # with a thread that has not come to it yet, the first one's turn is here
        idle = other.cancel()
        if not idle:
            wait([other])
    return (first() if idle else other.result()), mine


def _taken(slices: deque[slice]) -> slice | None:
    try:
        return slices.popleft()
    except IndexError:
        return None


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
