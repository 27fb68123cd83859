"""An item of msgpack: a map or a pair that is a route, and a map of one with its verdict."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rov._body cimport (
    ODD, ROW, UNFINISHED, Names, Outcome, Row, Tail, asn_of, is_origin, origin_of, put, put_origin, same,
)
from rov._prefix cimport LONGEST_TEXT

cdef enum:
    LEAST_ITEM = 3        # octets: an array of two, of which the first is a text
    NIL = 0xC0


cdef inline uint64_t big_endian(const uint8_t* t, int octets) noexcept nogil:
    cdef uint64_t number = 0
    cdef int i
    for i in range(octets):
        number = number << 8 | t[i]
    return number


cdef inline int head_of(uint8_t first) noexcept nogil:
    """Octets of a length, or of a number, that follow the first one; 0 for the short forms."""
    if first in (0xC4, 0xC7, 0xCC, 0xD0, 0xD9):
        return 1
    if first in (0xC5, 0xC8, 0xCD, 0xD1, 0xDA, 0xDC, 0xDE):
        return 2
    if first in (0xC6, 0xC9, 0xCA, 0xCE, 0xD2, 0xDB, 0xDD, 0xDF):
        return 4
    return 8 if first in (0xCB, 0xCF, 0xD3) else 0


cdef inline Outcome skip(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end) noexcept nogil:
    """Go over one value, whatever it is."""
    cdef Py_ssize_t at = position[0]
    cdef int64_t left = 1, size
    cdef uint8_t first
    cdef int head
    while left:
        left -= 1
        if at >= end:
            return UNFINISHED
        first = t[at]
        head = head_of(first)
        at += 1
        if end - at < head:
            return UNFINISHED
        size = 0
        if first == 0xC1:
            return ODD
        if first < 0x90 and first >= 0x80:
            left += 2 * (first & 15)
        elif 0x90 <= first < 0xA0:
            left += first & 15
        elif 0xA0 <= first < 0xC0:
            size = first & 31
        elif first in (0xDC, 0xDD):
            left += <int64_t>big_endian(t + at, head)
        elif first in (0xDE, 0xDF):
            left += 2 * <int64_t>big_endian(t + at, head)
        elif first in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB):
            size = <int64_t>big_endian(t + at, head)
        elif first in (0xC7, 0xC8, 0xC9):
            size = 1 + <int64_t>big_endian(t + at, head)
        elif 0xD4 <= first <= 0xD8:
            size = 1 + (1 << (first - 0xD4))
        at += head
        if end - at < size:
            return UNFINISHED
        at += <Py_ssize_t>size
    position[0] = at
    return ROW


cdef inline Outcome text_at(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end, Py_ssize_t* begin,
                            Py_ssize_t* size) noexcept nogil:
    """A text or octets: where they are; ODD if it is another value."""
    cdef Py_ssize_t at = position[0]
    cdef uint8_t first
    cdef int head
    if at >= end:
        return UNFINISHED
    first = t[at]
    head = head_of(first)
    if 0xA0 <= first < 0xC0:
        size[0] = first & 31
    elif first in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB):
        if end - at - 1 < head:
            return UNFINISHED
        size[0] = <Py_ssize_t>big_endian(t + at + 1, head)
    else:
        return ODD
    begin[0] = at + 1 + head
    if end - begin[0] < size[0]:
        return UNFINISHED
    position[0] = begin[0] + size[0]
    return ROW


cdef inline Outcome origin_at(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end,
                              uint32_t* out) noexcept nogil:
    """nil, a number or the text of one."""
    cdef Py_ssize_t at = position[0], begin = 0, size = 0
    cdef uint64_t number
    cdef inline Outcome found
    cdef uint8_t first
    cdef int head
    if at >= end:
        return UNFINISHED
    first = t[at]
    if first == NIL or first < 0x80:
        out[0] = 0 if first == NIL else first
        position[0] = at + 1
        return ROW
    if 0xCC <= first <= 0xCF or 0xD0 <= first <= 0xD3:
        head = head_of(first)
        if end - at - 1 < head:
            return UNFINISHED
        number = big_endian(t + at + 1, head)
        if number >> 32 != 0 or (first >= 0xD0 and t[at + 1] & 0x80):
            return ODD
        out[0] = <uint32_t>number
        position[0] = at + 1 + head
        return ROW
    found = text_at(t, position, end, &begin, &size)
    if found == ROW and not asn_of(t + begin, size, out):
        return ODD
    return found


cdef inline Outcome read_item(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end,
                              Row* row) noexcept nogil:
    """One map or pair; position stays where it is unless that is a row."""
    cdef Py_ssize_t at = position[0], begin = 0, size = 0
    cdef uint64_t count
    cdef uint32_t number = 0
    cdef uint8_t first
    cdef bint is_null
    cdef int head
    cdef inline Outcome found
    cdef Names names = Names(0, 0, False)
    row.size = -1
    row.origin = 0
    if at >= end:
        return UNFINISHED
    first = t[at]
    head = head_of(first)
    if end - at - 1 < head:
        return UNFINISHED
    if first == 0x92:
        at += 1
        found = text_at(t, &at, end, &begin, &row.size)
        row.prefix = t + begin
        if found == ROW and row.size > LONGEST_TEXT:
            return ODD
        if found == ROW:
            found = origin_at(t, &at, end, &row.origin)
        if found == ROW:
            position[0] = at
        return found
    if 0x80 <= first < 0x90:
        count = first & 15
    elif first in (0xDE, 0xDF):
        count = big_endian(t + at + 1, head)
    else:
        return ODD
    at += 1 + head
    while count:
        count -= 1
        found = text_at(t, &at, end, &begin, &size)
        if found == ROW and same(t + begin, size, b"prefix", 6):
            found = text_at(t, &at, end, &begin, &row.size)
            row.prefix = t + begin
        elif found == ROW and is_origin(t + begin, size):
            is_null = at < end and t[at] == NIL
            found = origin_at(t, &at, end, &number)
            put_origin(&names, size, number, is_null)
        elif found == ROW:
            found = skip(t, &at, end)
        if found != ROW:
            return found
    if not 0 <= row.size <= LONGEST_TEXT:
        return ODD
    row.origin = origin_of(&names)
    position[0] = at
    return ROW


cdef inline Py_ssize_t put_item(uint8_t* out, const Row* row, const Tail* tail) noexcept nogil:
    """Write a route with its verdict; how many octets that takes."""
    cdef Py_ssize_t n = put(out, b"\x84\xa6prefix", 8)
    cdef int shift
    if row.size < 32:
        out[n] = <uint8_t>(0xA0 | row.size)
        n += 1
    else:
        out[n] = 0xD9
        out[n + 1] = <uint8_t>row.size
        n += 2
    n += put(out + n, row.prefix, row.size)
    n += put(out + n, b"\xa6origin", 7)
    if row.origin:
        out[n] = 0xCE
        for shift in range(4):
            out[n + 1 + shift] = <uint8_t>(row.origin >> (24 - 8 * shift) & 255)
        n += 5
    else:
        out[n] = NIL
        n += 1
    return n + put(out + n, tail.text, tail.size)
