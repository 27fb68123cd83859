"""Distinct routes as columns: the entries of one RIB record joined by their origin, each with its peers."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from rov._mrt_prefixes cimport BgpPrefix
from rov._mrt_rows cimport Buffer, put_u8, put_u32, put_u64, reserve

# Origins of one record that are joined. A real prefix has at most a dozen; where there are more, a route
# stands in several rows, which are joined later.
cdef enum:
    MAX_ORIGINS = 64
    PEERS_PER_WORD = 64


cdef struct Routes:      # of one family
    Buffer addresses
    Buffer lengths
    Buffer origins
    Buffer sets          # uint64, so many a row as words says
    size_t count


cdef struct Joined:      # the routes of one record
    uint32_t origins[MAX_ORIGINS]
    Buffer sets
    int count


cdef inline uint64_t* set_of(const Joined* j, int at, uint32_t words) noexcept nogil:
    return <uint64_t*>j.sets.data + <size_t>at * words


cdef inline int place_of(Joined* j, uint32_t origin, uint32_t words) noexcept nogil:
    """Where the set of an origin is, -1 if there is no place left."""
    cdef int i
    for i in range(j.count):
        if j.origins[i] == origin:
            return i
    if j.count == MAX_ORIGINS:
        return -1
    j.origins[j.count] = origin
    memset(set_of(j, j.count, words), 0, words * sizeof(uint64_t))
    j.count += 1
    return j.count - 1


cdef inline void join_peer(uint64_t* set, uint32_t peer) noexcept nogil:
    set[peer >> 6] |= <uint64_t>1 << (peer & 63)


cdef inline bint start_joining(Joined* j, uint32_t words) noexcept nogil:
    """No routes yet; False when there is no memory."""
    j.count = 0
    j.sets.used = 0
    return reserve(&j.sets, MAX_ORIGINS * words * sizeof(uint64_t))


cdef inline bint put_route(Routes* out, const BgpPrefix* prefix, uint8_t family, uint32_t origin,
                           const uint64_t* set, uint32_t words) noexcept nogil:
    cdef uint32_t i
    if not (reserve(&out.addresses, 16) and reserve(&out.lengths, 1) and reserve(&out.origins, 4)
            and reserve(&out.sets, words * sizeof(uint64_t))):
        return False
    if family == 4:
        put_u32(&out.addresses, <uint32_t>prefix.high)
    else:
        put_u64(&out.addresses, prefix.high)
        put_u64(&out.addresses, prefix.low)
    put_u8(&out.lengths, prefix.length)
    put_u32(&out.origins, origin)
    for i in range(words):
        put_u64(&out.sets, set[i])
    out.count += 1
    return True


cdef inline bint put_joined(Routes* out, Joined* j, const BgpPrefix* prefix, uint8_t family,
                            uint32_t words) noexcept nogil:
    """Append the routes of a record in the order of their origins; none are waiting afterwards."""
    cdef int order[MAX_ORIGINS]
    cdef int i, k
    for i in range(j.count):
        k = i
        while k and j.origins[order[k - 1]] > j.origins[i]:
            order[k] = order[k - 1]
            k -= 1
        order[k] = i
    for i in range(j.count):
        if not put_route(out, prefix, family, j.origins[order[i]], set_of(j, order[i], words), words):
            return False
    j.count = 0
    return True


cdef inline uint64_t* set_to_join(Routes* out, Joined* j, const BgpPrefix* prefix, uint8_t family,
                                  uint32_t origin, uint32_t words) noexcept nogil:
    """The set of an origin; where there is no place left, those before it are put. NULL: no memory."""
    cdef int at = place_of(j, origin, words)
    if at < 0:
        if not put_joined(out, j, prefix, family, words):
            return NULL
        at = place_of(j, origin, words)
    return set_of(j, at, words)


cdef inline void cut_routes(Routes* r, size_t count, uint8_t family, uint32_t words) noexcept nogil:
    """Drop all routes beyond the first so many."""
    r.addresses.used = count * (4 if family == 4 else 16)
    r.lengths.used = count
    r.origins.used = 4 * count
    r.sets.used = count * words * sizeof(uint64_t)
    r.count = count


cdef inline void free_routes(Routes* r) noexcept nogil:
    free(r.addresses.data)
    free(r.lengths.data)
    free(r.origins.data)
    free(r.sets.data)
