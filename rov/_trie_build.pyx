"""Builds the frozen trie of one family: ranges of equal covering VRPs to leaves, keys to nodes above them."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from rov._trie_leaves cimport Builder, Task, grow, set_leaf
from rov._trie_ranges cimport (
    DIVIDED, NO_ROW, STRIDE, Columns, Division, find_ranges, free_ranges, rov_table,
)

# What a slot that needs a node below it may cost, against the words of a wider bitmap: the node's cache
# line and entries in bytes, and the time of one more step put as bytes; and what each range in it costs.
cdef enum:
    CHILD_BYTES = 112
    BELOW_BYTES = 16
    WIDEST = 26

cdef enum:
    SHIFTS = 66   # by which a key can be shifted, and one more

cdef extern from *:
    """
    #define rov_trailing_zeros(x) __builtin_ctzll(x)
    #define rov_highest_bit(x) (63 - __builtin_clzll(x))
    """
    int trailing_zeros "rov_trailing_zeros"(uint64_t x) noexcept nogil
    int highest_bit "rov_highest_bit"(uint64_t x) noexcept nogil


# Entries


cdef void add_task(Builder* b, uint32_t entry, uint32_t first, uint32_t last,
                   int width, bint low) noexcept nogil:
    cdef Task* t
    if not grow(<void**>&b.tasks, &b.task_room, b.task_count + 1, sizeof(Task), b):
        return
    t = &b.tasks[b.task_count]
    t.entry = entry
    t.first = first
    t.last = last
    t.width = <uint8_t>width
    t.low = low
    b.task_count += 1


cdef inline void set_entry(Builder* b, uint32_t at, uint32_t index, bint low) noexcept nogil:
    """Fill the entry of a range: a leaf, or a node on the low word that is still to build."""
    cdef uint32_t value
    cdef Division* d
    if low:
        set_leaf(b, at, b.ranges.value[index])
        return
    if b.tree.start_entry != NULL:
        b.tree.start_entry[index] = at
    value = b.ranges.key_value[index]
    if value == NO_ROW or not value & DIVIDED:
        set_leaf(b, at, value)
        return
    d = &b.ranges.divisions[value & ~<uint32_t>DIVIDED]
    add_task(b, at, d.first, d.last, 64, True)


cdef inline uint32_t add_entries(Builder* b, uint32_t count) noexcept nogil:
    cdef Tree* t = b.tree
    cdef size_t needed = t.entry_count + count
    # mostly there is room, and a call for each range shows
    if needed > b.entry_room and not grow(<void**>&t.entries, &b.entry_room, needed, sizeof(Entry), b):
        return 0
    t.entry_count += count
    return <uint32_t>(t.entry_count - count)


# Nodes


cdef void build_list(Builder* b, const Task* task, const uint64_t* key) noexcept nogil:
    """At most LIST_KEYS ranges: their keys less one, as none begins at 0 and the search asks for <."""
    cdef Tree* t = b.tree
    cdef uint32_t i, count = task.last - task.first, entry = add_entries(b, count + 1)
    cdef Entry* e
    if b.failed or not grow(<void**>&t.keys, &b.key_room, t.key_count + LIST_KEYS, sizeof(uint64_t), b):
        return
    for i in range(<uint32_t>LIST_KEYS):
        t.keys[t.key_count + i] = key[task.first + i] - 1 if i < count else ~<uint64_t>0
    e = &t.entries[task.entry]
    memset(e, 0, sizeof(Entry))
    e.length0 = NODE
    e.span0 = LIST_NODE | (ON_LOW_WORD if task.low else 0)
    e.asn0 = <uint32_t>t.key_count
    e.asn1 = entry
    t.key_count += LIST_KEYS
    for i in range(count + 1):
        set_entry(b, entry + i, task.first - 1 + i, task.low)


cdef inline uint64_t words_cost(int bits) noexcept nogil:
    return ((<uint64_t>1 << bits) >> 5) * sizeof(Word)


cdef void count_below(const Task* task, const uint64_t* key,
                      uint32_t* children, uint32_t* below) noexcept nogil:
    """For each shift: slots of 2^shift keys within which ranges begin, and how many begin within them.

    A key lies within its slot where the shift is above its trailing zeros. It is the first to do so unless
    the key before it does, too, and is of the same slot: the shift is above the first bit they differ in.
    """
    cdef uint32_t i
    cdef int zeros, zeros_before = 64, last
    memset(children, 0, SHIFTS * sizeof(uint32_t))
    memset(below, 0, SHIFTS * sizeof(uint32_t))
    for i in range(task.first, task.last):
        zeros = trailing_zeros(key[i])
        below[zeros + 1] += 1
        children[zeros + 1] += 1
        if i > task.first:
            last = max(max(zeros, zeros_before), highest_bit(key[i] ^ key[i - 1]))
            children[last + 1] -= 1
        zeros_before = zeros
    for i in range(1, <uint32_t>SHIFTS):
        children[i] += children[i - 1]
        below[i] += below[i - 1]


cdef int best_bits(const Task* task, const uint64_t* key) noexcept nogil:
    """How many bits a bitmap node takes: up to 128 times as many slots as ranges."""
    cdef uint32_t children[SHIFTS]
    cdef uint32_t below[SHIFTS]
    cdef int bits, low = 0, best = 1, shift
    cdef uint64_t cost, least = ~<uint64_t>0
    count_below(task, key, children, below)
    while low < 31 and (<uint64_t>2 << low) <= task.last - task.first:
        low += 1
    for bits in range(max(1, low), min(low + 7, min(<int>task.width, <int>WIDEST)) + 1):
        shift = task.width - bits
        cost = (words_cost(bits) + <uint64_t>children[shift] * CHILD_BYTES
                + <uint64_t>below[shift] * BELOW_BYTES)
        if cost <= least:
            least = cost
            best = bits
    return best


cdef inline void add_slot(Builder* b, uint32_t words, uint64_t slot) noexcept nogil:
    b.tree.words[words + (slot >> 5)].bits |= <uint32_t>1 << (slot & 31)


cdef void number_words(Tree* t, uint32_t first, uint32_t entry) noexcept nogil:
    """Fill in how many entries come before each word of a node."""
    cdef uint32_t i, bits, before = entry - 1
    for i in range(first, <uint32_t>t.word_count):
        t.words[i].base = before
        bits = t.words[i].bits
        while bits:
            bits &= bits - 1
            before += 1


cdef uint32_t add_words(Builder* b, int bits) noexcept nogil:
    """Empty words for 2^bits slots."""
    cdef Tree* t = b.tree
    cdef size_t first = t.word_count, count = max(<size_t>1, (<size_t>1 << bits) >> 5)
    if not grow(<void**>&t.words, &b.word_room, first + count, sizeof(Word), b):
        return 0
    memset(t.words + first, 0, count * sizeof(Word))
    t.word_count += count
    return <uint32_t>first


cdef void set_bitmap(Entry* e, uint32_t words, int bits, int shift, bint low) noexcept nogil:
    memset(e, 0, sizeof(Entry))
    e.length0 = NODE
    e.span0 = BITMAP_NODE | (ON_LOW_WORD if low else 0)
    e.asn0 = words
    e.length1 = <uint8_t>shift
    e.span1 = <uint8_t>bits


cdef void build_bitmap(Builder* b, const Task* task, const uint64_t* key, int bits) noexcept nogil:
    """Every slot at which a range begins gets an entry; a slot that is divided within gets a node."""
    cdef int shift = task.width - bits
    cdef uint64_t mask = (<uint64_t>1 << bits) - 1, within = (<uint64_t>1 << shift) - 1, slot
    cdef uint64_t at = 0  # from this slot on the range i-1 holds, and has no entry yet
    cdef uint32_t i = task.first, first, entries = <uint32_t>b.tree.entry_count, words = add_words(b, bits)
    while i < task.last and not b.failed:
        slot = (key[i] >> shift) & mask
        if at < slot:
            add_slot(b, words, at)
            set_entry(b, add_entries(b, 1), i - 1, task.low)
        if key[i] & within == 0:
            i += 1
        first = i
        while i < task.last and (key[i] >> shift) & mask == slot:
            i += 1
        at = slot
        if i > first:
            add_slot(b, words, slot)
            add_task(b, add_entries(b, 1), first, i, shift, task.low)
            at = slot + 1
    if b.failed:
        return
    if at <= mask:
        add_slot(b, words, at)
        set_entry(b, add_entries(b, 1), i - 1, task.low)
    if b.failed:
        return
    number_words(b.tree, words, entries)
    if task.entry != NO_ROW:
        set_bitmap(&b.tree.entries[task.entry], words, bits, shift, task.low)


cdef void build_nodes(Builder* b) noexcept nogil:
    """Breadth first, so that the entries of a node lie side by side."""
    cdef Task task
    cdef size_t done = 1
    cdef int bits
    cdef const uint64_t* key
    add_task(b, NO_ROW, 1, b.ranges.key_count, 64, False)
    grow(<void**>&b.tree.entries, &b.entry_room, b.ranges.key_count, sizeof(Entry), b)
    if b.failed:
        return
    task = b.tasks[0]
    bits = best_bits(&task, b.ranges.key)
    b.tree.root_shift = <uint8_t>(64 - bits)
    build_bitmap(b, &task, b.ranges.key, bits)
    while done < b.task_count and not b.failed:
        task = b.tasks[done]
        done += 1
        key = b.ranges.low if task.low else b.ranges.key
        if task.last - task.first <= LIST_KEYS:
            build_list(b, &task, key)
        else:
            build_bitmap(b, &task, key, best_bits(&task, key))


# The whole


cdef void keep_starts(Builder* b) noexcept nogil:
    """The keys outlive the build, less one as the walk asks for <; the first range begins at 0."""
    cdef Tree* t = b.tree
    cdef size_t i
    t.start_count = b.ranges.key_count
    t.starts = b.ranges.key
    b.ranges.key = NULL
    for i in range(1, t.start_count):
        t.starts[i] -= 1
    for i in range(t.start_count, t.start_count + <size_t>STRIDE):
        t.starts[i] = ~<uint64_t>0


cdef void* fitted(void* items, size_t size) noexcept nogil:
    """The same items without the room for more."""
    cdef void* smaller = realloc(items, size) if size else items
    return smaller if smaller != NULL else items


cdef void fit(Tree* t) noexcept nogil:
    t.words = <Word*>fitted(t.words, t.word_count * sizeof(Word))
    t.entries = <Entry*>fitted(t.entries, t.entry_count * sizeof(Entry))
    t.keys = <uint64_t*>fitted(t.keys, t.key_count * sizeof(uint64_t))
    t.links = <Link*>fitted(t.links, t.link_count * sizeof(Link))
    t.crowds = <uint64_t*>fitted(t.crowds, t.crowd_count * sizeof(uint64_t))
    if t.start_count:
        t.starts = <uint64_t*>fitted(t.starts, (t.start_count + <size_t>STRIDE) * sizeof(uint64_t))


cdef int build_tree(Tree* tree, const Columns* columns) noexcept nogil:
    """Build from sorted, unique, checked rows; -1 if there is not enough memory, and then tree is empty."""
    cdef Builder b
    memset(&b, 0, sizeof(Builder))
    memset(tree, 0, sizeof(Tree))
    b.tree = tree
    b.columns = columns
    b.linked = <uint32_t*>rov_table((<size_t>columns.count + 1) * sizeof(uint32_t))
    b.failed = not find_ranges(&b.ranges, columns) or b.linked == NULL
    if not b.failed and columns.address6 != NULL:
        tree.start_entry = <uint32_t*>rov_table(b.ranges.key_count * sizeof(uint32_t))
        b.failed = tree.start_entry == NULL
    if not b.failed:
        memset(b.linked, 0, columns.count * sizeof(uint32_t))
        tree.vrp_count = columns.count
        build_nodes(&b)
    if not b.failed and columns.address6 != NULL:
        keep_starts(&b)
    free_ranges(&b.ranges)
    free(b.linked)
    free(b.tasks)
    if b.failed:
        free_tree(tree)
        return -1
    fit(tree)
    return 0


cdef void free_tree(Tree* tree) noexcept nogil:
    free(tree.words)
    free(tree.entries)
    free(tree.keys)
    free(tree.links)
    free(tree.crowds)
    free(tree.starts)
    free(tree.start_entry)
    memset(tree, 0, sizeof(Tree))


cdef size_t tree_bytes(const Tree* tree) noexcept nogil:
    """Octets of memory that a tree takes."""
    cdef size_t starts = tree.start_count
    return (tree.word_count * sizeof(Word) + tree.entry_count * sizeof(Entry)
            + tree.link_count * sizeof(Link) + (tree.key_count + tree.crowd_count) * sizeof(uint64_t)
            + ((starts + STRIDE) * sizeof(uint64_t) + starts * sizeof(uint32_t) if starts else 0))
