from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rov._trie_build cimport Tree

cdef class Trie:
    cdef Tree tree
    cdef readonly int family

    cdef void states4(self, const uint32_t* addresses, const uint8_t* lengths, const uint32_t* origins,
                      uint8_t* out, size_t count) noexcept nogil
    cdef void states6(self, const uint64_t* addresses, const uint8_t* lengths, const uint32_t* origins,
                      uint8_t* out, size_t count) noexcept nogil
    cdef uint8_t state(self, uint64_t high, uint64_t low, uint8_t length, uint32_t origin) noexcept nogil
