from libc.stdint cimport uint8_t, uint32_t, uint64_t


# 0 in place of a peer's number: the entry names none, or one beyond the last that has a number.
cdef enum:
    NO_PEER = 0

# Peers of one table: all collectors of RIS and RouteViews together have some 2,500 sessions, and a route
# of a table takes a bit for each.
cdef enum:
    MAX_PEERS = 4096
    SLOTS = 4 * MAX_PEERS


cdef struct Peer:
    uint64_t high     # IPv4: the address in the low 32 bits of high; IPv6: the first 64 bits
    uint64_t low      # IPv6: the last 64 bits; IPv4: 0
    uint32_t asn
    uint8_t family    # 4 or 6; 0 for NO_PEER


cdef class Peers:
    cdef Peer* rows
    cdef uint32_t* slots
    cdef readonly uint32_t count

    cdef uint32_t number(self, const Peer* peer) noexcept nogil
