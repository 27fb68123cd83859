"""The frozen trie of one family: from an address to its covering VRPs, and to the verdict on a route.

A leaf holds the VRPs that cover the first address of a route, most specific first, and with them those
that are longer than the route, which the verdict passes over. Columns are judged in groups: every route
of a group takes one step before any takes the next, so that the memory of many is fetched at once.
Nothing is written after the build: any number of threads may read.
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rov._trie_build cimport (
    CROWD, LIST_NODE, NODE, ON_LOW_WORD, Entry, Link, Tree, build_tree, free_tree, tree_bytes,
)
from rov._trie_ranges cimport Columns
from rov._trie_verdict cimport (
    MOST_STRIDES, entry_of_slot, find, leaf_of_range, matched_inline, reason_of, rov_look_for_popcnt,
    rov_prefetch, search_reason, search_rest, state_of, step, walk,
)
from rov._trie_wide cimport (
    rov_judge_4, rov_judge_8, rov_judge_ascending_8, rov_look_for_avx2, rov_lowest, rov_set_wide,
    rov_walk_8, rov_wide,
)

# Rows and boundaries are numbered in 32 bits; the global set has 10^6 rows.
cdef enum:
    MAX_ROWS = 1 << 29

# Routes that step together: enough to hide one cache miss behind the others, few enough for the L1 cache.
cdef enum:
    GROUP = 64
    SAMPLE = 13   # every so many of a group tell whether it is sorted

rov_look_for_popcnt()
rov_look_for_avx2()


def judge_at_once(int most):
    """Have 4 or 8 verdicts made at once from now on; how many it will be: 8 need AVX2.

    The processor is asked when the module is imported, so this is for tests of both ways.

    >>> judge_at_once(4)
    4
    >>> judge_at_once(8) in (4, 8)
    True
    """
    if most == 8:
        rov_look_for_avx2()
    else:
        rov_set_wide(False)
    return 8 if rov_wide else 4


# Columns


cdef inline const void* place_in(const Tree* t, const Entry* e, uint64_t high, uint64_t low) noexcept nogil:
    """The memory that the step through a node reads."""
    cdef uint64_t key = low if e.span0 & ON_LOW_WORD else high
    if e.span0 & LIST_NODE:
        return t.keys + e.asn0
    return t.words + e.asn0 + (((key >> e.length1) & ((<uint64_t>1 << e.span1) - 1)) >> 5)


cdef void find_group(const Tree* t, const uint64_t* high, const uint64_t* low, uint32_t* at,
                     int count) noexcept nogil:
    """The leaves of at most GROUP addresses; in IPv4 low is not looked at."""
    cdef int open[GROUP]
    cdef int i, k, left = 0, still
    for i in range(count):
        rov_prefetch(t.words + (high[i] >> t.root_shift >> 5))
    for i in range(count):
        at[i] = entry_of_slot(t.words, high[i] >> t.root_shift)
        rov_prefetch(t.entries + at[i])
    for i in range(count):
        open[left] = i
        left += t.entries[at[i]].length0 == NODE
    while left:
        for k in range(left):
            i = open[k]
            rov_prefetch(place_in(t, t.entries + at[i], high[i], low[i]))
        for k in range(left):
            i = open[k]
            at[i] = step(t, t.entries + at[i], high[i], low[i])
            rov_prefetch(t.entries + at[i])
        still = 0
        for k in range(left):
            i = open[k]
            open[still] = i
            still += t.entries[at[i]].length0 == NODE
        left = still


cdef void judge_group(const Tree* t, const uint32_t* at, const uint8_t* lengths, const uint32_t* origins,
                      uint8_t* out, int count, bint reasons) noexcept nogil:
    """The verdicts on routes whose leaves are known."""
    cdef uint64_t open, left
    cdef uint32_t i
    if reasons:
        for i in range(<uint32_t>count):
            out[i] = reason_of(t, t.entries + at[i], lengths[i], origins[i])
        return
    if rov_wide:
        open = rov_judge_8(t.entries, at, lengths, origins, out, count)
    else:
        open = rov_judge_4(t.entries, at, lengths, origins, out, count)
    left = open
    while left:
        rov_prefetch(t.links + t.entries[at[rov_lowest(left)]].rest)
        left &= left - 1
    while open:
        i = rov_lowest(open)
        out[i] = state_of(t, t.entries + at[i], lengths[i], origins[i])
        open &= open - 1


cdef void judge_ascending4(const Tree* t, const uint32_t* addresses, const uint8_t* lengths,
                           const uint32_t* origins, uint8_t* out, int count) noexcept nogil:
    """The States of routes in table order: few entries are nodes, and their memory is near at hand."""
    cdef uint32_t at[GROUP]
    cdef uint64_t open
    cdef int i, shift = t.root_shift - 32
    if rov_wide:
        open = rov_judge_ascending_8(t.words, shift, t.entries, addresses, lengths, origins, out, count)
    else:
        for i in range(count):
            at[i] = entry_of_slot(t.words, addresses[i] >> shift)
        open = rov_judge_4(t.entries, at, lengths, origins, out, count)
    while open:
        i = <int>rov_lowest(open)
        out[i] = state_of(t, find(t, <uint64_t>addresses[i] << 32, 0), lengths[i], origins[i])
        open &= open - 1


cdef inline bint ascends4(const uint32_t* addresses, int count) noexcept nogil:
    """Whether a group looks sorted: then its memory is near at hand, and needs no fetching ahead."""
    cdef int i = 0
    while i + SAMPLE < count:
        if addresses[i] > addresses[i + SAMPLE]:
            return False
        i += SAMPLE
    return True


cdef inline bint ascends6(const uint64_t* addresses, int count) noexcept nogil:
    """The same by the high words."""
    cdef int i = 0
    while i + SAMPLE < count:
        if addresses[2 * i] > addresses[2 * (i + SAMPLE)]:
            return False
        i += SAMPLE
    return True


cdef void judge4(const Tree* t, const uint32_t* addresses, const uint8_t* lengths, const uint32_t* origins,
                 uint8_t* out, int count, bint reasons) noexcept nogil:
    """Judge at most GROUP routes of IPv4."""
    cdef uint64_t high[GROUP]
    cdef uint32_t at[GROUP]
    cdef int i
    if not reasons and ascends4(addresses, count):
        judge_ascending4(t, addresses, lengths, origins, out, count)
        return
    for i in range(count):
        high[i] = <uint64_t>addresses[i] << 32
    find_group(t, high, high, at, count)
    judge_group(t, at, lengths, origins, out, count, reasons)


cdef void judge6(const Tree* t, const uint64_t* addresses, const uint8_t* lengths, const uint32_t* origins,
                 uint8_t* out, int count, bint reasons, uint32_t* range_) noexcept nogil:
    """Judge at most GROUP routes of IPv6; sorted ones are a walk from a range, which goes along."""
    cdef uint64_t high[GROUP]
    cdef uint64_t low[GROUP]
    cdef uint32_t at[GROUP]
    cdef int i
    if ascends6(addresses, count):
        i = 0
        while i < count:
            if rov_wide:
                i = rov_walk_8(t.starts, range_, addresses, at, i, count, MOST_STRIDES)
            if i < count:
                at[i] = range_[0] = walk(t, range_[0], addresses[2 * i])
                i += 1
        for i in range(count):
            at[i] = leaf_of_range(t, at[i], addresses[2 * i], addresses[2 * i + 1])
    else:
        for i in range(count):
            high[i] = addresses[2 * i]
            low[i] = addresses[2 * i + 1]
        find_group(t, high, low, at, count)
    judge_group(t, at, lengths, origins, out, count, reasons)


cdef void judge_all4(const Tree* t, const uint32_t* addresses, const uint8_t* lengths,
                     const uint32_t* origins, uint8_t* out, size_t count, bint reasons) noexcept nogil:
    cdef size_t at = 0
    while at < count:
        judge4(t, addresses + at, lengths + at, origins + at, out + at,
               <int>min(count - at, <size_t>GROUP), reasons)
        at += GROUP


cdef void judge_all6(const Tree* t, const uint64_t* addresses, const uint8_t* lengths,
                     const uint32_t* origins, uint8_t* out, size_t count, bint reasons) noexcept nogil:
    cdef size_t at = 0
    cdef uint32_t here = 0
    while at < count:
        judge6(t, addresses + 2 * at, lengths + at, origins + at, out + at,
               <int>min(count - at, <size_t>GROUP), reasons, &here)
        at += GROUP


@cython.final
cdef class Trie:
    """The VRPs of one family (4 or 6), frozen; ``len`` is their number.

    Built from rows sorted strictly ascending by (address, length, max_length, asn), without host bits:
    address uint32 [n] or uint64 [n, 2] (high and low words), length and max_length uint8, asn uint32.
    Routes come as contiguous columns of equal length, checked by the caller: addresses likewise, lengths
    uint8, origins uint32 (0: no origin); verdicts go to a uint8 column. ValueError: columns do not fit.

    >>> import numpy as np
    >>> zero = np.zeros(1, "u1")
    >>> len(Trie(4, np.zeros(1, "u4"), zero, zero, np.zeros(1, "u4")))
    1
    """

    def __cinit__(self, int family, address, const uint8_t[::1] length not None,
                  const uint8_t[::1] max_length not None, const uint32_t[::1] asn not None):
        cdef Columns columns
        cdef const uint32_t[::1] address4 = address if family == 4 else None
        cdef const uint64_t[:, ::1] address6 = address if family == 6 else None
        cdef Py_ssize_t count = length.shape[0]
        cdef uint32_t none4 = 0
        cdef uint64_t none6 = 0
        cdef int failed
        if family not in (4, 6) or len(address) != count or (family == 6 and address6.shape[1] != 2):
            raise ValueError("expected family 4 or 6 and its addresses, one a length")
        if max_length.shape[0] != count or asn.shape[0] != count or count >= MAX_ROWS:
            raise ValueError(f"expected columns of equal length below {MAX_ROWS}")
        columns.count = <uint32_t>count
        columns.address4 = &none4 if family == 4 else NULL
        columns.address6 = &none6 if family == 6 else NULL
        if count:
            columns.address4 = &address4[0] if family == 4 else NULL
            columns.address6 = &address6[0, 0] if family == 6 else NULL
            columns.length = &length[0]
            columns.max_length = &max_length[0]
            columns.asn = &asn[0]
        self.family = family
        with nogil:
            failed = build_tree(&self.tree, &columns)
        if failed:
            raise MemoryError(f"no memory for a trie of {count} VRPs")

    def __dealloc__(self):
        free_tree(&self.tree)

    @property
    def nbytes(self):
        """Octets of memory that the trie takes."""
        return tree_bytes(&self.tree)

    def __len__(self):
        return self.tree.vrp_count

    cdef void states4(self, const uint32_t* addresses, const uint8_t* lengths, const uint32_t* origins,
                      uint8_t* out, size_t count) noexcept nogil:
        judge_all4(&self.tree, addresses, lengths, origins, out, count, False)

    cdef void states6(self, const uint64_t* addresses, const uint8_t* lengths, const uint32_t* origins,
                      uint8_t* out, size_t count) noexcept nogil:
        judge_all6(&self.tree, addresses, lengths, origins, out, count, False)

    cdef uint8_t state(self, uint64_t high, uint64_t low, uint8_t length, uint32_t origin) noexcept nogil:
        return state_of(&self.tree, find(&self.tree, high, low), length, origin)

    def judge_ipv4(self, const uint32_t[::1] addresses, const uint8_t[::1] lengths,
                   const uint32_t[::1] origins, uint8_t[::1] out, bint reasons):
        """Write the State of each route to out, or its Reason."""
        cdef size_t count = expect(4, self.family, addresses.shape[0], lengths, origins, out)
        if count:
            with nogil:
                judge_all4(&self.tree, &addresses[0], &lengths[0], &origins[0], &out[0], count, reasons)

    def judge_ipv6(self, const uint64_t[:, ::1] addresses, const uint8_t[::1] lengths,
                   const uint32_t[::1] origins, uint8_t[::1] out, bint reasons):
        """Write the State of each route to out, or its Reason."""
        cdef size_t count = expect(6, self.family, addresses.shape[0], lengths, origins, out)
        if count and addresses.shape[1] == 2:
            with nogil:
                judge_all6(&self.tree, &addresses[0, 0], &lengths[0], &origins[0], &out[0], count, reasons)

    def covering(self, uint64_t high, uint64_t low, uint8_t length):
        """The VRPs that cover a prefix, shortest first, as (length, max_length, asn).

        >>> import numpy as np
        >>> zero = np.zeros(1, "u1")
        >>> Trie(4, np.zeros(1, "u4"), zero, zero, np.ones(1, "u4")).covering(0, 0, 0)
        [(0, 0, 1)]
        """
        cdef const Entry* e = find(&self.tree, high, low)
        cdef const Link* link
        cdef uint32_t at = e.rest
        cdef list found = [(e.length0, e.length0 + e.span0, e.asn0)]
        second = (e.length1, e.length1 + e.span1, e.asn1)
        if second != found[0]:
            found.append(second)
        while at:
            link = self.tree.links + at - 1
            if link.span == CROWD:
                # the first two may be of it
                found = [vrp for vrp in found if vrp[0] != link.length] + crowd_of(&self.tree, link)
            else:
                found.append((link.length, link.length + link.span, link.asn))
            at = link.next
        return [vrp for vrp in reversed(found) if vrp[0] <= length]

    def effort(self, uint64_t high, uint64_t low, uint8_t length, uint32_t origin):
        """How many VRPs beyond the first two the State of a route looks at, and how many its Reason.

        >>> import numpy as np
        >>> zero = np.zeros(100_000, "u1")
        >>> crowd = Trie(4, np.zeros(100_000, "u4"), zero, zero, np.arange(100_000, dtype="u4"))
        >>> max(crowd.effort(0, 0, 8, 7)) < 20
        True
        """
        cdef const Entry* e = find(&self.tree, high, low)
        cdef uint32_t state = 0, reason = 0
        if e.rest and not matched_inline(e, length, origin):
            search_rest(&self.tree, e, length, origin, &state)
        search_reason(&self.tree, e, length, origin, &reason)
        return state, reason


cdef list crowd_of(const Tree* t, const Link* link):
    """The VRPs of a crowd as (length, max_length, asn), by descending AS number."""
    cdef const uint64_t* claims = t.crowds + link.asn + 1
    cdef Py_ssize_t i, count = <Py_ssize_t>claims[-1]
    return [(link.length, claims[i] & 0xFF, claims[i] >> 8) for i in range(count - 1, -1, -1)]


cdef size_t expect(int wanted, int family, Py_ssize_t count, const uint8_t[::1] lengths,
                   const uint32_t[::1] origins, uint8_t[::1] out) except? 0:
    """The common length of the columns; ValueError if they differ or are of the other family."""
    if wanted != family:
        raise ValueError(f"expected routes of IPv{family}, found IPv{wanted}")
    if lengths.shape[0] != count or origins.shape[0] != count or out.shape[0] != count:
        raise ValueError("expected columns of equal length")
    return count
