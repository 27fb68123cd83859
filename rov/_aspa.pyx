"""ASPA path verification over columns: attestations found by bucket, paths walked once, without the GIL."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t

# As rov.aspa.AspaState, Direction and Hop have them.
cdef enum Verdict:
    UNKNOWN = 0
    VALID = 1
    INVALID = 2

cdef enum:
    UPSTREAM = 0

cdef enum HopState:
    NO_ATTESTATION = 0
    PROVIDER = 1
    NOT_PROVIDER = 2


cdef struct Ramps:    # ases: N, the ASes of the path without prepending
    Py_ssize_t ases
    Py_ssize_t max_up
    Py_ssize_t min_up
    Py_ssize_t max_down
    Py_ssize_t min_down


cdef inline Py_ssize_t search(const uint32_t[::1] column, Py_ssize_t low, Py_ssize_t high,
                              uint32_t wanted) noexcept nogil:
    """The row of a value in an ascending part of a column, -1 if it is not there."""
    cdef Py_ssize_t middle, end = high
    while low < high:
        middle = (low + high) // 2
        if column[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < end and column[low] == wanted else -1


@cython.final
cdef class Attestations:
    """Which AS attests which providers; frozen, so safe to share between threads without a lock.

    Bucket b holds the customers whose lowest bits are b, ascending, in rows buckets[b] to
    buckets[b + 1]; there are a power of two of them. Row r attests providers[starts[r]:starts[r + 1]],
    ascending. So hostile sets of customers cost a longer binary search and no more. The columns must
    fit each other as rov.aspa builds them.
    """

    cdef const uint32_t[::1] buckets
    cdef const uint32_t[::1] customers
    cdef const int64_t[::1] starts
    cdef const uint32_t[::1] providers
    cdef uint32_t mask

    def __cinit__(self, const uint32_t[::1] buckets, const uint32_t[::1] customers,
                  const int64_t[::1] starts, const uint32_t[::1] providers):
        self.buckets = buckets
        self.customers = customers
        self.starts = starts
        self.providers = providers
        self.mask = <uint32_t>(buckets.shape[0] - 2)

    cdef inline Py_ssize_t row_of(self, uint32_t customer) noexcept nogil:
        cdef uint32_t bucket = customer & self.mask
        return search(self.customers, self.buckets[bucket], self.buckets[bucket + 1], customer)

    cdef inline HopState hop_of(self, Py_ssize_t row, uint32_t provider) noexcept nogil:
        """authorized(customer in the row, provider); row -1: the customer attests nothing."""
        if row < 0:
            return NO_ATTESTATION
        if search(self.providers, self.starts[row], self.starts[row + 1], provider) < 0:
            return NOT_PROVIDER
        return PROVIDER

    cdef Ramps walk(self, const uint32_t[::1] asns, int64_t start, int64_t end, bint down) noexcept nogil:
        """The ramps of the path asns[start:end], its origin last; the down-ramps only if asked for."""
        cdef Ramps ramps
        cdef int64_t i
        cdef uint32_t asn, nearer
        cdef Py_ssize_t row, nearer_row, n = 1, max_up = 0, min_up = 0, max_cut = 1, min_cut = 1
        cdef HopState hop
        ramps.ases = ramps.max_up = ramps.min_up = ramps.max_down = ramps.min_down = 0
        if start == end:
            return ramps
        asn = asns[end - 1]
        row = self.row_of(asn)
        # A(n) is asn, A(n + 1) the AS nearer to us; a cut is the last J whose hop to A(J - 1) fails.
        for i in range(end - 2, start - 1, -1):
            nearer = asns[i]
            if nearer == asn:
                continue
            nearer_row = self.row_of(nearer)
            if max_up == 0:
                hop = self.hop_of(row, nearer)
                if hop != PROVIDER and min_up == 0:
                    min_up = n
                if hop == NOT_PROVIDER:
                    max_up = n
            n += 1
            if down:
                hop = self.hop_of(nearer_row, asn)
                if hop != PROVIDER:
                    min_cut = n
                if hop == NOT_PROVIDER:
                    max_cut = n
            asn = nearer
            row = nearer_row
        ramps.ases = n
        ramps.max_up = max_up if max_up else n
        ramps.min_up = min_up if min_up else n
        ramps.max_down = n - max_cut + 1
        ramps.min_down = n - min_cut + 1
        return ramps

    cdef Verdict judge(self, const uint32_t[::1] asns, int64_t start, int64_t end, uint32_t neighbor,
                       bint as_set, bint down) noexcept nogil:
        cdef Ramps ramps
        if start == end or as_set or (neighbor != 0 and asns[start] != neighbor):
            return INVALID
        ramps = self.walk(asns, start, end, down)
        # Upstream the down-ramps do not count.
        if ramps.max_up + (ramps.max_down if down else 0) < ramps.ases:
            return INVALID
        if ramps.min_up + (ramps.min_down if down else 0) < ramps.ases:
            return UNKNOWN
        return VALID

    def hop(self, uint32_t customer, uint32_t provider):
        """What customer attests of provider, as a number of Hop.

        >>> import numpy as np
        >>> nothing = np.zeros(0, "u4")
        >>> Attestations(np.zeros(2, "u4"), nothing, np.zeros(1, "i8"), nothing).hop(64496, 64497)
        0
        """
        return <int>self.hop_of(self.row_of(customer), provider)

    def ramps(self, const uint32_t[::1] path):
        """(max_up, min_up, max_down, min_down) of one path, its origin last.

        >>> import numpy as np
        >>> nothing = np.zeros(0, "u4")
        >>> none = Attestations(np.zeros(2, "u4"), nothing, np.zeros(1, "i8"), nothing)
        >>> none.ramps(np.array([64497, 64496], "u4"))
        (2, 1, 2, 1)
        """
        cdef Ramps ramps = self.walk(path, 0, path.shape[0], True)
        return ramps.max_up, ramps.min_up, ramps.max_down, ramps.min_down

    def verify(self, const uint32_t[::1] path, uint32_t neighbor, bint as_set, uint8_t direction):
        """The verdict on one path, as a number of AspaState; neighbor 0: not checked.

        >>> import numpy as np
        >>> nothing = np.zeros(0, "u4")
        >>> none = Attestations(np.zeros(2, "u4"), nothing, np.zeros(1, "i8"), nothing)
        >>> none.verify(np.array([64496], "u4"), 0, False, 0)
        1
        """
        return <int>self.judge(path, 0, path.shape[0], neighbor, as_set, direction != UPSTREAM)

    def verify_columns(self, const uint32_t[::1] asns, const int64_t[::1] offsets,
                       const uint32_t[:] neighbors, const uint8_t[:] as_sets,
                       const uint8_t[:] directions, uint8_t[::1] out):
        """The verdict on path i, asns[offsets[i]:offsets[i + 1]], into out[i].

        >>> import numpy as np
        >>> nothing = np.zeros(0, "u4")
        >>> none = Attestations(np.zeros(2, "u4"), nothing, np.zeros(1, "i8"), nothing)
        >>> out = np.zeros(1, "u1")
        >>> none.verify_columns(nothing, np.zeros(2, "i8"), np.zeros(1, "u4"), out, out, out)
        >>> int(out[0])
        2
        """
        cdef Py_ssize_t i
        with nogil:
            for i in range(out.shape[0]):
                out[i] = <uint8_t>self.judge(asns, offsets[i], offsets[i + 1], neighbors[i],
                                             as_sets[i] != 0, directions[i] != UPSTREAM)


def first_bad_offset(const int64_t[::1] offsets, int64_t size):
    """The first row that is below its predecessor (or 0) or above size, -1 if there is none.

    >>> import numpy as np
    >>> first_bad_offset(np.array([0, 2, 1]), 2)
    2
    """
    cdef Py_ssize_t i
    cdef int64_t least = 0
    with nogil:
        for i in range(offsets.shape[0]):
            if offsets[i] < least or offsets[i] > size:
                break
            least = offsets[i]
        else:
            i = -1
    return i
