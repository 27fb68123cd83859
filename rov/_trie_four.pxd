from libc.stdint cimport uint8_t, uint32_t

# The verdicts on four routes at once, in registers of 16 octets: four leaves are read and turned into
# columns, on which each comparison of matched_inline and verdict is one instruction. What vectors of gcc and
# clang become is there on every x86-64 (SSE2) and aarch64; elsewhere all routes are judged one by one.
cdef extern from *:
    """
    #include <stdint.h>
    #if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    typedef uint32_t rov_4x32 __attribute__((vector_size(16)));
    typedef uint64_t rov_2x64 __attribute__((vector_size(16)));
    typedef uint8_t rov_16x8 __attribute__((vector_size(16)));
    typedef uint32_t rov_4x32_in_memory __attribute__((vector_size(16), aligned(4)));
    typedef uint8_t rov_4x8_in_memory __attribute__((vector_size(4), aligned(1)));
    #if defined(__clang__)
    #define rov_picked(x, y, a, b, c, d) __builtin_shufflevector(x, y, a, b, c, d)
    #else
    #define rov_picked(x, y, a, b, c, d) __builtin_shuffle(x, y, (rov_4x32){a, b, c, d})
    #endif
    #define ROV_LENGTH0 0x000000FFu
    #define ROV_LENGTH1 0x00FF0000u

    static inline int rov_four(const void* entries, const uint32_t* at, const uint8_t* lengths,
                               const uint32_t* origins, uint8_t* states) {
        const rov_4x32_in_memory* leaf = (const rov_4x32_in_memory*)entries;
        const rov_4x32 a = leaf[at[0]], b = leaf[at[1]], c = leaf[at[2]], d = leaf[at[3]];
        const rov_4x32 asns_ab = rov_picked(a, b, 0, 4, 1, 5), asns_cd = rov_picked(c, d, 0, 4, 1, 5);
        const rov_4x32 rest_ab = rov_picked(a, b, 2, 6, 3, 7), rest_cd = rov_picked(c, d, 2, 6, 3, 7);
        const rov_4x32 asn0 = rov_picked(asns_ab, asns_cd, 0, 1, 4, 5);
        const rov_4x32 asn1 = rov_picked(asns_ab, asns_cd, 2, 3, 6, 7);
        const rov_4x32 rest = rov_picked(rest_ab, rest_cd, 0, 1, 4, 5);
        const rov_4x32 vrps = rov_picked(rest_ab, rest_cd, 2, 3, 6, 7);  /* length0, span0, length1, span1 */
        const rov_4x32 origin = *(const rov_4x32_in_memory*)origins;
        rov_4x32 length = __builtin_convertvector(*(const rov_4x8_in_memory*)lengths, rov_4x32);
        length |= length << 16;
        const rov_16x8 longer = (rov_16x8)length - (rov_16x8)vrps, span = (rov_16x8)(vrps >> 8);
        const rov_4x32 allowed = (rov_4x32)(longer <= span);
        const rov_4x32 covers = (rov_4x32)((rov_16x8)vrps <= (rov_16x8)length);
        const rov_4x32 same_as = ((rov_4x32)(asn0 == origin) & ROV_LENGTH0)
                               | ((rov_4x32)(asn1 == origin) & ROV_LENGTH1);
        const rov_4x32 unmatched = (rov_4x32)((allowed & same_as) == 0) | (rov_4x32)(origin == 0);
        const rov_4x32 state = (~unmatched & 1) | (unmatched & (covers >> 16) & 2);
        const rov_4x32 nodes = (rov_4x32)((vrps & ROV_LENGTH0) == ROV_LENGTH0);
        const rov_2x64 open = (rov_2x64)(nodes | (unmatched & ~(rov_4x32)(rest == 0)));
        *(rov_4x8_in_memory*)states = __builtin_convertvector(state, rov_4x8_in_memory);
        return __builtin_expect((open[0] | open[1]) != 0, 0);
    }
    #else
    #define rov_four(entries, at, lengths, origins, states) 1
    #endif
    """
    # The States of four routes whose leaves are entries at[0] to at[3]. True: of some the first two VRPs do
    # not decide, or the entry is a node, and all four are still to be judged.
    bint rov_four(const void* entries, const uint32_t* at, const uint8_t* lengths, const uint32_t* origins,
                  uint8_t* states) noexcept nogil
