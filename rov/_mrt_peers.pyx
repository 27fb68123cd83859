"""The peers of routing tables, each with a number: address and AS, found again by hashing."""

import numpy as np

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free


cdef inline bint same(const Peer* a, const Peer* b) noexcept nogil:
    return a.high == b.high and a.low == b.low and a.asn == b.asn and a.family == b.family


cdef inline uint32_t slot_of(const Peer* peer) noexcept nogil:
    """Where to look first; multiplication by odd constants spreads addresses that differ in few bits."""
    cdef uint64_t h = (peer.high ^ (peer.low >> 7)) * <uint64_t>0x9E3779B97F4A7C15
    h = (h ^ (h >> 29) ^ peer.asn ^ peer.low) * <uint64_t>0xBF58476D1CE4E5B9
    return <uint32_t>(h >> 40) % <uint32_t>SLOTS


@cython.final
cdef class Peers:
    """Peers numbered from 1 as they come; 0 stands for a peer that is not known.

    >>> len(Peers())
    1
    """

    def __cinit__(self):
        self.rows = <Peer*>calloc(MAX_PEERS, sizeof(Peer))
        self.slots = <uint32_t*>calloc(SLOTS, sizeof(uint32_t))
        if self.rows == NULL or self.slots == NULL:
            raise MemoryError
        self.count = 1

    def __dealloc__(self):
        free(self.rows)
        free(self.slots)

    cdef uint32_t number(self, const Peer* peer) noexcept nogil:
        """The number of a peer, a new one if it has none yet; NO_PEER when there are too many."""
        cdef uint32_t slot = slot_of(peer)
        while self.slots[slot]:
            if same(&self.rows[self.slots[slot]], peer):
                return self.slots[slot]
            slot = (slot + 1) % <uint32_t>SLOTS
        if self.count == MAX_PEERS:
            return NO_PEER
        self.rows[self.count] = peer[0]
        self.slots[slot] = self.count
        self.count += 1
        return self.count - 1

    def add(self, int family, uint64_t high, uint64_t low, uint32_t asn):
        """The number of a peer; family 0, 4 or 6; an IPv4 address in the low 32 bits of high.

        >>> peers = Peers()
        >>> peers.add(4, 0xC0000201, 0, 64496), peers.add(4, 0xC0000201, 0, 64496)
        (1, 1)
        """
        cdef Peer peer
        if family == 0:
            return NO_PEER
        peer.high, peer.low, peer.asn, peer.family = high, low, asn, <uint8_t>family
        return self.number(&peer)

    def columns(self):
        """All peers by number: families uint8 [n], addresses uint64 [n, 2], asns uint32 [n].

        >>> Peers().columns()[2].tolist()
        [0]
        """
        cdef uint32_t i, count = self.count   # a thread that parses may add more meanwhile
        families = np.zeros(count, np.uint8)
        addresses = np.zeros((count, 2), np.uint64)
        asns = np.zeros(count, np.uint32)
        cdef uint8_t[::1] family = families
        cdef uint64_t[:, ::1] address = addresses
        cdef uint32_t[::1] asn = asns
        for i in range(count):
            family[i] = self.rows[i].family
            address[i, 0] = self.rows[i].high
            address[i, 1] = self.rows[i].low
            asn[i] = self.rows[i].asn
        return families, addresses, asns

    def __len__(self):
        return self.count
