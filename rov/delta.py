"""Delta: what changes between two Snapshots, and its algebra.

The elements of a payload are VRPs, router keys and ASPAs with all their providers. A delta is two sets
of elements without a common member: what the old snapshot has to lose and what it has to gain. A changed
ASPA is in both, with its old providers and its new ones; RTR sends only the latter (8210bis §5.12).
"""

from __future__ import annotations

from rov._checks import as_kind
from rov.errors import DeltaError
from rov.snapshot import Snapshot


class Delta:
    """The elements to withdraw from an old Snapshot and to announce to it, so that it becomes the new one.

    Never empty. ``Delta.between(a, b).apply(a) == b``; ``compose`` joins two consecutive deltas.

    >>> from rov.types import Prefix, Vrp
    >>> old = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)])
    >>> delta = Delta.between(old, Snapshot.empty())
    >>> len(delta.withdrawn), len(delta.announced)
    (1, 0)
    """

    __slots__ = ("announced", "withdrawn")

    def __init__(self, withdrawn: Snapshot, announced: Snapshot) -> None:
        self.withdrawn = as_kind(withdrawn, Snapshot, "withdrawn")
        self.announced = as_kind(announced, Snapshot, "announced")
        if not withdrawn and not announced:
            raise DeltaError("a delta without any change is no delta: None stands for it")

    @classmethod
    def between(cls, old: Snapshot, new: Snapshot) -> Delta | None:
        """The minimal change from old to new; None where their payload is equal (RFC 8210 §5.3).

        >>> Delta.between(Snapshot.empty(), Snapshot.empty()) is None
        True
        """
        old, new = as_kind(old, Snapshot, "old"), as_kind(new, Snapshot, "new")
        return cls._or_none(old - new, new - old)

    @classmethod
    def _or_none(cls, withdrawn: Snapshot, announced: Snapshot) -> Delta | None:
        return cls(withdrawn, announced) if withdrawn or announced else None

    def apply(self, old: Snapshot) -> Snapshot:
        """The new Snapshot; DeltaError where old lacks what is withdrawn or has what is announced.

        >>> from rov.types import Prefix, Vrp
        >>> new = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)])
        >>> Delta.between(Snapshot.empty(), new).apply(Snapshot.empty()) == new
        True
        """
        unknown = self.withdrawn - as_kind(old, Snapshot, "old")
        if unknown:
            raise DeltaError(f"withdraws what the snapshot lacks, expected one with {unknown!r}")
        duplicate = self.announced & old
        if duplicate:
            raise DeltaError(f"announces what the snapshot has, expected one without {duplicate!r}")
        rest = old - self.withdrawn
        customers = {aspa.customer for aspa in rest.aspas}
        twice = [aspa.customer for aspa in self.announced.aspas if aspa.customer in customers]
        if twice:
            raise DeltaError(f"announces an ASPA of AS{twice[0]}, expected the old one withdrawn")
        return rest | self.announced

    def compose(self, later: Delta) -> Delta | None:
        """This delta and the one after it as one; what cancels out is not mentioned (RFC 8210 §5.3).

        None where nothing is left. DeltaError where later cannot follow this one.

        >>> from rov.types import Prefix, Vrp
        >>> new = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)])
        >>> there, back = Delta.between(Snapshot.empty(), new), Delta.between(new, Snapshot.empty())
        >>> there.compose(back) is None
        True
        """
        as_kind(later, Delta, "later")
        if self.announced & later.announced or self.withdrawn & later.withdrawn:
            raise DeltaError("expected the delta after this one, found one that repeats what it did")
        withdrawn = _disjoint_union(self.withdrawn - later.announced, later.withdrawn - self.announced)
        announced = _disjoint_union(self.announced - later.withdrawn, later.announced - self.withdrawn)
        return Delta._or_none(withdrawn, announced)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Delta):
            return NotImplemented
        return self.withdrawn == other.withdrawn and self.announced == other.announced

    def __hash__(self) -> int:
        return hash((self.withdrawn.digest, self.announced.digest))

    def __repr__(self) -> str:
        return f"<Delta: -{len(self.withdrawn):,} +{len(self.announced):,} VRPs>"


def _disjoint_union(a: Snapshot, b: Snapshot) -> Snapshot:
    """The union of two parts of a delta, in which no customer's ASPA may stand twice."""
    customers = {aspa.customer for aspa in a.aspas} & {aspa.customer for aspa in b.aspas}
    if customers:
        raise DeltaError(f"the deltas do not follow each other: two ASPAs of AS{min(customers)}")
    return a | b
