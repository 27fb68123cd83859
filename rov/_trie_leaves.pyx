"""The leaves of the frozen trie: what covers a range, most specific first, as lists beyond the first two."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport qsort, realloc

from rov._trie_build cimport CROWD, Link, Tree
from rov._trie_ranges cimport NO_ROW, Columns, rov_large_pages, rov_table

# So many VRPs of one prefix become a crowd, which is searched and not walked.
cdef enum:
    CROWD_LEAST = 16


cdef bint grow(void** items, size_t* room, size_t needed, size_t size, Builder* b) noexcept nogil:
    """Make room for needed items; False, and failed is set, if there is no memory."""
    cdef size_t wanted = room[0]
    cdef void* larger
    if needed <= wanted:
        return True
    while wanted < needed:
        wanted = 2 * wanted + 64
    # the first room of the root's tables is most of what they take: it begins where a large page does
    larger = realloc(items[0], wanted * size) if items[0] != NULL else rov_table(wanted * size)
    if larger == NULL:
        b.failed = True
        return False
    rov_large_pages(larger, wanted * size)
    items[0] = larger
    room[0] = wanted
    return True


# Lists of VRPs


cdef inline bint one_prefix(const Columns* c, uint32_t row, uint32_t other) noexcept nogil:
    if c.length[row] != c.length[other]:
        return False
    if c.address4 != NULL:
        return c.address4[row] == c.address4[other]
    return (c.address6[2 * <size_t>row] == c.address6[2 * <size_t>other]
            and c.address6[2 * <size_t>row + 1] == c.address6[2 * <size_t>other + 1])


cdef int ascending(const void* a, const void* b) noexcept nogil:
    cdef uint64_t left = (<const uint64_t*>a)[0], right = (<const uint64_t*>b)[0]
    return (left > right) - (left < right)


cdef uint32_t add_crowd(Builder* b, uint32_t first, uint32_t last) noexcept nogil:
    """The rows first..last, which are of one prefix, as a crowd; its index."""
    cdef Tree* t = b.tree
    cdef uint32_t row, at = <uint32_t>t.crowd_count
    cdef size_t count = last - first + 1
    if not grow(<void**>&t.crowds, &b.crowd_room, at + 1 + count, sizeof(uint64_t), b):
        return 0
    t.crowds[at] = count
    for row in range(first, last + 1):
        t.crowds[at + 1 + row - first] = <uint64_t>b.columns.asn[row] << 8 | b.columns.max_length[row]
    qsort(t.crowds + at + 1, count, sizeof(uint64_t), &ascending)
    t.crowd_count += 1 + count
    return at


cdef uint32_t add_link(Builder* b, uint32_t row, uint32_t* above) noexcept nogil:
    """A link for a row, or for all rows of its prefix where they are many; the next row goes to above.

    1 + its index; 0 if there is no memory.
    """
    cdef const Columns* c = b.columns
    cdef Tree* t = b.tree
    cdef Link* made
    cdef uint32_t first = row, last = row
    while first and one_prefix(c, first - 1, row):
        first -= 1
    while last + 1 < c.count and one_prefix(c, last + 1, row):
        last += 1
    above[0] = b.ranges.up[row]
    if last - first + 1 >= CROWD_LEAST:
        above[0] = b.ranges.up[first]
        if b.linked[first]:
            return b.linked[first]
    if not grow(<void**>&t.links, &b.link_room, t.link_count + 1, sizeof(Link), b):
        return 0
    made = &t.links[t.link_count]
    made.next = 0
    made.length = c.length[row]
    t.link_count += 1
    if last - first + 1 >= CROWD_LEAST:
        made.asn = add_crowd(b, first, last)
        made.span = CROWD
        b.linked[first] = <uint32_t>t.link_count
    else:
        made.asn = c.asn[row]
        made.span = c.max_length[row] - c.length[row]
    return <uint32_t>t.link_count


cdef uint32_t link(Builder* b, uint32_t row) noexcept nogil:
    """The list of a row and what is above it; 1 + its index, 0 for no row."""
    cdef uint32_t first = 0, before = 0, index, above = NO_ROW
    cdef bint known = False
    while row != NO_ROW and not known and not b.failed:
        index = b.linked[row]
        known = index != 0
        if not known:
            index = add_link(b, row, &above)
            b.linked[row] = index
        if before:
            b.tree.links[before - 1].next = index
        else:
            first = index
        before = index
        row = above
    return first
