"""Columns of prefix texts, in the layouts of Arrow, from and to columns of numbers, without the GIL.

The buffers come from whoever made them, so every offset is checked before it is followed.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

from rov._prefix cimport (
    LONGEST_TEXT, PARSE_OK, ParsedPrefix, ParseFault, parse_prefix, prefix_error, write_prefix,
)
from rov.errors import ArgumentError

LAYOUTS = {"string": OFFSETS_32, "large_string": OFFSETS_64, "string_view": VIEWS}

cdef enum:
    VIEW_BYTES = 16
    VIEW_INLINE = 12   # a text no longer than this stands in its view

# More rows than any memory holds, of which the octets can still be counted.
cdef Py_ssize_t MAX_ROWS = 1 << 48


@cython.final
cdef class TextColumn:
    """The texts of one Arrow array: ``count`` rows from row ``offset`` of its buffers on.

    layout is one of LAYOUTS; validity (None: no row is null), index (offsets or views) and data, a list,
    are uint8 arrays. ArgumentError: a buffer is too short for the rows.

    >>> import numpy as np
    >>> text = np.frombuffer(b"10.0.0.0/8", "u1")
    >>> len(TextColumn(0, 1, 0, None, np.array([0, 10], "i4").view("u1"), [text]))
    1
    """

    def __cinit__(self, int layout, Py_ssize_t count, Py_ssize_t offset, const uint8_t[::1] validity,
                  const uint8_t[::1] index not None, list data not None):
        cdef const uint8_t[::1] buffer
        cdef Py_ssize_t i, end = offset + count, wanted
        if layout not in (OFFSETS_32, OFFSETS_64, VIEWS) or count < 0 or offset < 0:
            raise ArgumentError("expected a layout of texts, and rows")
        if max(count, offset) > MAX_ROWS:
            raise ArgumentError(f"expected {MAX_ROWS} rows at most")
        if layout == VIEWS:
            wanted = VIEW_BYTES * end
        else:
            wanted = (end + 1) * (4 if layout == OFFSETS_32 else 8) if count else 0
        if index.shape[0] < wanted or (validity is not None and validity.shape[0] < (end + 7) // 8):
            raise ArgumentError(f"expected Arrow buffers for {end} rows, found shorter ones")
        if layout != VIEWS and len(data) != 1:
            raise ArgumentError(f"expected one buffer of texts, found {len(data)}")
        self.layout = <Layout>layout
        self.count = count
        self.offset = offset
        self.validity = validity
        self.index = index
        self.held = []
        self.buffers = len(data)
        self.data = <const uint8_t**>malloc(max(1, self.buffers) * sizeof(void*))
        self.sizes = <Py_ssize_t*>malloc(max(1, self.buffers) * sizeof(Py_ssize_t))
        if self.data == NULL or self.sizes == NULL:
            raise MemoryError()
        for i in range(self.buffers):
            buffer = data[i]
            self.held.append(buffer)
            self.sizes[i] = buffer.shape[0]
            self.data[i] = &buffer[0] if buffer.shape[0] else NULL

    def __dealloc__(self):
        free(self.data)
        free(self.sizes)

    def __len__(self):
        return self.count

    cdef Found text_at(self, Py_ssize_t row, Text* out) noexcept nogil:
        cdef const uint8_t* view
        cdef int32_t narrow[4]
        cdef int64_t wide[2]
        cdef int64_t buffer = 0, begin, end
        if row < 0 or row >= self.count:
            return OUT_OF_BOUNDS
        row += self.offset
        if self.validity is not None and not (self.validity[row >> 3] >> (row & 7)) & 1:
            return ABSENT
        # memcpy, since a buffer need not be aligned
        if self.layout == OFFSETS_32:
            memcpy(narrow, &self.index[4 * row], 8)
            begin = narrow[0]
            end = narrow[1]
        elif self.layout == OFFSETS_64:
            memcpy(wide, &self.index[8 * row], 16)
            begin = wide[0]
            end = wide[1]
        else:
            view = &self.index[VIEW_BYTES * row]
            memcpy(narrow, view, 16)
            if 0 <= narrow[0] <= VIEW_INLINE:
                out.start = view + 4
                out.size = narrow[0]
                return TEXT
            if narrow[0] < 0:
                return OUT_OF_BOUNDS
            buffer = narrow[2]
            begin = narrow[3]
            end = begin + narrow[0]
        if buffer < 0 or buffer >= self.buffers or begin < 0 or end < begin or end > self.sizes[buffer]:
            return OUT_OF_BOUNDS
        out.size = <Py_ssize_t>(end - begin)
        out.start = self.data[buffer] + begin if out.size else <const unsigned char*>b""
        return TEXT


@cython.final
cdef class Routes:
    """Room for so many routes, of either family, and in which row of their batch each stands.

    >>> [len(column) for column in Routes(8).ipv4()]
    [0, 0, 0, 0]
    """

    cdef tuple columns4     # address uint32 [n], length, origin, reason
    cdef tuple columns6     # the same, address uint64 [n, 2]
    cdef Py_ssize_t count4, count6, room
    cdef uint32_t[::1] address4, origin4, position4, origin6, position6
    cdef uint64_t[:, ::1] address6
    cdef uint8_t[::1] length4, length6, reason4, reason6

    def __cinit__(self, Py_ssize_t room):
        self.room = room
        rest = [[np.empty(room, dtype) for dtype in ("u1", "u4", "u1")] for _ in range(2)]
        self.columns4 = (np.empty(room, "u4"), *rest[0])
        self.columns6 = (np.empty((room, 2), "u8"), *rest[1])
        self.position4 = np.empty(room, "u4")
        self.position6 = np.empty(room, "u4")
        self.address4, self.length4, self.origin4, self.reason4 = self.columns4
        self.address6, self.length6, self.origin6, self.reason6 = self.columns6

    def ipv4(self):
        """Addresses, lengths, origins and room for reasons of the routes of IPv4, as a trie takes them."""
        return tuple([column[:self.count4] for column in self.columns4])

    def ipv6(self):
        """The same of IPv6."""
        return tuple([column[:self.count6] for column in self.columns6])

    cdef void put(self, const ParsedPrefix* prefix, uint32_t origin, Py_ssize_t position) noexcept nogil:
        cdef Py_ssize_t n
        if prefix.family == 4:
            n = self.count4
            self.address4[n] = <uint32_t>prefix.high
            self.length4[n] = prefix.length
            self.origin4[n] = origin
            self.position4[n] = <uint32_t>position
            self.count4 = n + 1
        else:
            n = self.count6
            self.address6[n, 0] = prefix.high
            self.address6[n, 1] = prefix.low
            self.length6[n] = prefix.length
            self.origin6[n] = origin
            self.position6[n] = <uint32_t>position
            self.count6 = n + 1

    def fill(self, TextColumn texts not None, const int64_t[::1] codes, Py_ssize_t first,
             const uint32_t[::1] origins not None, uint8_t[::1] known not None, bint strict):
        """Read the routes of rows ``first`` on, as many as there are origins; known: 1 where there is one.

        codes, if not None, are the rows of texts, -1 for null, as in a dictionary; otherwise row i has
        text i. A null gives no route. Without strict neither does a bad prefix; with it, its row and the
        error that says what is wrong with it are the answer, None otherwise. ArgumentError: texts out
        of their bounds.
        """
        cdef Py_ssize_t i, row, count = origins.shape[0]
        cdef Text text
        cdef Found found = TEXT
        cdef ParseFault fault = PARSE_OK
        cdef ParsedPrefix prefix
        if count > self.room or known.shape[0] != count or first < 0:
            raise ArgumentError("expected columns of equal length")
        if first + count > (texts.count if codes is None else codes.shape[0]):
            raise ArgumentError("expected as many texts as origins")
        self.count4 = self.count6 = 0
        with nogil:
            for i in range(count):
                row = first + i if codes is None else <Py_ssize_t>codes[first + i]
                found = ABSENT if codes is not None and row == -1 else texts.text_at(row, &text)
                if found == OUT_OF_BOUNDS:
                    break
                known[i] = found == TEXT
                if found == ABSENT:
                    continue
                fault = parse_prefix(text.start, text.size, &prefix)
                if fault == PARSE_OK:
                    self.put(&prefix, origins[i], i)
                elif strict:
                    break
                else:
                    known[i] = 0
        if found == OUT_OF_BOUNDS:
            raise ArgumentError(f"row {first + i}: its text lies outside of the Arrow buffers")
        if strict and fault != PARSE_OK:
            return first + i, prefix_error(text.start[:text.size].decode("utf-8", "replace"), fault)
        return None

    def scatter(self, uint8_t[::1] reasons not None):
        """Put the reason of each route, found by a trie, where its row is."""
        cdef Py_ssize_t i, count = reasons.shape[0]
        if self.count4 + self.count6 > count or count > self.room:
            raise ArgumentError("expected a row for each route")
        with nogil:
            for i in range(self.count4):
                reasons[self.position4[i]] = self.reason4[i]
            for i in range(self.count6):
                reasons[self.position6[i]] = self.reason6[i]


def format_column(int family, addresses not None, const uint8_t[::1] lengths not None):
    """Prefixes as texts in one piece: offsets int32 [n + 1] and the characters uint8.

    addresses as in VrpColumns, of the family.

    >>> import numpy as np
    >>> offsets, text = format_column(4, np.array([0, 10 << 24], "u4"), np.array([0, 8], "u1"))
    >>> offsets.tolist(), text.tobytes()
    ([0, 9, 19], b'0.0.0.0/010.0.0.0/8')
    """
    cdef Py_ssize_t i, count = lengths.shape[0]
    cdef int32_t at = 0
    cdef ParsedPrefix prefix
    cdef const uint32_t[::1] address4 = addresses if family == 4 else None
    cdef const uint64_t[:, ::1] address6 = addresses if family == 6 else None
    if family not in (4, 6) or len(addresses) != count or (family == 6 and address6.shape[1] != 2):
        raise ArgumentError("expected family 4 or 6 and its addresses, one a length")
    if count >= 2**31 // LONGEST_TEXT:
        raise ArgumentError(f"expected fewer than {2**31 // LONGEST_TEXT} rows")
    offsets = np.empty(count + 1, np.int32)
    text = np.empty((count + 1) * LONGEST_TEXT, np.uint8)
    cdef int32_t[::1] ends = offsets
    cdef uint8_t[::1] out = text
    prefix.family = <uint8_t>family
    prefix.low = 0
    with nogil:
        for i in range(count):
            ends[i] = at
            if prefix.family == 4:
                prefix.high = address4[i]
            else:
                prefix.high = address6[i, 0]
                prefix.low = address6[i, 1]
            prefix.length = lengths[i]
            at += write_prefix(&prefix, <char*>&out[at])
        ends[count] = at
    return offsets, text[:at].copy()
