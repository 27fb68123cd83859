"""The peers of routing tables, each with a number: address and AS, found again by hashing."""

import numpy as np

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free


@cython.final
cdef class Peers:
    """Peers numbered from 1 as they come; 0 stands for a peer that is not known.

    >>> len(Peers())
    1
    """

    def __cinit__(self):
        self.table.rows = <Peer*>calloc(MAX_PEERS, sizeof(Peer))
        self.table.slots = <uint32_t*>calloc(SLOTS, sizeof(uint32_t))
        if self.table.rows == NULL or self.table.slots == NULL:
            raise MemoryError
        self.table.count = 1

    def __dealloc__(self):
        free(self.table.rows)
        free(self.table.slots)

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
        return number_of(&self.table, &peer)

    def columns(self):
        """All peers by number: families uint8 [n], addresses uint64 [n, 2], asns uint32 [n].

        >>> Peers().columns()[2].tolist()
        [0]
        """
        cdef uint32_t i, count = self.table.count   # a thread that parses may add more meanwhile
        families = np.zeros(count, np.uint8)
        addresses = np.zeros((count, 2), np.uint64)
        asns = np.zeros(count, np.uint32)
        cdef uint8_t[::1] family = families
        cdef uint64_t[:, ::1] address = addresses
        cdef uint32_t[::1] asn = asns
        for i in range(count):
            family[i] = self.table.rows[i].family
            address[i, 0] = self.table.rows[i].high
            address[i, 1] = self.table.rows[i].low
            asn[i] = self.table.rows[i].asn
        return families, addresses, asns

    def __len__(self):
        return self.table.count
