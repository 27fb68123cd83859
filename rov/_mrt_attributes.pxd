"""BGP path attributes: found in a message or RIB entry, and what the AS_PATH says of the origin."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from rov._cursor cimport (
    Cursor, last_u32, left, read_part, read_u8, read_u16, read_u32, rov_likely, skip, skip_u24,
)
from rov._mrt_rows cimport ANY_SET, AS_SET, EMPTY_PATH, Buffer, put_u32, reserve

# Attribute types and flags (RFC 4271 §4.3, RFC 1997, RFC 4760, RFC 6793, RFC 8092).
cdef enum:
    ATTR_AS_PATH = 2
    ATTR_AGGREGATOR = 7
    ATTR_COMMUNITIES = 8
    ATTR_MP_REACH = 14
    ATTR_MP_UNREACH = 15
    ATTR_AS4_PATH = 17
    ATTR_AS4_AGGREGATOR = 18
    ATTR_LARGE_COMMUNITIES = 32
    EXTENDED_LENGTH = 0x10
    ORIGIN_HEAD = 0x400101       # flags, type and length of ORIGIN, with which nearly all begin

# Kinds of path segments (RFC 4271 §4.3, RFC 5065 §3).
cdef enum:
    SEGMENT_SET = 1
    SEGMENT_SEQUENCE = 2
    SEGMENT_CONFED_SEQUENCE = 3
    SEGMENT_CONFED_SET = 4

cdef enum:
    AS_TRANS = 23456


cdef struct Attributes:          # cursors of absent ones are empty
    Cursor as_path
    Cursor as4_path
    Cursor communities
    Cursor large_communities
    Cursor mp_reach
    Cursor mp_unreach
    Cursor aggregator_at
    uint32_t aggregator          # its AS, 0 if there is none
    bint as4_aggregator
    bint merge                   # AS4_PATH holds for the end of the path
    uint8_t as_size              # octets of an AS in the AS_PATH


cdef struct Segment:
    uint8_t kind
    uint8_t count
    Cursor asns


cdef inline bint next_attribute(Cursor* c, uint8_t* kind, Cursor* value) noexcept nogil:
    """Read one attribute; False where it does not fit."""
    cdef uint8_t short_size
    cdef uint16_t head, size
    if not read_u16(c, &head):
        return False
    kind[0] = <uint8_t>head
    if head >> 8 & EXTENDED_LENGTH:
        return read_u16(c, &size) and read_part(c, size, value)
    return read_u8(c, &short_size) and read_part(c, short_size, value)


cdef inline bint next_segment(Cursor* path, uint8_t as_size, Segment* out) noexcept nogil:
    """Read one segment; False where it does not fit or its kind is not known."""
    return (read_u8(path, &out.kind) and read_u8(path, &out.count)
            and read_part(path, <size_t>out.count * as_size, &out.asns)
            and SEGMENT_SET <= out.kind <= SEGMENT_CONFED_SET)


cdef inline bint is_confed(const Segment* segment) noexcept nogil:
    return segment.kind >= SEGMENT_CONFED_SEQUENCE


cdef inline uint32_t next_asn(Cursor* c, uint8_t as_size) noexcept nogil:
    """Read one AS of a segment; 0 if there is none."""
    cdef uint16_t short_asn = 0
    cdef uint32_t asn = 0
    if as_size == 4:
        read_u32(c, &asn)
        return asn
    read_u16(c, &short_asn)
    return short_asn


cdef inline uint32_t last_asn(Segment* segment, uint8_t as_size) noexcept nogil:
    """The last AS of a segment that is not empty."""
    cdef Cursor asns = segment.asns
    skip(&asns, left(&asns) - as_size)
    return next_asn(&asns, as_size)


cdef inline bint path_origin(Cursor path, uint8_t as_size, bint confeds, uint32_t* origin,
                             uint8_t* flags) noexcept nogil:
    """The origin by the last segment that is not empty (RFC 6811 §2); False if the path is malformed.

    Without confeds, confederation segments are passed over, as they must in AS4_PATH (RFC 6793 §3).
    """
    cdef Segment segment
    cdef uint8_t any_set = 0
    origin[0] = 0
    flags[0] = EMPTY_PATH
    while left(&path):
        if not next_segment(&path, as_size, &segment):
            return False
        if segment.count == 0 or (is_confed(&segment) and not confeds):
            continue
        if segment.kind == SEGMENT_SEQUENCE:
            origin[0] = last_asn(&segment, as_size)
            flags[0] = 0 if origin[0] else EMPTY_PATH
            continue
        origin[0] = 0
        flags[0] = AS_SET if segment.kind == SEGMENT_SET else EMPTY_PATH
        if segment.kind == SEGMENT_SET:
            any_set = ANY_SET
    flags[0] |= any_set
    return True


cdef inline bint end_of_sequence(Cursor path, uint32_t* origin) noexcept nogil:
    """The last AS of a path that is one AS_SEQUENCE of 4-octet ASes, as nearly all are; else False."""
    cdef uint16_t head        # its kind and count
    if not read_u16(&path, &head) or left(&path) != <size_t>4 * <uint8_t>head:
        return False
    return head >> 8 == SEGMENT_SEQUENCE and last_u32(&path, origin) and origin[0] != 0


cdef inline int path_count(Cursor path, uint8_t as_size) noexcept nogil:
    """The length as route selection counts it (RFC 4271 §9.1.2.2, RFC 5065 §5.3); -1 if malformed."""
    cdef Segment segment
    cdef int count = 0
    while left(&path):
        if not next_segment(&path, as_size, &segment):
            return -1
        if segment.kind == SEGMENT_SEQUENCE:
            count += segment.count
        elif segment.kind == SEGMENT_SET and segment.count:
            count += 1
    return count


cdef inline bint merges(const Attributes* a) noexcept nogil:
    """Whether AS4_PATH replaces the end of a path of 2-octet ASes (RFC 6793 §4.2.3)."""
    cdef int count
    if a.as_size == 4 or a.as4_path.at == a.as4_path.end:
        return False
    if a.aggregator and a.as4_aggregator and a.aggregator != AS_TRANS:
        return False
    count = path_count(a.as4_path, 4)
    return 0 < count <= path_count(a.as_path, 2)


cdef inline bint find_attributes(Cursor c, uint8_t as_size, Attributes* out) noexcept nogil:
    """All attributes that matter here; of several of a kind the first (RFC 7606 §3g).

    False where an attribute overruns the others, or the AS_PATH is malformed.
    """
    cdef uint8_t kind
    cdef uint16_t short_asn
    cdef Cursor value
    memset(out, 0, sizeof(Attributes))
    out.as_size = as_size
    while left(&c):
        if not next_attribute(&c, &kind, &value):
            return False
        if kind == ATTR_AS_PATH and out.as_path.at == NULL:
            out.as_path = value
        elif kind == ATTR_AS4_PATH and out.as4_path.at == NULL:
            out.as4_path = value
        elif kind == ATTR_AGGREGATOR and out.aggregator_at.at == NULL:
            out.aggregator_at = value
            if as_size == 2 and read_u16(&value, &short_asn):
                out.aggregator = short_asn
        elif kind == ATTR_AS4_AGGREGATOR:
            out.as4_aggregator = True
        elif kind == ATTR_COMMUNITIES and out.communities.at == NULL:
            out.communities = value
        elif kind == ATTR_LARGE_COMMUNITIES and out.large_communities.at == NULL:
            out.large_communities = value
        elif kind == ATTR_MP_REACH and out.mp_reach.at == NULL:
            out.mp_reach = value
        elif kind == ATTR_MP_UNREACH and out.mp_unreach.at == NULL:
            out.mp_unreach = value
    if path_count(out.as_path, as_size) < 0:
        return False
    out.merge = merges(out)
    return True


cdef inline bint find_origin(Cursor c, uint8_t as_size, uint32_t* origin, uint8_t* flags) noexcept nogil:
    """The origin alone: in a path of 4-octet ASes nothing behind the AS_PATH is looked at."""
    cdef uint8_t kind
    cdef Cursor value
    cdef Attributes all_of_them
    if as_size == 2:
        return find_attributes(c, 2, &all_of_them) and origin_of(&all_of_them, origin, flags)
    skip_u24(&c, ORIGIN_HEAD, 1)
    while left(&c):
        if not next_attribute(&c, &kind, &value):
            return False
        if kind != ATTR_AS_PATH:
            continue
        if rov_likely(end_of_sequence(value, origin)):
            flags[0] = 0
            return True
        return path_origin(value, 4, True, origin, flags)
    origin[0] = 0
    flags[0] = EMPTY_PATH
    return True


cdef inline bint origin_of(const Attributes* a, uint32_t* origin, uint8_t* flags) noexcept nogil:
    cdef uint8_t in_old = 0
    if not path_origin(a.as_path, a.as_size, True, origin, flags):
        return False
    if a.merge:
        in_old = flags[0] & ANY_SET
        path_origin(a.as4_path, 4, False, origin, flags)
        flags[0] |= in_old
    return True


# Columns of paths and communities


cdef inline bint put_path(Buffer* out, Cursor path, uint8_t as_size, int most) noexcept nogil:
    """Append the ASes of the first so many places of a path (-1: of all).

    Confederations are left out, and so are the members of an AS_SET, which takes one place.
    """
    cdef Segment segment
    cdef int n
    while left(&path) and most != 0:
        if not next_segment(&path, as_size, &segment):
            return True
        if segment.kind == SEGMENT_SET and segment.count and most > 0:
            most -= 1
        if segment.kind != SEGMENT_SEQUENCE:
            continue
        n = segment.count if most < 0 else min(most, <int>segment.count)
        if most > 0:
            most -= n
        if not reserve(out, <size_t>n * 4):
            return False
        while n:
            put_u32(out, next_asn(&segment.asns, as_size))
            n -= 1
    return True


cdef inline bint put_whole_path(Buffer* out, const Attributes* a) noexcept nogil:
    """Append the ASes of a path, AS4_PATH merged in."""
    cdef int kept
    if not a.merge:
        return put_path(out, a.as_path, a.as_size, -1)
    kept = path_count(a.as_path, a.as_size) - path_count(a.as4_path, 4)
    return put_path(out, a.as_path, a.as_size, kept) and put_path(out, a.as4_path, 4, -1)


cdef inline bint put_groups(Buffer* out, Cursor words, int size) noexcept nogil:
    """Append whole groups of so many words of 32 bits: a community is one, a large one three."""
    cdef size_t count = left(&words) // <size_t>(4 * size) * <size_t>size
    cdef uint32_t word = 0
    if not reserve(out, 4 * count):
        return False
    while count:
        read_u32(&words, &word)
        put_u32(out, word)
        count -= 1
    return True
