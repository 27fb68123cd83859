from libc.stdint cimport uint8_t, uint32_t, uint64_t

# A key is the first 64 bits of an address (an IPv4 address stands in the upper 32).

# Tables of megabytes in pages of 2 MiB, where the system has them: a fraction of the page faults during the
# build, and of the address translations during lookups.
cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #define ROV_HUGE_PAGE ((uintptr_t)1 << 21)
    static inline void rov_large_pages(void* at, size_t size) {
        uintptr_t first = ((uintptr_t)at + ROV_HUGE_PAGE - 1) & ~(ROV_HUGE_PAGE - 1);
        uintptr_t last = ((uintptr_t)at + size) & ~(ROV_HUGE_PAGE - 1);
        if (at != NULL && first < last)
            (void)madvise((void*)first, last - first, MADV_HUGEPAGE);
    }
    static inline void *rov_table(size_t size) {
        void *at = NULL;
        /* of a smaller one, which may stay half empty, the large pages at its ends would be waste */
        if (size < 2 * ROV_HUGE_PAGE)
            return malloc(size);
        if (posix_memalign(&at, ROV_HUGE_PAGE, size))
            return NULL;
        rov_large_pages(at, size);
        return at;
    }
    #else
    #define rov_large_pages(at, size)
    #define rov_table(size) malloc(size)
    #endif
    """
    void rov_large_pages(void* at, size_t size) noexcept nogil
    void* rov_table(size_t size) noexcept nogil

cdef enum:
    NO_ROW = 0xFFFFFFFF
    DIVIDED = 0x80000000  # in a value of a key: a Division, whose number the other bits are
    STRIDE = 8            # starts that a walk over sorted routes compares at once

cdef struct Columns:   # sorted ascending by (address, length, max_length, asn); address4 or address6 is NULL
    const uint32_t* address4
    const uint64_t* address6
    const uint8_t* length
    const uint8_t* max_length
    const uint32_t* asn
    uint32_t count

cdef struct Division:  # a key whose addresses several ranges share: first..last-1, after what first-1 holds
    uint32_t first, last

cdef struct Ranges:    # ascending; the first begins at address 0, the last reaches to the end
    uint32_t* up       # of each row: the next less specific VRP that covers the same, or NO_ROW
    uint64_t* high     # a range begins at (high, low); low is NULL in IPv4
    uint64_t* low
    uint32_t* value    # its most specific VRP, or NO_ROW
    uint32_t count
    uint64_t* key      # the same ranges by their high word alone, with room for STRIDE more; IPv4: high
    uint32_t* key_value
    uint32_t key_count
    Division* divisions
    uint32_t division_count

cdef bint find_ranges(Ranges* ranges, const Columns* columns) noexcept nogil
cdef void free_ranges(Ranges* ranges) noexcept nogil
