"""VrpIndex: a Snapshot frozen for lookups, and the verdicts on routes (RFC 6811)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np
import numpy.typing as npt

from rov._lookup import Lookup
from rov._trie import Trie
from rov.errors import ArgumentError
from rov.routes import RouteBatch
from rov.snapshot import Snapshot
from rov.types import IPV4_BITS, IPV6_BITS, Prefix, Reason, State, Validity, Vrp


class VrpIndex(Lookup):
    """The VRPs of a Snapshot, frozen for lookups; safe to share between threads without a lock.

    Built, and asked about columns, with the GIL released. Origin 0 stands for "no origin" and never
    matches; VRPs for AS 0 never match (RFC 6483 §4). ArgumentError: snapshot is no Snapshot.

    >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)]))
    >>> index.validate("192.0.2.0/24", 64496).label
    'valid'
    """

    __slots__ = ("snapshot",)

    snapshot: Snapshot

    def __new__(cls, snapshot: Snapshot) -> Self:
        if not isinstance(snapshot, Snapshot):
            raise ArgumentError(f"expected a Snapshot, found {type(snapshot).__name__}")
        index = super().__new__(cls, Trie(4, *snapshot.ipv4.keys), Trie(6, *snapshot.ipv6.keys))
        index.snapshot = snapshot
        return index

    def validate_batch(self, routes: RouteBatch) -> npt.NDArray[np.uint8]:
        """The State of each route of a RouteBatch, as uint8 [n] in its order (RFC 6811 §2).

        >>> VrpIndex(Snapshot.empty()).validate_batch(RouteBatch.ipv4([0], [0], [64496])).tolist()
        [0]
        """
        return self._judge(routes, reasons=False)

    def explain_batch(self, routes: RouteBatch) -> npt.NDArray[np.uint8]:
        """The Reason of each route of a RouteBatch, as uint8 [n] in its order.

        >>> VrpIndex(Snapshot.empty()).explain_batch(RouteBatch.ipv4([0], [0], [64496])).tolist()
        [0]
        """
        return self._judge(routes, reasons=True)

    def _judge(self, routes: RouteBatch, *, reasons: bool) -> npt.NDArray[np.uint8]:
        if not isinstance(routes, RouteBatch):
            raise ArgumentError(f"expected a RouteBatch, found {type(routes).__name__}")
        out = np.empty(len(routes), np.uint8)
        judge = self._ipv4.judge_ipv4 if routes.family == 4 else self._ipv6.judge_ipv6
        judge(routes.addresses, routes.lengths, routes.origins, out, reasons)
        return out

    def covering(self, prefix: str | Prefix) -> tuple[Vrp, ...]:
        """The VRPs that cover a prefix (RFC 6811 §2), shortest first.

        PrefixError: the text is no prefix, or host bits are set.

        >>> VrpIndex(Snapshot.empty()).covering("192.0.2.0/24")
        ()
        """
        family, _, address, rows = self.covering_keys(prefix)
        bits = IPV4_BITS if family == 4 else IPV6_BITS
        return tuple(
            Vrp(
                Prefix(4 if family == 4 else 6, address >> (bits - length) << (bits - length), length),
                most,
                asn,
            )
            for length, most, asn in rows
        )

    def explain(self, prefix: str | Prefix, asn: int) -> Validity:
        """The State of one route with its Reason, and every covering VRP under what it speaks for or against.

        asn 0 stands for "no origin". PrefixError, ArgumentError: as in validate.

        >>> VrpIndex(Snapshot.empty()).explain("192.0.2.0/24", 64496).state.label
        'not_found'
        """
        state = self.validate(prefix, asn)
        length = (Prefix.parse(prefix) if isinstance(prefix, str) else prefix).length
        covering = self.covering(prefix)
        allowing = tuple(vrp for vrp in covering if length <= vrp.max_length)
        return Validity(
            state,
            _reason(state, covering, int(asn)),
            tuple(vrp for vrp in allowing if vrp.asn == asn != 0),
            tuple(vrp for vrp in allowing if not vrp.asn == asn != 0),
            tuple(vrp for vrp in covering if length > vrp.max_length),
        )

    @property
    def nbytes(self) -> int:
        """Octets of memory that the index takes beside its Snapshot.

        >>> VrpIndex(Snapshot.empty()).nbytes < 1000
        True
        """
        return self._ipv4.nbytes + self._ipv6.nbytes

    def __len__(self) -> int:
        return len(self.snapshot)

    def __repr__(self) -> str:
        ipv4, ipv6 = len(self.snapshot.ipv4), len(self.snapshot.ipv6)
        return f"<VrpIndex: {len(self):,} VRPs ({ipv4:,} IPv4, {ipv6:,} IPv6)>"


def _reason(state: State, covering: Iterable[Vrp], asn: int) -> Reason:
    """The Reason of a route, from its State and the VRPs that cover it."""
    if state is State.NOT_FOUND:
        return Reason.NOT_COVERED
    if state is State.VALID:
        return Reason.MATCHED
    origins = {vrp.asn for vrp in covering}
    if asn and asn in origins:
        return Reason.LENGTH
    return Reason.AS if origins - {0} else Reason.AS0
