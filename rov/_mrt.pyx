"""MRT dumps (RFC 6396, RFC 8050) to columns: TABLE_DUMP, TABLE_DUMP_V2, BGP4MP and their kin.

Octets come in pieces of any size; what is decoded waits as columns. A record that is bad is left out as a
whole, noted, and the next one read: records state their length. Nothing here touches Python while a piece
is read.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memmove

from rov._cursor cimport (
    Cursor, left, read_part, read_u8, read_u16, read_u32, rov_likely, rov_load_u16, rov_load_u32, skip,
)
from rov._mrt_attributes cimport (
    Attributes, find_attributes, find_origin, origin_of, put_whole_path, put_words,
)
from rov._mrt_peers cimport NO_PEER, Peer, Peers
from rov._mrt_prefixes cimport BgpPrefix, are_prefixes, next_prefix, read_address, set_prefix
from rov._mrt_routes cimport (
    PEERS_PER_WORD, Joined, Routes, cut_routes, free_routes, join_peer, place_of, put_joined, start_joining,
)
from rov._mrt_rows cimport (
    AS_SET, EMPTY_PATH, WITHDRAWN, Buffer, Row, Rows, cut_rows, empty_rows, free_rows, put_row, put_u32,
    reserve, take, take_rows,
)

cdef enum:
    HEADER_OCTETS = 12

# The longest record read. A RIB record has at most 65,535 entries, but a real one below 200 of some 100
# octets; 64 MiB is 1,000 octets for each of them. A header that claims more is taken for damage.
cdef enum:
    MAX_RECORD_OCTETS = 64 << 20

# Rows after which a piece is interrupted, so that a batch stays at some 4 MB.
cdef enum:
    BATCH_ROWS = 1 << 17

cdef enum:
    NAMED_FAULTS = 5      # bad records that are kept to be shown

# Types of records (RFC 6396 §4, §5, and its appendix for BGP).
cdef enum:
    TYPE_BGP = 5
    TYPE_TABLE_DUMP = 12
    TYPE_TABLE_DUMP_V2 = 13
    TYPE_BGP4MP = 16
    TYPE_BGP4MP_ET = 17

# Subtypes of TABLE_DUMP_V2 (RFC 6396 §4.3, RFC 6397, RFC 8050 §4).
cdef enum:
    PEER_INDEX_TABLE = 1
    RIB_IPV4_UNICAST = 2
    RIB_IPV4_MULTICAST = 3
    RIB_IPV6_UNICAST = 4
    RIB_IPV6_MULTICAST = 5
    RIB_GENERIC = 6
    GEO_PEER_TABLE = 7
    RIB_IPV4_UNICAST_ADDPATH = 8
    RIB_IPV6_MULTICAST_ADDPATH = 11
    RIB_GENERIC_ADDPATH = 12

# Subtypes of BGP4MP (RFC 6396 §4.4, RFC 8050 §3).
cdef enum:
    STATE_CHANGE = 0
    MESSAGE = 1
    MESSAGE_AS4 = 4
    STATE_CHANGE_AS4 = 5
    MESSAGE_LOCAL = 6
    MESSAGE_AS4_LOCAL = 7
    MESSAGE_ADDPATH = 8
    MESSAGE_AS4_LOCAL_ADDPATH = 11

cdef enum:
    AFI_IPV4 = 1
    AFI_IPV6 = 2
    SAFI_UNICAST = 1
    SAFI_MULTICAST = 2
    MARKER_OCTETS = 16
    BGP_UPDATE = 2
    LEGACY_UPDATE = 1

# What is wrong with a record, or why reading stops before it.
cdef enum Fault:
    FAULT_NONE = 0
    FAULT_SHORT
    FAULT_PREFIX
    FAULT_FAMILY
    FAULT_NLRI
    FAULT_MESSAGE
    FAULT_LENGTH
    STOP_FULL             # the rows must be taken first
    STOP_LONGER           # the record is longer than it states
    STOP_MEMORY

FAULTS = (
    "", "shorter than its content", "no sound prefix", "no known address family", "no sound list of prefixes",
    "no sound BGP message", "longer than any record expected", "", "", "",
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


cdef struct Counts:
    size_t records        # read or passed over
    size_t entries        # routes, one a peer
    size_t as_set
    size_t empty_path
    size_t withdrawn
    size_t unknown_peers
    size_t malformed      # entries left out for their attributes (RFC 7606)
    size_t bad            # records left out
    size_t passed         # records of a type, or about a family, that holds no routes for us
    size_t local          # messages that the collector sent


cdef struct Header:
    uint32_t time
    uint16_t type
    uint16_t subtype
    uint32_t size


cdef inline void read_header(const uint8_t* at, Header* out) noexcept nogil:
    out.time = rov_load_u32(at)
    out.type = rov_load_u16(at + 4)
    out.subtype = rov_load_u16(at + 6)
    out.size = rov_load_u32(at + 8)


cdef inline uint8_t family_of(uint16_t afi) noexcept nogil:
    """4 or 6; 0 if the address family is neither."""
    return 4 if afi == AFI_IPV4 else 6 if afi == AFI_IPV6 else 0


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
    cdef bint distinct, with_paths, multicast, local
    cdef const uint8_t[::1] piece         # held while it is read
    cdef Cursor input
    cdef Buffer carry                     # the start of a record that the last piece did not hold whole
    cdef readonly uint64_t offset         # of the next record
    cdef int lengths                      # of TABLE_DUMP records
    cdef bint lost                        # the framing is: nothing more is read
    cdef Counts seen
    cdef uint32_t words                   # of a set of peers
    cdef Buffer peer_map                  # uint32: the peers of the index table by their place
    cdef Joined joined
    cdef Routes routes4, routes6
    cdef Rows rows4, rows6
    cdef Buffer paths, path_ends, communities, community_ends, large, large_ends
    cdef uint32_t path_count
    cdef uint64_t bad_offsets[NAMED_FAULTS]
    cdef Header bad_headers[NAMED_FAULTS]
    cdef int bad_faults[NAMED_FAULTS]

    def __cinit__(self, Peers peers not None, bint distinct=False, bint paths=False, bint multicast=False,
                  bint local=False):
        self.peers = peers
        self.distinct = distinct
        self.with_paths = paths and not distinct
        self.multicast = multicast
        self.local = local
        self.words = 1
        empty_rows(&self.rows4)
        empty_rows(&self.rows6)

    def __dealloc__(self):
        free_rows(&self.rows4)
        free_rows(&self.rows6)
        free_routes(&self.routes4)
        free_routes(&self.routes6)
        free(self.carry.data)
        free(self.peer_map.data)
        free(self.joined.sets.data)
        free(self.paths.data)
        free(self.path_ends.data)
        free(self.communities.data)
        free(self.community_ends.data)
        free(self.large.data)
        free(self.large_ends.data)

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
        return self.seen

    def named(self):
        """The first bad records: (offset, type, subtype, fault)."""
        return [
            (self.bad_offsets[i], self.bad_headers[i].type, self.bad_headers[i].subtype, self.bad_faults[i])
            for i in range(min(self.seen.bad, <size_t>NAMED_FAULTS))
        ]

    def take_routes(self):
        """The distinct routes read since the last call: (words, IPv4, IPv6), each the columns of Routes."""
        return self.words, take_routes(&self.routes4), take_routes(&self.routes6)

    def take_rows(self):
        """The rows read since the last call: (IPv4, IPv6), each the columns of Rows."""
        return take_rows(&self.rows4), take_rows(&self.rows6)

    def take_paths(self):
        """Paths of these rows: ASes, ends, communities, ends, large communities (three words each), ends.

        An end is the number of words up to it. Column paths of the rows counts from 0 here.
        """
        self.path_count = 0
        return (take(&self.paths), take(&self.path_ends), take(&self.communities),
                take(&self.community_ends), take(&self.large), take(&self.large_ends))

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
        if self.seen.bad < NAMED_FAULTS:
            self.bad_offsets[self.seen.bad] = self.offset
            self.bad_headers[self.seen.bad] = header[0]
            self.bad_faults[self.seen.bad] = fault
        self.seen.bad += 1

    cdef int read_record(self, Cursor record) noexcept nogil:
        """Decode one record and step over it; STOP_FULL: not yet, what waits must be taken first."""
        cdef Header header
        cdef Counts before = self.seen
        cdef size_t at4 = self.routes4.count if self.distinct else self.rows4.count
        cdef size_t at6 = self.routes6.count if self.distinct else self.rows6.count
        cdef size_t size = left(&record)
        cdef int fault
        if at4 + at6 >= BATCH_ROWS:
            return STOP_FULL
        read_header(record.at, &header)
        skip(&record, HEADER_OCTETS)
        fault = self.decode(&header, record) if self.fit_words() else STOP_FULL
        if fault != FAULT_NONE:
            self.seen = before
            self.cut(at4, at6)
            if fault >= STOP_FULL:
                return fault
            self.note(&header, fault)
        self.seen.records += 1
        self.offset += size
        if self.carry.used:
            # a record that was taken for longer than it is has left the start of the next one
            memmove(self.carry.data, self.carry.data + size, self.carry.used - size)
            self.carry.used -= size
        else:
            self.input.at += size
        return FAULT_NONE

    cdef void cut(self, size_t at4, size_t at6) noexcept nogil:
        if self.distinct:
            cut_routes(&self.routes4, at4, 4, self.words)
            cut_routes(&self.routes6, at6, 6, self.words)
        else:
            cut_rows(&self.rows4, at4, 4)
            cut_rows(&self.rows6, at6, 6)

    cdef bint fit_words(self) noexcept nogil:
        """Make the sets as wide as the peers need; False while rows of the old width wait."""
        cdef uint32_t words = (self.peers.count + PEERS_PER_WORD - 1) // PEERS_PER_WORD
        if words <= self.words or not self.distinct:
            return True
        if self.routes4.count or self.routes6.count:
            return False
        self.words = words
        return True

    cdef int decode(self, const Header* header, Cursor body) noexcept nogil:
        cdef uint32_t microseconds
        if header.type == TYPE_TABLE_DUMP_V2:
            return self.table_dump_v2(header.subtype, body)
        if header.type == TYPE_TABLE_DUMP:
            return self.table_dump(header.subtype, body)
        if header.type == TYPE_BGP4MP:
            return self.bgp4mp(header, body)
        if header.type == TYPE_BGP4MP_ET:
            if not read_u32(&body, &microseconds):
                return FAULT_SHORT
            return self.bgp4mp(header, body)
        if header.type == TYPE_BGP and header.subtype == LEGACY_UPDATE:
            return self.legacy_update(header, body)
        self.seen.passed += 1
        return FAULT_NONE

    # TABLE_DUMP_V2 (RFC 6396 §4.3)

    cdef int table_dump_v2(self, uint16_t subtype, Cursor body) noexcept nogil:
        cdef uint32_t sequence
        cdef uint16_t kind = subtype
        if subtype == PEER_INDEX_TABLE:
            return self.peer_index_table(body)
        if not RIB_IPV4_UNICAST <= subtype <= RIB_GENERIC_ADDPATH or subtype == GEO_PEER_TABLE:
            self.seen.passed += 1
            return FAULT_NONE
        if not read_u32(&body, &sequence):
            return FAULT_SHORT
        if subtype == RIB_GENERIC or subtype == RIB_GENERIC_ADDPATH:
            return self.rib_generic(subtype == RIB_GENERIC_ADDPATH, body)
        if subtype >= RIB_IPV4_UNICAST_ADDPATH:
            kind = subtype - RIB_IPV4_UNICAST_ADDPATH + RIB_IPV4_UNICAST
        if not self.multicast and (kind == RIB_IPV4_MULTICAST or kind == RIB_IPV6_MULTICAST):
            self.seen.passed += 1
            return FAULT_NONE
        return self.rib(4 if kind <= RIB_IPV4_MULTICAST else 6, False,
                        subtype >= RIB_IPV4_UNICAST_ADDPATH, body)

    cdef int rib_generic(self, bint add_path, Cursor body) noexcept nogil:
        """RIB_GENERIC; in its ADD-PATH form the path id stands before the prefix (RFC 8050 §4.2)."""
        cdef uint16_t afi
        cdef uint8_t safi, family
        if not (read_u16(&body, &afi) and read_u8(&body, &safi)):
            return FAULT_SHORT
        family = family_of(afi)
        if family == 0 or not self.is_wanted(safi):
            self.seen.passed += 1
            return FAULT_NONE
        return self.rib(family, add_path, False, body)

    cdef bint is_wanted(self, uint8_t safi) noexcept nogil:
        return safi == SAFI_UNICAST or (self.multicast and safi == SAFI_MULTICAST)

    cdef int peer_index_table(self, Cursor body) noexcept nogil:
        """The peers of the entries that follow; it replaces an earlier one."""
        cdef uint32_t collector
        cdef uint16_t size, count
        cdef uint32_t _
        cdef Peer peer
        if not (read_u32(&body, &collector) and read_u16(&body, &size) and skip(&body, size)
                and read_u16(&body, &count)):
            return FAULT_SHORT
        self.peer_map.used = 0
        if not reserve(&self.peer_map, <size_t>count * sizeof(uint32_t)):
            return STOP_MEMORY
        for _ in range(count):
            if not read_indexed_peer(&body, &peer):
                return FAULT_SHORT
            put_u32(&self.peer_map, self.peers.number(&peer))
        return FAULT_NONE

    cdef int rib(self, uint8_t family, bint id_in_prefix, bint id_in_entry, Cursor body) noexcept nogil:
        cdef BgpPrefix prefix
        cdef uint16_t count
        if not next_prefix(&body, family, id_in_prefix, &prefix):
            return FAULT_PREFIX
        if not read_u16(&body, &count):
            return FAULT_SHORT
        if self.distinct:
            return self.join_entries(&prefix, family, count, id_in_entry, body)
        return self.put_entries(&prefix, family, count, id_in_entry, body)

    cdef inline uint32_t peer_at(self, uint16_t place) noexcept nogil:
        cdef uint32_t peer = NO_PEER
        if rov_likely(<size_t>place * sizeof(uint32_t) < self.peer_map.used):
            peer = (<const uint32_t*>self.peer_map.data)[place]
        self.seen.unknown_peers += peer == NO_PEER
        return peer

    cdef inline void count_origin(self, uint8_t flags) noexcept nogil:
        self.seen.entries += 1
        self.seen.as_set += (flags & AS_SET) != 0
        self.seen.empty_path += (flags & EMPTY_PATH) != 0

    cdef int join_entries(self, const BgpPrefix* prefix, uint8_t family, uint16_t count, bint with_id,
                          Cursor body) noexcept nogil:
        cdef Routes* routes = &self.routes4 if family == 4 else &self.routes6
        cdef Joined* joined = &self.joined
        cdef Cursor attributes
        cdef uint16_t place, size
        cdef uint32_t _, time, path_id, origin, peer
        cdef uint8_t flags
        if not start_joining(joined, self.words):
            return STOP_MEMORY
        for _ in range(count):
            if not (read_u16(&body, &place) and read_u32(&body, &time)
                    and (not with_id or read_u32(&body, &path_id))
                    and read_u16(&body, &size) and read_part(&body, size, &attributes)):
                return FAULT_SHORT
            if not find_origin(attributes, 4, &origin, &flags):
                self.seen.malformed += 1
                continue
            self.count_origin(flags)
            peer = self.peer_at(place)
            if joined.count == 0 or joined.origins[joined.last] != origin:
                joined.last = place_of(joined, origin, self.words)
                if joined.last < 0:
                    if not put_joined(routes, joined, prefix, family, self.words):
                        return STOP_MEMORY
                    joined.last = place_of(joined, origin, self.words)
            join_peer(joined, peer, self.words)
        return FAULT_NONE if put_joined(routes, joined, prefix, family, self.words) else STOP_MEMORY

    cdef int put_entries(self, const BgpPrefix* prefix, uint8_t family, uint16_t count, bint with_id,
                         Cursor body) noexcept nogil:
        cdef Cursor attributes
        cdef uint16_t place, size
        cdef uint32_t _
        cdef Row row
        cdef Attributes found
        row.family, row.high, row.low, row.length = family, prefix.high, prefix.low, prefix.length
        row.path = row.count = 0
        for _ in range(count):
            row.path_id = prefix.path_id
            if not (read_u16(&body, &place) and read_u32(&body, &row.time)
                    and (not with_id or read_u32(&body, &row.path_id))
                    and read_u16(&body, &size) and read_part(&body, size, &attributes)):
                return FAULT_SHORT
            if not find_origin(attributes, 4, &row.origin, &row.flags):
                self.seen.malformed += 1
                continue
            find_attributes(attributes, 4, &found)
            self.count_origin(row.flags)
            row.peer = self.peer_at(place)
            if not (self.put_attributes(&found, &row.path) and self.put(&row)):
                return STOP_MEMORY
        return FAULT_NONE

    cdef bint put(self, const Row* row) noexcept nogil:
        return put_row(&self.rows4 if row.family == 4 else &self.rows6, row)

    cdef bint put_attributes(self, const Attributes* found, uint32_t* number) noexcept nogil:
        """Keep path and communities, if they are wanted, under the next number."""
        if not self.with_paths:
            return True
        number[0] = self.path_count
        self.path_count += 1
        return (put_whole_path(&self.paths, found) and put_end(&self.path_ends, &self.paths)
                and put_words(&self.communities, found.communities)
                and put_end(&self.community_ends, &self.communities)
                and put_words(&self.large, found.large_communities)
                and put_end(&self.large_ends, &self.large))

    # TABLE_DUMP (RFC 6396 §4.2)

    cdef int table_dump(self, uint16_t subtype, Cursor body) noexcept nogil:
        """One entry; the collectors of the year 2000 wrote many behind one view and sequence number.

        These had records four octets longer than they state: the first record of a dump tells, if it has
        several entries and the last one is cut off. Quagga's subtypes 3 and 4 are 1 and 2 with ASes of 4
        octets.
        """
        cdef uint16_t view, sequence
        cdef size_t entries = 0
        cdef int fault
        if not 1 <= subtype <= 4:
            self.seen.passed += 1
            return FAULT_NONE
        if not (read_u16(&body, &view) and read_u16(&body, &sequence)):
            return FAULT_SHORT
        while True:
            fault = self.table_dump_entry(4 if subtype & 1 else 6, 4 if subtype > 2 else 2, &body)
            entries += 1
            if fault != FAULT_NONE or left(&body) == 0:
                return self.with_length_known(fault, entries)

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

    cdef int table_dump_entry(self, uint8_t family, uint8_t as_size, Cursor* body) noexcept nogil:
        cdef BgpPrefix prefix
        cdef Peer peer
        cdef Cursor attributes
        cdef uint64_t high, low
        cdef uint32_t time
        cdef uint16_t size
        cdef uint8_t status
        if not (read_address(body, family, &high, &low) and read_u8(body, &prefix.length)
                and read_u8(body, &status) and read_u32(body, &time)
                and read_address(body, family, &peer.high, &peer.low) and read_asn(body, as_size, &peer.asn)
                and read_u16(body, &size) and read_part(body, size, &attributes)):
            return FAULT_SHORT
        if prefix.length > (32 if family == 4 else 128):
            return FAULT_PREFIX
        peer.family = family
        prefix.path_id = 0
        set_prefix(&prefix, family, high << 32 if family == 4 else high, low)
        return self.announce_one(&prefix, family, as_size, self.peers.number(&peer), time, attributes)

    cdef int announce_one(self, const BgpPrefix* prefix, uint8_t family, uint8_t as_size, uint32_t peer,
                          uint32_t time, Cursor attributes) noexcept nogil:
        cdef Attributes found
        cdef Row row
        if not (find_attributes(attributes, as_size, &found)
                and origin_of(&found, &row.origin, &row.flags)):
            self.seen.malformed += 1
            return FAULT_NONE
        row.peer, row.time, row.path, row.count = peer, time, 0, 0
        if not self.put_attributes(&found, &row.path):
            return STOP_MEMORY
        return self.announce(prefix, family, &row)

    cdef int announce(self, const BgpPrefix* prefix, uint8_t family, Row* row) noexcept nogil:
        """A route of one peer; the row has all but the prefix."""
        cdef Routes* routes = &self.routes4 if family == 4 else &self.routes6
        if self.distinct:
            if not self.fit_words():
                return STOP_FULL
            if not start_joining(&self.joined, self.words):
                return STOP_MEMORY
            self.joined.last = place_of(&self.joined, row.origin, self.words)
            join_peer(&self.joined, row.peer, self.words)
            if not put_joined(routes, &self.joined, prefix, family, self.words):
                return STOP_MEMORY
        else:
            row.family, row.high, row.low = family, prefix.high, prefix.low
            row.length, row.path_id = prefix.length, prefix.path_id
            if not self.put(row):
                return STOP_MEMORY
        self.count_origin(row.flags)
        self.seen.unknown_peers += row.peer == NO_PEER
        return FAULT_NONE

    # BGP4MP (RFC 6396 §4.4, RFC 8050 §3)

    cdef int bgp4mp(self, const Header* header, Cursor body) noexcept nogil:
        cdef uint16_t subtype = header.subtype
        cdef bint add_path = MESSAGE_ADDPATH <= subtype <= MESSAGE_AS4_LOCAL_ADDPATH
        cdef uint8_t as_size = 2
        if subtype in (MESSAGE_LOCAL, MESSAGE_AS4_LOCAL, MESSAGE_ADDPATH + 2, MESSAGE_AS4_LOCAL_ADDPATH):
            if not self.local:
                self.seen.local += 1
                return FAULT_NONE
        elif subtype not in (MESSAGE, MESSAGE_AS4, MESSAGE_ADDPATH, MESSAGE_ADDPATH + 1):
            self.seen.passed += 1
            return FAULT_NONE
        if subtype in (MESSAGE_AS4, MESSAGE_AS4_LOCAL, MESSAGE_ADDPATH + 1, MESSAGE_AS4_LOCAL_ADDPATH):
            as_size = 4
        return self.message(header, as_size, add_path, body)

    cdef int message(self, const Header* header, uint8_t as_size, bint add_path,
                     Cursor body) noexcept nogil:
        """Who speaks with whom, then the BGP message."""
        cdef uint16_t interface, afi
        cdef uint32_t local_as
        cdef uint64_t high, low
        cdef Peer peer
        if not (read_asn(&body, as_size, &peer.asn) and read_asn(&body, as_size, &local_as)):
            return FAULT_SHORT
        if starts_with_marker(body):
            # Zebra wrote OPEN messages without interface, family and addresses
            self.seen.passed += 1
            return FAULT_NONE
        if not (read_u16(&body, &interface) and read_u16(&body, &afi)):
            return FAULT_SHORT
        peer.family = family_of(afi)
        if peer.family == 0:
            return FAULT_FAMILY
        if not (read_address(&body, peer.family, &peer.high, &peer.low)
                and read_address(&body, peer.family, &high, &low)):
            return FAULT_SHORT
        return self.bgp_message(header.time, self.peers.number(&peer), as_size, add_path, body)

    cdef int bgp_message(self, uint32_t time, uint32_t peer, uint8_t as_size, bint add_path,
                         Cursor body) noexcept nogil:
        cdef uint16_t size
        cdef uint8_t kind
        cdef Cursor update
        if not (skip(&body, MARKER_OCTETS) and read_u16(&body, &size) and read_u8(&body, &kind)):
            return FAULT_MESSAGE
        if kind != BGP_UPDATE:
            self.seen.passed += 1
            return FAULT_NONE
        if size < MARKER_OCTETS + 3 or not read_part(&body, size - MARKER_OCTETS - 3, &update):
            return FAULT_MESSAGE
        return self.update(time, peer, as_size, add_path, update)

    cdef int legacy_update(self, const Header* header, Cursor body) noexcept nogil:
        """Type BGP of the first collectors: IPv4 only, the message without its header."""
        cdef Peer peer
        cdef uint32_t local_as
        cdef uint64_t high, low
        if not (read_asn(&body, 2, &peer.asn) and read_address(&body, 4, &peer.high, &peer.low)
                and read_asn(&body, 2, &local_as) and read_address(&body, 4, &high, &low)):
            return FAULT_SHORT
        peer.family = 4
        return self.update(header.time, self.peers.number(&peer), 2, False, body)

    cdef int update(self, uint32_t time, uint32_t peer, uint8_t as_size, bint add_path,
                    Cursor body) noexcept nogil:
        """An UPDATE (RFC 4271 §4.3) with its multiprotocol parts (RFC 4760)."""
        cdef Cursor withdrawn, attributes
        cdef uint16_t size
        cdef Attributes found
        cdef Row row
        cdef bint sound
        cdef int fault
        if not (read_u16(&body, &size) and read_part(&body, size, &withdrawn)
                and read_u16(&body, &size) and read_part(&body, size, &attributes)):
            return FAULT_MESSAGE
        row.peer, row.time, row.path, row.count, row.origin, row.flags = peer, time, 0, 0, 0, WITHDRAWN
        fault = self.prefixes(withdrawn, 4, add_path, &row)
        if fault != FAULT_NONE:
            return fault
        # RFC 7606 §2: attributes that are not sound make withdrawals of the routes that they came with
        sound = find_attributes(attributes, as_size, &found)
        fault = self.multiprotocol(found.mp_unreach, False, add_path, &row)
        if fault != FAULT_NONE:
            return fault
        if not sound or not origin_of(&found, &row.origin, &row.flags):
            self.seen.malformed += 1
            row.origin, row.flags = 0, WITHDRAWN
        elif (left(&body) or left(&found.mp_reach)) and not self.put_attributes(&found, &row.path):
            return STOP_MEMORY
        fault = self.prefixes(body, 4, add_path, &row)
        if fault != FAULT_NONE:
            return fault
        return self.multiprotocol(found.mp_reach, True, add_path, &row)

    cdef int multiprotocol(self, Cursor value, bint reach, bint add_path, Row* row) noexcept nogil:
        """The prefixes of MP_REACH_NLRI or MP_UNREACH_NLRI (RFC 4760 §3, §4), if there are any."""
        cdef uint16_t afi
        cdef uint8_t safi, size, reserved
        if left(&value) == 0:
            return FAULT_NONE
        if not (read_u16(&value, &afi) and read_u8(&value, &safi)):
            return FAULT_MESSAGE
        if family_of(afi) == 0 or not self.is_wanted(safi):
            return FAULT_NONE
        if reach and not (read_u8(&value, &size) and skip(&value, size) and read_u8(&value, &reserved)):
            return FAULT_MESSAGE
        return self.prefixes(value, family_of(afi), add_path, row)

    cdef int prefixes(self, Cursor list, uint8_t family, bint add_path, Row* row) noexcept nogil:
        """A list of prefixes, each announced or withdrawn by the row.

        Sessions with ADD-PATH were logged as such without: where a list is none, it is tried with path ids.
        """
        cdef BgpPrefix prefix
        cdef int fault
        if not are_prefixes(list, family, add_path):
            if add_path or not are_prefixes(list, family, True):
                return FAULT_NLRI
            add_path = True
        while left(&list):
            next_prefix(&list, family, add_path, &prefix)
            fault = self.withdraw(&prefix, family, row) if row.flags & WITHDRAWN else \
                self.announce(&prefix, family, row)
            if fault != FAULT_NONE:
                return fault
        return FAULT_NONE

    cdef int withdraw(self, const BgpPrefix* prefix, uint8_t family, Row* row) noexcept nogil:
        self.seen.withdrawn += 1
        if self.distinct:
            return FAULT_NONE
        row.family, row.high, row.low = family, prefix.high, prefix.low
        row.length, row.path_id = prefix.length, prefix.path_id
        return FAULT_NONE if self.put(row) else STOP_MEMORY


cdef bint read_asn(Cursor* c, uint8_t as_size, uint32_t* out) noexcept nogil:
    """An AS of 2 or 4 octets."""
    cdef uint16_t short_asn
    if as_size == 4:
        return read_u32(c, out)
    if not read_u16(c, &short_asn):
        return False
    out[0] = short_asn
    return True


cdef bint read_indexed_peer(Cursor* c, Peer* out) noexcept nogil:
    """A peer of the index table: bit 0 of its type stands for IPv6, bit 1 for an AS of 4 octets."""
    cdef uint8_t kind
    cdef uint32_t bgp_id
    if not (read_u8(c, &kind) and read_u32(c, &bgp_id)):
        return False
    out.family = 6 if kind & 1 else 4
    return read_address(c, out.family, &out.high, &out.low) and read_asn(c, 4 if kind & 2 else 2, &out.asn)


cdef bint starts_with_marker(Cursor c) noexcept nogil:
    cdef uint8_t octet
    cdef int _
    for _ in range(MARKER_OCTETS):
        if not read_u8(&c, &octet) or octet != 0xFF:
            return False
    return True


cdef bint put_end(Buffer* ends, const Buffer* words) noexcept nogil:
    """Note where the words of a path end."""
    if not reserve(ends, sizeof(uint32_t)):
        return False
    put_u32(ends, <uint32_t>(words.used // sizeof(uint32_t)))
    return True


cdef object take_routes(Routes* routes):
    routes.count = 0
    return take(&routes.addresses), take(&routes.lengths), take(&routes.origins), take(&routes.sets)
