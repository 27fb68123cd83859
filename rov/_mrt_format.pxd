"""What MRT records are made of (RFC 6396, RFC 8050): their header, types, and what may be wrong with one."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from rov._cursor cimport Cursor, read_u16, read_u32, rov_load_u16, rov_load_u32

cdef enum:
    HEADER_OCTETS = 12

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
    MAX_MESSAGE_OCTETS = 65535   # of a BGP message: its length has 16 bits
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
    FAULT_ENTRIES
    STOP_FULL             # the rows must be taken first
    STOP_LONGER           # the record is longer than it states
    STOP_MEMORY


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


cdef inline bint read_asn(Cursor* c, uint8_t as_size, uint32_t* out) noexcept nogil:
    """An AS of 2 or 4 octets."""
    cdef uint16_t short_asn
    if as_size == 4:
        return read_u32(c, out)
    if not read_u16(c, &short_asn):
        return False
    out[0] = short_asn
    return True
