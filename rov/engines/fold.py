"""What a Kernel gives of many dumps, folded into one table with the verdicts on its routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rov._mrt_peers import Peers
from rov.audit.verdicts import Judged, Verdicts
from rov.engines.kernel import About, Routes, about_of
from rov.index import VrpIndex
from rov.rib import RibCounts, RouteTable
from rov.rib.merge import FamilyMerger, Part
from rov.rib.read import MAX_WARNINGS, check_size
from rov.rib.table import PEERS_PER_WORD, Sets, named_peers
from rov.types import Family, Prefix, State

if TYPE_CHECKING:
    import pyarrow as pa


def fold(batches: Iterable[pa.RecordBatch], index: VrpIndex) -> Verdicts:
    """The verdicts on the distinct routes of all dumps; ``index`` is the one that judged them.

    A peer of several dumps counts once, numbers of peers that dumps only state are added up: as
    ``rov.rib.read_table`` merges them. RibFileError: a dump could not be read, or all take too much memory.

    >>> from rov import Snapshot
    >>> fold([], VrpIndex(Snapshot.empty()))
    <Verdicts: 0 routes of at least 1 peers: 0 valid, 0 invalid, 0 not_found>
    """
    folded = _Fold()
    for batch in batches:
        if about := about_of(batch):
            folded.begin(about)
        else:
            folded.add(Routes.of(batch))
    folded.end()
    return folded.verdicts(index)


class _Fold:
    """Folds dump after dump."""

    def __init__(self) -> None:
        self._peers = Peers()
        self._numbers: npt.NDArray[np.int64] = np.zeros(1, np.int64)
        self._name = ""
        self._mergers = {4: FamilyMerger(4), 6: FamilyMerger(6)}
        self._counts = RibCounts()
        self._warnings: list[str] = []

    def begin(self, about: About) -> None:
        """The routes that follow are of another dump."""
        self.end()
        self._name = about.name
        self._numbers = np.array([_number(self._peers, *peer) for peer in about.peers], np.int64)
        self._counts += about.counts
        self._warnings += about.warnings
        del self._warnings[MAX_WARNINGS:]

    def add(self, routes: Routes) -> None:
        """Some routes of the dump."""
        merger = self._mergers[routes.family]
        sets = renumbered(routes.sets, self._numbers)
        merger.add(
            Part(routes.addresses, routes.lengths, routes.origins, routes.stated, sets, routes.reasons)
        )
        check_size(self._name, merger)

    def end(self) -> None:
        """The dump has no more routes."""
        for merger in self._mergers.values():
            merger.end_file()

    def verdicts(self, index: VrpIndex) -> Verdicts:
        """Of all dumps."""
        ipv4, ipv6 = self._judged(4), self._judged(6)
        peers = named_peers(self._peers)
        table = RouteTable(ipv4.routes, ipv6.routes, peers, self._counts, self._warnings)
        return Verdicts(table, index, ipv4, ipv6, 1)

    def _judged(self, family: Family) -> Judged:
        merger = self._mergers[family]
        reasons = merger.reasons()
        return Judged(merger.columns(), np.minimum(reasons, State.INVALID).astype(np.uint8), reasons)


def _number(peers: Peers, address: str | None, asn: int) -> int:
    """The number of a peer among those of all dumps."""
    if address is None:
        return peers.add(0, 0, 0, asn)
    host = Prefix.parse(address)
    if host.family == 4:
        return peers.add(4, host.address, 0, asn)
    return peers.add(6, host.address >> 64, host.address & (1 << 64) - 1, asn)


def renumbered(sets: Sets, numbers: npt.NDArray[np.int64]) -> Sets:
    """Sets of peers under other numbers: bit i becomes bit numbers[i]. uint64 [n, words] both.

    Most peers of a dump are new and get numbers in a row: bits that move by the same distance move at once.

    >>> renumbered(np.array([[0b110]], np.uint64), np.array([0, 1, 65])).tolist()
    [[2, 2]]
    """
    if not sets.shape[1]:
        return sets
    moved = np.zeros((len(sets), int(numbers.max()) // PEERS_PER_WORD + 1), np.uint64)
    places = np.arange(len(numbers))
    for distance in np.unique(numbers - places):
        mask = np.zeros(sets.shape[1], np.uint64)
        for place in places[numbers - places == distance].tolist():
            mask[place // PEERS_PER_WORD] |= np.uint64(1) << np.uint64(place % PEERS_PER_WORD)
        for word in np.flatnonzero(mask).tolist():
            _move(sets[:, word] & mask[word], word * PEERS_PER_WORD + int(distance), moved)
    return moved


def _move(bits: npt.NDArray[np.uint64], first: int, into: Sets) -> None:
    """Set bits of one word, the first of which gets that number (which may be below 0 if it is not set)."""
    word, shift = divmod(first, PEERS_PER_WORD)
    if 0 <= word < into.shape[1]:
        into[:, word] |= bits << np.uint64(shift)
    if shift and word + 1 < into.shape[1]:
        into[:, word + 1] |= bits >> np.uint64(PEERS_PER_WORD - shift)
