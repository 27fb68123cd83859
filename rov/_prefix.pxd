from libc.stdint cimport uint8_t, uint64_t


cdef struct ParsedPrefix:
    uint64_t high     # IPv4: the address in the low 32 bits of high; IPv6: the first 64 bits
    uint64_t low      # IPv6: the last 64 bits; IPv4: 0
    uint8_t length
    uint8_t family    # 4 or 6

cdef enum ParseFault:
    PARSE_OK = 0
    PARSE_NO_SLASH
    PARSE_BAD_IPV4
    PARSE_BAD_IPV6
    PARSE_BAD_LENGTH
    PARSE_LENGTH_RANGE
    PARSE_HOST_BITS

cdef ParseFault parse_prefix(const unsigned char* text, Py_ssize_t size, ParsedPrefix* out) noexcept nogil
cdef object prefix_error(object text, ParseFault fault)
cdef const char* utf8_of(object text, Py_ssize_t* size) except NULL

# "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128" has 43 characters; the IPv4-in-IPv6 forms stay below 50.
cdef enum:
    LONGEST_TEXT = 64

cdef int write_prefix(const ParsedPrefix* p, char* out) noexcept nogil
