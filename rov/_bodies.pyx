"""Routes in NDJSON and msgpack to columns of texts and numbers, and verdicts back to rows, without the GIL.

The octets come from strangers. What is written plainly is read here; a line of JSON that is not (escapes,
numbers with an exponent, nested values) is left to a real decoder, and so is every fault.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

import numpy as np

from rov.errors import ArgumentError

cdef enum:
    QUOTE = 34
    BACKSLASH = 92
    MAX_DIGITS = 10       # of an AS number
    REASONS = 5
    LEAST_LINE = 16       # octets: {"prefix":"::/0"} and its line feed are 17
    LEAST_ITEM = 3        # octets: an array of two, of which the first is a text
    LONGEST_PREFIX = 64   # characters, as rov._prefix has it
    ROW_ROOM = 200        # octets of a row but its prefix, in either form

cdef enum Outcome:
    ROW
    BLANK
    ODD          # not plain, or wrong
    UNFINISHED   # the octets end within it

cdef struct Row:
    const uint8_t* prefix
    Py_ssize_t size       # -1: there is none
    uint32_t origin       # 0: there is none


cdef inline bint same(const uint8_t* text, Py_ssize_t size, const char* name,
                      Py_ssize_t length) noexcept nogil:
    return size == length and memcmp(text, name, length) == 0


cdef inline bint is_origin(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    return same(text, size, b"origin", 6) or same(text, size, b"asn", 3)


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


# --- lines of JSON

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


cdef Outcome read_line(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end, Row* row) noexcept nogil:
    """One line, and where the next one begins; position stays where it is unless that is a row or blank."""
    cdef Py_ssize_t at = after_blanks(t, position[0], end), name, size, begin
    cdef uint32_t number = 0
    cdef bint is_text
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
            if is_text:
                if not asn_of(t + begin, at - begin, &row.origin):
                    return ODD
            elif same(t + begin, at - begin, b"null", 4):
                row.origin = 0
            elif not number_of(t + begin, at - begin, &row.origin):
                return ODD
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
        if not 0 <= row.size <= LONGEST_PREFIX:
            return ODD
        position[0] = at + 1
        return ROW


# --- msgpack

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


cdef Outcome skip(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end) noexcept nogil:
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


cdef Outcome text_at(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end, Py_ssize_t* begin,
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


cdef Outcome origin_at(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end, uint32_t* out) noexcept nogil:
    """nil, a number or the text of one."""
    cdef Py_ssize_t at = position[0], begin = 0, size = 0
    cdef uint64_t number
    cdef Outcome found
    cdef uint8_t first
    cdef int head
    if at >= end:
        return UNFINISHED
    first = t[at]
    if first == 0xC0 or first < 0x80:
        out[0] = 0 if first == 0xC0 else first
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


cdef Outcome read_item(const uint8_t* t, Py_ssize_t* position, Py_ssize_t end, Row* row) noexcept nogil:
    """One map or pair; position stays where it is unless that is a row."""
    cdef Py_ssize_t at = position[0], begin = 0, size = 0
    cdef uint64_t count
    cdef uint8_t first
    cdef int head
    cdef Outcome found
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
        if found == ROW and row.size > LONGEST_PREFIX:
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
            found = origin_at(t, &at, end, &row.origin)
        elif found == ROW:
            found = skip(t, &at, end)
        if found != ROW:
            return found
    if not 0 <= row.size <= LONGEST_PREFIX:
        return ODD
    position[0] = at
    return ROW


# --- both

def read_rows(const uint8_t[::1] data not None, Py_ssize_t begin, Py_ssize_t end, bint packed):
    """The routes from an octet on to another: of lines of JSON, or, packed, of msgpack.

    Gives where the first begins that is not read, whether that is since it is not plain or wrong (else it is
    not whole, or there is none), and of those before it the texts of the prefixes as Arrow has them (offsets
    int32 [n + 1], octets) and the origins, uint32 [n], 0 for none. The lines must be whole: the last may want
    its line feed. ArgumentError: no such octets, or more than 1 GiB.

    >>> import numpy as np
    >>> line = np.frombuffer(b'{"prefix": "::/0", "origin": 1}', "u1")
    >>> at, odd, offsets, text, origins = read_rows(line, 0, len(line), False)
    >>> odd, offsets.tolist(), text.tobytes(), origins.tolist()
    (False, [0, 4], b'::/0', [1])
    """
    if not 0 <= begin <= end <= data.shape[0] or end - begin > 1 << 30:
        raise ArgumentError("expected octets of the data, 1 GiB at most")
    cdef Py_ssize_t room = (end - begin) // (LEAST_ITEM if packed else LEAST_LINE) + 1
    cdef Py_ssize_t count = 0, at = begin
    cdef int32_t length = 0
    cdef Outcome found = BLANK
    cdef Row row
    offsets, text, origins = np.empty(room + 1, "i4"), np.empty(end - begin, "u1"), np.empty(room, "u4")
    cdef int32_t[::1] ends = offsets
    cdef uint8_t[::1] out = text
    cdef uint32_t[::1] numbers = origins
    cdef const uint8_t* t
    ends[0] = 0
    if begin < end:
        t = &data[0]
        with nogil:
            while at < end:
                found = read_item(t, &at, end, &row) if packed else read_line(t, &at, end, &row)
                if found == BLANK:
                    continue
                if found != ROW:
                    break
                memcpy(&out[length], row.prefix, row.size)
                length += <int32_t>row.size
                numbers[count] = row.origin
                count += 1
                ends[count] = length
    return min(at, end), found == ODD, offsets[:count + 1], text[:length], origins[:count]


cdef inline Py_ssize_t digits(uint32_t value, uint8_t* out) noexcept nogil:
    cdef uint8_t reversed_[MAX_DIGITS]
    cdef int n = 0, i
    while True:
        reversed_[n] = <uint8_t>(48 + value % 10)
        value //= 10
        n += 1
        if value == 0:
            break
    for i in range(n):
        out[i] = reversed_[n - 1 - i]
    return n


cdef inline Py_ssize_t put(uint8_t* out, const char* text, Py_ssize_t size) noexcept nogil:
    memcpy(out, text, size)
    return size


def write_rows(const int32_t[::1] offsets not None, const uint8_t[::1] text not None,
               const uint32_t[::1] origins not None, const uint8_t[::1] reasons not None,
               tuple tails not None, bint packed):
    """Each route with its verdict as a line of JSON or, packed, as a map of msgpack.

    The prefixes must have been judged: their texts are written as they are. tails: what a row ends with, by
    its reason, five of 100 octets at most. ArgumentError: columns that do not fit each other.

    >>> import numpy as np
    >>> texts = np.array([0, 4], "i4"), np.frombuffer(b"::/0", "u1")
    >>> write_rows(*texts, np.array([0], "u4"), np.array([0], "u1"), (b"}",) * 5, False)
    b'{"prefix":"::/0","origin":null}'
    """
    cdef Py_ssize_t count = origins.shape[0], i, n = 0, size
    cdef const char* ends[REASONS]
    cdef Py_ssize_t sizes[REASONS]
    cdef bytes tail
    if offsets.shape[0] != count + 1 or reasons.shape[0] != count or len(tails) != REASONS:
        raise ArgumentError("expected columns of equal length, and five tails")
    for i in range(REASONS):
        tail = tails[i]
        ends[i] = PyBytes_AS_STRING(tail)
        sizes[i] = PyBytes_GET_SIZE(tail)
        if sizes[i] > 100:
            raise ArgumentError("expected tails of 100 octets at most")
    for i in range(count):
        if not 0 <= offsets[i] <= offsets[i + 1] <= text.shape[0] or reasons[i] >= REASONS:
            raise ArgumentError(f"row {i}: expected a text and a reason")
        if offsets[i + 1] - offsets[i] > LONGEST_PREFIX:
            raise ArgumentError(f"row {i}: expected a prefix")
    result = np.empty(count * (ROW_ROOM + LONGEST_PREFIX) + 1, np.uint8)
    cdef uint8_t[::1] room = result
    cdef uint8_t* out = &room[0]
    with nogil:
        for i in range(count):
            size = offsets[i + 1] - offsets[i]
            if packed:
                n += put(out + n, b"\x84\xa6prefix", 8)
                if size < 32:
                    out[n] = <uint8_t>(0xA0 | size)
                    n += 1
                else:
                    out[n] = 0xD9
                    out[n + 1] = <uint8_t>size
                    n += 2
            else:
                n += put(out + n, b'{"prefix":"', 11)
            if size:
                memcpy(out + n, &text[offsets[i]], size)
                n += size
            if packed:
                n += put(out + n, b"\xa6origin", 7)
                if origins[i]:
                    out[n] = 0xCE
                    out[n + 1] = <uint8_t>(origins[i] >> 24)
                    out[n + 2] = <uint8_t>(origins[i] >> 16 & 255)
                    out[n + 3] = <uint8_t>(origins[i] >> 8 & 255)
                    out[n + 4] = <uint8_t>(origins[i] & 255)
                    n += 5
                else:
                    out[n] = 0xC0
                    n += 1
            else:
                n += put(out + n, b'","origin":', 11)
                if origins[i]:
                    n += digits(origins[i], out + n)
                else:
                    n += put(out + n, b"null", 4)
            n += put(out + n, ends[reasons[i]], sizes[reasons[i]])
    return PyBytes_FromStringAndSize(<char*>out, n)
