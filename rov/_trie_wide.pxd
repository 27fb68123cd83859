from libc.stdint cimport uint8_t, uint32_t, uint64_t

# The verdicts on several routes at once: leaves are read into registers and turned into columns, on which
# each comparison of matched_inline and verdict is one instruction. Eight at once where the processor has
# AVX2, which is asked at import; four at once in vectors of gcc and clang, which are there on every x86-64
# (SSE2) and aarch64; elsewhere all routes are left to be judged one by one.
cdef extern from *:
    """
    #include <stdint.h>
    #define ROV_LENGTH0 0x000000FFu
    #define ROV_LENGTH1 0x00FF0000u
    static int rov_wide = 0;
    #define rov_set_wide(wide) (rov_wide = (wide))
    #define rov_lowest(bits) ((uint32_t)__builtin_ctzll(bits))

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

    /* True: of some of the four the first two VRPs do not decide, or the entry is a node. */
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

    /* A bit for each of at most 64 routes that is still to be judged. */
    static inline uint64_t rov_judge_4(const void* entries, const uint32_t* at, const uint8_t* lengths,
                                       const uint32_t* origins, uint8_t* states, int count) {
        uint64_t open = 0;
        int i = 0;
        for (; i + 4 <= count; i += 4)
            if (rov_four(entries, at + i, lengths + i, origins + i, states + i))
                open |= (uint64_t)15 << i;
        for (; i < count; i++)
            open |= (uint64_t)1 << i;
        return open;
    }

    #if defined(__GNUC__) && defined(__x86_64__)
    #include <immintrin.h>
    #define ROV_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))
    #define ROV_AVX2_INLINE __attribute__((target("avx2,bmi,bmi2,popcnt"), always_inline)) static inline
    #define rov_look_for_avx2() (rov_wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") \\
                                 && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"))

    /* The same for eight, route by route as rov_four: a bit for each that is still to be judged. */
    ROV_AVX2_INLINE uint64_t rov_eight(const __m128i* a, const __m128i* b, const __m128i* c, const __m128i* d,
                                       const __m128i* e, const __m128i* f, const __m128i* g, const __m128i* h,
                                       const uint8_t* lengths, const uint32_t* origins, uint8_t* states) {
    #define rov_pair(x, y) \\
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(x)), _mm_loadu_si128(y), 1)
        const __m256i ae = rov_pair(a, e), bf = rov_pair(b, f), cg = rov_pair(c, g), dh = rov_pair(d, h);
    #undef rov_pair
        const __m256i none = _mm256_setzero_si256();
        const __m256i asns_ab = _mm256_unpacklo_epi32(ae, bf), asns_cd = _mm256_unpacklo_epi32(cg, dh);
        const __m256i rest_ab = _mm256_unpackhi_epi32(ae, bf), rest_cd = _mm256_unpackhi_epi32(cg, dh);
        const __m256i asn0 = _mm256_unpacklo_epi64(asns_ab, asns_cd);
        const __m256i asn1 = _mm256_unpackhi_epi64(asns_ab, asns_cd);
        const __m256i rest = _mm256_unpacklo_epi64(rest_ab, rest_cd);
        const __m256i vrps = _mm256_unpackhi_epi64(rest_ab, rest_cd);
        const __m256i origin = _mm256_loadu_si256((const __m256i*)origins);
        const __m256i alone = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)lengths));
        const __m256i length = _mm256_or_si256(alone, _mm256_slli_epi32(alone, 16));
        const __m256i longer = _mm256_sub_epi8(length, vrps), span = _mm256_srli_epi32(vrps, 8);
        const __m256i allowed = _mm256_cmpeq_epi8(_mm256_min_epu8(longer, span), longer);
        const __m256i covers = _mm256_cmpeq_epi8(_mm256_min_epu8(vrps, length), vrps);
        const __m256i first = _mm256_and_si256(_mm256_cmpeq_epi32(asn0, origin),
                                               _mm256_set1_epi32(ROV_LENGTH0));
        const __m256i second = _mm256_and_si256(_mm256_cmpeq_epi32(asn1, origin),
                                                _mm256_set1_epi32(ROV_LENGTH1));
        const __m256i same_as = _mm256_or_si256(first, second);
        const __m256i unmatched = _mm256_or_si256(
            _mm256_cmpeq_epi32(_mm256_and_si256(allowed, same_as), none), _mm256_cmpeq_epi32(origin, none));
        const __m256i refused = _mm256_and_si256(_mm256_srli_epi32(covers, 16), _mm256_set1_epi32(2));
        const __m256i state = _mm256_blendv_epi8(_mm256_set1_epi32(1), refused, unmatched);
        const __m256i lengths0 = _mm256_set1_epi32(ROV_LENGTH0);
        const __m256i nodes = _mm256_cmpeq_epi32(_mm256_and_si256(vrps, lengths0), lengths0);
        const __m256i lists = _mm256_andnot_si256(_mm256_cmpeq_epi32(rest, none), unmatched);
        const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(state),
                                               _mm256_extracti128_si256(state, 1));
        _mm_storel_epi64((__m128i*)states, _mm_packus_epi16(words, words));
        return (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_or_si256(nodes, lists)));
    }

    ROV_AVX2 static uint64_t rov_judge_8(const void* entries, const uint32_t* at, const uint8_t* lengths,
                                         const uint32_t* origins, uint8_t* states, int count) {
        const __m128i* leaf = (const __m128i*)entries;
        uint64_t open = 0;
        int i = 0;
        for (; i + 8 <= count; i += 8)
            open |= rov_eight(leaf + at[i], leaf + at[i + 1], leaf + at[i + 2], leaf + at[i + 3],
                              leaf + at[i + 4], leaf + at[i + 5], leaf + at[i + 6], leaf + at[i + 7],
                              lengths + i, origins + i, states + i) << i;
        for (; i < count; i++)
            open |= (uint64_t)1 << i;
        return open;
    }

    ROV_AVX2 static uint64_t rov_judge_ascending_8(const void* words, int shift, const void* entries,
                                                   const uint32_t* addresses, const uint8_t* lengths,
                                                   const uint32_t* origins, uint8_t* states, int count) {
        const uint64_t* word = (const uint64_t*)words;
        const __m128i* leaf = (const __m128i*)entries;
        uint64_t open = 0;
        int i = 0;
    #define rov_leaf(j) (slot = addresses[i + j] >> shift, found = word[slot >> 5], \\
        leaf + (uint32_t)((uint32_t)(found >> 32) \\
                          + (uint32_t)__builtin_popcount((uint32_t)found << (~slot & 31))))
        for (; i + 8 <= count; i += 8) {
            uint32_t slot;
            uint64_t found;
            const __m128i *a = rov_leaf(0), *b = rov_leaf(1), *c = rov_leaf(2), *d = rov_leaf(3);
            const __m128i *e = rov_leaf(4), *f = rov_leaf(5), *g = rov_leaf(6), *h = rov_leaf(7);
            open |= rov_eight(a, b, c, d, e, f, g, h, lengths + i, origins + i, states + i) << i;
        }
    #undef rov_leaf
        for (; i < count; i++)
            open |= (uint64_t)1 << i;
        return open;
    }

    ROV_AVX2 static int rov_walk_8(const uint64_t* starts, uint32_t* range, const uint64_t* addresses,
                                   uint32_t* ranges, int i, int count, int strides) {
        const __m256i flipped = _mm256_set1_epi64x(INT64_MIN);  /* comparisons are of signed numbers */
        uint32_t at = *range;
        for (; i < count; i++) {
            const uint64_t high = addresses[2 * i];
            const __m256i key = _mm256_xor_si256(_mm256_set1_epi64x((int64_t)high), flipped);
            int left = strides;
            uint32_t below;
            if (__builtin_expect(high <= starts[at], 0))
                break;
            do {
                const __m256i* next = (const __m256i*)(starts + at + 1);
                const __m256i four = _mm256_xor_si256(_mm256_loadu_si256(next), flipped);
                const __m256i more = _mm256_xor_si256(_mm256_loadu_si256(next + 1), flipped);
                const int bits = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(key, four)))
                    | _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(key, more))) << 4;
                below = (uint32_t)__builtin_popcount((unsigned)bits);
                at += below;
            } while (__builtin_expect(below == 8 && --left, 0));
            if (__builtin_expect(below == 8, 0))
                break;
            ranges[i] = at;
        }
        *range = at;
        return i;
    }
    #else
    #define rov_look_for_avx2()
    #define rov_walk_8(starts, range, addresses, ranges, i, count, strides) (i)
    #define rov_judge_8(entries, at, lengths, origins, states, count) 0
    #define rov_judge_ascending_8(words, shift, entries, addresses, lengths, origins, states, count) 0
    #endif
    """
    # Whether the processor judges eight at once.
    bint rov_wide
    void rov_set_wide(bint wide) noexcept nogil
    void rov_look_for_avx2() noexcept nogil
    uint32_t rov_lowest(uint64_t bits) noexcept nogil

    # The States of at most 64 routes whose leaves are entries at[0], at[1]...; a bit for each route that the
    # first two VRPs do not decide, or whose entry is a node: it is still to be judged.
    uint64_t rov_judge_4(const void* entries, const uint32_t* at, const uint8_t* lengths,
                         const uint32_t* origins, uint8_t* states, int count) noexcept nogil
    uint64_t rov_judge_8(const void* entries, const uint32_t* at, const uint8_t* lengths,
                         const uint32_t* origins, uint8_t* states, int count) noexcept nogil

    # The same, with the step through the root of IPv4 before it; for rov_wide only.
    uint64_t rov_judge_ascending_8(const void* words, int shift, const void* entries,
                                   const uint32_t* addresses, const uint8_t* lengths,
                                   const uint32_t* origins, uint8_t* states, int count) noexcept nogil

    # From a range to those of addresses in table order (their high words, at even places), by at most so many
    # strides of eight keys an address, from route i on; the route at which it leaves off. rov_wide only.
    int rov_walk_8(const uint64_t* starts, uint32_t* range_, const uint64_t* addresses, uint32_t* ranges,
                   int i, int count, int strides) noexcept nogil
