"""Builds the frozen trie of one family: sorted VRPs to ranges of equal covering VRPs, ranges to nodes."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

# Tables of megabytes in pages of 2 MiB, where the system has them: a fraction of the page faults during the
# build, and of the address translations during lookups.
cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #define ROV_HUGE_PAGE ((uintptr_t)1 << 21)
    static void rov_large_pages(void* at, size_t size) {
        uintptr_t first = ((uintptr_t)at + ROV_HUGE_PAGE - 1) & ~(ROV_HUGE_PAGE - 1);
        uintptr_t last = ((uintptr_t)at + size) & ~(ROV_HUGE_PAGE - 1);
        if (at != NULL && first < last)
            (void)madvise((void*)first, last - first, MADV_HUGEPAGE);
    }
    static void *rov_table(size_t size) {
        void *at = NULL;
        if (size < ROV_HUGE_PAGE)
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

# One open prefix for every length of an IPv6 prefix.
cdef enum:
    DEEPEST = 129

# What a slot that needs a node below it may cost, against the words of a wider bitmap: the node's cache
# line and entries in bytes, and the time of one more step put as bytes; and what each range in it costs.
cdef enum:
    CHILD_BYTES = 112
    BELOW_BYTES = 16
    WIDEST = 26

# In a value of a range: the keys of the range are one, and divided by a node on the low word.
cdef enum:
    DIVIDED = 0x80000000


cdef struct Open:     # a prefix of the sweep that has not ended yet
    uint64_t end_high, end_low
    uint32_t row
    bint ends         # False: it reaches to the last address

cdef struct Division:  # ranges within one key: boundaries first..last-1 on the low word
    uint32_t first, last, value

cdef struct Task:     # a node to build: boundaries first..last-1 lie within a slot of 2^width keys
    uint32_t entry, first, last, value
    uint8_t width
    bint low

cdef struct Builder:
    Tree* tree
    const Columns* columns
    uint32_t* up      # of each row: the next less specific VRP that covers the same, or NO_ROW
    uint32_t* linked  # of each row: 1 + its index in links, 0: not there yet
    uint64_t* high    # boundaries: a range begins at (high, low) and has its most specific VRP in value
    uint64_t* low
    uint32_t* value
    uint32_t count
    uint64_t* key     # boundaries on the high word alone
    uint32_t* key_value
    uint32_t key_count
    Division* divisions
    uint32_t division_count
    Task* tasks
    size_t task_count, task_room, word_room, entry_room, key_room, link_room
    bint failed       # out of memory


cdef bint grow(void** items, size_t* room, size_t needed, size_t size, Builder* b) noexcept nogil:
    """Make room for needed items; False, and failed is set, if there is no memory."""
    cdef size_t wanted = room[0]
    cdef void* larger
    if needed <= wanted:
        return True
    while wanted < needed:
        wanted = 2 * wanted + 64
    larger = realloc(items[0], wanted * size)
    if larger == NULL:
        b.failed = True
        return False
    rov_large_pages(larger, wanted * size)
    items[0] = larger
    room[0] = wanted
    return True


# The sweep: sorted rows to ranges


cdef inline void row_address(const Columns* c, uint32_t row, uint64_t* high, uint64_t* low) noexcept nogil:
    if c.address4 != NULL:
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


cdef inline void add_boundary(Builder* b, uint64_t high, uint64_t low, uint32_t value) noexcept nogil:
    cdef uint32_t n = b.count
    if n and b.high[n - 1] == high and (b.low == NULL or b.low[n - 1] == low):
        b.value[n - 1] = value
        return
    b.high[n] = high
    if b.low != NULL:
        b.low[n] = low
    b.value[n] = value
    b.count = n + 1


cdef inline bint ended(const Open* prefix, uint64_t high, uint64_t low) noexcept nogil:
    if not prefix.ends:
        return False
    return prefix.end_high < high or (prefix.end_high == high and prefix.end_low <= low)


cdef void sweep(Builder* b) noexcept nogil:
    """Fill up and the boundaries; at most two boundaries a prefix and one at address 0."""
    cdef Open stack[DEEPEST]
    cdef const Columns* c = b.columns
    cdef uint64_t high = 0, low = 0, before_high = 0, before_low = 0
    cdef uint32_t row
    cdef int depth = 0
    add_boundary(b, 0, 0, NO_ROW)
    for row in range(c.count):
        row_address(c, row, &high, &low)
        if row and high == before_high and low == before_low and c.length[row] == c.length[row - 1]:
            b.up[row] = row - 1
            stack[depth - 1].row = row
            b.value[b.count - 1] = row
            continue
        while depth and ended(&stack[depth - 1], high, low):
            depth -= 1
            add_boundary(b, stack[depth].end_high, stack[depth].end_low,
                         stack[depth - 1].row if depth else <uint32_t>NO_ROW)
        b.up[row] = stack[depth - 1].row if depth else <uint32_t>NO_ROW
        add_boundary(b, high, low, row)
        stack[depth].row = row
        stack[depth].ends = end_of(high, low, c.length[row], &stack[depth])
        depth += 1
        before_high = high
        before_low = low
    while depth:
        depth -= 1
        if stack[depth].ends:
            add_boundary(b, stack[depth].end_high, stack[depth].end_low,
                         stack[depth - 1].row if depth else <uint32_t>NO_ROW)


cdef void add_key(Builder* b, uint64_t key, uint32_t value) noexcept nogil:
    b.key[b.key_count] = key
    b.key_value[b.key_count] = value
    b.key_count += 1


cdef void divide(Builder* b) noexcept nogil:
    """IPv6 boundaries to boundaries on the high word; a key with several ranges gets a Division."""
    cdef uint32_t i = 0, first, value = NO_ROW
    cdef uint64_t high
    while i < b.count:
        high = b.high[i]
        if b.low[i] == 0:
            value = b.value[i]
            i += 1
        first = i
        while i < b.count and b.high[i] == high:
            i += 1
        if i == first:
            add_key(b, high, value)
            continue
        b.divisions[b.division_count].first = first
        b.divisions[b.division_count].last = i
        b.divisions[b.division_count].value = value
        add_key(b, high, <uint32_t>DIVIDED | b.division_count)
        b.division_count += 1
        value = b.value[i - 1]
        if high + 1 != 0 and (i == b.count or b.high[i] != high + 1):
            add_key(b, high + 1, value)


# Leaves


cdef uint32_t link(Builder* b, uint32_t row) noexcept nogil:
    """The list of a row and what is above it; 1 + its index, 0 for no row."""
    cdef const Columns* c = b.columns
    cdef Tree* t = b.tree
    cdef uint32_t first = 0, before = 0, index
    while row != NO_ROW:
        index = b.linked[row]
        if not index:
            if not grow(<void**>&t.links, &b.link_room, t.link_count + 1, sizeof(Link), b):
                return 0
            t.links[t.link_count].asn = c.asn[row]
            t.links[t.link_count].next = 0
            t.links[t.link_count].length = c.length[row]
            t.links[t.link_count].span = c.max_length[row] - c.length[row]
            t.link_count += 1
            index = <uint32_t>t.link_count
        if before:
            t.links[before - 1].next = index
        else:
            first = index
        if b.linked[row]:
            break
        b.linked[row] = index
        before = index
        row = b.up[row]
    return first


cdef void set_leaf(Builder* b, uint32_t at, uint32_t row) noexcept nogil:
    cdef Entry* e = &b.tree.entries[at]
    cdef const Columns* c = b.columns
    cdef uint32_t second
    memset(e, 0, sizeof(Entry))
    e.length0 = e.length1 = NO_LENGTH
    if row == NO_ROW:
        return
    second = b.up[row]
    e.asn0 = e.asn1 = c.asn[row]
    e.length0 = e.length1 = c.length[row]
    e.span0 = e.span1 = c.max_length[row] - c.length[row]
    if second != NO_ROW:
        e.asn1 = c.asn[second]
        e.length1 = c.length[second]
        e.span1 = c.max_length[second] - c.length[second]
        e.rest = link(b, b.up[second])


cdef void add_task(Builder* b, uint32_t entry, uint32_t first, uint32_t last, uint32_t value,
                   int width, bint low) noexcept nogil:
    cdef Task* t
    if not grow(<void**>&b.tasks, &b.task_room, b.task_count + 1, sizeof(Task), b):
        return
    t = &b.tasks[b.task_count]
    t.entry = entry
    t.first = first
    t.last = last
    t.value = value
    t.width = <uint8_t>width
    t.low = low
    b.task_count += 1


cdef void set_entry(Builder* b, uint32_t at, uint32_t value, bint low) noexcept nogil:
    """Fill an entry with the value of a range: a leaf, or a node on the low word that is still to build."""
    cdef Division* d
    if value == NO_ROW or low or not value & DIVIDED:
        set_leaf(b, at, value)
        return
    d = &b.divisions[value & ~<uint32_t>DIVIDED]
    add_task(b, at, d.first, d.last, d.value, 64, True)


cdef uint32_t add_entries(Builder* b, uint32_t count) noexcept nogil:
    cdef Tree* t = b.tree
    if not grow(<void**>&t.entries, &b.entry_room, t.entry_count + count, sizeof(Entry), b):
        return 0
    t.entry_count += count
    return <uint32_t>(t.entry_count - count)


# Nodes


cdef void build_list(Builder* b, const Task* task, const uint64_t* key, const uint32_t* value) noexcept nogil:
    """At most LIST_KEYS boundaries: keys less one, as a boundary is never at 0 and the search asks for <."""
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
    set_entry(b, entry, task.value, task.low)
    for i in range(count):
        set_entry(b, entry + 1 + i, value[task.first + i], task.low)


cdef inline uint64_t words_cost(int bits) noexcept nogil:
    return ((<uint64_t>1 << bits) >> 5) * sizeof(Word)


cdef uint64_t cost_of(const Task* task, const uint64_t* key, int bits) noexcept nogil:
    """What a bitmap node of 2^bits slots costs: its words, and the slots that need a node below."""
    cdef int shift = task.width - bits
    cdef uint64_t within = (<uint64_t>1 << shift) - 1, slot, before = ~<uint64_t>0
    cdef uint64_t children = 0, below = 0
    cdef uint32_t i
    for i in range(task.first, task.last):
        if key[i] & within:
            slot = key[i] >> shift
            children += slot != before
            below += 1
            before = slot
    return words_cost(bits) + children * CHILD_BYTES + below * BELOW_BYTES


cdef int best_bits(const Task* task, const uint64_t* key) noexcept nogil:
    """How many bits a bitmap node takes: up to 128 times as many slots as boundaries."""
    cdef int bits, low = 0, best = 1
    cdef uint64_t cost, least = ~<uint64_t>0
    while low < 31 and (<uint64_t>2 << low) <= task.last - task.first:
        low += 1
    for bits in range(max(1, low), min(low + 7, min(<int>task.width, <int>WIDEST)) + 1):
        if words_cost(bits) >= least:
            break
        cost = cost_of(task, key, bits)
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


cdef void build_bitmap(Builder* b, const Task* task, const uint64_t* key, const uint32_t* value,
                       int bits) noexcept nogil:
    """Every slot at which a range begins gets an entry; a slot that is divided within gets a node."""
    cdef Tree* t = b.tree
    cdef int shift = task.width - bits
    cdef uint64_t mask = (<uint64_t>1 << bits) - 1, within = (<uint64_t>1 << shift) - 1, slot
    cdef uint64_t at = 0  # from this slot on current holds, and has no entry yet
    cdef uint32_t words = <uint32_t>t.word_count, count = max(<uint32_t>1, <uint32_t>((mask + 1) >> 5))
    cdef uint32_t i = task.first, first, current = task.value, entries = <uint32_t>t.entry_count
    if not grow(<void**>&t.words, &b.word_room, t.word_count + count, sizeof(Word), b):
        return
    memset(t.words + words, 0, count * sizeof(Word))
    t.word_count += count
    while i < task.last and not b.failed:
        slot = (key[i] >> shift) & mask
        if at < slot:
            add_slot(b, words, at)
            set_entry(b, add_entries(b, 1), current, task.low)
        if key[i] & within == 0:
            current = value[i]
            i += 1
        first = i
        while i < task.last and (key[i] >> shift) & mask == slot:
            i += 1
        at = slot
        if i > first:
            add_slot(b, words, slot)
            add_task(b, add_entries(b, 1), first, i, current, shift, task.low)
            current = value[i - 1]
            at = slot + 1
    if at <= mask:
        add_slot(b, words, at)
        set_entry(b, add_entries(b, 1), current, task.low)
    number_words(t, words, entries)
    if task.entry != NO_ROW:
        memset(&t.entries[task.entry], 0, sizeof(Entry))
        t.entries[task.entry].length0 = NODE
        t.entries[task.entry].span0 = BITMAP_NODE | (ON_LOW_WORD if task.low else 0)
        t.entries[task.entry].asn0 = words
        t.entries[task.entry].length1 = <uint8_t>shift
        t.entries[task.entry].span1 = <uint8_t>bits


cdef void build_nodes(Builder* b) noexcept nogil:
    """Breadth first, so that the entries of a node lie side by side."""
    cdef Task task
    cdef size_t done = 1
    cdef int bits
    cdef const uint64_t* key
    cdef const uint32_t* value
    add_task(b, NO_ROW, 1, b.key_count, b.key_value[0], 64, False)
    grow(<void**>&b.tree.entries, &b.entry_room, b.key_count, sizeof(Entry), b)
    if b.failed:
        return
    task = b.tasks[0]
    bits = best_bits(&task, b.key)
    b.tree.root_shift = <uint8_t>(64 - bits)
    build_bitmap(b, &task, b.key, b.key_value, bits)
    while done < b.task_count and not b.failed:
        task = b.tasks[done]
        done += 1
        key = b.low if task.low else b.key
        value = b.value if task.low else b.key_value
        if task.last - task.first <= LIST_KEYS:
            build_list(b, &task, key, value)
        else:
            build_bitmap(b, &task, key, value, best_bits(&task, key))


# The whole


cdef void* table(size_t count, size_t size, Builder* b) noexcept nogil:
    """Memory for a table; NULL, and failed is set, if there is none."""
    cdef void* items = rov_table(count * size)
    b.failed |= items == NULL
    return items


cdef void prepare(Builder* b) noexcept nogil:
    """Room for the sweep: two boundaries a row and one, and once more as many on the high word of IPv6."""
    cdef size_t rows = <size_t>b.columns.count + 1, ranges = 2 * rows
    b.up = <uint32_t*>table(rows, sizeof(uint32_t), b)
    b.linked = <uint32_t*>table(rows, sizeof(uint32_t), b)
    b.high = <uint64_t*>table(ranges, sizeof(uint64_t), b)
    b.value = <uint32_t*>table(ranges, sizeof(uint32_t), b)
    if b.columns.address6 != NULL:
        b.low = <uint64_t*>table(ranges, sizeof(uint64_t), b)
        b.key = <uint64_t*>table(2 * ranges, sizeof(uint64_t), b)
        b.key_value = <uint32_t*>table(2 * ranges, sizeof(uint32_t), b)
        b.divisions = <Division*>table(ranges, sizeof(Division), b)
    if not b.failed:
        memset(b.linked, 0, rows * sizeof(uint32_t))


cdef void release(Builder* b) noexcept nogil:
    if b.key != b.high:
        free(b.key)
        free(b.key_value)
    free(b.up)
    free(b.linked)
    free(b.high)
    free(b.low)
    free(b.value)
    free(b.divisions)
    free(b.tasks)


cdef void* fitted(void* items, size_t size) noexcept nogil:
    """The same items without the room for more."""
    cdef void* smaller = realloc(items, size) if size else items
    return smaller if smaller != NULL else items


cdef void fit(Tree* t) noexcept nogil:
    t.words = <Word*>fitted(t.words, t.word_count * sizeof(Word))
    t.entries = <Entry*>fitted(t.entries, t.entry_count * sizeof(Entry))
    t.keys = <uint64_t*>fitted(t.keys, t.key_count * sizeof(uint64_t))
    t.links = <Link*>fitted(t.links, t.link_count * sizeof(Link))


cdef int build_tree(Tree* tree, const Columns* columns) noexcept nogil:
    """Build from sorted, unique, checked rows; -1 if there is not enough memory, and then tree is empty."""
    cdef Builder b
    memset(&b, 0, sizeof(Builder))
    memset(tree, 0, sizeof(Tree))
    b.tree = tree
    b.columns = columns
    prepare(&b)
    if not b.failed:
        tree.vrp_count = columns.count
        sweep(&b)
        if b.low != NULL:
            divide(&b)
        else:
            b.key = b.high
            b.key_value = b.value
            b.key_count = b.count
        build_nodes(&b)
    release(&b)
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
    memset(tree, 0, sizeof(Tree))
