"""A cursor over octets that checks before it reads and advances as it does: decoders calculate no places.

Every function but left returns whether there was enough; where there was not, the cursor stays and the
result is not set.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #define rov_likely(x) __builtin_expect(!!(x), 1)
    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define rov_from_network(size, word) (word)
    #else
    #define rov_from_network(size, word) __builtin_bswap##size(word)
    #endif
    #define ROV_LOAD(size) \\
        static inline uint##size##_t rov_load_u##size(const uint8_t* at) { \\
            uint##size##_t word; \\
            memcpy(&word, at, sizeof word); \\
            return rov_from_network(size, word); \\
        }
    ROV_LOAD(16)
    ROV_LOAD(32)
    ROV_LOAD(64)
    """
    bint rov_likely(bint x) noexcept nogil
    uint16_t rov_load_u16(const uint8_t* at) noexcept nogil
    uint32_t rov_load_u32(const uint8_t* at) noexcept nogil
    uint64_t rov_load_u64(const uint8_t* at) noexcept nogil


cdef struct Cursor:
    const uint8_t* at
    const uint8_t* end


cdef inline size_t left(const Cursor* c) noexcept nogil:
    """Octets that are not read yet."""
    return <size_t>(c.end - c.at)


cdef inline bint skip(Cursor* c, size_t count) noexcept nogil:
    if left(c) < count:
        return False
    c.at += count
    return True


cdef inline bint read_part(Cursor* c, size_t count, Cursor* out) noexcept nogil:
    """So many octets as a cursor of their own."""
    if left(c) < count:
        return False
    out.at = c.at
    out.end = c.at + count
    c.at += count
    return True


cdef inline bint read_u8(Cursor* c, uint8_t* out) noexcept nogil:
    if c.at == c.end:
        return False
    out[0] = c.at[0]
    c.at += 1
    return True


cdef inline bint read_u16(Cursor* c, uint16_t* out) noexcept nogil:
    if left(c) < 2:
        return False
    out[0] = rov_load_u16(c.at)
    c.at += 2
    return True


cdef inline bint read_u32(Cursor* c, uint32_t* out) noexcept nogil:
    if left(c) < 4:
        return False
    out[0] = rov_load_u32(c.at)
    c.at += 4
    return True


cdef inline bint read_u64(Cursor* c, uint64_t* out) noexcept nogil:
    if left(c) < 8:
        return False
    out[0] = rov_load_u64(c.at)
    c.at += 8
    return True


cdef inline bint last_u32(const Cursor* c, uint32_t* out) noexcept nogil:
    """The last four octets; the cursor stays."""
    if left(c) < 4:
        return False
    out[0] = rov_load_u32(c.end - 4)
    return True


cdef inline bint skip_u24(Cursor* c, uint32_t expected, size_t more) noexcept nogil:
    """Go over three octets if they are those expected, and so many more."""
    if left(c) < 4 or left(c) < 3 + more or rov_load_u32(c.at) >> 8 != expected:
        return False
    c.at += 3 + more
    return True
