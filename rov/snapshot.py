"""Snapshot: one validated data set as sorted, unique, immutable columns of VRPs, with ASPAs and router keys.

The payload is what RTR carries: (prefix, max_length, asn), ASPAs and router keys. Beside the key
columns stand ``expires`` and ``ta``, which say where a row came from and how long it lasts; they take
no part in comparison, so a renewed ROA is no change.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rov import _sets, snapshot_file
from rov._checks import as_flag, as_index, as_kind, as_path, as_rows, shown
from rov._elements import MAX_TRUST_ANCHORS, normal_aspas, normal_keys
from rov.columns import Rows, VrpColumns, as_column, check, contains, normal, over, under
from rov.errors import ArgumentError, SnapshotFileError
from rov.types import Aspa, Family, Prefix, PrefixLike, RouterKey, Vrp, as_asn, as_vrp


class Snapshot:
    """An immutable set of VRPs (``ipv4``, ``ipv6``: sorted, unique VrpColumns), ASPAs and router keys.

    Two snapshots are equal when their payload is: ``expires``, trust anchors and ``generated`` (unix
    seconds, the data's own time, or None) do not count. ``len`` is the number of VRPs. ``|``, ``&`` and
    ``-`` are set operations on the payload's elements; an ASPA is one element with all its providers.

    >>> from rov import Prefix, Vrp
    >>> snapshot = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)])
    >>> len(snapshot), snapshot == Snapshot.empty()
    (1, False)
    """

    __slots__ = (
        "_digest",
        "aspa_expires",
        "aspas",
        "generated",
        "ipv4",
        "ipv6",
        "router_key_expires",
        "router_keys",
        "trust_anchors",
    )

    ipv4: VrpColumns
    ipv6: VrpColumns
    aspas: tuple[Aspa, ...]
    aspa_expires: npt.NDArray[np.int64]
    router_keys: tuple[RouterKey, ...]
    router_key_expires: npt.NDArray[np.int64]
    trust_anchors: tuple[str, ...]
    generated: int | None
    _digest: bytes | None

    def __init__(self) -> None:
        raise ArgumentError("a Snapshot is made by Snapshot.build, Snapshot.from_vrps or rov.read")

    @classmethod
    def build(
        cls,
        ipv4: VrpColumns | None = None,
        ipv6: VrpColumns | None = None,
        *,
        aspas: Sequence[Aspa] = (),
        aspa_expires: Sequence[int] | None = None,
        router_keys: Sequence[RouterKey] = (),
        router_key_expires: Sequence[int] | None = None,
        trust_anchors: Sequence[str] = (),
        generated: int | None = None,
    ) -> Snapshot:
        """Check, sort and make unique; ASPAs of one customer become their union (8210bis §5.12).

        Of equal VRPs the one that expires last stays. ArgumentError: a row that is no VRP, ASPA or key.

        >>> len(Snapshot.build(VrpColumns.ipv4([0, 0], [0, 0], [8, 8], [64496, 64496])))
        1
        """
        ipv4 = ipv4 if ipv4 is not None else VrpColumns.ipv4([], [], [], [])
        ipv6 = ipv6 if ipv6 is not None else VrpColumns.ipv6([], [], [], [])
        columns4, columns6 = as_kind(ipv4, VrpColumns, "ipv4"), as_kind(ipv6, VrpColumns, "ipv6")
        if (columns4.family, columns6.family) != (4, 6):
            raise ArgumentError("expected IPv4 columns first, then IPv6 columns")
        names = as_rows(trust_anchors, str, "trust anchors") or ("",)
        if generated is not None and as_index(generated) is None:
            raise ArgumentError(f"generated {shown(generated)}: expected a time in unix seconds, or None")
        if len(set(names)) < len(names):
            raise ArgumentError("trust anchors: expected distinct names")
        highest = max((int(columns.ta.max()) for columns in (ipv4, ipv6) if len(columns)), default=0)
        if highest >= len(names) or len(names) > MAX_TRUST_ANCHORS:
            raise ArgumentError(
                f"ta {highest}: expected an index into {len(names)} trust anchors (at most 256)"
            )
        for columns in (ipv4, ipv6):
            check(columns)
        return cls._of(
            normal(ipv4),
            normal(ipv6),
            normal_aspas(aspas, aspa_expires),
            normal_keys(router_keys, router_key_expires),
            names,
            generated,
        )

    @classmethod
    def _of(
        cls,
        ipv4: VrpColumns,
        ipv6: VrpColumns,
        aspas: tuple[tuple[Aspa, ...], Any],
        router_keys: tuple[tuple[RouterKey, ...], Any],
        trust_anchors: tuple[str, ...],
        generated: int | None,
    ) -> Snapshot:
        """From parts that are in normal form already."""
        self = object.__new__(cls)
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.aspas = aspas[0]
        self.aspa_expires = as_column(aspas[1], np.int64, "aspa_expires", (len(self.aspas),))
        self.router_keys = router_keys[0]
        self.router_key_expires = as_column(
            router_keys[1], np.int64, "router_key_expires", (len(self.router_keys),)
        )
        self.trust_anchors = trust_anchors
        self.generated = generated
        self._digest = None
        return self

    @classmethod
    def empty(cls) -> Snapshot:
        """A Snapshot without payload.

        >>> bool(Snapshot.empty())
        False
        """
        return cls.build()

    @classmethod
    def from_vrps(
        cls, vrps: Iterable[Vrp], aspas: Sequence[Aspa] = (), router_keys: Sequence[RouterKey] = ()
    ) -> Snapshot:
        """From Vrp objects in any order; ArgumentError as in ``build``.

        >>> from rov import Prefix, Vrp
        >>> len(Snapshot.from_vrps([Vrp(Prefix.parse("::/0"), 48, 64496)]).ipv6)
        1
        """
        rows: dict[int, list[Vrp]] = {4: [], 6: []}
        for vrp in as_rows(vrps, Vrp, "VRPs"):
            rows[as_vrp(vrp).prefix.family].append(vrp)
        ipv4, ipv6 = VrpColumns.of(4, rows[4]), VrpColumns.of(6, rows[6])
        return cls.build(ipv4, ipv6, aspas=aspas, router_keys=router_keys)

    def save(self, path: str | os.PathLike[str], *, sync: bool = True) -> None:
        """Write a binary file that ``Snapshot.open`` maps; a file of that name is replaced in one step.

        ``sync``: return when it is on the disk for good. Without, a power cut may damage it, which ``open``
        would tell: for a file that another process takes over at once.

        OSError: the file cannot be written. ArgumentError: a trust anchor name that is no UTF-8, too
        long, or ``generated`` beyond 64 bits.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Snapshot.empty().save(f"{folder}/vrps.rov")
        ...     Snapshot.open(f"{folder}/vrps.rov") == Snapshot.empty()
        True
        """
        parts = {name: getattr(self, name) for name in snapshot_file.Contents._fields}
        contents = snapshot_file.Contents(**parts)
        snapshot_file.write(as_path(path), contents, sync=as_flag(sync, "sync"))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Snapshot:
        """Map a file that ``save`` wrote: the columns stay in the file, processes share its pages.

        Replace such a file by ``save`` only; writing into it changes what is open. SnapshotFileError:
        the file is missing, damaged, cut, of another format, or holds a row that is no VRP.

        >>> Snapshot.open("/dev/null")
        Traceback (most recent call last):
        rov.errors.SnapshotFileError: /dev/null: expected a saved Snapshot, found no regular file
        """
        name = as_path(path)
        return cls._of_file(snapshot_file.read(name), name)

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Snapshot:
        """As ``open``, of a saved Snapshot that is in memory; name stands for it in errors.

        >>> Snapshot.from_bytes(b"", "https://rpki.example/vrps.rov")
        Traceback (most recent call last):
        rov.errors.SnapshotFileError: https://rpki.example/vrps.rov: expected a saved Snapshot of 28 octets \
or more, found 0
        """
        name = as_kind(name, str, "name")
        return cls._of_file(snapshot_file.parse(as_kind(data, bytes, "data"), name), name)

    @classmethod
    def _of_file(cls, contents: snapshot_file.Contents, name: str) -> Snapshot:
        try:
            return cls.build(**contents._asdict())
        except ArgumentError as error:
            raise SnapshotFileError(name, str(error)) from error

    def vrps(self) -> Iterator[Vrp]:
        """Every VRP, IPv4 first, in sort order.

        >>> from rov import Prefix, Vrp
        >>> snapshot = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)])
        >>> [str(vrp) for vrp in snapshot.vrps()]
        ['192.0.2.0/24-24 AS64496']
        """
        yield from self.ipv4.vrps()
        yield from self.ipv6.vrps()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The VRPs for whatever speaks Arrow: ``pyarrow.table(snapshot)``, ``polars.DataFrame(snapshot)``.

        Columns: prefix string, max_length uint8, asn uint32, trust_anchor (a dictionary), expires
        (timestamp, null where not stated). ExtraError: pyarrow is not installed.

        >>> import pyarrow
        >>> pyarrow.table(Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496])))["prefix"].to_pylist()
        ['0.0.0.0/0']
        """
        from rov import arrow

        stream = arrow.vrp_batches((self.ipv4, self.ipv6), self.trust_anchors)
        return stream.__arrow_c_stream__(requested_schema)

    def by_asn(self, asn: int) -> Snapshot:
        """What AS ``asn`` stands in: VRPs with it as origin, its ASPA, its router keys.

        ArgumentError: no ASN.

        >>> Snapshot.build(VrpColumns.ipv4([0, 0], [0, 0], [8, 8], [1, 2])).by_asn(2).ipv4.asn.tolist()
        [2]
        """
        asn = as_asn(asn)
        return self._select(
            self.ipv4.asn == asn,
            self.ipv6.asn == asn,
            np.array([aspa.customer == asn for aspa in self.aspas], np.bool_),
            np.array([key.asn == asn for key in self.router_keys], np.bool_),
        )

    def within(self, prefix: PrefixLike, family: Family | None = None) -> Snapshot:
        """The VRPs whose prefix is ``prefix`` or lies under it, as views of these columns.

        PrefixError, ArgumentError: as in ``Prefix.of``, which says what stands for a prefix.

        >>> Snapshot.build(VrpColumns.ipv4([0, 1 << 31], [0, 1], [8, 8], [1, 2])).within("128.0.0.0/1")
        <Snapshot: 1 VRPs (1 IPv4, 0 IPv6), 0 ASPAs, 0 router keys>
        """
        wanted = Prefix.of(prefix, family)
        return self._vrps_only(under(self.ipv4, wanted), under(self.ipv6, wanted))

    def covering(self, prefix: PrefixLike, family: Family | None = None) -> Snapshot:
        """The VRPs that cover ``prefix`` (RFC 6811 §2), in one pass: an index is for many questions.

        PrefixError, ArgumentError: as in ``Prefix.of``, which says what stands for a prefix.

        >>> Snapshot.build(VrpColumns.ipv4([0, 1 << 31], [0, 1], [8, 8], [1, 2])).covering("10.0.0.0/8")
        <Snapshot: 1 VRPs (1 IPv4, 0 IPv6), 0 ASPAs, 0 router keys>
        """
        wanted = Prefix.of(prefix, family)
        columns = self.ipv4 if wanted.family == 4 else self.ipv6
        rows, none = over(columns, wanted), slice(0, 0)
        return self._vrps_only(rows, none) if wanted.family == 4 else self._vrps_only(none, rows)

    def of_trust_anchor(self, name: str) -> Snapshot:
        """The VRPs of one trust anchor; ASPAs and router keys do not carry theirs and are left out.

        ArgumentError: a name that is not in ``trust_anchors``.

        >>> Snapshot.build(VrpColumns.ipv4([0], [0], [8], [1]), trust_anchors=["x"]).of_trust_anchor("x")
        <Snapshot: 1 VRPs (1 IPv4, 0 IPv6), 0 ASPAs, 0 router keys>
        """
        if not isinstance(name, str) or name not in self.trust_anchors:
            known = ", ".join(self.trust_anchors)[:500]
            raise ArgumentError(f"trust anchor {shown(name)}: expected one of {known}")
        place = self.trust_anchors.index(name)
        return self._vrps_only(self.ipv4.ta == place, self.ipv6.ta == place)

    def next_expiry(self) -> int | None:
        """The earliest stated time of expiry in unix seconds, None if none is stated.

        >>> Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496], expires=[1700000000])).next_expiry()
        1700000000
        """
        return _sets.next_expiry(self)

    def unexpired(self, now: int) -> Snapshot:
        """What has not expired at ``now`` (unix seconds); the same object where nothing has.

        >>> snapshot = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496], expires=[1700000000]))
        >>> len(snapshot.unexpired(1700000000)), len(snapshot.unexpired(1699999999))
        (0, 1)
        """
        time = as_index(now)
        if time is None:
            raise ArgumentError(f"now {shown(now)}: expected a time in unix seconds as an int")
        live = _sets.live(self, time)
        if all(mask.all() for mask in live):
            return self
        return self._select(*live)

    def _vrps_only(self, ipv4: Rows, ipv6: Rows) -> Snapshot:
        """VRPs that two masks or slices pick, without ASPAs and router keys."""
        none = np.zeros(len(self.aspas), np.bool_), np.zeros(len(self.router_keys), np.bool_)
        return self._select(ipv4, ipv6, *none)

    def _select(
        self,
        ipv4: Rows,
        ipv6: Rows,
        aspas: npt.NDArray[np.bool_],
        router_keys: npt.NDArray[np.bool_],
    ) -> Snapshot:
        """The elements that four masks pick."""
        return Snapshot._of(
            self.ipv4.take(ipv4),
            self.ipv6.take(ipv6),
            (tuple(self.aspas[row] for row in np.flatnonzero(aspas)), self.aspa_expires[aspas]),
            (
                tuple(self.router_keys[row] for row in np.flatnonzero(router_keys)),
                self.router_key_expires[router_keys],
            ),
            self.trust_anchors,
            self.generated,
        )

    def __and__(self, other: Snapshot) -> Snapshot:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self._select(*_sets.in_both(self, other))

    def __sub__(self, other: Snapshot) -> Snapshot:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self._select(*(~mask for mask in _sets.in_both(self, other)))

    def __or__(self, other: Snapshot) -> Snapshot:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return Snapshot._of(*_sets.together(self, other))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return _sets.equal(self, other)

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> bytes:
        """16 octets that name the payload: equal snapshots have equal digests.

        >>> len(Snapshot.empty().digest)
        16
        """
        if self._digest is None:
            self._digest = _sets.digest(self)
        return self._digest

    def __iter__(self) -> Iterator[Vrp]:
        return self.vrps()

    def __contains__(self, vrp: object) -> bool:
        try:
            vrp = as_vrp(vrp)
        except ArgumentError:
            return False
        return contains(self.ipv4 if vrp.prefix.family == 4 else self.ipv6, vrp)

    def __reduce__(self) -> tuple[Any, ...]:
        aspas, keys = (self.aspas, self.aspa_expires), (self.router_keys, self.router_key_expires)
        return Snapshot._of, (self.ipv4, self.ipv6, aspas, keys, self.trust_anchors, self.generated)

    def __len__(self) -> int:
        return len(self.ipv4) + len(self.ipv6)

    def __bool__(self) -> bool:
        return bool(len(self) or self.aspas or self.router_keys)

    def __repr__(self) -> str:
        return (
            f"<Snapshot: {len(self):,} VRPs ({len(self.ipv4):,} IPv4, {len(self.ipv6):,} IPv6), "
            f"{len(self.aspas):,} ASPAs, {len(self.router_keys):,} router keys>"
        )
