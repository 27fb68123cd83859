"""Lines of text that say who originates what, to columns: one pass, the GIL released.

One parser serves bgpdump -m, RIS whois dumps, pfx2as, pyasn and CSV: they differ in the separator and in
which field means what.
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from rov._mrt_peers cimport NO_PEER, Peer, Peers, number_of
from rov._mrt_prefixes cimport high_bits
from rov._mrt_rows cimport (
    AS_SET, EMPTY_PATH, WITHDRAWN, Row, Rows, cut_rows, empty_rows, free_rows, put_row, take_rows,
)
from rov._prefix cimport LONGEST_TEXT, PARSE_HOST_BITS, PARSE_OK, ParsedPrefix, ParseFault, parse_prefix

# Fields of a line that can be told apart: bgpdump -m has 15, real CSV tables fewer than 20.
cdef enum:
    MAX_FIELDS = 32
    NAMED_FAULTS = 5      # bad lines that are kept to be shown
    SHOWN_OCTETS = 60

# What is wrong with a line.
cdef enum Fault:
    FAULT_NONE = 0
    FAULT_FIELDS
    FAULT_PREFIX
    FAULT_ORIGIN
    FAULT_COUNT
    FAULT_PEER
    FAULT_MEMORY

FAULTS = (
    "", "fewer fields than expected", "no IP prefix", "no origin AS", "no number of peers", "no peer", "",
)
"""Words for the faults of a line."""


cdef struct Text:
    const uint8_t* at
    Py_ssize_t size


cdef struct FieldAt:      # which field means what; -1 if none does
    int prefix
    int length
    int origin
    int count
    int kind
    int time
    int peer
    int peer_as


cdef inline void mask(ParsedPrefix* p) noexcept nogil:
    """Clear the bits beyond the length."""
    if p.family == 4:
        p.high = high_bits(p.high << 32, p.length) >> 32
    else:
        p.high = high_bits(p.high, min(p.length, 64))
        p.low = high_bits(p.low, max(p.length - 64, 0))


cdef bint read_number(Text t, uint32_t* out) noexcept nogil:
    """A decimal of 32 bits over exactly the text."""
    cdef uint64_t value = 0
    cdef Py_ssize_t i
    if not 0 < t.size <= 10:
        return False
    for i in range(t.size):
        if not 48 <= t.at[i] <= 57:
            return False
        value = value * 10 + (t.at[i] - 48)
    out[0] = <uint32_t>value
    return value >> 32 == 0


cdef bint read_asn(Text t, uint32_t* out) noexcept nogil:
    """13335, AS13335 or 1.10 (RFC 5396)."""
    cdef const uint8_t* dot
    cdef uint32_t low
    cdef Text part
    if t.size > 2 and t.at[0] | 32 == b'a' and t.at[1] | 32 == b's':
        t.at += 2
        t.size -= 2
    if t.size <= 0:
        return False
    dot = <const uint8_t*>memchr(t.at, b'.', <size_t>t.size)
    if dot == NULL:
        return read_number(t, out)
    part.at = t.at
    part.size = dot - t.at
    if not read_number(part, out) or out[0] > 0xFFFF:
        return False
    part.at = dot + 1
    part.size = t.size - part.size - 1
    if not read_number(part, &low) or low > 0xFFFF:
        return False
    out[0] = (out[0] << 16) | low
    return True


cdef inline Text trimmed(Text t) noexcept nogil:
    while t.size and t.at[0] <= 32:
        t.at += 1
        t.size -= 1
    while t.size and t.at[t.size - 1] <= 32:
        t.size -= 1
    return t


cdef bint read_origin(Text t, Row* row) noexcept nogil:
    """The origin of a path, or of a field that holds the origin alone (RFC 6811 §2)."""
    cdef Py_ssize_t i
    cdef uint8_t last
    row.origin = 0
    row.flags = 0
    if t.size == 0:
        row.flags = EMPTY_PATH
        return True
    last = t.at[t.size - 1]
    if last == b'}':
        row.flags = AS_SET
        return True
    if last == b')' or last == b']':
        row.flags = EMPTY_PATH
        return True
    i = t.size
    while i and t.at[i - 1] != b' ':
        if t.at[i - 1] == b',':
            row.flags = AS_SET
            return True
        i -= 1
    t.at += i
    t.size -= i
    if not read_asn(t, &row.origin):
        return False
    if row.origin == 0:
        row.flags = EMPTY_PATH
    return True


cdef int split(Text line, uint8_t separator, Text* fields) noexcept nogil:
    """The fields of a line, at most MAX_FIELDS; a field in quotes may hold the separator."""
    cdef const uint8_t* end = line.at + line.size
    cdef const uint8_t* at = line.at
    cdef const uint8_t* stop
    cdef int n = 0
    while n < MAX_FIELDS:
        if at < end and at[0] == b'"':
            stop = <const uint8_t*>memchr(at + 1, b'"', <size_t>(end - at - 1))
            if stop == NULL:
                stop = end
            fields[n].at = at + 1
            fields[n].size = stop - at - 1
            at = stop
        else:
            fields[n].at = at
            fields[n].size = -1
        stop = <const uint8_t*>memchr(at, separator, <size_t>(end - at)) if at < end else NULL
        if stop == NULL:
            stop = end
        if fields[n].size < 0:
            fields[n].size = stop - fields[n].at
        n += 1
        if stop == end:
            break
        at = stop + 1
    return n


cdef bint read_prefix(Text address, Text length, ParsedPrefix* out) noexcept nogil:
    """ADDRESS/LENGTH, or the two apart; host bits are cleared."""
    cdef uint8_t joined[LONGEST_TEXT]
    cdef ParseFault fault
    if length.size:
        if address.size + length.size >= LONGEST_TEXT:
            return False
        memcpy(joined, address.at, <size_t>address.size)
        joined[address.size] = b'/'
        memcpy(joined + address.size + 1, length.at, <size_t>length.size)
        fault = parse_prefix(joined, address.size + length.size + 1, out)
    else:
        fault = parse_prefix(address.at, address.size, out)
    if fault == PARSE_HOST_BITS:
        mask(out)
        return True
    return fault == PARSE_OK


cdef inline bint ends_add_path(Text kind) noexcept nogil:
    """Whether bgpdump says that a line is of a session with ADD-PATH: BGP4MP_AP, TABLE_DUMP2_AP."""
    return kind.size > 3 and memcmp(kind.at + kind.size - 3, b"_AP", 3) == 0


cdef bint read_peer(Text address, Text asn, Peer* out) noexcept nogil:
    """The address and AS of a peer; the address is read as a prefix of full length."""
    cdef ParsedPrefix p
    cdef Text length
    cdef bint ipv6 = memchr(address.at, b':', <size_t>address.size) != NULL
    length.at = <const uint8_t*>(b"128" if ipv6 else b"32")
    length.size = 3 if ipv6 else 2
    if not read_prefix(address, length, &p) or not read_asn(asn, &out.asn):
        return False
    out.high, out.low, out.family = p.high, p.low, p.family
    return True


@cython.final
cdef class LineParser:
    """Reads lines whose fields have fixed places; comments begin with % # or ;

    separator: its octet. fields: the places of prefix, length, origin, count, kind, time, peer, peer AS, -1
    where there is none. With a kind (bgpdump -m), lines other than A, B and W are passed over. more: the
    octet between several origins of one prefix, 0 if there is none.
    """

    cdef FieldAt at
    cdef int needed
    cdef uint8_t separator, more
    cdef Peers peers
    cdef Rows ipv4, ipv6
    cdef readonly size_t lines          # seen, with empty ones and comments
    cdef readonly size_t rows           # lines that gave a route or a withdrawal
    cdef readonly size_t bad
    cdef readonly list named            # (line, fault, text) of the first bad lines
    cdef size_t bad_lines[NAMED_FAULTS]
    cdef int bad_faults[NAMED_FAULTS]
    cdef Text bad_texts[NAMED_FAULTS]

    def __cinit__(self, Peers peers not None, uint8_t separator, tuple fields not None, uint8_t more=0):
        empty_rows(&self.ipv4)
        empty_rows(&self.ipv6)
        self.peers = peers
        self.separator = separator
        self.more = more
        (self.at.prefix, self.at.length, self.at.origin, self.at.count,
         self.at.kind, self.at.time, self.at.peer, self.at.peer_as) = fields
        if max(fields) >= MAX_FIELDS or min(self.at.prefix, self.at.origin) < 0:
            raise ValueError(f"expected a prefix and an origin among the first {MAX_FIELDS} fields")
        self.needed = 1 + max(fields)
        self.lines = self.rows = self.bad = 0
        self.named = []

    def __dealloc__(self):
        free_rows(&self.ipv4)
        free_rows(&self.ipv6)

    def parse(self, const uint8_t[::1] data not None):
        """Read whole lines (the last one may lack its end); their rows wait for take."""
        cdef size_t known = self.bad
        cdef Py_ssize_t size = data.shape[0]
        cdef bint done = True
        if size == 0:
            return
        with nogil:
            done = self.read(&data[0], size)
        if not done:
            raise MemoryError
        while known < self.bad and known < NAMED_FAULTS:
            text = self.bad_texts[known].at[:min(self.bad_texts[known].size, <Py_ssize_t>SHOWN_OCTETS)]
            self.named.append((self.bad_lines[known], self.bad_faults[known], text))
            known += 1

    def take(self):
        """The rows read since the last call: (IPv4, IPv6), each the columns of _mrt_rows.Rows as bytes."""
        return take_rows(&self.ipv4), take_rows(&self.ipv6)

    cdef bint read(self, const uint8_t* at, Py_ssize_t size) noexcept nogil:
        cdef const uint8_t* end = at + size
        cdef const uint8_t* stop
        cdef Text line
        cdef int fault
        while at < end:
            stop = <const uint8_t*>memchr(at, b'\n', <size_t>(end - at))
            if stop == NULL:
                stop = end
            self.lines += 1
            line.at = at
            line.size = stop - at
            at = stop + 1
            if line.size and line.at[line.size - 1] == b'\r':
                line.size -= 1
            if line.size == 0 or line.at[0] == b'%' or line.at[0] == b'#' or line.at[0] == b';':
                continue
            fault = self.read_line(line)
            if fault == FAULT_MEMORY:
                return False
            if fault != FAULT_NONE:
                self.note(line, fault)
        return True

    cdef void note(self, Text line, int fault) noexcept nogil:
        if self.bad < NAMED_FAULTS:
            self.bad_lines[self.bad] = self.lines
            self.bad_faults[self.bad] = fault
            self.bad_texts[self.bad] = line
        self.bad += 1

    cdef int read_line(self, Text line) noexcept nogil:
        cdef Text fields[MAX_FIELDS]
        cdef Text none
        cdef Row row
        cdef ParsedPrefix prefix
        cdef Peer peer
        cdef int origin = self.at.origin
        cdef int n = split(line, self.separator, fields)
        none.at = line.at
        none.size = 0
        row.time = row.path_id = row.count = row.path = row.origin = 0
        row.peer = NO_PEER
        row.flags = 0
        if self.at.kind >= 0:
            if n <= self.at.kind or fields[self.at.kind].size != 1:
                return FAULT_NONE if n > 2 else FAULT_FIELDS
            if fields[self.at.kind].at[0] == b'W':
                row.flags = WITHDRAWN
            if ends_add_path(fields[0]):
                # its path id stands before the path
                if origin >= n or not read_number(fields[origin], &row.path_id):
                    return FAULT_FIELDS
                origin += 1
        if n < self.needed + origin - self.at.origin - (row.flags == WITHDRAWN):
            return FAULT_FIELDS
        if not read_prefix(trimmed(fields[self.at.prefix]),
                           trimmed(fields[self.at.length]) if self.at.length >= 0 else none, &prefix):
            return FAULT_PREFIX
        row.high, row.low, row.length, row.family = prefix.high, prefix.low, prefix.length, prefix.family
        if self.at.count >= 0 and not read_number(trimmed(fields[self.at.count]), &row.count):
            return FAULT_COUNT
        if self.at.time >= 0:
            read_number(fields[self.at.time], &row.time)
        if self.at.peer >= 0:
            if not read_peer(fields[self.at.peer], fields[self.at.peer_as], &peer):
                return FAULT_PEER
            row.peer = number_of(&self.peers.table, &peer)
        if row.flags == WITHDRAWN:
            self.rows += 1
            return FAULT_NONE if self.put(&row) else FAULT_MEMORY
        return self.read_origins(trimmed(fields[origin]), &row)

    cdef int read_origins(self, Text origins, Row* row) noexcept nogil:
        """A row for each origin of the field, several where the format has MOAS; none if one is bad."""
        cdef Rows* rows = &self.ipv4 if row.family == 4 else &self.ipv6
        cdef size_t before = rows.count
        cdef const uint8_t* stop = NULL
        cdef Text part
        self.rows += 1
        while True:
            if self.more and origins.size:
                stop = <const uint8_t*>memchr(origins.at, self.more, <size_t>origins.size)
            part.at = origins.at
            part.size = origins.size if stop == NULL else stop - origins.at
            if not read_origin(part, row):
                self.rows -= 1
                cut_rows(rows, before, row.family)
                return FAULT_ORIGIN
            if not self.put(row):
                return FAULT_MEMORY
            if stop == NULL:
                return FAULT_NONE
            origins.size -= part.size + 1
            origins.at = stop + 1
            stop = NULL

    cdef bint put(self, const Row* row) noexcept nogil:
        return put_row(&self.ipv4 if row.family == 4 else &self.ipv6, row)
