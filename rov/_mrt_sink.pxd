"""Where decoded routes go: counters, and columns of rows or of distinct routes that wait to be taken."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free

from rov._cursor cimport rov_likely
from rov._mrt_attributes cimport Attributes, put_groups, put_whole_path
from rov._mrt_format cimport FAULT_NONE, SAFI_MULTICAST, SAFI_UNICAST, STOP_FULL, STOP_MEMORY
from rov._mrt_peers cimport NO_PEER, PeerTable
from rov._mrt_prefixes cimport BgpPrefix
from rov._mrt_routes cimport (
    PEERS_PER_WORD, Joined, Routes, cut_routes, free_routes, join_peer, put_joined, set_to_join,
    start_joining,
)
from rov._mrt_rows cimport (
    AS_SET, EMPTY_PATH, Buffer, Lists, Row, Rows, cut_lists, cut_rows, free_lists, free_rows, put_end,
    put_row,
)

# Rows, and octets of their paths and communities, after which a piece is interrupted: a batch of real rows
# stays at some 4 MB and has 13 MB of these; a hostile row brings 64 KiB.
cdef enum:
    BATCH_ROWS = 1 << 17
    BATCH_OCTETS = 64 << 20


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


cdef struct Sink:
    bint distinct         # entries of a record are joined into routes with sets of peers; else rows
    bint with_paths
    bint multicast
    bint local
    Counts seen
    PeerTable* peers      # of an object that the parser holds
    uint32_t words        # of a set of peers
    Buffer peer_map       # uint32: the peers of the index table by their place
    Joined joined
    Routes routes4
    Routes routes6
    Rows rows4
    Rows rows6
    Lists paths
    Lists communities
    Lists large
    uint32_t path_count   # rows of each of these three


cdef struct Marks:        # what waited at some time
    size_t rows4
    size_t rows6
    uint32_t paths


cdef inline void free_sink(Sink* s) noexcept nogil:
    free_rows(&s.rows4)
    free_rows(&s.rows6)
    free_routes(&s.routes4)
    free_routes(&s.routes6)
    free(s.peer_map.data)
    free(s.joined.sets.data)
    free_lists(&s.paths)
    free_lists(&s.communities)
    free_lists(&s.large)


cdef inline size_t waiting(const Sink* s, uint8_t family) noexcept nogil:
    """Rows or routes of a family that wait to be taken."""
    if s.distinct:
        return s.routes4.count if family == 4 else s.routes6.count
    return s.rows4.count if family == 4 else s.rows6.count


cdef inline Marks marks_of(const Sink* s) noexcept nogil:
    return Marks(waiting(s, 4), waiting(s, 6), s.path_count)


cdef inline bint is_full(const Sink* s) noexcept nogil:
    """Whether what waits is to be taken before more is put; never where no rows wait."""
    cdef size_t rows = waiting(s, 4) + waiting(s, 6)
    if rows >= BATCH_ROWS:
        return True
    return rows != 0 and s.paths.words.used + s.communities.words.used + s.large.words.used >= BATCH_OCTETS


cdef inline void cut_paths(Sink* s, uint32_t count) noexcept nogil:
    """Drop all paths and communities beyond the first so many."""
    if s.path_count == count:
        return
    cut_lists(&s.paths, count)
    cut_lists(&s.communities, count)
    cut_lists(&s.large, count)
    s.path_count = count


cdef inline void cut_sink(Sink* s, const Marks* before) noexcept nogil:
    """Drop all that did not wait then."""
    if s.distinct:
        cut_routes(&s.routes4, before.rows4, 4, s.words)
        cut_routes(&s.routes6, before.rows6, 6, s.words)
    else:
        cut_rows(&s.rows4, before.rows4, 4)
        cut_rows(&s.rows6, before.rows6, 6)
    cut_paths(s, before.paths)


cdef inline void cut_unused_path(Sink* s, const Marks* before) noexcept nogil:
    """Drop the paths that came since then if no row did, which would name them."""
    if waiting(s, 4) == before.rows4 and waiting(s, 6) == before.rows6:
        cut_paths(s, before.paths)


cdef inline bint fit_words(Sink* s) noexcept nogil:
    """Make the sets as wide as the peers need; False while rows of the old width wait."""
    cdef uint32_t words = (s.peers.count + PEERS_PER_WORD - 1) // PEERS_PER_WORD
    if words <= s.words or not s.distinct:
        return True
    if s.routes4.count or s.routes6.count:
        return False
    s.words = words
    return True


cdef inline bint is_wanted(const Sink* s, uint8_t safi) noexcept nogil:
    return safi == SAFI_UNICAST or (s.multicast and safi == SAFI_MULTICAST)


cdef inline uint32_t peer_at(Sink* s, uint16_t place) noexcept nogil:
    """The number of a peer by its place in the index table; NO_PEER, counted, if it has none."""
    cdef uint32_t peer = NO_PEER
    if rov_likely(<size_t>place * sizeof(uint32_t) < s.peer_map.used):
        peer = (<const uint32_t*>s.peer_map.data)[place]
    if peer == NO_PEER:
        s.seen.unknown_peers += 1
    return peer


cdef inline void count_origin(Sink* s, uint8_t flags) noexcept nogil:
    s.seen.entries += 1
    if rov_likely(flags == 0):
        return
    s.seen.as_set += (flags & AS_SET) != 0
    s.seen.empty_path += (flags & EMPTY_PATH) != 0


cdef inline bint put(Sink* s, const Row* row) noexcept nogil:
    return put_row(&s.rows4 if row.family == 4 else &s.rows6, row)


cdef inline bint put_attributes(Sink* s, const Attributes* found, uint32_t* number) noexcept nogil:
    """Keep path and communities, if they are wanted, under the next number."""
    if not s.with_paths:
        return True
    number[0] = s.path_count
    s.path_count += 1
    return (put_whole_path(&s.paths.words, found) and put_end(&s.paths)
            and put_groups(&s.communities.words, found.communities, 1) and put_end(&s.communities)
            and put_groups(&s.large.words, found.large_communities, 3) and put_end(&s.large))


cdef inline int announce(Sink* s, const BgpPrefix* prefix, uint8_t family, Row* row) noexcept nogil:
    """A route of one peer; the row has all but the prefix."""
    cdef Routes* routes = &s.routes4 if family == 4 else &s.routes6
    if s.distinct:
        if not fit_words(s):
            return STOP_FULL
        if not start_joining(&s.joined, s.words):
            return STOP_MEMORY
        join_peer(set_to_join(routes, &s.joined, prefix, family, row.origin, s.words), row.peer)
        if not put_joined(routes, &s.joined, prefix, family, s.words):
            return STOP_MEMORY
    else:
        row.family, row.high, row.low = family, prefix.high, prefix.low
        row.length, row.path_id = prefix.length, prefix.path_id
        if not put(s, row):
            return STOP_MEMORY
    count_origin(s, row.flags)
    s.seen.unknown_peers += row.peer == NO_PEER
    return FAULT_NONE


cdef inline int withdraw(Sink* s, const BgpPrefix* prefix, uint8_t family, Row* row) noexcept nogil:
    s.seen.withdrawn += 1
    if s.distinct:
        return FAULT_NONE
    row.family, row.high, row.low = family, prefix.high, prefix.low
    row.length, row.path_id = prefix.length, prefix.path_id
    return FAULT_NONE if put(s, row) else STOP_MEMORY
