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


cdef struct PeerTable:
    Peer* rows        # by number
    uint32_t* slots   # numbers, found by hashing
    uint32_t count


cdef class Peers:
    cdef PeerTable table


cdef inline bint same(const Peer* a, const Peer* b) noexcept nogil:
    return a.high == b.high and a.low == b.low and a.asn == b.asn and a.family == b.family


cdef inline uint32_t slot_of(const Peer* peer) noexcept nogil:
    """Where to look first; multiplication by odd constants spreads addresses that differ in few bits."""
    cdef uint64_t h = (peer.high ^ (peer.low >> 7)) * <uint64_t>0x9E3779B97F4A7C15
    h = (h ^ (h >> 29) ^ peer.asn ^ peer.low) * <uint64_t>0xBF58476D1CE4E5B9
    return <uint32_t>(h >> 40) % <uint32_t>SLOTS


cdef inline uint32_t number_of(PeerTable* t, const Peer* peer) noexcept nogil:
    """The number of a peer, a new one if it has none yet; NO_PEER when there are too many."""
    cdef uint32_t slot = slot_of(peer)
    while t.slots[slot]:
        if same(&t.rows[t.slots[slot]], peer):
            return t.slots[slot]
        slot = (slot + 1) % <uint32_t>SLOTS
    if t.count == MAX_PEERS:
        return NO_PEER
    t.rows[t.count] = peer[0]
    t.slots[slot] = t.count
    t.count += 1
    return t.count - 1
