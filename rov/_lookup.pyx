"""Text and Python integers to verdicts: the prefix parser and the tries joined, without a step between."""

from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_Check
from cpython.sequence cimport PySequence_Fast, PySequence_Fast_GET_SIZE, PySequence_Fast_ITEMS
from cpython.unicode cimport PyUnicode_Check
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ipaddress import IPv4Network, IPv6Network

import numpy as np

from rov._prefix cimport PARSE_OK, ParsedPrefix, ParseFault, parse_prefix, prefix_error, utf8_of
from rov._trie cimport Trie
from rov.errors import ArgumentError, PrefixError
from rov.types import Prefix, State, as_asn

# Routes that are parsed before the tries judge them: few enough to stay in the L1 cache.
cdef enum:
    CHUNK = 256

# In place of an origin: the object is none.
cdef enum:
    NO_ASN = -1

cdef tuple STATES = tuple(State)


cdef struct Rows:     # of one family, waiting for their verdict; position: where it belongs in the chunk
    uint64_t words[2 * CHUNK]
    uint32_t address[CHUNK]
    uint32_t origin[CHUNK]
    uint32_t position[CHUNK]
    uint8_t length[CHUNK]
    uint8_t state[CHUNK]
    int count


cdef inline void put(Rows* rows, const ParsedPrefix* prefix, uint32_t origin, int position) noexcept nogil:
    cdef int n = rows.count
    if prefix.family == 4:
        rows.address[n] = <uint32_t>prefix.high
    else:
        rows.words[2 * n] = prefix.high
        rows.words[2 * n + 1] = prefix.low
    rows.length[n] = prefix.length
    rows.origin[n] = origin
    rows.position[n] = <uint32_t>position
    rows.count = n + 1


cdef inline void scatter(Rows* rows, uint8_t* out) noexcept nogil:
    cdef int i
    for i in range(rows.count):
        out[rows.position[i]] = rows.state[i]
    rows.count = 0


cdef inline long long asn_of(object value) except? NO_ASN:
    """An AS number as an integer; ArgumentError if it is none."""
    cdef int overflow = 0
    cdef long long asn = 0
    if not PyLong_Check(value):
        value = as_asn(value, "origin")
    asn = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or asn < 0 or asn > 0xFFFFFFFF:
        return as_asn(value, "origin")
    return asn


cdef inline int read_prefix(object prefix, object family, ParsedPrefix* out) except -1:
    """What stands for a prefix to its numbers, as Prefix.of reads it; text, the common case, without one."""
    cdef Py_ssize_t size
    cdef const char* text
    cdef ParseFault fault
    if PyUnicode_Check(prefix) and family is None:
        text = utf8_of(prefix, &size)
        fault = parse_prefix(<const unsigned char*>text, size, out)
        if fault != PARSE_OK:
            raise prefix_error(prefix, fault)
        return 0
    if family is None and (type(prefix) is IPv4Network or type(prefix) is IPv6Network):
        # such a network has no host bits
        address = int(prefix.network_address)
        out.family = 4 if type(prefix) is IPv4Network else 6
        out.length = prefix.prefixlen
    else:
        if not isinstance(prefix, Prefix) or family is not None:
            prefix = Prefix.of(prefix, family)
        address = prefix.address
        out.family = prefix.family
        out.length = prefix.length
    out.high = address if out.family == 4 else address >> 64
    out.low = 0 if out.family == 4 else address & 0xFFFFFFFFFFFFFFFF
    return 0


cdef object at_position(object error, Py_ssize_t position):
    return type(error)(f"position {position}: {error}")


cdef object as_items(object values, str name):
    """A list or tuple of the items; ArgumentError if there are none to be had."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, (str, bytes)):
        raise ArgumentError(f"{name}: expected a sequence, found one {type(values).__name__}")
    try:
        return PySequence_Fast(values, "")
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}: expected a sequence, found {type(values).__name__}") from None


cdef class Lookup:
    """Two tries, of IPv4 and IPv6, and the questions that are asked one route or one list at a time.

    ArgumentError: the tries are not one of each family.
    """

    cdef readonly Trie _ipv4
    cdef readonly Trie _ipv6

    def __cinit__(self, Trie ipv4 not None, Trie ipv6 not None):
        if ipv4.family != 4 or ipv6.family != 6:
            raise ArgumentError("expected an IPv4 trie, then an IPv6 trie")
        self._ipv4 = ipv4
        self._ipv6 = ipv6

    def validate(self, prefix, asn, family=None):
        """The State of one route (RFC 6811 §2); asn is an int, 0 for no origin.

        prefix is a text, a Prefix, an ipaddress network, or, with family (4 or 6), an (address, length)
        pair of ints. PrefixError: it is no prefix, or host bits are set. ArgumentError: it is of another
        type, a pair without family, or asn is no AS number.
        """
        cdef ParsedPrefix p
        cdef uint32_t origin
        read_prefix(prefix, family, &p)
        origin = <uint32_t>asn_of(asn)
        if p.family == 4:
            return STATES[self._ipv4.state(p.high << 32, 0, p.length, origin)]
        return STATES[self._ipv6.state(p.high, p.low, p.length, origin)]

    def validate_many(self, prefixes, origins, family=None):
        """The State of each route as uint8 [n], in order; the families may be mixed.

        prefixes: a sequence of what validate takes; family, if given, is that of them all, and pairs need
        it. origins: as many ints, 0 for no origin. PrefixError, ArgumentError: as in validate, and the
        message begins with the position of the first bad route.
        """
        cdef Py_ssize_t at = 0, n, count
        texts = as_items(prefixes, "prefixes")
        asns = as_items(origins, "origins")
        count = PySequence_Fast_GET_SIZE(texts)
        if PySequence_Fast_GET_SIZE(asns) != count:
            raise ArgumentError(f"expected an origin a prefix, found {count} prefixes and "
                                f"{PySequence_Fast_GET_SIZE(asns)} origins")
        states = np.empty(count, np.uint8)
        cdef uint8_t[::1] out = states
        while at < count:
            n = min(count - at, <Py_ssize_t>CHUNK)
            self.judge_chunk(texts, asns, family, at, n, &out[at])
            at += n
        return states

    cdef int judge_chunk(self, object texts, object asns, object family, Py_ssize_t at, Py_ssize_t n,
                         uint8_t* out) except -1:
        cdef Rows rows4, rows6
        cdef ParsedPrefix p
        cdef uint32_t origin
        cdef Py_ssize_t i
        rows4.count = rows6.count = 0
        for i in range(n):
            # a list may change its length while an __index__ of one of its items runs
            if at + i >= PySequence_Fast_GET_SIZE(texts) or at + i >= PySequence_Fast_GET_SIZE(asns):
                raise ArgumentError("a sequence became shorter while it was read")
            try:
                read_prefix(<object>PySequence_Fast_ITEMS(texts)[at + i], family, &p)
                origin = <uint32_t>asn_of(<object>PySequence_Fast_ITEMS(asns)[at + i])
            except (PrefixError, ArgumentError) as error:
                raise at_position(error, at + i) from None
            put(&rows4 if p.family == 4 else &rows6, &p, origin, <int>i)
        with nogil:
            self._ipv4.states4(rows4.address, rows4.length, rows4.origin, rows4.state, rows4.count)
            self._ipv6.states6(rows6.words, rows6.length, rows6.origin, rows6.state, rows6.count)
            scatter(&rows4, out)
            scatter(&rows6, out)
        return 0

    def covering_keys(self, prefix, family=None):
        """The covering VRPs of a prefix, shortest first: (family, address, rows).

        rows are (length, max_length, asn), address the address of the prefix as an int.
        """
        cdef ParsedPrefix p
        read_prefix(prefix, family, &p)
        if p.family == 4:
            return 4, p.high, self._ipv4.covering(p.high << 32, 0, p.length)
        address = (<object>p.high << 64) | p.low
        return 6, address, self._ipv6.covering(p.high, p.low, p.length)
