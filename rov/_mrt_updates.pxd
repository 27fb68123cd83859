"""Records that are messages between peers: BGP4MP (RFC 6396 §4.4, RFC 8050 §3) and the type BGP before it."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from rov._cursor cimport Cursor, left, read_part, read_u8, read_u16, skip
from rov._mrt_attributes cimport Attributes, find_attributes, origin_of
from rov._mrt_format cimport (
    BGP_UPDATE, FAULT_FAMILY, FAULT_MESSAGE, FAULT_NLRI, FAULT_NONE, FAULT_SHORT, MARKER_OCTETS,
    MAX_MESSAGE_OCTETS, MESSAGE, MESSAGE_ADDPATH, MESSAGE_AS4, MESSAGE_AS4_LOCAL, MESSAGE_AS4_LOCAL_ADDPATH,
    MESSAGE_LOCAL, STOP_MEMORY, Header, family_of, read_asn,
)
from rov._mrt_peers cimport Peer, number_of
from rov._mrt_prefixes cimport BgpPrefix, are_prefixes, next_prefix, read_address
from rov._mrt_rows cimport WITHDRAWN, Row
from rov._mrt_sink cimport (
    Marks, Sink, announce, cut_unused_path, is_wanted, marks_of, put_attributes, withdraw,
)


cdef inline bint starts_with_marker(Cursor c) noexcept nogil:
    cdef uint8_t octet
    cdef int _
    for _ in range(MARKER_OCTETS):
        if not read_u8(&c, &octet) or octet != 0xFF:
            return False
    return True


cdef inline int prefixes(Sink* s, Cursor list, uint8_t family, bint add_path, Row* row) noexcept nogil:
    """A list of prefixes, each announced or withdrawn by the row.

    Sessions with ADD-PATH were logged as such without: where a list is none, it is tried with path ids.
    """
    cdef BgpPrefix prefix
    cdef int fault
    if not are_prefixes(list, family, add_path):
        if add_path or not are_prefixes(list, family, True):
            return FAULT_NLRI
        add_path = True
    while left(&list):
        next_prefix(&list, family, add_path, &prefix)
        fault = withdraw(s, &prefix, family, row) if row.flags & WITHDRAWN else \
            announce(s, &prefix, family, row)
        if fault != FAULT_NONE:
            return fault
    return FAULT_NONE


cdef inline int multiprotocol(Sink* s, Cursor value, bint reach, bint add_path, Row* row) noexcept nogil:
    """The prefixes of MP_REACH_NLRI or MP_UNREACH_NLRI (RFC 4760 §3, §4), if there are any."""
    cdef uint16_t afi
    cdef uint8_t safi, size, reserved
    if left(&value) == 0:
        return FAULT_NONE
    if not (read_u16(&value, &afi) and read_u8(&value, &safi)):
        return FAULT_MESSAGE
    if family_of(afi) == 0 or not is_wanted(s, safi):
        return FAULT_NONE
    if reach and not (read_u8(&value, &size) and skip(&value, size) and read_u8(&value, &reserved)):
        return FAULT_MESSAGE
    return prefixes(s, value, family_of(afi), add_path, row)


cdef inline int update(Sink* s, uint32_t time, uint32_t peer, uint8_t as_size, bint add_path,
                       Cursor body) noexcept nogil:
    """An UPDATE (RFC 4271 §4.3) with its multiprotocol parts (RFC 4760)."""
    cdef Cursor withdrawn, attributes
    cdef uint16_t size
    cdef Attributes found
    cdef Row row
    cdef Marks before
    cdef bint sound
    cdef int fault
    if not (read_u16(&body, &size) and read_part(&body, size, &withdrawn)
            and read_u16(&body, &size) and read_part(&body, size, &attributes)):
        return FAULT_MESSAGE
    row.peer, row.time, row.path, row.count, row.origin, row.flags = peer, time, 0, 0, 0, WITHDRAWN
    fault = prefixes(s, withdrawn, 4, add_path, &row)
    if fault != FAULT_NONE:
        return fault
    # RFC 7606 §2: attributes that are not sound make withdrawals of the routes that they came with
    sound = find_attributes(attributes, as_size, &found)
    fault = multiprotocol(s, found.mp_unreach, False, add_path, &row)
    if fault != FAULT_NONE:
        return fault
    before = marks_of(s)
    if not sound or not origin_of(&found, &row.origin, &row.flags):
        s.seen.malformed += 1
        row.origin, row.flags = 0, WITHDRAWN
    elif (left(&body) or left(&found.mp_reach)) and not put_attributes(s, &found, &row.path):
        return STOP_MEMORY
    fault = prefixes(s, body, 4, add_path, &row)
    if fault != FAULT_NONE:
        return fault
    fault = multiprotocol(s, found.mp_reach, True, add_path, &row)
    cut_unused_path(s, &before)
    return fault


cdef inline int legacy_update(Sink* s, const Header* header, Cursor body) noexcept nogil:
    """Type BGP of the first collectors: IPv4 only, the message without its header."""
    cdef Peer peer
    cdef uint32_t local_as
    cdef uint64_t high, low
    if not (read_asn(&body, 2, &peer.asn) and read_address(&body, 4, &peer.high, &peer.low)
            and read_asn(&body, 2, &local_as) and read_address(&body, 4, &high, &low)):
        return FAULT_SHORT
    if left(&body) > MAX_MESSAGE_OCTETS:
        return FAULT_MESSAGE
    peer.family = 4
    return update(s, header.time, number_of(s.peers, &peer), 2, False, body)


cdef inline int bgp_message(Sink* s, uint32_t time, uint32_t peer, uint8_t as_size, bint add_path,
                            Cursor body) noexcept nogil:
    cdef uint16_t size
    cdef uint8_t kind
    cdef Cursor octets
    if not (skip(&body, MARKER_OCTETS) and read_u16(&body, &size) and read_u8(&body, &kind)):
        return FAULT_MESSAGE
    if kind != BGP_UPDATE:
        s.seen.passed += 1
        return FAULT_NONE
    if size < MARKER_OCTETS + 3 or not read_part(&body, size - MARKER_OCTETS - 3, &octets):
        return FAULT_MESSAGE
    return update(s, time, peer, as_size, add_path, octets)


cdef inline int message(Sink* s, const Header* header, uint8_t as_size, bint add_path,
                        Cursor body) noexcept nogil:
    """Who speaks with whom, then the BGP message."""
    cdef uint16_t interface, afi
    cdef uint32_t local_as
    cdef uint64_t high, low
    cdef Peer peer
    if not (read_asn(&body, as_size, &peer.asn) and read_asn(&body, as_size, &local_as)):
        return FAULT_SHORT
    if starts_with_marker(body):
        # Zebra wrote OPEN messages without interface, family and addresses
        s.seen.passed += 1
        return FAULT_NONE
    if not (read_u16(&body, &interface) and read_u16(&body, &afi)):
        return FAULT_SHORT
    peer.family = family_of(afi)
    if peer.family == 0:
        return FAULT_FAMILY
    if not (read_address(&body, peer.family, &peer.high, &peer.low)
            and read_address(&body, peer.family, &high, &low)):
        return FAULT_SHORT
    return bgp_message(s, header.time, number_of(s.peers, &peer), as_size, add_path, body)


cdef inline int bgp4mp(Sink* s, const Header* header, Cursor body) noexcept nogil:
    cdef uint16_t subtype = header.subtype
    cdef bint add_path = MESSAGE_ADDPATH <= subtype <= MESSAGE_AS4_LOCAL_ADDPATH
    cdef uint8_t as_size = 2
    if subtype in (MESSAGE_LOCAL, MESSAGE_AS4_LOCAL, MESSAGE_ADDPATH + 2, MESSAGE_AS4_LOCAL_ADDPATH):
        if not s.local:
            s.seen.local += 1
            return FAULT_NONE
    elif subtype not in (MESSAGE, MESSAGE_AS4, MESSAGE_ADDPATH, MESSAGE_ADDPATH + 1):
        s.seen.passed += 1
        return FAULT_NONE
    if subtype in (MESSAGE_AS4, MESSAGE_AS4_LOCAL, MESSAGE_ADDPATH + 1, MESSAGE_AS4_LOCAL_ADDPATH):
        as_size = 4
    return message(s, header, as_size, add_path, body)
