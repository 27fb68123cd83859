"""MRT dumps (RFC 6396, RFC 8050) to columns: TABLE_DUMP, TABLE_DUMP_V2, BGP4MP and their kin.

Octets come in pieces of any size; what is decoded waits as columns. A record that is bad is left out as a
whole, noted, and the next one read: records state their length. Nothing here touches Python while a piece
is read.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memmove, memset

from rov._cursor cimport Cursor, left, read_u32, rov_likely, skip
from rov._mrt_format cimport (
    FAULT_LENGTH, FAULT_NONE, FAULT_SHORT, HEADER_OCTETS, LEGACY_UPDATE, STOP_FULL, STOP_LONGER, STOP_MEMORY,
    TYPE_BGP, TYPE_BGP4MP, TYPE_BGP4MP_ET, TYPE_TABLE_DUMP, TYPE_TABLE_DUMP_V2, Header, read_header,
)
from rov._mrt_peers cimport Peers
from rov._mrt_routes cimport Routes
from rov._mrt_rows cimport Buffer, Lists, reserve, take, take_rows
from rov._mrt_sink cimport Counts, Marks, Sink, cut_sink, fit_words, free_sink, is_full, marks_of
from rov._mrt_tables cimport table_dump, table_dump_v2
from rov._mrt_updates cimport bgp4mp, legacy_update

# The longest record read. A RIB record has at most 65,535 entries, but a real one below 200 of some 100
# octets; 64 MiB is 1,000 octets for each of them. A header that claims more is taken for damage.
cdef enum:
    MAX_RECORD_OCTETS = 64 << 20

cdef enum:
    NAMED_FAULTS = 5      # bad records that are kept to be shown

FAULTS = (
    "", "shorter than its content", "no sound prefix", "no known address family", "no sound list of prefixes",
    "no sound BGP message", "longer than any record expected", "of more entries than any record expected",
    "", "", "",
)
"""Words for the faults of a record."""

# How TABLE_DUMP records state their length: the collectors of the year 2000 left out view and sequence.
cdef enum Lengths:
    LENGTHS_UNKNOWN = 0
    LENGTHS_WHOLE
    LENGTHS_TRIED
    LENGTHS_SHORT
    LEFT_OUT_OCTETS = 4

MAX_RECORD = MAX_RECORD_OCTETS
"""The longest record that is read, in octets."""


@cython.final
cdef class Parser:
    """Reads records and keeps what they say of routes.

    distinct: joins the entries of a record into distinct routes with sets of peers, for take_routes;
    otherwise every entry and withdrawal is a row, for take_rows, paths: with its path and communities.
    multicast: takes SAFI 2 as well. local: takes messages that the collector sent as well.

    >>> parser = Parser(Peers(), distinct=True)
    >>> parser.feed(bytes(12)), parser.parse(), parser.counts()["passed"]
    (None, False, 1)
    """

    cdef Peers peers
    cdef Sink sink
    cdef const uint8_t[::1] piece         # held while it is read
    cdef Cursor input
    cdef Buffer carry                     # the start of a record that the last piece did not hold whole
    cdef readonly uint64_t offset         # of the next record
    cdef int lengths                      # of TABLE_DUMP records
    cdef bint lost                        # the framing is: nothing more is read
    cdef uint64_t bad_offsets[NAMED_FAULTS]
    cdef Header bad_headers[NAMED_FAULTS]
    cdef int bad_faults[NAMED_FAULTS]

    def __cinit__(self, Peers peers not None, bint distinct=False, bint paths=False, bint multicast=False,
                  bint local=False):
        memset(&self.sink, 0, sizeof(Sink))
        self.peers = peers
        self.sink.peers = &peers.table
        self.sink.distinct = distinct
        self.sink.with_paths = paths and not distinct
        self.sink.multicast = multicast
        self.sink.local = local
        self.sink.words = 1

    def __dealloc__(self):
        free_sink(&self.sink)
        free(self.carry.data)

    def feed(self, const uint8_t[::1] piece not None):
        """Give the next octets, which must not change until parse has returned False.

        ValueError: the last ones are not read yet.
        """
        if left(&self.input):
            raise ValueError("the last piece is not read to its end")
        self.piece = piece
        self.input.at = self.input.end = NULL
        if piece.shape[0]:
            self.input.at = &piece[0]
            self.input.end = self.input.at + piece.shape[0]

    def parse(self):
        """Read on: True if what waits must be taken first, False if more octets are wanted."""
        cdef int stopped
        with nogil:
            stopped = self.read_records()
        if stopped == STOP_MEMORY:
            raise MemoryError
        return stopped == STOP_FULL

    def pending(self):
        """Octets at the end of what was fed that are no whole record."""
        return self.carry.used

    def counts(self):
        """What was seen so far, by the names of the struct Counts."""
        return self.sink.seen

    def named(self):
        """The first bad records: (offset, type, subtype, fault)."""
        return [
            (self.bad_offsets[i], self.bad_headers[i].type, self.bad_headers[i].subtype, self.bad_faults[i])
            for i in range(min(self.sink.seen.bad, <size_t>NAMED_FAULTS))
        ]

    def take_routes(self):
        """The distinct routes read since the last call: (words, IPv4, IPv6), each the columns of Routes."""
        return self.sink.words, take_routes(&self.sink.routes4), take_routes(&self.sink.routes6)

    def take_rows(self):
        """The rows read since the last call: (IPv4, IPv6), each the columns of Rows."""
        return take_rows(&self.sink.rows4), take_rows(&self.sink.rows6)

    def take_paths(self):
        """Paths of these rows: ASes, ends, communities, ends, large communities (three words each), ends.

        An end is the number of words up to it. Column paths of the rows counts from 0 here.
        """
        self.sink.path_count = 0
        return (*take_lists(&self.sink.paths), *take_lists(&self.sink.communities),
                *take_lists(&self.sink.large))

    # Records

    cdef int read_records(self) noexcept nogil:
        """Read what there is: FAULT_NONE when more octets are needed, or why it stopped."""
        cdef Cursor record
        cdef int stopped
        while not self.lost:
            if not self.next_record(&record, &stopped):
                return stopped
            stopped = self.read_record(record)
            if stopped != FAULT_NONE and stopped != STOP_LONGER:
                return stopped
        self.input.at = self.input.end
        return FAULT_NONE

    cdef bint next_record(self, Cursor* out, int* stopped) noexcept nogil:
        """The next whole record, header and all; if there is none, what is left is kept for later."""
        cdef Header header
        stopped[0] = FAULT_NONE
        if self.carry.used:
            return self.completed(out, stopped)
        if left(&self.input) >= HEADER_OCTETS:
            read_header(self.input.at, &header)
            if header.size > MAX_RECORD_OCTETS:
                self.lose(&header)
                return False
            if rov_likely(left(&self.input) >= self.octets_of(&header)):
                out.at = self.input.at
                out.end = out.at + self.octets_of(&header)
                return True
        if not self.keep(left(&self.input)):
            stopped[0] = STOP_MEMORY
        return False

    cdef bint completed(self, Cursor* out, int* stopped) noexcept nogil:
        """The record whose start was kept, once the new piece holds the rest."""
        cdef Header header
        cdef size_t wanted = HEADER_OCTETS
        if self.carry.used < wanted and not self.keep(min(wanted - self.carry.used, left(&self.input))):
            stopped[0] = STOP_MEMORY
            return False
        if self.carry.used < wanted:
            return False
        read_header(self.carry.data, &header)
        if header.size > MAX_RECORD_OCTETS:
            self.lose(&header)
            return False
        wanted = self.octets_of(&header)
        if self.carry.used < wanted and not self.keep(min(wanted - self.carry.used, left(&self.input))):
            stopped[0] = STOP_MEMORY
            return False
        out.at = self.carry.data
        out.end = out.at + wanted
        return self.carry.used >= wanted

    cdef inline size_t octets_of(self, const Header* header) noexcept nogil:
        """The length of a record with its header."""
        cdef size_t size = HEADER_OCTETS + <size_t>header.size
        if header.type == TYPE_TABLE_DUMP and self.lengths >= LENGTHS_TRIED:
            size += LEFT_OUT_OCTETS
        return size

    cdef bint keep(self, size_t count) noexcept nogil:
        """Move so many octets of the piece to those kept."""
        if count == 0:
            return True
        if not reserve(&self.carry, count):
            return False
        memcpy(self.carry.data + self.carry.used, self.input.at, count)
        self.carry.used += count
        self.input.at += count
        return True

    cdef void lose(self, const Header* header) noexcept nogil:
        """Give up: where the next record begins is not known."""
        self.note(header, FAULT_LENGTH)
        self.lost = True
        self.carry.used = 0
        self.input.at = self.input.end

    cdef void note(self, const Header* header, int fault) noexcept nogil:
        if self.sink.seen.bad < NAMED_FAULTS:
            self.bad_offsets[self.sink.seen.bad] = self.offset
            self.bad_headers[self.sink.seen.bad] = header[0]
            self.bad_faults[self.sink.seen.bad] = fault
        self.sink.seen.bad += 1

    cdef int read_record(self, Cursor record) noexcept nogil:
        """Decode one record and step over it; STOP_FULL: not yet, what waits must be taken first."""
        cdef Header header
        cdef Counts before = self.sink.seen
        cdef Marks marks = marks_of(&self.sink)
        cdef size_t size = left(&record)
        cdef int fault
        if is_full(&self.sink):
            return STOP_FULL
        read_header(record.at, &header)
        skip(&record, HEADER_OCTETS)
        fault = self.decode(&header, record) if fit_words(&self.sink) else STOP_FULL
        if fault != FAULT_NONE:
            self.sink.seen = before
            cut_sink(&self.sink, &marks)
            if fault >= STOP_FULL:
                return fault
            self.note(&header, fault)
        self.sink.seen.records += 1
        self.offset += size
        if self.carry.used:
            # a record that was taken for longer than it is has left the start of the next one
            memmove(self.carry.data, self.carry.data + size, self.carry.used - size)
            self.carry.used -= size
        else:
            self.input.at += size
        return FAULT_NONE

    cdef int decode(self, const Header* header, Cursor body) noexcept nogil:
        cdef uint32_t microseconds
        if header.type == TYPE_TABLE_DUMP_V2:
            return table_dump_v2(&self.sink, header.subtype, body)
        if header.type == TYPE_TABLE_DUMP:
            return self.table_dump_record(header.subtype, body)
        if header.type == TYPE_BGP4MP:
            return bgp4mp(&self.sink, header, body)
        if header.type == TYPE_BGP4MP_ET:
            if not read_u32(&body, &microseconds):
                return FAULT_SHORT
            return bgp4mp(&self.sink, header, body)
        if header.type == TYPE_BGP and header.subtype == LEGACY_UPDATE:
            return legacy_update(&self.sink, header, body)
        self.sink.seen.passed += 1
        return FAULT_NONE

    cdef int table_dump_record(self, uint16_t subtype, Cursor body) noexcept nogil:
        """A TABLE_DUMP record, whose first one tells whether they are longer than they state.

        Those of the year 2000 are, by four octets: the first record of such a dump has several entries, and
        the last one is cut off.
        """
        cdef size_t entries
        cdef int fault
        if not 1 <= subtype <= 4:
            self.sink.seen.passed += 1
            return FAULT_NONE
        fault = table_dump(&self.sink, subtype, body, &entries)
        return fault if entries == 0 else self.with_length_known(fault, entries)

    cdef int with_length_known(self, int fault, size_t entries) noexcept nogil:
        """The fault of a TABLE_DUMP record; STOP_LONGER if it is to be read again with its true length."""
        if fault >= STOP_FULL:
            return fault
        if self.lengths == LENGTHS_UNKNOWN and fault == FAULT_SHORT and entries > 1:
            self.lengths = LENGTHS_TRIED
            return STOP_LONGER
        if self.lengths == LENGTHS_TRIED and fault != FAULT_NONE:
            # what cannot be read in either way is damaged, and its length is held for true
            self.lengths = LENGTHS_WHOLE
            return STOP_LONGER
        if self.lengths == LENGTHS_UNKNOWN:
            self.lengths = LENGTHS_WHOLE
        elif self.lengths == LENGTHS_TRIED:
            self.lengths = LENGTHS_SHORT
        return fault


cdef tuple take_lists(Lists* lists):
    return take(&lists.words), take(&lists.ends)


cdef object take_routes(Routes* routes):
    routes.count = 0
    return take(&routes.addresses), take(&routes.lengths), take(&routes.origins), take(&routes.sets)
