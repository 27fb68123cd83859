"""The archive from the side of who asks: what covered a prefix then, and when did that change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from rov._checks import as_int, as_path
from rov.archive.segment import Record, Segment, segments, state
from rov.causes import causes
from rov.errors import ArchiveError, ArgumentError, DeltaError
from rov.index import VrpIndex
from rov.snapshot import Snapshot
from rov.types import Prefix, PrefixLike, State, Vrp, as_asn


class Update(msgspec.Struct, frozen=True):
    """A record without its data: when (unix seconds), under which serial, from where and why.

    >>> Update(1700000000, 7, "vrps.json", "").serial
    7
    """

    time: int
    serial: int
    source: str
    why: str


class Change(msgspec.Struct, frozen=True):
    """An update that changed which VRPs cover a prefix, and for a route its state and who did it.

    ``before``, ``after`` and ``causes`` are None, None and () where no origin was asked for.

    >>> Change(Update(1700000000, 7, "vrps.json", ""), (), ()).causes
    ()
    """

    update: Update
    withdrawn: tuple[Vrp, ...]
    announced: tuple[Vrp, ...]
    before: State | None = None
    after: State | None = None
    causes: tuple[Vrp, ...] = ()


class Counts(msgspec.Struct, frozen=True):
    """How many VRPs of each trust anchor there were after an update, by name.

    >>> Counts(Update(1700000000, 7, "vrps.json", ""), {"ripe": 1}).vrps["ripe"]
    1
    """

    update: Update
    vrps: dict[str, int]


class History:
    """What an archive knows; it may be read while it is written. Each question reads the files anew.

    ArchiveError: a file cannot be read, or the time asked for lies before the first record, or in
    what was lost to damage. A moment after the last record is answered by that record.

    >>> import tempfile
    >>> from rov.archive import Archive
    >>> folder = tempfile.mkdtemp()
    >>> archive = Archive(folder)
    >>> archive.append(Snapshot.empty(), time=1700000000, serial=1, source="vrps.json")
    True
    >>> History(folder).covering("192.0.2.0/24", at=1700000000)
    ()
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(as_path(directory))

    def updates(self, *, since: int | None = None) -> Iterator[Update]:
        """Every record, oldest first; with since from the segment (about a day) on that holds that time.

        >>> import tempfile
        >>> list(History(tempfile.mkdtemp()).updates())
        []
        """
        for segment in self._segments(since):
            for record in _records(segment):
                yield _update(record)

    def counts(self, *, since: int | None = None) -> Iterator[Counts]:
        """How many VRPs each trust anchor had after each record, oldest first; since as in ``updates``.

        A VRP that only moves to another trust anchor is counted there from the next segment on.

        >>> import tempfile
        >>> list(History(tempfile.mkdtemp()).counts())
        []
        """
        for segment in self._segments(since):
            vrps: dict[str, int] = {}
            for record in _records(segment):
                try:
                    vrps = _counted(record, vrps)
                except (ArgumentError, DeltaError) as error:
                    raise ArchiveError(f"{segment.path}: the record of {record.time}: {error}") from error
                yield Counts(_update(record), {name: count for name, count in vrps.items() if count})

    def snapshot(self, *, at: int) -> Snapshot:
        """The set that held at a time in unix seconds; its rows state no times of expiry."""
        return _state(self._until(at))

    def covering(self, prefix: PrefixLike, *, at: int) -> tuple[Vrp, ...]:
        """The VRPs that covered a prefix at a time (RFC 6811 §2), shortest first.

        PrefixError: the text is no prefix.
        """
        return tuple(sorted(_covering(Prefix.of(prefix), _state(self._until(at)))))

    def state(self, prefix: PrefixLike, asn: int, *, at: int) -> State:
        """The state of a route at a time. PrefixError, ArgumentError: no prefix, no ASN."""
        return _verdict(Prefix.of(prefix), asn, self.covering(prefix, at=at))

    def changes(
        self, prefix: PrefixLike, asn: int | None = None, *, since: int | None = None
    ) -> Iterator[Change]:
        """The updates that changed what covers a prefix, or, with asn, the state of that route.

        The first record begins the story and is no change; since as in ``updates``. PrefixError,
        ArgumentError: no prefix, no ASN, no time.
        """
        wanted = Prefix.of(prefix)
        asn = None if asn is None else as_asn(asn)
        before: frozenset[Vrp] | None = None
        for update, after in self._sets(wanted, since):
            if before is not None and before != after:
                change = _change(update, wanted, asn, before, after)
                if asn is None or change.before != change.after:
                    yield change
            before = after

    def _segments(self, since: int | None) -> list[Segment]:
        """Those that tell of what held at a time or later."""
        known = segments(self.directory)
        if since is None:
            return known
        at = as_int(since, "since")
        before = sum(segment.first_time <= at for segment in known)
        return known[max(0, before - 1) :]

    def _sets(self, prefix: Prefix, since: int | None) -> Iterator[tuple[Update, frozenset[Vrp]]]:
        """After each record the VRPs that cover a prefix."""
        covering: frozenset[Vrp] = frozenset()
        for segment in self._segments(since):
            for record in _records(segment):
                covering = _after(record, prefix, covering, segment)
                yield _update(record), covering

    def _until(self, at: int) -> list[Record]:
        """The records of one segment that make the set at a time."""
        at = as_int(at, "at")
        known = segments(self.directory)
        begun = [segment for segment in known if segment.first_time <= at]
        if not begun:
            expected = f"expected {known[0].first_time} or later" if known else "expected records, found none"
            raise ArchiveError(f"{self.directory}: nothing is known of {at}, {expected}")
        segment = begun[-1]
        records, end, size = segment.read()
        lost = end < size and segment is not known[-1] and at > records[-1].time if records else True
        if lost:
            raise ArchiveError(f"{segment.path}: damaged from octet {end:,} on: what held at {at} is lost")
        return [record for record in records if record.time <= at]


def _records(segment: Segment) -> list[Record]:
    """The sound records of a segment; none where it was removed by age meanwhile."""
    try:
        return segment.read()[0]
    except ArchiveError:
        if not segment.path.exists():
            return []
        raise


def _update(record: Record) -> Update:
    return Update(record.time, record.serial, record.source, record.why)


def _state(records: list[Record]) -> Snapshot:
    try:
        return state(records)
    except (ArgumentError, DeltaError) as error:
        raise ArchiveError(f"a record of {records[0].time} or later cannot be read: {error}") from error


def _after(record: Record, prefix: Prefix, before: frozenset[Vrp], segment: Segment) -> frozenset[Vrp]:
    """What covers a prefix after a record; ArchiveError where the record cannot be read."""
    try:
        if record.whole:
            return _covering(prefix, record.snapshot())
        delta = record.delta()
    except (ArgumentError, DeltaError) as error:
        raise ArchiveError(f"{segment.path}: the record of {record.time}: {error}") from error
    return before - _covering(prefix, delta.withdrawn) | _covering(prefix, delta.announced)


def _counted(record: Record, before: dict[str, int]) -> dict[str, int]:
    """VRPs by trust anchor after a record."""
    if record.whole:
        return _by_trust_anchor(record.snapshot())
    delta = record.delta()
    gone, come = _by_trust_anchor(delta.withdrawn), _by_trust_anchor(delta.announced)
    return {
        name: before.get(name, 0) - gone.get(name, 0) + come.get(name, 0)
        for name in {**before, **come, **gone}
    }


def _by_trust_anchor(snapshot: Snapshot) -> dict[str, int]:
    names = snapshot.trust_anchors
    four, six = (np.bincount(part.ta, minlength=len(names)) for part in (snapshot.ipv4, snapshot.ipv6))
    return dict(zip(names, (four + six).tolist(), strict=True))


def _covering(prefix: Prefix, snapshot: Snapshot) -> frozenset[Vrp]:
    return frozenset(snapshot.covering(prefix))


def _verdict(prefix: Prefix, asn: int, covering: frozenset[Vrp] | tuple[Vrp, ...]) -> State:
    return VrpIndex(Snapshot.from_vrps(covering)).validate(prefix, asn)


def _change(
    update: Update, prefix: Prefix, asn: int | None, before: frozenset[Vrp], after: frozenset[Vrp]
) -> Change:
    gone, come = tuple(sorted(before - after)), tuple(sorted(after - before))
    if asn is None:
        return Change(update, gone, come)
    old, new = _verdict(prefix, asn, before), _verdict(prefix, asn, after)
    return Change(update, gone, come, old, new, causes(old, new, (prefix.length, asn), gone, come))
