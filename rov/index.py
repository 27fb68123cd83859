"""VrpIndex: a Snapshot frozen for lookups, and the verdicts on routes (RFC 6811)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from rov._checks import as_flag, as_kind
from rov._lookup import Lookup
from rov._threads import in_slices, side_by_side, worker_count
from rov._trie import Trie
from rov.routes import RouteBatch
from rov.snapshot import Snapshot
from rov.types import (
    IPV4_BITS,
    IPV6_BITS,
    Family,
    Prefix,
    PrefixLike,
    Reason,
    State,
    Validity,
    Vrp,
    as_asn,
)

if TYPE_CHECKING:
    import pyarrow

_Column: TypeAlias = npt.NDArray[np.uint8]

WORTH_A_THREAD = 10_000
"""VRPs of a family from which its trie, a tenth of a microsecond each, is built beside the other family's."""


class VrpIndex(Lookup):
    """The VRPs of a Snapshot, frozen for lookups; safe to share between threads without a lock.

    Built, both families at once, and asked about columns, with the GIL released. Origin 0 stands for "no
    origin" and never matches; VRPs for AS 0 never match (RFC 6483 §4). ``len``, ``in`` and iteration are
    over its VRPs; indexes are equal when their Snapshots are. A pickle holds the Snapshot, and the index is
    built anew from it. ArgumentError: snapshot is no Snapshot.

    >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)]))
    >>> index.validate("192.0.2.0/24", 64496).label
    'valid'
    """

    __slots__ = ("snapshot",)

    snapshot: Snapshot

    def __new__(cls, snapshot: Snapshot) -> Self:
        as_kind(snapshot, Snapshot, "snapshot")
        keys = snapshot.ipv4.keys, snapshot.ipv6.keys
        if min(len(snapshot.ipv4), len(snapshot.ipv6)) < WORTH_A_THREAD:
            tries = Trie(4, *keys[0]), Trie(6, *keys[1])
        else:
            tries = side_by_side(lambda: Trie(6, *keys[1]), lambda: Trie(4, *keys[0]))[::-1]
        index = super().__new__(cls, *tries)
        index.snapshot = snapshot
        return index

    @overload
    def validate_batch(
        self, routes: RouteBatch, *, reasons: Literal[False] = False, threads: int = 1
    ) -> _Column: ...

    @overload
    def validate_batch(
        self, routes: RouteBatch, *, reasons: Literal[True], threads: int = 1
    ) -> tuple[_Column, _Column]: ...

    @overload
    def validate_batch(
        self, routes: RouteBatch, *, reasons: bool, threads: int = 1
    ) -> _Column | tuple[_Column, _Column]: ...

    def validate_batch(
        self, routes: RouteBatch, *, reasons: bool = False, threads: int = 1
    ) -> _Column | tuple[_Column, _Column]:
        """The State of each route of a RouteBatch, as uint8 [n] in its order (RFC 6811 §2).

        With reasons a pair of columns (states, reasons), both uint8 [n], found in one pass. A Reason is 0
        not covered; 1 matched; 2 as: covered, but by no VRP of this origin; 3 length: some covering VRP
        has the origin, none of them allows the length; 4 as0: every covering VRP is for AS 0. Runs with the
        GIL released, on as many threads as are asked for, 0 for one on each processor that the process may
        use; the answer is the same. ArgumentError: routes is no RouteBatch, threads no such number.

        >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)]))
        >>> states, reasons = index.validate_batch(RouteBatch.ipv4([0xC0000200], [25], [64496]), reasons=True)
        >>> State(states[0]).label, Reason(reasons[0]).label
        ('invalid', 'length')
        """
        as_kind(routes, RouteBatch, "routes")
        reasons, workers = as_flag(reasons, "reasons"), worker_count(threads)
        judge = self._ipv4.judge_ipv4 if routes.family == 4 else self._ipv6.judge_ipv6
        found = np.empty(len(routes), np.uint8)
        states = np.empty(len(routes), np.uint8) if reasons else found

        def work(rows: slice) -> None:
            judge(routes.addresses[rows], routes.lengths[rows], routes.origins[rows], found[rows], reasons)
            if reasons:
                np.minimum(found[rows], np.uint8(State.INVALID), out=states[rows])

        in_slices(work, len(routes), workers)
        return (states, found) if reasons else states

    def validate_table(
        self,
        table: Any,
        *,
        prefix: str = "prefix",
        origin: str = "origin",
        state: str = "state",
        reason: str = "reason",
        strict: bool = True,
        threads: int = 1,
    ) -> pyarrow.RecordBatchReader:
        """An Arrow table of routes, with two more columns: the state and the reason of each.

        table is anything with ``__arrow_c_stream__`` or ``__arrow_c_array__``: a pyarrow Table or reader, a
        polars or pandas DataFrame, a duckdb relation. Its column prefix is string, large_string,
        string_view or a dictionary of one; origin any integers, null or 0 for no origin. The families may
        be mixed. What comes back is a stream that such libraries take in turn; it reads table batch by
        batch as it is read itself. Its other columns are those of table, nothing copied; state and reason
        are dictionaries of labels whose codes are State and Reason.

        A null prefix has a null state. A bad prefix or origin is a PrefixError or ArgumentError, as the
        stream is read, and the message names the row; without strict it has a null state too.
        ArgumentError: no table, or its columns are others. ExtraError: pyarrow is not installed. threads is
        as in validate_batch.

        >>> import pyarrow as pa
        >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)]))
        >>> table = pa.table({"prefix": ["192.0.2.0/24", "192.0.2.0/25"], "origin": [64496, 64496]})
        >>> index.validate_table(table).read_all()["reason"].to_pylist()
        ['matched', 'length']
        """
        from rov import arrow

        names, workers = arrow.Names(prefix, origin, state, reason), worker_count(threads)
        tries, strict = (self._ipv4, self._ipv6), as_flag(strict, "strict")
        return arrow.validated(tries, table, names, strict=strict, workers=workers)

    def covering(self, prefix: PrefixLike, family: Family | None = None) -> tuple[Vrp, ...]:
        """The VRPs that cover a prefix (RFC 6811 §2), shortest first.

        prefix, PrefixError, ArgumentError: as in validate.

        >>> VrpIndex(Snapshot.empty()).covering("192.0.2.0/24")
        ()
        """
        version, address, rows = self.covering_keys(prefix, family)
        bits = IPV4_BITS if version == 4 else IPV6_BITS
        return tuple(
            Vrp(Prefix(version, address >> (bits - length) << (bits - length), length), most, asn)
            for length, most, asn in rows
        )

    def covered(self, prefix: PrefixLike, family: Family | None = None) -> Snapshot:
        """The VRPs whose prefix is ``prefix`` or lies under it, as a Snapshot: views, nothing is copied.

        prefix, PrefixError, ArgumentError: as in validate.

        >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)]))
        >>> [str(vrp) for vrp in index.covered("192.0.0.0/16")]
        ['192.0.2.0/24-24 AS64496']
        """
        return self.snapshot.within(prefix, family)

    def by_asn(self, asn: int) -> Snapshot:
        """What AS ``asn`` stands in: the VRPs with it as origin, its ASPA, its router keys.

        ArgumentError: asn is no AS number.

        >>> index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)]))
        >>> len(index.by_asn(64496)), len(index.by_asn(64497))
        (1, 0)
        """
        return self.snapshot.by_asn(asn)

    def explain(self, prefix: PrefixLike, asn: int, family: Family | None = None) -> Validity:
        """The State of one route with its Reason, and every covering VRP under what it speaks for or against.

        asn 0 stands for "no origin". prefix, PrefixError, ArgumentError: as in validate.

        >>> VrpIndex(Snapshot.empty()).explain("192.0.2.0/24", 64496).state.label
        'not_found'
        """
        route = Prefix.of(prefix, family)
        state = self.validate(route, asn)
        origin, covering = as_asn(asn), self.covering(route)
        allowing = tuple(vrp for vrp in covering if route.length <= vrp.max_length)
        return Validity(
            state,
            reason_of(state, (vrp.asn for vrp in covering), origin),
            tuple(vrp for vrp in allowing if vrp.asn == origin != 0),
            tuple(vrp for vrp in allowing if not vrp.asn == origin != 0),
            tuple(vrp for vrp in covering if route.length > vrp.max_length),
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

    def __iter__(self) -> Iterator[Vrp]:
        return iter(self.snapshot)

    def __contains__(self, vrp: object) -> bool:
        return vrp in self.snapshot

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VrpIndex):
            return NotImplemented
        return self.snapshot == other.snapshot

    def __hash__(self) -> int:
        return hash(self.snapshot)

    def __reduce__(self) -> tuple[type[Self], tuple[Snapshot]]:
        return type(self), (self.snapshot,)

    def __repr__(self) -> str:
        ipv4, ipv6 = len(self.snapshot.ipv4), len(self.snapshot.ipv6)
        return f"<VrpIndex: {len(self):,} VRPs ({ipv4:,} IPv4, {ipv6:,} IPv6)>"


def reason_of(state: State, covering: Iterable[int], asn: int) -> Reason:
    """The Reason of a route, from its State and the ASes of the VRPs that cover it.

    >>> reason_of(State.INVALID, [], 64496).name
    'AS0'
    """
    if state is State.NOT_FOUND:
        return Reason.NOT_COVERED
    if state is State.VALID:
        return Reason.MATCHED
    origins = set(covering)
    if asn and asn in origins:
        return Reason.LENGTH
    return Reason.AS if origins - {0} else Reason.AS0
