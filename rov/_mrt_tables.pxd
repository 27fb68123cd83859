"""Records that are tables of routes: TABLE_DUMP_V2 (RFC 6396 §4.3, RFC 8050 §4) and TABLE_DUMP (§4.2)."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from rov._cursor cimport Cursor, left, read_part, read_u8, read_u16, read_u32, read_u64, skip
from rov._mrt_attributes cimport Attributes, find_attributes, find_origin, origin_of
from rov._mrt_format cimport (
    FAULT_ENTRIES, FAULT_NONE, FAULT_PREFIX, FAULT_SHORT, GEO_PEER_TABLE, PEER_INDEX_TABLE, RIB_GENERIC,
    RIB_GENERIC_ADDPATH, RIB_IPV4_MULTICAST, RIB_IPV4_UNICAST, RIB_IPV4_UNICAST_ADDPATH, RIB_IPV6_MULTICAST,
    STOP_MEMORY, family_of, read_asn,
)
from rov._mrt_peers cimport Peer, number_of
from rov._mrt_prefixes cimport BgpPrefix, next_prefix, read_address, set_prefix
from rov._mrt_routes cimport Joined, Routes, join_peer, put_joined, set_to_join, start_joining
from rov._mrt_rows cimport Row, put_u32, reserve
from rov._mrt_sink cimport Sink, announce, count_origin, is_wanted, peer_at, put, put_attributes


# Entries of one TABLE_DUMP record: as many as one of TABLE_DUMP_V2 can have.
cdef enum:
    MAX_ENTRIES = 65535


cdef inline bint read_indexed_peer(Cursor* c, Peer* out) noexcept nogil:
    """A peer of the index table: bit 0 of its type stands for IPv6, bit 1 for an AS of 4 octets."""
    cdef uint8_t kind
    cdef uint32_t bgp_id
    if not (read_u8(c, &kind) and read_u32(c, &bgp_id)):
        return False
    out.family = 6 if kind & 1 else 4
    return read_address(c, out.family, &out.high, &out.low) and read_asn(c, 4 if kind & 2 else 2, &out.asn)


cdef inline int peer_index_table(Sink* s, Cursor body) noexcept nogil:
    """The peers of the entries that follow; it replaces an earlier one."""
    cdef uint32_t collector
    cdef uint16_t size, count
    cdef uint32_t _
    cdef Peer peer
    if not (read_u32(&body, &collector) and read_u16(&body, &size) and skip(&body, size)
            and read_u16(&body, &count)):
        return FAULT_SHORT
    s.peer_map.used = 0
    if not reserve(&s.peer_map, <size_t>count * sizeof(uint32_t)):
        return STOP_MEMORY
    for _ in range(count):
        if not read_indexed_peer(&body, &peer):
            return FAULT_SHORT
        put_u32(&s.peer_map, number_of(s.peers, &peer))
    return FAULT_NONE


cdef inline bint next_entry(Cursor* c, bint with_id, uint16_t* place, Cursor* attributes) noexcept nogil:
    """Read one entry of a record but its time and path id."""
    cdef uint64_t head        # place, time and size
    cdef uint16_t size
    if with_id:
        return (read_u16(c, place) and skip(c, 8) and read_u16(c, &size) and read_part(c, size, attributes))
    if not read_u64(c, &head):
        return False
    place[0] = <uint16_t>(head >> 48)
    return read_part(c, <uint16_t>head, attributes)


cdef inline int join_entries(Sink* s, const BgpPrefix* prefix, uint8_t family, uint16_t count, bint with_id,
                             Cursor body) noexcept nogil:
    """The entries of a record as routes, each origin once."""
    cdef Routes* routes = &s.routes4 if family == 4 else &s.routes6
    cdef Joined* joined = &s.joined
    cdef uint64_t* set = NULL          # of the origin found last
    cdef Cursor attributes
    cdef uint16_t place
    cdef uint32_t _, origin, last = 0, peer
    cdef uint8_t flags
    if not start_joining(joined, s.words):
        return STOP_MEMORY
    for _ in range(count):
        if not next_entry(&body, with_id, &place, &attributes):
            return FAULT_SHORT
        if not find_origin(attributes, 4, &origin, &flags):
            s.seen.malformed += 1
            continue
        count_origin(s, flags)
        peer = peer_at(s, place)
        if set == NULL or origin != last:
            set = set_to_join(routes, joined, prefix, family, origin, s.words)
            if set == NULL:
                return STOP_MEMORY
            last = origin
        join_peer(set, peer)
    return FAULT_NONE if put_joined(routes, joined, prefix, family, s.words) else STOP_MEMORY


cdef inline int put_entries(Sink* s, const BgpPrefix* prefix, uint8_t family, uint16_t count, bint with_id,
                            Cursor body) noexcept nogil:
    """The entries of a record as rows."""
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
            s.seen.malformed += 1
            continue
        find_attributes(attributes, 4, &found)
        count_origin(s, row.flags)
        row.peer = peer_at(s, place)
        if not (put_attributes(s, &found, &row.path) and put(s, &row)):
            return STOP_MEMORY
    return FAULT_NONE


cdef inline int rib(Sink* s, uint8_t family, bint id_in_prefix, bint id_in_entry, Cursor body) noexcept nogil:
    cdef BgpPrefix prefix
    cdef uint16_t count
    if not next_prefix(&body, family, id_in_prefix, &prefix):
        return FAULT_PREFIX
    if not read_u16(&body, &count):
        return FAULT_SHORT
    if s.distinct:
        return join_entries(s, &prefix, family, count, id_in_entry, body)
    return put_entries(s, &prefix, family, count, id_in_entry, body)


cdef inline int rib_generic(Sink* s, bint add_path, Cursor body) noexcept nogil:
    """RIB_GENERIC; in its ADD-PATH form the path id stands before the prefix (RFC 8050 §4.2)."""
    cdef uint16_t afi
    cdef uint8_t safi, family
    if not (read_u16(&body, &afi) and read_u8(&body, &safi)):
        return FAULT_SHORT
    family = family_of(afi)
    if family == 0 or not is_wanted(s, safi):
        s.seen.passed += 1
        return FAULT_NONE
    return rib(s, family, add_path, False, body)


cdef inline int table_dump_v2(Sink* s, uint16_t subtype, Cursor body) noexcept nogil:
    cdef uint32_t sequence
    cdef uint16_t kind = subtype
    if subtype == PEER_INDEX_TABLE:
        return peer_index_table(s, body)
    if not RIB_IPV4_UNICAST <= subtype <= RIB_GENERIC_ADDPATH or subtype == GEO_PEER_TABLE:
        s.seen.passed += 1
        return FAULT_NONE
    if not read_u32(&body, &sequence):
        return FAULT_SHORT
    if subtype == RIB_GENERIC or subtype == RIB_GENERIC_ADDPATH:
        return rib_generic(s, subtype == RIB_GENERIC_ADDPATH, body)
    if subtype >= RIB_IPV4_UNICAST_ADDPATH:
        kind = subtype - RIB_IPV4_UNICAST_ADDPATH + RIB_IPV4_UNICAST
    if not s.multicast and (kind == RIB_IPV4_MULTICAST or kind == RIB_IPV6_MULTICAST):
        s.seen.passed += 1
        return FAULT_NONE
    return rib(s, 4 if kind <= RIB_IPV4_MULTICAST else 6, False, subtype >= RIB_IPV4_UNICAST_ADDPATH, body)


cdef inline int announce_one(Sink* s, const BgpPrefix* prefix, uint8_t family, uint8_t as_size, uint32_t peer,
                             uint32_t time, Cursor attributes) noexcept nogil:
    cdef Attributes found
    cdef Row row
    if not (find_attributes(attributes, as_size, &found)
            and origin_of(&found, &row.origin, &row.flags)):
        s.seen.malformed += 1
        return FAULT_NONE
    row.peer, row.time, row.path, row.count = peer, time, 0, 0
    if not put_attributes(s, &found, &row.path):
        return STOP_MEMORY
    return announce(s, prefix, family, &row)


cdef inline int table_dump_entry(Sink* s, uint8_t family, uint8_t as_size, Cursor* body) noexcept nogil:
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
    return announce_one(s, &prefix, family, as_size, number_of(s.peers, &peer), time, attributes)


cdef inline int table_dump(Sink* s, uint16_t subtype, Cursor body, size_t* entries) noexcept nogil:
    """One entry; the collectors of the year 2000 wrote many behind one view and sequence number.

    entries: how many were met, the last one perhaps cut off. Quagga's subtypes 3 and 4 are 1 and 2 with ASes
    of 4 octets.
    """
    cdef uint16_t view, sequence
    cdef int fault
    entries[0] = 0
    if not (read_u16(&body, &view) and read_u16(&body, &sequence)):
        return FAULT_SHORT
    while True:
        fault = table_dump_entry(s, 4 if subtype & 1 else 6, 4 if subtype > 2 else 2, &body)
        entries[0] += 1
        if fault != FAULT_NONE or left(&body) == 0:
            return fault
        if entries[0] == MAX_ENTRIES:
            return FAULT_ENTRIES
