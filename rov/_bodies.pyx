"""Routes in NDJSON and msgpack to columns of texts and numbers, and verdicts back to rows, without the GIL.

The octets come from strangers. What is written plainly is read here; a line of JSON that is not (escapes,
numbers with an exponent, nested values) is left to a real decoder, and so is every fault.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from rov._body cimport BLANK, ODD, ROW, Outcome, Row, Tail
from rov._body_json cimport LEAST_LINE, put_line, read_line
from rov._body_msgpack cimport LEAST_ITEM, put_item, read_item
from rov._prefix cimport LONGEST_TEXT

import numpy as np

from rov.errors import ArgumentError

cdef enum:
    REASONS = 5
    MAX_TAIL = 100        # octets
    ROW_ROOM = 200        # octets of a row but its prefix, in either form


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
    cdef Py_ssize_t count = origins.shape[0], i, n = 0
    cdef Tail ends[REASONS]
    cdef Row row
    cdef bytes tail
    if offsets.shape[0] != count + 1 or reasons.shape[0] != count or len(tails) != REASONS:
        raise ArgumentError("expected columns of equal length, and five tails")
    for i in range(REASONS):
        tail = tails[i]
        ends[i] = Tail(PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail))
        if ends[i].size > MAX_TAIL:
            raise ArgumentError(f"expected tails of {MAX_TAIL} octets at most")
    for i in range(count):
        if not 0 <= offsets[i] <= offsets[i + 1] <= text.shape[0] or reasons[i] >= REASONS:
            raise ArgumentError(f"row {i}: expected a text and a reason")
        if offsets[i + 1] - offsets[i] > LONGEST_TEXT:
            raise ArgumentError(f"row {i}: expected a prefix")
    result = np.empty(count * (ROW_ROOM + LONGEST_TEXT) + 1, np.uint8)
    cdef uint8_t[::1] room = result
    cdef uint8_t* out = &room[0]
    cdef const uint8_t* texts = &text[0] if text.shape[0] else out
    with nogil:
        for i in range(count):
            row = Row(texts + offsets[i], offsets[i + 1] - offsets[i], origins[i])
            if packed:
                n += put_item(out + n, &row, &ends[reasons[i]])
            else:
                n += put_line(out + n, &row, &ends[reasons[i]])
    return PyBytes_FromStringAndSize(<char*>out, n)
