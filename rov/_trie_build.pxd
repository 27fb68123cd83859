from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rov._trie_ranges cimport Columns

# A key is the first 64 bits of an address (an IPv4 address stands in the upper 32). Below a key that
# IPv6 VRPs longer than /64 divide, nodes go on with the last 64 bits.

cdef enum:
    NO_LENGTH = 254   # of an absent VRP: (length - 254) mod 256 is above the span of 0, so it never covers
    NODE = 255        # in length0: the entry is no leaf but points to a node
    LIST_KEYS = 8     # keys of a list node: one cache line
    CROWD = 255       # in span: the link stands for all VRPs of a prefix

cdef enum NodeKind:
    BITMAP_NODE = 0
    LIST_NODE = 1
    ON_LOW_WORD = 2   # added to the kind: the node looks at the last 64 bits of the address

cdef struct Word:     # of a bitmap node: 32 slots
    uint32_t bits     # a set bit: a new range, and so a new entry, begins at this slot
    uint32_t base     # entries before this word, less one

cdef struct Entry:    # what covers the addresses of a range: its two most specific VRPs, then a list
    uint32_t asn0     # node: the first word or key
    uint32_t asn1     # node: the first entry, in a list node
    uint32_t rest     # 1 + index of the third VRP in links, 0: there is none
    uint8_t length0   # NODE: this is a node
    uint8_t span0     # max_length - length; node: NodeKind
    uint8_t length1   # the same VRP again where there is only one; node: shift that makes a slot of a key
    uint8_t span1     # node: number of bits of a slot

cdef struct Link:     # a covering VRP beyond the first two; ranges share the tails of their lists
    uint32_t asn      # crowd: index in crowds
    uint32_t next     # 1 + index, 0: the end
    uint8_t length
    uint8_t span      # max_length - length, or CROWD

cdef struct Tree:
    Word* words
    Entry* entries
    uint64_t* keys
    Link* links
    uint64_t* crowds       # the number of VRPs of a crowd, then asn << 8 | max_length of each, ascending
    uint64_t* starts       # IPv6: the first key of each range less one, and STRIDE that are above all
    uint32_t* start_entry  # the entry of each range
    size_t word_count, entry_count, key_count, link_count, crowd_count, start_count
    uint32_t vrp_count
    uint8_t root_shift

cdef int build_tree(Tree* tree, const Columns* columns) noexcept nogil
cdef void free_tree(Tree* tree) noexcept nogil
cdef size_t tree_bytes(const Tree* tree) noexcept nogil
