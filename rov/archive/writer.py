"""The archive from the side of who writes it: append, rotate, forget what is too old or too much."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from rov._checks import as_int, as_kind, as_path
from rov._replace import replacing
from rov.archive.segment import Record, Segment, frame, packed, segments, state
from rov.delta import Delta
from rov.errors import ArchiveError, ArgumentError, DeltaError
from rov.snapshot import Snapshot

KEEP_SECONDS = 90 * 86_400
KEEP_OCTETS = 1 << 30
"""About a year: the global set of 723,521 VRPs takes 2.4 MB a day, and its changes little beside it."""

SEGMENT_SECONDS = 86_400
"""A full set a day: to read any moment takes one of them and a day's changes at most."""

SEGMENT_RECORDS = 1_000
"""Changes that are joined to read the end of a segment, if updates come every minute or two."""

_LOCK = "lock"
_UNFINISHED = ".new"
_TORN = ".torn"


class Archive:
    """The writer of an archive; one at a time in a directory, which is made if it is missing.

    What is older than ``keep_seconds`` or exceeds ``keep_octets`` is removed, whole segments at a time
    (about a day each), but never the newest. What a crash left half written is cut off and set aside;
    ``notes`` says so. ArchiveError: the directory cannot be used, or another writer has it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Archive(folder) as archive:
    ...     archive.append(Snapshot.empty(), time=1700000000, serial=1, source="vrps.json", why="start")
    True
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        keep_seconds: int = KEEP_SECONDS,
        keep_octets: int = KEEP_OCTETS,
    ) -> None:
        self.keep_seconds = as_int(keep_seconds, "keep_seconds")
        self.keep_octets = as_int(keep_octets, "keep_octets")
        self.directory = Path(as_path(directory))
        self.notes: tuple[str, ...] = ()
        self._lock = _locked(self.directory)
        self._last: Snapshot | None = None
        self._segment: Segment | None = None
        self._records = self._whole_octets = self._octets = self._number = self._time = 0
        try:
            self._continue()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                reason = error.strerror or str(error)
                raise ArchiveError(f"{self.directory}: cannot be gone on with: {reason}") from error
            raise

    def _continue(self) -> None:
        """Go on where the last writer ended; where that is damaged, the next append begins a segment."""
        for left in self.directory.glob(f"*{_UNFINISHED}"):
            left.unlink(missing_ok=True)
        known = segments(self.directory)
        if not known:
            return
        last = known[-1]
        self._number = last.number
        records, end, size = last.read()
        if end < size:
            self._set_aside(last, end, size)
        if not records:
            return
        self._time = records[-1].time
        try:
            self._last = state(records)
        except (ArgumentError, DeltaError) as error:
            self.notes += (f"{last.path}: the state after it is lost, a new segment begins: {error}",)
            return
        if end == size:
            self._segment, self._octets, self._records = last, size, len(records)
            self._whole_octets = len(frame(records[0]))

    def _set_aside(self, segment: Segment, end: int, size: int) -> None:
        """Cut off what follows the sound records; the latest such piece is kept for who wants to look."""
        aside = segment.path.with_suffix(_TORN)
        try:
            for earlier in self.directory.glob(f"*{_TORN}"):
                earlier.unlink()
            with open(segment.path, "r+b") as file:
                file.seek(end)
                aside.write_bytes(file.read())
                file.truncate(end)
                os.fsync(file.fileno())
            if end == 0:
                segment.path.unlink()
        except OSError as error:
            raise ArchiveError(f"{segment.path}: its torn end cannot be cut off: {error.strerror}") from error
        what = f"{segment.path}: {size - end} octets at its end are no sound record: moved to {aside.name}"
        self.notes += (what,)

    def append(self, snapshot: Snapshot, *, time: int, serial: int, source: str, why: str = "") -> bool:
        """Record what holds from ``time`` on (unix seconds); False where the payload is the last one.

        On the disk when it returns. Time never runs back here: an earlier one is recorded as the last
        one's. ArchiveError: it cannot be written; the next append then carries this change too.
        ArgumentError: no Snapshot, numbers or texts.
        """
        as_kind(snapshot, Snapshot, "snapshot")
        at, number = as_int(time, "time"), as_int(serial, "serial")
        for name, text in (("source", source), ("why", why)):
            as_kind(text, str, name)
        if self._lock < 0:
            raise ArchiveError(f"{self.directory}: the archive is closed")
        change = None if self._last is None else Delta.between(self._last, snapshot)
        if self._last is not None and change is None:
            return False
        time = max(at, self._time)
        head = (time, number, source, why)
        try:
            if self._segment is None or change is None or self._is_full(self._segment, time):
                self._begin(Record(*head, (packed(snapshot),)))
            else:
                parts = packed(change.withdrawn), packed(change.announced)
                self._extend(self._segment, Record(*head, parts))
        except OSError as error:
            raise ArchiveError(f"{self.directory}: cannot be written: {error.strerror}") from error
        except UnicodeEncodeError as error:
            raise ArgumentError(f"source, why: expected text: {error}") from error
        self._last, self._time = snapshot, time
        self._forget(time)
        return True

    def _is_full(self, segment: Segment, time: int) -> bool:
        return (
            time - segment.first_time >= SEGMENT_SECONDS
            or self._records >= SEGMENT_RECORDS
            or self._octets >= 2 * max(self._whole_octets, 1 << 16)
        )

    def _begin(self, record: Record) -> None:
        """A new segment, which appears under its name when it is complete."""
        octets = frame(record)
        number = self._number + 1
        path = self.directory / f"{number:08d}-{record.time}.rovlog"
        with replacing(path, path.with_suffix(_UNFINISHED)) as file:
            file.write(octets)
        self._segment, self._number = Segment(path, number, record.time), number
        self._octets = self._whole_octets = len(octets)
        self._records = 1

    def _extend(self, segment: Segment, record: Record) -> None:
        """One record more; if that fails, the next append begins a new segment."""
        octets = frame(record)
        self._segment = None
        with open(segment.path, "r+b", buffering=0) as file:
            file.seek(self._octets)
            try:
                view = memoryview(octets)
                while view:
                    view = view[file.write(view) or 0 :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._octets)
                raise
        self._segment = segment
        self._octets += len(octets)
        self._records += 1

    def _forget(self, time: int) -> None:
        """Remove segments that ended before what is to be kept, and the oldest beyond the bound.

        A file that cannot be removed now is removed another time.
        """
        known = segments(self.directory)
        with contextlib.suppress(OSError):
            sizes = [segment.path.stat().st_size for segment in known]
            total = sum(sizes)
            for segment, later, size in zip(known, known[1:], sizes, strict=False):
                if later.first_time > time - self.keep_seconds and total <= self.keep_octets:
                    break
                segment.path.unlink()
                total -= size

    def close(self) -> None:
        """Let another writer have the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _locked(directory: Path) -> int:
    """The lock of a directory, which is made if need be; held until it is closed or the process ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (OSError, ValueError) as error:
        raise ArchiveError(
            f"{directory}: cannot be used: {getattr(error, 'strerror', None) or error}"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ArchiveError(f"{directory}: another process writes this archive") from error
    return lock
