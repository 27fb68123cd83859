"""A line of JSON: a route that is written plainly, and one with its verdict."""

from libc.stdint cimport uint8_t, uint32_t

from rov._body cimport (
    BLANK, ODD, ROW, Names, Outcome, Row, Tail, asn_of, is_origin, number_of, origin_of, put,
    put_origin, same,
)
from rov._numbers cimport write_number
from rov._prefix cimport LONGEST_TEXT

cdef enum:
    QUOTE = 34
    BACKSLASH = 92
    LEAST_LINE = 16       # octets: {"prefix":"::/0"} and its line feed are 17


cdef inline Py_ssize_t after_blanks(const uint8_t* t, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    while at < end and (t[at] == 32 or t[at] == 9 or t[at] == 13):
        at += 1
    return at


cdef inline Py_ssize_t end_of_text(const uint8_t* t, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """The quote that ends a text of printable ASCII without escapes; -1 if it is another."""
    while at < end and t[at] != QUOTE:
        if t[at] == BACKSLASH or t[at] < 32 or t[at] > 126:
            return -1
        at += 1
    return at if at < end else -1


cdef inline Outcome read_line(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end,
                              Row* row) noexcept nogil:
    """One line, and where the next one begins; position stays where it is unless that is a row or blank."""
    cdef Py_ssize_t at = after_blanks(t, position[0], end), name, size, begin
    cdef uint32_t number = 0
    cdef bint is_text, is_null
    cdef Names names = Names(0, 0, False)
    row.size = -1
    row.origin = 0
    if at >= end or t[at] == 10:
        position[0] = at + 1
        return BLANK
    if t[at] != 123:  # {
        return ODD
    while True:
        at = after_blanks(t, at + 1, end)
        if at >= end or t[at] != QUOTE:
            return ODD
        name = at + 1
        at = end_of_text(t, name, end)
        if at < 0:
            return ODD
        size = at - name
        at = after_blanks(t, at + 1, end)
        if at >= end or t[at] != 58:  # :
            return ODD
        at = after_blanks(t, at + 1, end)
        if at >= end:
            return ODD
        begin = at
        is_text = t[at] == QUOTE
        if is_text:
            begin += 1
            at = end_of_text(t, begin, end)
            if at < 0:
                return ODD
        else:
            while at < end and t[at] > 32 and t[at] != 44 and t[at] != 125:
                at += 1
        if same(t + name, size, b"prefix", 6):
            if not is_text:
                return ODD
            row.prefix = t + begin
            row.size = at - begin
        elif is_origin(t + name, size):
            number = 0
            is_null = not is_text and same(t + begin, at - begin, b"null", 4)
            if is_text:
                if not asn_of(t + begin, at - begin, &number):
                    return ODD
            elif not is_null and not number_of(t + begin, at - begin, &number):
                return ODD
            put_origin(&names, size, number, is_null)
        elif not (is_text or number_of(t + begin, at - begin, &number)):
            return ODD
        at = after_blanks(t, at + is_text, end)
        if at < end and t[at] == 44:  # ,
            continue
        if at >= end or t[at] != 125:  # }
            return ODD
        at = after_blanks(t, at + 1, end)
        if at < end and t[at] != 10:
            return ODD
        if not 0 <= row.size <= LONGEST_TEXT:
            return ODD
        row.origin = origin_of(&names)
        position[0] = at + 1
        return ROW


cdef inline Py_ssize_t put_line(uint8_t* out, const Row* row, const Tail* tail) noexcept nogil:
    """Write a route with its verdict; how many octets that takes."""
    cdef Py_ssize_t n = put(out, b'{"prefix":"', 11)
    n += put(out + n, row.prefix, row.size)
    n += put(out + n, b'","origin":', 11)
    if row.origin:
        n += write_number(row.origin, <char*>out + n)
    else:
        n += put(out + n, b"null", 4)
    return n + put(out + n, tail.text, tail.size)
