"""Which prefixes lie in which, over sorted columns: one pass with a stack, and searches for ranges.

Addresses are given as two columns of words, high and low; an IPv4 address stands in the top half of the
high word, so that a length counts the leading bits in both families.
"""

from libc.math cimport ldexp
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

import numpy as np

# Prefixes that lie in one another differ in length: 0 to 128.
cdef enum:
    DEEPEST = 129

cdef struct Open:      # a prefix whose more specifics may still come
    uint64_t high
    uint64_t low
    int length
    bint eligible
    Py_ssize_t first   # its rows: first to before end
    Py_ssize_t end
    int64_t cover      # the first row of the nearest eligible prefix that is shorter, -1 if none
    double share       # of its addresses that lie in eligible prefixes more specific than it


cdef inline uint64_t leading(int length) noexcept nogil:
    """A mask of so many leading bits of a word; 0 to 64."""
    if length <= 0:
        return 0
    return ~<uint64_t>0 << (64 - length) if length < 64 else ~<uint64_t>0


cdef inline bint covers(const Open* outer, uint64_t high, uint64_t low, int length) noexcept nogil:
    return (outer.length <= length
            and ((outer.high ^ high) & leading(outer.length)) == 0
            and ((outer.low ^ low) & leading(outer.length - 64)) == 0)


cdef inline void close(Open* stack, int top, int64_t[::1] covers_of, double[::1] shares) noexcept nogil:
    """Write what is known of the prefix at the top, and tell the one below it."""
    cdef Open* done = &stack[top]
    cdef Py_ssize_t row
    for row in range(done.first, done.end):
        covers_of[row] = done.cover
        shares[row] = done.share
    if top > 0:
        stack[top - 1].share += ldexp(1.0 if done.eligible else done.share,
                                      stack[top - 1].length - done.length)


def nest(const uint64_t[::1] high, const uint64_t[::1] low, const uint8_t[::1] lengths,
         const uint8_t[::1] eligible):
    """For each row of columns sorted by (address, length): what covers it, and what lies in it.

    A prefix is eligible if one of its rows is. Gives int64 [n], the first row of the nearest shorter prefix
    that is eligible, -1 if there is none; and float64 [n], the share of the prefix's addresses that lie in
    eligible prefixes more specific than it.
    """
    cdef Py_ssize_t n = high.shape[0], row = 0, end
    cdef Open stack[DEEPEST]
    cdef int top = -1
    cdef bint any_eligible
    cdef Open* below
    cover_column = np.empty(n, np.int64)
    share_column = np.empty(n, np.float64)
    cdef int64_t[::1] covers_of = cover_column
    cdef double[::1] shares = share_column
    if low.shape[0] != n or lengths.shape[0] != n or eligible.shape[0] != n:
        raise ValueError("columns of different lengths")
    with nogil:
        while row < n:
            end = row
            any_eligible = False
            while (end < n and high[end] == high[row] and low[end] == low[row]
                   and lengths[end] == lengths[row]):
                any_eligible = any_eligible or eligible[end] != 0
                end += 1
            while top >= 0 and not covers(&stack[top], high[row], low[row], lengths[row]):
                close(stack, top, covers_of, shares)
                top -= 1
            if top + 1 >= DEEPEST:
                with gil:
                    raise ValueError("rows out of order, or a length beyond 128")
            top += 1
            stack[top].high, stack[top].low, stack[top].length = high[row], low[row], lengths[row]
            stack[top].first, stack[top].end = row, end
            stack[top].eligible, stack[top].share, stack[top].cover = any_eligible, 0.0, -1
            if top > 0:
                below = &stack[top - 1]
                stack[top].cover = below.first if below.eligible else below.cover
            row = end
        while top >= 0:
            close(stack, top, covers_of, shares)
            top -= 1
    return cover_column, share_column


cdef inline bint before(uint32_t key_a, uint64_t high_a, uint64_t low_a, int length_a,
                        uint32_t key_b, uint64_t high_b, uint64_t low_b, int length_b) noexcept nogil:
    """Whether the one sorts before the other by (key, address, length)."""
    if key_a != key_b:
        return key_a < key_b
    if high_a != high_b:
        return high_a < high_b
    if low_a != low_b:
        return low_a < low_b
    return length_a < length_b


def ranges(const uint32_t[::1] keys, const uint64_t[::1] high, const uint64_t[::1] low,
           const uint8_t[::1] lengths,
           const uint32_t[::1] asked_keys, const uint64_t[::1] asked_high, const uint64_t[::1] asked_low,
           const uint8_t[::1] asked_lengths):
    """For each asked (key, prefix): the rows of that key that lie in the prefix or are it.

    The rows are sorted by (key, address, length). Gives two int64 [m]: from which row to before which.
    """
    cdef Py_ssize_t n = keys.shape[0], m = asked_keys.shape[0], i, left, right, middle
    cdef uint64_t last_high, last_low
    cdef uint32_t key
    from_column = np.empty(m, np.int64)
    to_column = np.empty(m, np.int64)
    cdef int64_t[::1] first = from_column
    cdef int64_t[::1] end = to_column
    if not (high.shape[0] == low.shape[0] == lengths.shape[0] == n):
        raise ValueError("columns of different lengths")
    if not (asked_high.shape[0] == asked_low.shape[0] == asked_lengths.shape[0] == m):
        raise ValueError("asked columns of different lengths")
    with nogil:
        for i in range(m):
            key = asked_keys[i]
            left, right = 0, n
            while left < right:
                middle = (left + right) >> 1
                if before(keys[middle], high[middle], low[middle], lengths[middle],
                          key, asked_high[i], asked_low[i], asked_lengths[i]):
                    left = middle + 1
                else:
                    right = middle
            first[i] = left
            last_high = asked_high[i] | ~leading(asked_lengths[i])
            last_low = asked_low[i] | ~leading(asked_lengths[i] - 64)
            right = n
            while left < right:
                middle = (left + right) >> 1
                if before(key, last_high, last_low, 255,
                          keys[middle], high[middle], low[middle], lengths[middle]):
                    right = middle
                else:
                    left = middle + 1
            end[i] = left
    return from_column, to_column


def count_upto(const int64_t[::1] first, const int64_t[::1] end, const uint8_t[::1] lengths,
               const uint8_t[::1] most):
    """For each range of rows: how many have a length of at most ``most``; int64 [m]."""
    cdef Py_ssize_t i, row
    cdef int64_t count
    counts = np.empty(first.shape[0], np.int64)
    cdef int64_t[::1] out = counts
    if not (end.shape[0] == most.shape[0] == first.shape[0]):
        raise ValueError("ranges of different lengths")
    if first.shape[0] and not (0 <= np.min(first) and np.max(end) <= lengths.shape[0]):
        raise ValueError("a range beyond the rows")
    with nogil:
        for i in range(first.shape[0]):
            count = 0
            for row in range(first[i], end[i]):
                count += lengths[row] <= most[i]
            out[i] = count
    return counts


def cover_max(const uint32_t[::1] keys, const uint64_t[::1] high, const uint64_t[::1] low,
              const uint8_t[::1] lengths, const uint8_t[::1] values):
    """For each row: the highest value among the rows of its key whose prefix is shorter and covers it.

    The rows are sorted by (key, address, length). Gives int64 [n], -1 where no such row is.
    """
    cdef Py_ssize_t n = keys.shape[0], row = 0, end
    cdef Open stack[DEEPEST]
    cdef int64_t best[DEEPEST]      # of the prefix in the stack and of those below it
    cdef int64_t above, own
    cdef int top = -1
    cdef uint32_t key = 0
    column = np.empty(n, np.int64)
    cdef int64_t[::1] out = column
    if not (high.shape[0] == low.shape[0] == lengths.shape[0] == values.shape[0] == n):
        raise ValueError("columns of different lengths")
    with nogil:
        while row < n:
            if top >= 0 and keys[row] != key:
                top = -1
            key = keys[row]
            while top >= 0 and not covers(&stack[top], high[row], low[row], lengths[row]):
                top -= 1
            above = best[top] if top >= 0 else -1
            own = above
            end = row
            while (end < n and keys[end] == key and high[end] == high[row] and low[end] == low[row]
                   and lengths[end] == lengths[row]):
                out[end] = above
                own = max(own, <int64_t>values[end])
                end += 1
            if top + 1 >= DEEPEST:
                with gil:
                    raise ValueError("rows out of order, or a length beyond 128")
            top += 1
            stack[top].high, stack[top].low, stack[top].length = high[row], low[row], lengths[row]
            best[top] = own
            row = end
    return column


def first_gap(const int64_t[::1] first, const int64_t[::1] end, const uint64_t[::1] high,
              const uint64_t[::1] low, const uint8_t[::1] lengths,
              const uint64_t[::1] asked_high, const uint64_t[::1] asked_low, const uint8_t[::1] asked_lengths,
              const uint8_t[::1] wanted):
    """For each asked prefix: the first of its sub-prefixes of length ``wanted`` that is no row of its range.

    The rows of a range (first to before end) are sorted by address and lie in the prefix. Gives the
    address as two uint64 [m] of words, and uint8 [m]: 1 where there is one, 0 where all are rows.
    """
    cdef Py_ssize_t m = first.shape[0], i, row
    cdef uint64_t gap_high, gap_low, step_high, step_low, before_add
    high_column, low_column = np.empty(m, np.uint64), np.empty(m, np.uint64)
    found_column = np.empty(m, np.uint8)
    cdef uint64_t[::1] out_high = high_column
    cdef uint64_t[::1] out_low = low_column
    cdef uint8_t[::1] found = found_column
    if not (end.shape[0] == asked_high.shape[0] == asked_low.shape[0] == asked_lengths.shape[0]
            == wanted.shape[0] == m) or not (high.shape[0] == low.shape[0] == lengths.shape[0]):
        raise ValueError("columns of different lengths")
    if m and not (0 <= np.min(first) and np.max(end) <= lengths.shape[0]):
        raise ValueError("a range beyond the rows")
    with nogil:
        for i in range(m):
            gap_high, gap_low = asked_high[i], asked_low[i]
            # one sub-prefix further: 2^(128 - wanted) addresses; for /0 there is no further one
            step_high = <uint64_t>1 << (64 - wanted[i]) if 0 < wanted[i] <= 64 else 0
            step_low = <uint64_t>1 << (128 - wanted[i]) if 64 < wanted[i] <= 128 else 0
            found[i] = 1
            for row in range(first[i], end[i]):
                if lengths[row] != wanted[i] or (row > first[i] and lengths[row - 1] == wanted[i]
                                                 and high[row] == high[row - 1] and low[row] == low[row - 1]):
                    continue
                if high[row] != gap_high or low[row] != gap_low:
                    break
                before_add = gap_low
                gap_low += step_low
                gap_high += step_high + (1 if gap_low < before_add else 0)
                # beyond the last sub-prefix, or around the end of all addresses
                if (((gap_high ^ asked_high[i]) & leading(asked_lengths[i])) != 0
                        or ((gap_low ^ asked_low[i]) & leading(asked_lengths[i] - 64)) != 0
                        or (gap_high == asked_high[i] and gap_low == asked_low[i])):
                    found[i] = 0
                    break
            out_high[i], out_low[i] = gap_high, gap_low
    return high_column, low_column, found_column
