"""Sorted VRPs of one family to ranges: runs of addresses that the same VRPs cover, in address order."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

# One open prefix for every length of an IPv6 prefix.
cdef enum:
    DEEPEST = 129


cdef struct Open:     # a prefix of the sweep that has not ended yet
    uint64_t end_high, end_low
    uint32_t row
    bint ends         # False: it reaches to the last address


# The sweep is compiled once for each family: ipv4 is a constant wherever these are called.


cdef inline void row_address(const Columns* c, uint32_t row, uint64_t* high, uint64_t* low,
                             bint ipv4) noexcept nogil:
    if ipv4:
        high[0] = <uint64_t>c.address4[row] << 32
        low[0] = 0
    else:
        high[0] = c.address6[2 * <size_t>row]
        low[0] = c.address6[2 * <size_t>row + 1]


cdef inline bint end_of(uint64_t high, uint64_t low, int length, Open* out) noexcept nogil:
    """The first address beyond a prefix; False if there is none."""
    cdef uint64_t step
    out.end_high = high
    out.end_low = low
    if length <= 64:
        if length:
            out.end_high = high + (<uint64_t>1 << (64 - length))
        return length != 0 and out.end_high != 0
    step = <uint64_t>1 << (128 - length)
    out.end_low = low + step
    if out.end_low < step:
        out.end_high = high + 1
    return out.end_low >= step or out.end_high != 0


cdef inline void add_range(Ranges* r, uint64_t high, uint64_t low, uint32_t value, bint ipv4) noexcept nogil:
    cdef uint32_t n = r.count
    if n and r.high[n - 1] == high and (ipv4 or r.low[n - 1] == low):
        r.value[n - 1] = value
        return
    r.high[n] = high
    if not ipv4:
        r.low[n] = low
    r.value[n] = value
    r.count = n + 1


cdef inline bint ended(const Open* prefix, uint64_t high, uint64_t low, bint ipv4) noexcept nogil:
    if not prefix.ends:
        return False
    return prefix.end_high < high or (prefix.end_high == high and (ipv4 or prefix.end_low <= low))


cdef inline void sweep(Ranges* r, const Columns* c, bint ipv4) noexcept nogil:
    """Fill up and the ranges; at most two begin with a prefix, and one at address 0."""
    cdef Open stack[DEEPEST]
    cdef uint64_t high = 0, low = 0, before_high = 0, before_low = 0
    cdef uint32_t row
    cdef int depth = 0
    add_range(r, 0, 0, NO_ROW, ipv4)
    for row in range(c.count):
        row_address(c, row, &high, &low, ipv4)
        if row and high == before_high and (ipv4 or low == before_low) and c.length[row] == c.length[row - 1]:
            r.up[row] = row - 1
            stack[depth - 1].row = row
            r.value[r.count - 1] = row
            continue
        while depth and ended(&stack[depth - 1], high, low, ipv4):
            depth -= 1
            add_range(r, stack[depth].end_high, stack[depth].end_low,
                      stack[depth - 1].row if depth else <uint32_t>NO_ROW, ipv4)
        r.up[row] = stack[depth - 1].row if depth else <uint32_t>NO_ROW
        add_range(r, high, low, row, ipv4)
        stack[depth].row = row
        stack[depth].ends = end_of(high, low, c.length[row], &stack[depth])
        depth += 1
        before_high = high
        before_low = low
    while depth:
        depth -= 1
        if stack[depth].ends:
            add_range(r, stack[depth].end_high, stack[depth].end_low,
                      stack[depth - 1].row if depth else <uint32_t>NO_ROW, ipv4)


cdef inline void add_key(Ranges* r, uint64_t key, uint32_t value) noexcept nogil:
    r.key[r.key_count] = key
    r.key_value[r.key_count] = value
    r.key_count += 1


cdef void divide(Ranges* r) noexcept nogil:
    """IPv6 ranges to ranges on the high word; a key within which others begin gets a Division."""
    cdef uint32_t i = 0, first
    cdef uint64_t high
    while i < r.count:
        high = r.high[i]
        if r.low[i] == 0:
            i += 1
        first = i
        while i < r.count and r.high[i] == high:
            i += 1
        if i == first:
            add_key(r, high, r.value[i - 1])
            continue
        r.divisions[r.division_count].first = first
        r.divisions[r.division_count].last = i
        add_key(r, high, <uint32_t>DIVIDED | r.division_count)
        r.division_count += 1
        if high + 1 != 0 and (i == r.count or r.high[i] != high + 1):
            add_key(r, high + 1, r.value[i - 1])


cdef bint make_room(Ranges* r, const Columns* c) noexcept nogil:
    """Two ranges a row and one, and once more as many on the high word of IPv6; False: no memory."""
    cdef size_t rows = <size_t>c.count + 1, ranges = 2 * rows
    r.up = <uint32_t*>rov_table(rows * sizeof(uint32_t))
    r.high = <uint64_t*>rov_table((ranges + STRIDE) * sizeof(uint64_t))
    r.value = <uint32_t*>rov_table(ranges * sizeof(uint32_t))
    if r.up == NULL or r.high == NULL or r.value == NULL:
        return False
    if c.address6 == NULL:
        return True
    r.low = <uint64_t*>rov_table(ranges * sizeof(uint64_t))
    r.key = <uint64_t*>rov_table((2 * ranges + STRIDE) * sizeof(uint64_t))
    r.key_value = <uint32_t*>rov_table(2 * ranges * sizeof(uint32_t))
    r.divisions = <Division*>rov_table(ranges * sizeof(Division))
    return r.low != NULL and r.key != NULL and r.key_value != NULL and r.divisions != NULL


cdef bint find_ranges(Ranges* ranges, const Columns* columns) noexcept nogil:
    """The ranges of sorted, unique, checked rows, for free_ranges to free; False if memory is short."""
    memset(ranges, 0, sizeof(Ranges))
    if not make_room(ranges, columns):
        return False
    if ranges.low != NULL:
        sweep(ranges, columns, False)
        divide(ranges)
    else:
        sweep(ranges, columns, True)
        ranges.key = ranges.high
        ranges.key_value = ranges.value
        ranges.key_count = ranges.count
    return True


cdef void free_ranges(Ranges* ranges) noexcept nogil:
    if ranges.key != ranges.high:
        free(ranges.key)
        free(ranges.key_value)
    free(ranges.up)
    free(ranges.high)
    free(ranges.low)
    free(ranges.value)
    free(ranges.divisions)
    memset(ranges, 0, sizeof(Ranges))
