"""Prefixes as BGP writes them: a length in bits, then as many octets as hold it (RFC 4271 §4.3)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rov._cursor cimport Cursor, left, read_part, read_u8, read_u32, read_u64


cdef struct BgpPrefix:
    uint64_t high           # IPv4: the address in the low 32 bits of high; IPv6: the first 64 bits
    uint64_t low
    uint32_t path_id
    uint8_t length


cdef inline uint64_t high_bits(uint64_t word, int length) noexcept nogil:
    """A word without what lies beyond a length of 0 to 64."""
    return word >> (64 - length) << (64 - length) if length else 0


cdef inline uint64_t first_word(Cursor* c) noexcept nogil:
    """Up to eight octets as the high end of a word."""
    cdef uint64_t word = 0
    cdef uint8_t octet = 0
    cdef int shift = 56
    if read_u64(c, &word):
        return word
    while read_u8(c, &octet):
        word |= <uint64_t>octet << shift
        shift -= 8
    return word


cdef inline bint read_address(Cursor* c, uint8_t family, uint64_t* high, uint64_t* low) noexcept nogil:
    """A whole address."""
    cdef uint32_t word
    low[0] = 0
    if family == 6:
        return read_u64(c, high) and read_u64(c, low)
    if not read_u32(c, &word):
        return False
    high[0] = word
    return True


cdef inline void set_prefix(BgpPrefix* p, uint8_t family, uint64_t high, uint64_t low) noexcept nogil:
    """Keep what lies within the length; high and low begin at the first bit of the address."""
    cdef int length = p.length
    if family == 4:
        p.high = high_bits(high, length) >> 32
        p.low = 0
    else:
        p.high = high_bits(high, min(length, 64))
        p.low = high_bits(low, max(length - 64, 0))


cdef inline bint read_prefix(Cursor* c, uint8_t family, BgpPrefix* out) noexcept nogil:
    """One prefix; bits beyond its length are cleared. False where it does not fit the family."""
    cdef Cursor octets
    cdef uint64_t high
    if not read_u8(c, &out.length) or out.length > (32 if family == 4 else 128):
        return False
    if not read_part(c, <size_t>(out.length + 7) >> 3, &octets):
        return False
    high = first_word(&octets)
    set_prefix(out, family, high, first_word(&octets))
    out.path_id = 0
    return True


cdef inline bint read_path_id(Cursor* c, bint present, uint32_t* out) noexcept nogil:
    """The path identifier of ADD-PATH (RFC 7911 §3), where there is one."""
    out[0] = 0
    return not present or read_u32(c, out)


cdef inline bint next_prefix(Cursor* c, uint8_t family, bint add_path, BgpPrefix* out) noexcept nogil:
    """One entry of a list of prefixes."""
    cdef uint32_t path_id
    if not read_path_id(c, add_path, &path_id) or not read_prefix(c, family, out):
        return False
    out.path_id = path_id
    return True


cdef inline bint are_prefixes(Cursor c, uint8_t family, bint add_path) noexcept nogil:
    """Whether the octets are a list of prefixes to the end."""
    cdef BgpPrefix prefix
    while left(&c):
        if not next_prefix(&c, family, add_path, &prefix):
            return False
    return True
