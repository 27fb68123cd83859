"""Sorted VRP columns against each other: one merge tells what each side has of the other, and where."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef inline int compare(uint64_t a, uint64_t b) noexcept nogil:
    return (a > b) - (a < b)


cdef inline uint64_t tail(uint8_t length, uint8_t max_length, uint32_t asn) noexcept nogil:
    """What follows the address in the sort order, as one number."""
    return (<uint64_t>length << 40) | (<uint64_t>max_length << 32) | asn


def in_order_ipv4(const uint32_t[::1] address, const uint8_t[::1] length,
                  const uint8_t[::1] max_length, const uint32_t[::1] asn):
    """Whether the rows ascend strictly by (address, length, max_length, asn)."""
    cdef Py_ssize_t i
    cdef int c
    with nogil:
        for i in range(1, address.shape[0]):
            c = compare(address[i - 1], address[i])
            if c == 0:
                c = compare(tail(length[i - 1], max_length[i - 1], asn[i - 1]),
                            tail(length[i], max_length[i], asn[i]))
            if c >= 0:
                with gil:
                    return False
    return True


def in_order_ipv6(const uint64_t[:, ::1] address, const uint8_t[::1] length,
                  const uint8_t[::1] max_length, const uint32_t[::1] asn):
    """Whether the rows ascend strictly by (address, length, max_length, asn)."""
    cdef Py_ssize_t i
    cdef int c
    with nogil:
        for i in range(1, address.shape[0]):
            c = compare(address[i - 1, 0], address[i, 0])
            if c == 0:
                c = compare(address[i - 1, 1], address[i, 1])
            if c == 0:
                c = compare(tail(length[i - 1], max_length[i - 1], asn[i - 1]),
                            tail(length[i], max_length[i], asn[i]))
            if c >= 0:
                with gil:
                    return False
    return True


def common_ipv4(
    const uint32_t[::1] address_a, const uint8_t[::1] length_a,
    const uint8_t[::1] max_length_a, const uint32_t[::1] asn_a,
    const uint32_t[::1] address_b, const uint8_t[::1] length_b,
    const uint8_t[::1] max_length_b, const uint32_t[::1] asn_b,
):
    """Two sorted tables to which rows of a are in b, which rows of b are in a, and how many rows of a are
    below each row of b: bool [n], bool [m], int64 [m].
    """
    cdef Py_ssize_t i = 0, j = 0, n = address_a.shape[0], m = address_b.shape[0]
    cdef int c
    a_in_b = np.zeros(n, np.bool_)
    b_in_a = np.zeros(m, np.bool_)
    cdef uint8_t[::1] mark_a = a_in_b.view(np.uint8)
    cdef uint8_t[::1] mark_b = b_in_a.view(np.uint8)
    places = np.empty(m, np.int64)
    cdef int64_t[::1] below = places
    with nogil:
        while i < n and j < m:
            c = compare(address_a[i], address_b[j])
            if c == 0:
                c = compare(tail(length_a[i], max_length_a[i], asn_a[i]),
                            tail(length_b[j], max_length_b[j], asn_b[j]))
            if c == 0:
                mark_a[i] = 1
                mark_b[j] = 1
            if c >= 0:
                below[j] = i
                j += 1
            i += c <= 0
        while j < m:
            below[j] = n
            j += 1
    return a_in_b, b_in_a, places


def common_ipv6(
    const uint64_t[:, ::1] address_a, const uint8_t[::1] length_a,
    const uint8_t[::1] max_length_a, const uint32_t[::1] asn_a,
    const uint64_t[:, ::1] address_b, const uint8_t[::1] length_b,
    const uint8_t[::1] max_length_b, const uint32_t[::1] asn_b,
):
    """Two sorted tables to which rows of a are in b, which rows of b are in a, and how many rows of a are
    below each row of b: bool [n], bool [m], int64 [m].
    """
    cdef Py_ssize_t i = 0, j = 0, n = address_a.shape[0], m = address_b.shape[0]
    cdef int c
    a_in_b = np.zeros(n, np.bool_)
    b_in_a = np.zeros(m, np.bool_)
    cdef uint8_t[::1] mark_a = a_in_b.view(np.uint8)
    cdef uint8_t[::1] mark_b = b_in_a.view(np.uint8)
    places = np.empty(m, np.int64)
    cdef int64_t[::1] below = places
    with nogil:
        while i < n and j < m:
            c = compare(address_a[i, 0], address_b[j, 0])
            if c == 0:
                c = compare(address_a[i, 1], address_b[j, 1])
            if c == 0:
                c = compare(tail(length_a[i], max_length_a[i], asn_a[i]),
                            tail(length_b[j], max_length_b[j], asn_b[j]))
            if c == 0:
                mark_a[i] = 1
                mark_b[j] = 1
            if c >= 0:
                below[j] = i
                j += 1
            i += c <= 0
        while j < m:
            below[j] = n
            j += 1
    return a_in_b, b_in_a, places
