"""Columns that grow while the GIL is released, and the rows of a routing table as such columns."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset


cdef enum:
    FIRST_OCTETS = 4096


# What a row says beside its numbers; rov.rib.Flag has the same.
cdef enum Flag:
    AS_SET = 1        # no origin: the path ends in an AS_SET
    EMPTY_PATH = 2    # no origin: the path is empty or ends in a confederation
    WITHDRAWN = 4     # a withdrawal
    ANY_SET = 8       # the path has an AS_SET somewhere


cdef struct Buffer:
    uint8_t* data
    size_t used       # octets
    size_t capacity


cdef struct Rows:     # of one family
    Buffer addresses  # uint32, or two uint64
    Buffer lengths    # uint8
    Buffer origins    # uint32
    Buffer peers      # uint32: numbers in Peers
    Buffer times      # uint32: unix seconds
    Buffer path_ids   # uint32
    Buffer flags      # uint8
    Buffer counts     # uint32: peers that carry the route, as a file states it; 0 if it does not
    Buffer paths      # uint32: which path of those that came with the rows
    size_t count


cdef struct Lists:    # rows of words, each of a length of its own
    Buffer words      # uint32
    Buffer ends       # uint32: the number of words up to the end of each row


cdef struct Row:
    uint64_t high     # as in ParsedPrefix
    uint64_t low
    uint32_t origin
    uint32_t peer
    uint32_t time
    uint32_t path_id
    uint32_t count
    uint32_t path
    uint8_t family
    uint8_t length
    uint8_t flags


cdef inline bint reserve(Buffer* b, size_t more) noexcept nogil:
    """Room for so many octets more; False when there is no memory."""
    cdef size_t capacity = b.capacity
    cdef void* data
    if b.used + more <= capacity:
        return True
    while capacity < b.used + more:
        capacity = capacity * 2 if capacity else <size_t>FIRST_OCTETS
    data = realloc(b.data, capacity)
    if data == NULL:
        return False
    b.data = <uint8_t*>data
    b.capacity = capacity
    return True


cdef inline void put_u8(Buffer* b, uint8_t value) noexcept nogil:
    b.data[b.used] = value
    b.used += 1


cdef inline void put_u32(Buffer* b, uint32_t value) noexcept nogil:
    (<uint32_t*>(b.data + b.used))[0] = value
    b.used += 4


cdef inline void put_u64(Buffer* b, uint64_t value) noexcept nogil:
    (<uint64_t*>(b.data + b.used))[0] = value
    b.used += 8


cdef inline bint put_row(Rows* rows, const Row* row) noexcept nogil:
    """Append a row to the rows of its family; False when there is no memory."""
    if not (reserve(&rows.addresses, 16) and reserve(&rows.lengths, 1) and reserve(&rows.origins, 4)
            and reserve(&rows.peers, 4) and reserve(&rows.times, 4) and reserve(&rows.path_ids, 4)
            and reserve(&rows.flags, 1) and reserve(&rows.counts, 4) and reserve(&rows.paths, 4)):
        return False
    if row.family == 4:
        put_u32(&rows.addresses, <uint32_t>row.high)
    else:
        put_u64(&rows.addresses, row.high)
        put_u64(&rows.addresses, row.low)
    put_u8(&rows.lengths, row.length)
    put_u32(&rows.origins, row.origin)
    put_u32(&rows.peers, row.peer)
    put_u32(&rows.times, row.time)
    put_u32(&rows.path_ids, row.path_id)
    put_u8(&rows.flags, row.flags)
    put_u32(&rows.counts, row.count)
    put_u32(&rows.paths, row.path)
    rows.count += 1
    return True


cdef inline object take(Buffer* b):
    """The octets of a buffer as bytes; the buffer is empty afterwards and keeps its room."""
    octets = PyBytes_FromStringAndSize(<char*>b.data, <Py_ssize_t>b.used)
    b.used = 0
    return octets


cdef inline object take_rows(Rows* rows):
    """The columns as bytes, in the order of the struct; the rows are empty afterwards."""
    rows.count = 0
    return (take(&rows.addresses), take(&rows.lengths), take(&rows.origins), take(&rows.peers),
            take(&rows.times), take(&rows.path_ids), take(&rows.flags), take(&rows.counts), take(&rows.paths))


cdef inline void cut_rows(Rows* rows, size_t count, uint8_t family) noexcept nogil:
    """Drop all rows beyond the first so many."""
    rows.addresses.used = count * (4 if family == 4 else 16)
    rows.lengths.used = rows.flags.used = count
    rows.origins.used = rows.peers.used = rows.times.used = 4 * count
    rows.path_ids.used = rows.counts.used = rows.paths.used = 4 * count
    rows.count = count


cdef inline bint put_end(Lists* lists) noexcept nogil:
    """End a row where its words end; False when there is no memory."""
    if not reserve(&lists.ends, sizeof(uint32_t)):
        return False
    put_u32(&lists.ends, <uint32_t>(lists.words.used // sizeof(uint32_t)))
    return True


cdef inline void cut_lists(Lists* lists, uint32_t count) noexcept nogil:
    """Drop all rows beyond the first so many."""
    cdef size_t words = (<const uint32_t*>lists.ends.data)[count - 1] if count else 0
    lists.words.used = words * sizeof(uint32_t)
    lists.ends.used = count * sizeof(uint32_t)


cdef inline void free_lists(Lists* lists) noexcept nogil:
    free(lists.words.data)
    free(lists.ends.data)


cdef inline void empty_rows(Rows* rows) noexcept nogil:
    memset(rows, 0, sizeof(Rows))


cdef inline void free_rows(Rows* rows) noexcept nogil:
    free(rows.addresses.data)
    free(rows.lengths.data)
    free(rows.origins.data)
    free(rows.peers.data)
    free(rows.times.data)
    free(rows.path_ids.data)
    free(rows.flags.data)
    free(rows.counts.data)
    free(rows.paths.data)
    empty_rows(rows)
