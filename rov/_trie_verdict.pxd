from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rov._trie_build cimport CROWD, LIST_KEYS, LIST_NODE, NODE, ON_LOW_WORD, Entry, Link, Tree, Word
from rov._trie_ranges cimport STRIDE

# How a built tree is asked: from an address to its leaf, and from a leaf to the verdict on a route.

# The words of rov.types.State and Reason, whose numbers stand in the columns.
cdef enum:
    NOT_FOUND = 0
    VALID = 1
    INVALID = 2

cdef enum:
    BECAUSE_NOT_COVERED = 0
    BECAUSE_MATCHED = 1
    BECAUSE_AS = 2
    BECAUSE_LENGTH = 3
    BECAUSE_AS0 = 4

# Strides that a walk takes before it searches.
cdef enum:
    MOST_STRIDES = 4

# Counting bits is an instruction on every processor but the first x86-64; there, it is asked for at import.
cdef extern from *:
    """
    #define rov_prefetch(at) __builtin_prefetch(at)
    #define rov_unlikely(x) __builtin_expect(!!(x), 0)

    #if defined(__x86_64__) && !defined(__POPCNT__)
    static int rov_has_popcnt = 0;
    #define rov_look_for_popcnt() (rov_has_popcnt = __builtin_cpu_supports("popcnt"))
    static inline uint32_t rov_ones(uint32_t x) {
        if (__builtin_expect(rov_has_popcnt, 1)) {
            __asm__("popcntl %0, %0" : "+r"(x) : : "cc");
            return x;
        }
        return (uint32_t)__builtin_popcount(x);
    }
    #else
    #define rov_look_for_popcnt()
    #define rov_ones(x) ((uint32_t)__builtin_popcount(x))
    #endif
    """
    void rov_prefetch(const void* at) noexcept nogil
    bint rov_unlikely(bint x) noexcept nogil
    void rov_look_for_popcnt() noexcept nogil
    uint32_t rov_ones(uint32_t x) noexcept nogil


# One step: a node and a key to the next entry


cdef inline uint32_t entry_of_slot(const Word* words, uint64_t slot) noexcept nogil:
    cdef Word word = words[slot >> 5]
    return word.base + rov_ones(word.bits << (~slot & 31))


cdef inline uint32_t step(const Tree* t, const Entry* e, uint64_t high, uint64_t low) noexcept nogil:
    cdef uint64_t key = low if e.span0 & ON_LOW_WORD else high
    cdef const uint64_t* keys
    cdef uint32_t i, n = 0
    if e.span0 & LIST_NODE:
        keys = t.keys + e.asn0
        for i in range(<uint32_t>LIST_KEYS):
            n += keys[i] < key
        return e.asn1 + n
    return entry_of_slot(t.words + e.asn0, (key >> e.length1) & ((<uint64_t>1 << e.span1) - 1))


cdef inline const Entry* find(const Tree* t, uint64_t high, uint64_t low) noexcept nogil:
    """The leaf of an address."""
    cdef const Entry* e = t.entries + entry_of_slot(t.words, high >> t.root_shift)
    while rov_unlikely(e.length0 == NODE):
        e = t.entries + step(t, e, high, low)
    return e


# The same for an address not far above the one before


cdef inline uint32_t seek(const Tree* t, uint32_t at, uint64_t high) noexcept nogil:
    """The range of an address at or above the beginning of the range at, by search."""
    cdef uint32_t beyond = <uint32_t>t.start_count, middle
    while beyond - at > 1:
        middle = at + (beyond - at) // 2
        if t.starts[middle] < high:
            at = middle
        else:
            beyond = middle
    return at


cdef inline uint32_t walk(const Tree* t, uint32_t at, uint64_t high) noexcept nogil:
    """The range of an address: a few steps ahead of the range at, or anywhere."""
    cdef const uint64_t* starts
    cdef uint32_t i, n
    cdef int _
    if rov_unlikely(high <= t.starts[at]):
        return seek(t, 0, high)
    for _ in range(MOST_STRIDES):
        starts = t.starts + at + 1
        n = 0
        for i in range(<uint32_t>STRIDE):
            n += starts[i] < high
        at += n
        if n < STRIDE:
            return at
    return seek(t, at, high)


cdef inline uint32_t leaf_of_range(const Tree* t, uint32_t range_,
                                   uint64_t high, uint64_t low) noexcept nogil:
    cdef uint32_t at = t.start_entry[range_]
    while rov_unlikely(t.entries[at].length0 == NODE):
        at = step(t, t.entries + at, high, low)
    return at


# The verdict of a leaf (RFC 6811 §2)


cdef inline bint allows(uint8_t vrp_length, uint8_t span, uint8_t length) noexcept nogil:
    """vrp_length <= length <= max_length; never for an absent VRP."""
    return <uint8_t>(length - vrp_length) <= span


cdef inline uint8_t verdict(bint covered, bint matched) noexcept nogil:
    return <uint8_t>((2 * covered) >> matched)


cdef inline bint matched_inline(const Entry* e, uint8_t length, uint32_t origin) noexcept nogil:
    return (((e.asn0 == origin) & allows(e.length0, e.span0, length))
            | ((e.asn1 == origin) & allows(e.length1, e.span1, length))) & (origin != 0)


cdef inline uint64_t claim_of(const Tree* t, const Link* crowd, uint32_t asn,
                              uint32_t* looked) noexcept nogil:
    """Of a crowd, the VRP of an AS with the longest max_length; if it has none, another's, or 0."""
    cdef const uint64_t* claims = t.crowds + crowd.asn + 1
    cdef uint64_t sought = <uint64_t>asn << 8 | 0xFF
    cdef size_t first = 0, beyond = claims[-1], middle
    while first < beyond:
        middle = first + (beyond - first) // 2
        looked[0] += 1
        if claims[middle] <= sought:
            first = middle + 1
        else:
            beyond = middle
    return claims[first - 1] if first else 0


cdef inline uint8_t search_rest(const Tree* t, const Entry* e, uint8_t length, uint32_t origin,
                                uint32_t* looked) noexcept nogil:
    """The verdict where the first two VRPs do not match: the last of the list is the shortest.

    At most 15 VRPs of one length, or a search among those of a crowd; looked grows by what was looked at.
    """
    cdef uint32_t at = e.rest
    cdef const Link* link = NULL
    cdef uint64_t claim
    while at:
        link = t.links + at - 1
        looked[0] += 1
        if rov_unlikely(link.span == CROWD):
            if link.length <= length and origin != 0:
                claim = claim_of(t, link, origin, looked)
                if claim >> 8 == origin and length <= <uint8_t>(claim & 0xFF):
                    return VALID
        elif (link.asn == origin) & allows(link.length, link.span, length) & (origin != 0):
            return VALID
        at = link.next
    return verdict(link.length <= length, False)


cdef inline uint8_t state_of_rest(const Tree* t, const Entry* e, uint8_t length,
                                  uint32_t origin) noexcept nogil:
    cdef uint32_t looked = 0
    return search_rest(t, e, length, origin, &looked)


cdef inline uint8_t state_of(const Tree* t, const Entry* e, uint8_t length, uint32_t origin) noexcept nogil:
    cdef bint matched = matched_inline(e, length, origin)
    if e.rest != 0 and not matched:
        return state_of_rest(t, e, length, origin)
    return verdict((e.length1 <= length) | matched, matched)


cdef struct Grounds:   # what the covering VRPs of a route have among them
    bint covered
    bint matched
    bint same_as
    bint other_as      # than AS 0


cdef inline void weigh(Grounds* g, uint32_t asn, uint8_t vrp_length, uint8_t span,
                       uint8_t length, uint32_t origin) noexcept nogil:
    cdef bint covers = vrp_length <= length
    cdef bint same = covers & (asn == origin) & (origin != 0)
    g.covered |= covers
    g.same_as |= same
    g.matched |= same & allows(vrp_length, span, length)
    g.other_as |= covers & (asn != 0)


cdef inline void weigh_crowd(const Tree* t, Grounds* g, const Link* crowd, uint8_t length, uint32_t origin,
                             uint32_t* looked) noexcept nogil:
    """The VRP of the origin with the longest max_length, if there is one, and that of the highest AS."""
    cdef const uint64_t* claims = t.crowds + crowd.asn + 1
    cdef uint64_t highest = claims[claims[-1] - 1], claim = claim_of(t, crowd, origin, looked)
    weigh(g, <uint32_t>(highest >> 8), crowd.length, 0, length, 0)
    if claim >> 8 == origin:
        weigh(g, origin, crowd.length, <uint8_t>(claim & 0xFF) - crowd.length, length, origin)


cdef inline uint8_t search_reason(const Tree* t, const Entry* e, uint8_t length, uint32_t origin,
                                  uint32_t* looked) noexcept nogil:
    """The Reason; looked grows by the VRPs that were looked at beyond the first two."""
    cdef Grounds g = Grounds(False, False, False, False)
    cdef uint32_t at = e.rest
    cdef const Link* link
    weigh(&g, e.asn0, e.length0, e.span0, length, origin)
    weigh(&g, e.asn1, e.length1, e.span1, length, origin)
    while at and not g.matched:
        link = t.links + at - 1
        looked[0] += 1
        if rov_unlikely(link.span == CROWD):
            weigh_crowd(t, &g, link, length, origin, looked)
        else:
            weigh(&g, link.asn, link.length, link.span, length, origin)
        at = link.next
    if not g.covered:
        return BECAUSE_NOT_COVERED
    if g.matched:
        return BECAUSE_MATCHED
    if g.same_as:
        return BECAUSE_LENGTH
    return BECAUSE_AS if g.other_as else BECAUSE_AS0


cdef inline uint8_t reason_of(const Tree* t, const Entry* e, uint8_t length, uint32_t origin) noexcept nogil:
    cdef uint32_t looked = 0
    return search_reason(t, e, length, origin, &looked)
