"""Route columns checked row by row: lengths in range, no host bits."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef inline uint64_t beyond(int length, int bits) noexcept nogil:
    """The bits of a word of so many bits that lie beyond a prefix length; lengths below 0 are 0."""
    if length >= bits:
        return 0
    return (~<uint64_t>0 >> (64 - bits)) >> (length if length > 0 else 0)


def first_bad_ipv4(const uint32_t[::1] addresses, const uint8_t[::1] lengths):
    """The first row that is no prefix, -1 if all are; two columns of equal length.

    >>> import numpy as np
    >>> first_bad_ipv4(np.array([1, 1], "u4"), np.array([32, 31], "u1"))
    1
    """
    cdef Py_ssize_t i
    with nogil:
        for i in range(min(addresses.shape[0], lengths.shape[0])):
            if lengths[i] > 32 or addresses[i] & beyond(lengths[i], 32):
                break
        else:
            i = -1
    return i


def first_bad_ipv6(const uint64_t[:, ::1] addresses, const uint8_t[::1] lengths):
    """The first row that is no prefix, -1 if all are; addresses [n, 2], the high and low words.

    >>> import numpy as np
    >>> first_bad_ipv6(np.array([[1, 0], [0, 1]], "u8"), np.array([64, 64], "u1"))
    1
    """
    cdef Py_ssize_t i
    cdef int length
    cdef uint64_t host
    with nogil:
        for i in range(min(addresses.shape[0], lengths.shape[0])):
            length = lengths[i]
            host = (addresses[i, 0] & beyond(length, 64)) | (addresses[i, 1] & beyond(length - 64, 64))
            if length > 128 or host:
                break
        else:
            i = -1
    return i
