"""Numbers as decimal digits."""

from libc.stdint cimport uint64_t


cdef inline int write_number(uint64_t value, char* out) noexcept nogil:
    """Write the digits, 20 at most; how many there are."""
    cdef char digits[20]
    cdef int n = 0, i
    while True:
        digits[n] = <char>(48 + value % 10)
        value //= 10
        n += 1
        if value == 0:
            break
    for i in range(n):
        out[i] = digits[n - 1 - i]
    return n
