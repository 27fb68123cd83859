from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from rov._trie_build cimport NO_LENGTH, Entry, Tree
from rov._trie_ranges cimport NO_ROW, Columns, Ranges

cdef struct Task:     # a node to build: the ranges first..last-1 begin within a slot of 2^width keys
    uint32_t entry, first, last   # and the slot begins within the range first-1
    uint8_t width
    bint low

cdef struct Builder:
    Tree* tree
    const Columns* columns
    Ranges ranges
    uint32_t* linked  # of each row: 1 + its index in links, 0: not there yet
    Task* tasks
    size_t task_count, task_room, word_room, entry_room, key_room, link_room, crowd_room
    bint failed       # out of memory

cdef bint grow(void** items, size_t* room, size_t needed, size_t size, Builder* b) noexcept nogil
cdef uint32_t link(Builder* b, uint32_t row) noexcept nogil


cdef inline void set_leaf(Builder* b, uint32_t at, uint32_t row) noexcept nogil:
    cdef Entry* e = &b.tree.entries[at]
    cdef const Columns* c = b.columns
    cdef uint32_t second
    memset(e, 0, sizeof(Entry))
    e.length0 = e.length1 = NO_LENGTH
    if row == NO_ROW:
        return
    second = b.ranges.up[row]
    e.asn0 = e.asn1 = c.asn[row]
    e.length0 = e.length1 = c.length[row]
    e.span0 = e.span1 = c.max_length[row] - c.length[row]
    if second != NO_ROW:
        e.asn1 = c.asn[second]
        e.length1 = c.length[second]
        e.span1 = c.max_length[second] - c.length[second]
        e.rest = link(b, b.ranges.up[second])
