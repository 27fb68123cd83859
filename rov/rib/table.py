"""RouteTable: the distinct routes of RIB dumps as sorted columns, with the peers that carry each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from rov._checks import as_int, as_kind, as_optional, as_rows, shown
from rov._mrt_peers import Peers
from rov.columns import Rows, as_addresses, as_column, as_integers, picked
from rov.errors import ArgumentError
from rov.routes import RouteBatch
from rov.types import IPV4_BITS, Family, Prefix, as_family

PEERS_PER_WORD = 64

Sets = npt.NDArray[np.uint64]


class Peer(msgspec.Struct, frozen=True):
    """A BGP neighbour of a collector; address None and asn 0 where the dump does not name it.

    >>> Peer(None, 0).address is None
    True
    """

    address: Prefix | None
    asn: int


class RibCounts(msgspec.Struct, frozen=True):
    """What was met in the dumps of a table, good and bad.

    entries: routes, one a peer (or a line). as_set, empty_path: entries without an origin, since their
    path ends in an AS_SET, or is empty or ends in a confederation. withdrawn: withdrawals, which make no
    route. unknown_peers: entries whose peer the dump does not name. malformed: entries left out because
    their path attributes are not sound (RFC 7606). skipped: bad records or lines. passed: sound records
    without routes for us: sessions that change their state, other protocols, multicast, messages that the
    collector sent.

    >>> (RibCounts(entries=2, skipped=1) + RibCounts(entries=1)).entries
    3
    """

    files: int = 0
    entries: int = 0
    as_set: int = 0
    empty_path: int = 0
    withdrawn: int = 0
    unknown_peers: int = 0
    malformed: int = 0
    skipped: int = 0
    passed: int = 0

    def __add__(self, other: RibCounts) -> RibCounts:
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return RibCounts(*(a + b for a, b in zip(mine, theirs, strict=True)))


class RouteColumns:
    """The distinct routes of one family, sorted by (address, length, origin), as read-only columns.

    ``addresses`` is uint32 [n] in IPv4, uint64 [n, 2] (high and low words) in IPv6; ``lengths`` uint8;
    ``origins`` uint32, 0 where the path ends in an AS_SET or is empty; ``peers`` uint32, how many distinct
    peers carry the route. ``peer_sets`` is uint64 [n, words], a bit for each peer of the table by its
    number, or None where the dumps tell no peers or only their number.
    ArgumentError: columns that do not fit each other or their types.

    >>> len(RouteColumns(4, [0xC0000200], [24], [64496], [3]))
    1
    """

    __slots__ = ("addresses", "family", "lengths", "origins", "peer_sets", "peers")

    def __init__(
        self,
        family: Family,
        addresses: Any,
        lengths: Any,
        origins: Any,
        peers: Any,
        peer_sets: Sets | None = None,
    ) -> None:
        self.family: Family = as_family(family)
        count = as_integers(lengths, "lengths").size
        self.addresses: npt.NDArray[Any] = as_addresses(addresses, self.family, "addresses", count)
        self.lengths: npt.NDArray[np.uint8] = as_column(lengths, np.uint8, "lengths", (count,))
        self.origins: npt.NDArray[np.uint32] = as_column(origins, np.uint32, "origins", (count,))
        self.peers: npt.NDArray[np.uint32] = as_column(peers, np.uint32, "peers", (count,))
        self.peer_sets: Sets | None = None if peer_sets is None else _sets(peer_sets, count)

    @classmethod
    def empty(cls, family: Family) -> RouteColumns:
        """No routes.

        >>> len(RouteColumns.empty(6))
        0
        """
        return cls(family, [], [], [], [])

    @property
    def routes(self) -> RouteBatch:
        """The columns as a RouteBatch, the input of VrpIndex.validate_batch; nothing is copied.

        >>> len(RouteColumns.empty(4).routes)
        0
        """
        return RouteBatch(self.family, self.addresses, self.lengths, self.origins)

    def take(self, rows: Rows) -> RouteColumns:
        """The rows that a bool mask, an index column or a slice picks, in that order; else ArgumentError.

        >>> len(RouteColumns(4, [1, 2], [32, 32], [64496, 64497], [1, 9]).take(slice(1)))
        1
        """
        columns = [self.addresses, self.lengths, self.origins, self.peers]
        if self.peer_sets is not None:
            columns.append(self.peer_sets)
        return RouteColumns(self.family, *picked(columns, rows))

    def carried_by(self, peer: int) -> npt.NDArray[np.bool_]:
        """Which routes the peer of that number in RouteTable.peers carries, as bool [n].

        ArgumentError: the table does not tell which peers carry a route, or no number of a peer.

        >>> sets = np.array([[2]], np.uint64)
        >>> RouteColumns(4, [0], [0], [64496], [1], sets).carried_by(1).tolist()
        [True]
        """
        if self.peer_sets is None:
            raise ArgumentError("the table does not tell which peers carry a route")
        word, bit = divmod(as_int(peer, "peer"), PEERS_PER_WORD)
        if word >= self.peer_sets.shape[1]:
            return np.zeros(len(self), np.bool_)
        carried: npt.NDArray[np.bool_] = self.peer_sets[:, word] >> np.uint64(bit) & np.uint64(1) != 0
        return carried

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        return f"<RouteColumns IPv{self.family}: {len(self):,} routes>"


class RouteTable:
    """The distinct routes (prefix, origin) of one or more RIB dumps.

    ``ipv4`` and ``ipv6`` are RouteColumns, ``peers`` the Peers by number (number 0 stands for all that the
    dumps do not name), ``counts`` what was met, ``warnings`` texts on what was left out, the first ones.

    >>> table = RouteTable(RouteColumns(4, [0xC0000200], [24], [64496], [3]), RouteColumns.empty(6))
    >>> table
    <RouteTable: 1 routes (1 IPv4, 0 IPv6) of 0 peers>
    """

    __slots__ = ("counts", "ipv4", "ipv6", "peers", "warnings")

    def __init__(
        self,
        ipv4: RouteColumns,
        ipv6: RouteColumns,
        peers: Iterable[Peer] = (Peer(None, 0),),
        counts: RibCounts | None = None,
        warnings: Iterable[str] = (),
    ) -> None:
        for columns, family in ((ipv4, 4), (ipv6, 6)):
            if as_kind(columns, RouteColumns, f"ipv{family}").family != family:
                raise ArgumentError(f"ipv{family}: expected routes of that family, found {shown(columns)}")
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.peers: tuple[Peer, ...] = as_rows(peers, Peer, "peers")
        self.counts: RibCounts = as_optional(counts, RibCounts, "counts") or RibCounts()
        self.warnings: tuple[str, ...] = as_rows(warnings, str, "warnings")

    def seen_by(self, min_peers: int) -> RouteTable:
        """The routes that at least so many peers carry; ArgumentError: no such number.

        >>> columns = RouteColumns(4, [0, 1 << 31], [1, 1], [64496, 64496], [1, 9])
        >>> len(RouteTable(columns, RouteColumns.empty(6)).seen_by(2))
        1
        """
        least = as_int(min_peers, "min_peers")
        ipv4, ipv6 = (columns.take(columns.peers >= least) for columns in (self.ipv4, self.ipv6))
        return RouteTable(ipv4, ipv6, self.peers, self.counts, self.warnings)

    def __len__(self) -> int:
        return len(self.ipv4) + len(self.ipv6)

    def __repr__(self) -> str:
        return (
            f"<RouteTable: {len(self):,} routes ({len(self.ipv4):,} IPv4, {len(self.ipv6):,} IPv6) "
            f"of {len(self.peers) - 1:,} peers>"
        )


def _sets(values: Any, count: int) -> Sets:
    """Bits of peers, as many words a row as are given."""
    given = as_integers(values, "peer_sets")
    words = given.shape[1] if given.ndim == 2 else 0
    return as_column(given, np.uint64, "peer_sets", (count, words))


def named_peers(peers: Peers) -> tuple[Peer, ...]:
    """The peers by number.

    >>> known = Peers()
    >>> _ = known.add(4, 0xC0000201, 0, 64496)
    >>> str(named_peers(known)[1].address)
    '192.0.2.1/32'
    """
    families, addresses, asns = (column.tolist() for column in peers.columns())
    return tuple(
        Peer(_host(family, high, low), asn)
        for family, (high, low), asn in zip(families, addresses, asns, strict=True)
    )


def _host(family: int, high: int, low: int) -> Prefix | None:
    """An address as the prefix that holds it alone."""
    if family == 0:
        return None
    return Prefix(4, high, IPV4_BITS) if family == 4 else Prefix(6, high << 64 | low, 128)
