"""A route as a stranger writes it, and its verdict: what bodies of every form share."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef enum:
    MAX_DIGITS = 10       # of an AS number

cdef enum Outcome:
    ROW
    BLANK
    ODD          # not plain, or wrong
    UNFINISHED   # the octets end within it

cdef struct Row:
    const uint8_t* prefix
    Py_ssize_t size       # -1: there is none
    uint32_t origin       # 0: there is none

cdef struct Names:        # what stood under the two names of an origin; origin counts unless it is null
    uint32_t origin
    uint32_t asn
    bint given            # by origin

cdef struct Tail:         # what a row ends with: its verdict
    const char* text
    Py_ssize_t size


cdef inline bint same(const uint8_t* text, Py_ssize_t size, const char* name,
                      Py_ssize_t length) noexcept nogil:
    return size == length and memcmp(text, name, length) == 0


cdef inline bint is_origin(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    return same(text, size, b"origin", 6) or same(text, size, b"asn", 3)


cdef inline void put_origin(Names* names, Py_ssize_t size, uint32_t number, bint null) noexcept nogil:
    """Take a number that stood under the name of so many octets."""
    if size == 6:
        names.origin = number
        names.given = not null
    else:
        names.asn = number


cdef inline uint32_t origin_of(const Names* names) noexcept nogil:
    return names.origin if names.given else names.asn


cdef inline bint number_of(const uint8_t* text, Py_ssize_t size, uint32_t* out) noexcept nogil:
    """Decimal digits, without a zero before others, as an AS number."""
    cdef uint64_t number = 0
    cdef Py_ssize_t i
    if size < 1 or size > MAX_DIGITS or (text[0] == 48 and size > 1):
        return False
    for i in range(size):
        if not 48 <= text[i] <= 57:
            return False
        number = number * 10 + (text[i] - 48)
    out[0] = <uint32_t>number
    return number >> 32 == 0


cdef inline bint asn_of(const uint8_t* text, Py_ssize_t size, uint32_t* out) noexcept nogil:
    """AS64496 or 64496."""
    if size > 2 and text[0] | 32 == 97 and text[1] | 32 == 115:
        return number_of(text + 2, size - 2, out)
    return number_of(text, size, out)


cdef inline Py_ssize_t put(uint8_t* out, const void* text, Py_ssize_t size) noexcept nogil:
    memcpy(out, text, size)
    return size
