"""Rows of VRP files, as decoded, to VRP columns: the one loop that every reader of VRPs ends in."""

import numpy as np

cimport cython

from cpython.list cimport PyList_GET_ITEM
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_Check
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_Check
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rov._prefix cimport PARSE_OK, ParsedPrefix, ParseFault, parse_prefix, prefix_error
from rov._texts cimport ABSENT, TEXT, Found, Text, TextColumn
from rov.errors import ArgumentError

# ta is a uint8 column (rov.snapshot.MAX_TRUST_ANCHORS).
cdef enum:
    MAX_TRUST_ANCHORS = 256
    FIRST_CAPACITY = 1024
    LONGEST_NUMBER = 12

ABSENT_NUMBER = -2
"""In a column of numbers: there is none."""

cdef int64_t NO_NUMBER = ABSENT_NUMBER
cdef int64_t MAX_ASN = 0xFFFFFFFF
cdef int64_t MAX_TIME = 253402300799  # the last second of 9999, as of a certificate (RFC 5280 4.1.2.5)


cdef int64_t number_of(object value, bint as_prefix) noexcept:
    """An int, or its decimal text, which may begin with "AS" where that is allowed; -1 if it is neither."""
    cdef int overflow = 0
    cdef int64_t number = 0
    cdef Py_ssize_t i = 0, size
    cdef const char* text
    if PyLong_Check(value):
        number = PyLong_AsLongLongAndOverflow(value, &overflow)
        return number if overflow == 0 and number >= 0 else -1
    if not PyUnicode_Check(value):
        return -1
    try:
        text = PyUnicode_AsUTF8AndSize(value, &size)
    except UnicodeError:
        return -1
    if as_prefix and size > 2 and text[0] | 32 == b'a' and text[1] | 32 == b's':
        i = 2
    # more digits could not be meant, and would overflow sooner or later
    if i == size or size - i > LONGEST_NUMBER:
        return -1
    while i < size:
        if not 48 <= text[i] <= 57:
            return -1
        number = number * 10 + (text[i] - 48)
        i += 1
    return number


cdef inline object shown(object value):
    """A value for an error message, bounded."""
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."


def asn_of(value):
    """The AS number in 13335, "13335" or "AS13335"; None if it is none.

    >>> asn_of("AS13335"), asn_of("AS")
    (13335, None)
    """
    cdef int64_t number = number_of(value, True)
    return number if 0 <= number <= MAX_ASN else None


cdef class _Table:
    """The columns of one family, which grow as rows come."""

    cdef readonly object address, length, max_length, asn, expires, ta
    cdef uint32_t[::1] address4
    cdef uint64_t[:, ::1] address6
    cdef uint8_t[::1] lengths, max_lengths, tas
    cdef uint32_t[::1] asns
    cdef int64_t[::1] times
    cdef Py_ssize_t count, capacity
    cdef int family

    def __cinit__(self, int family):
        self.family = family
        self.count = self.capacity = 0
        self.grow(FIRST_CAPACITY)

    cdef grow(self, Py_ssize_t capacity):
        """Room for so many rows; those that are there stay."""
        address = np.empty(capacity, np.uint32) if self.family == 4 else np.empty((capacity, 2), np.uint64)
        fresh = [address, np.empty(capacity, np.uint8), np.empty(capacity, np.uint8),
                 np.empty(capacity, np.uint32), np.empty(capacity, np.int64), np.empty(capacity, np.uint8)]
        if self.count:
            for old, new in zip(self.columns(), fresh):
                new[:self.count] = old
        self.address, self.length, self.max_length, self.asn, self.expires, self.ta = fresh
        if self.family == 4:
            self.address4 = self.address
        else:
            self.address6 = self.address
        self.lengths, self.max_lengths, self.asns = self.length, self.max_length, self.asn
        self.times, self.tas = self.expires, self.ta
        self.capacity = capacity

    cdef reserve(self, Py_ssize_t rows):
        """Room for so many rows more."""
        if self.count + rows > self.capacity:
            self.grow(max(self.capacity * 2, self.count + rows))

    cdef void put(self, const ParsedPrefix* prefix, int64_t max_length, int64_t asn, int64_t expires,
                  int64_t ta) noexcept nogil:
        """Append a row for which there is room."""
        cdef Py_ssize_t row = self.count
        if self.family == 4:
            self.address4[row] = <uint32_t>prefix.high
        else:
            self.address6[row, 0] = prefix.high
            self.address6[row, 1] = prefix.low
        self.lengths[row] = prefix.length
        self.max_lengths[row] = <uint8_t>max_length
        self.asns[row] = <uint32_t>asn
        self.times[row] = expires
        self.tas[row] = <uint8_t>ta
        self.count = row + 1

    cdef columns(self):
        n = self.count
        return (self.address[:n], self.length[:n], self.max_length[:n], self.asn[:n],
                self.expires[:n], self.ta[:n])


@cython.final
cdef class Rows:
    """Takes rows of any VRP file and holds them as columns, in the order of the file.

    A value may come as int or text, as files have it; None stands for an absent one: max_length is
    then the prefix length, expires 0 (not stated), ta "".

    >>> rows = Rows()
    >>> rows.add("AS64496", "192.0.2.0/24", None, "ripe", 1700000000)
    >>> rows.add("AS", "192.0.2.0/24", None, "ripe", 1700000000)
    "asn 'AS': expected 0 to 4294967295, with or without AS before it"
    >>> rows.ipv4()[3].tolist(), rows.trust_anchors
    ([64496], ('ripe',))
    """

    cdef _Table table4, table6
    cdef dict names
    cdef object last_name
    cdef int last_index

    def __cinit__(self):
        self.table4 = _Table(4)
        self.table6 = _Table(6)
        self.names = {}
        self.last_name = None
        self.last_index = 0

    cdef int ta_of(self, object name):
        """The index of a trust anchor; -1 if the column cannot hold another one."""
        if name is None:
            name = ""
        # neighbours in a file mostly have the same one
        if self.last_name is not None and name == self.last_name:
            return self.last_index
        index = self.names.get(name)
        if index is None:
            index = len(self.names)
            if index >= MAX_TRUST_ANCHORS:
                return -1
            self.names[name] = index
        self.last_name = name
        self.last_index = index
        return self.last_index

    cdef object take(self, object asn, object prefix, object max_length, object ta, object expires):
        """Append one row; None, or what is wrong with it."""
        cdef ParsedPrefix parsed
        cdef ParseFault fault
        cdef Py_ssize_t size
        cdef const char* text
        cdef int64_t number, longest, until = 0
        cdef int bits, name
        cdef _Table table
        number = number_of(asn, True)
        if not 0 <= number <= MAX_ASN:
            return f"asn {shown(asn)}: expected 0 to {MAX_ASN}, with or without AS before it"
        try:
            text = PyUnicode_AsUTF8AndSize(prefix, &size)
        except (TypeError, UnicodeError):
            return f"prefix {shown(prefix)}: expected a text such as '192.0.2.0/24'"
        fault = parse_prefix(<const unsigned char*>text, size, &parsed)
        if fault != PARSE_OK:
            return f"prefix {prefix_error(prefix, fault)}"
        longest = parsed.length if max_length is None else number_of(max_length, False)
        bits = 32 if parsed.family == 4 else 128
        if not parsed.length <= longest <= bits:
            return f"maxLength {shown(max_length)} of {prefix}: expected {parsed.length} to {bits}"
        if expires is not None:
            until = number_of(expires, False)
            if not 0 <= until <= MAX_TIME:
                return f"expires {shown(expires)}: expected a time in unix seconds"
        if ta is not None and not PyUnicode_Check(ta):
            return f"ta {shown(ta)}: expected the name of a trust anchor"
        name = self.ta_of(ta)
        if name < 0:
            return f"ta {shown(ta)}: expected at most {MAX_TRUST_ANCHORS} different trust anchors in one file"
        table = self.table4 if parsed.family == 4 else self.table6
        table.reserve(1)
        table.put(&parsed, longest, number, until, name)
        return None

    def add(self, asn, prefix, max_length, ta, expires):
        """Append one row; None, or a text that says what is wrong with it."""
        return self.take(asn, prefix, max_length, ta, expires)

    def extend(self, list rows not None, provenance, report):
        """Append objects with the attributes asn, prefix, maxLength, ta, expires and source.

        Where source is not None, provenance(source) gives (ta, expires). Each bad row is left out, and
        report(its number from 1, what is wrong) is called, which may raise.
        """
        cdef Py_ssize_t i
        cdef object row, ta, expires
        for i in range(len(rows)):
            row = <object>PyList_GET_ITEM(rows, i)
            ta, expires = row.ta, row.expires
            if row.source is not None:
                ta, expires = provenance(row.source)
            fault = self.take(row.asn, row.prefix, row.maxLength, ta, expires)
            if fault is not None:
                report(i + 1, fault)

    def trust_anchor(self, str name not None):
        """The index of a trust anchor, a new one if need be; None if the column cannot hold another one.

        >>> rows = Rows()
        >>> rows.trust_anchor("ripe"), rows.trust_anchor("arin"), rows.trust_anchor("ripe")
        (0, 1, 0)
        """
        index = self.ta_of(name)
        return None if index < 0 else index

    def extend_columns(self, TextColumn prefixes not None, const int64_t[::1] codes,
                       const int64_t[::1] asn not None, const int64_t[::1] max_length not None,
                       const int64_t[::1] ta not None, const int64_t[::1] expires not None,
                       uint8_t[::1] taken not None):
        """Append the rows of columns that are VRPs as they stand, without the GIL; taken: 1 where one is.

        codes, if not None, are the rows of prefixes, -1 for null, as in a dictionary. max_length
        ABSENT_NUMBER stands for the length of the prefix; ta is an index that trust_anchor gave. What is not
        taken add can take, or say what is wrong with it. ArgumentError: columns that do not fit each other,
        or texts out of their bounds.
        """
        cdef Py_ssize_t i, row, count = asn.shape[0]
        cdef int64_t longest
        cdef Text text
        cdef Found found = TEXT
        cdef ParsedPrefix prefix
        if not (count == max_length.shape[0] == ta.shape[0] == expires.shape[0] == taken.shape[0]
                == (len(prefixes) if codes is None else codes.shape[0])):
            raise ArgumentError("expected columns of equal length")
        self.table4.reserve(count)
        self.table6.reserve(count)
        with nogil:
            for i in range(count):
                row = i if codes is None else <Py_ssize_t>codes[i]
                found = ABSENT if codes is not None and row == -1 else prefixes.text_at(row, &text)
                if found == TEXT:
                    taken[i] = (
                        0 <= asn[i] <= MAX_ASN and 0 <= expires[i] <= MAX_TIME
                        and 0 <= ta[i] < MAX_TRUST_ANCHORS
                        and parse_prefix(text.start, text.size, &prefix) == PARSE_OK
                    )
                    if not taken[i]:
                        continue
                    longest = prefix.length if max_length[i] == NO_NUMBER else max_length[i]
                    if not prefix.length <= longest <= (32 if prefix.family == 4 else 128):
                        taken[i] = 0
                    elif prefix.family == 4:
                        self.table4.put(&prefix, longest, asn[i], expires[i], ta[i])
                    else:
                        self.table6.put(&prefix, longest, asn[i], expires[i], ta[i])
                elif found == ABSENT:
                    taken[i] = 0
                else:
                    break
        if found != TEXT and found != ABSENT:
            raise ArgumentError(f"row {i}: its text lies outside of the Arrow buffers")

    def ipv4(self):
        """Columns address uint32 [n], length, max_length, asn, expires, ta."""
        return self.table4.columns()

    def ipv6(self):
        """Columns address uint64 [n, 2], length, max_length, asn, expires, ta."""
        return self.table6.columns()

    @property
    def trust_anchors(self):
        """The names that the ta columns index."""
        return tuple(self.names)

    def __len__(self):
        return self.table4.count + self.table6.count
