"""Store: the history on disk, so that routers go on with Serial Query after the cache was killed.

A state directory holds

    head         what holds: session ids, serial, and how much of which journal says so; replaced as a whole
    journal-N    a whole set, the steps that led up to it, and those that were added since
    session-ids  those that routers may have been told, apart, so that new ones differ if the rest is lost

Octets that no head counts do not exist: a kill at any write leaves the old state or the new one. The
owner saves before routers are told, so that none holds a serial that the disk does not know. Where a
save fails, the head is removed; where that fails too, routers are served under session ids that the disk
does not have. Either way the disk never has one set under a serial and a router another.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

import msgspec

from rov import Delta, RovError
from rtr_server.cache import records
from rtr_server.cache.history import History, new_history, new_ids
from rtr_server.cache.records import Base, Head, Pieces, RecordError, Remembered, SnapshotRecord, Step
from rtr_server.logs import event
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.protocol.source import Timing

log = logging.getLogger(__name__)

MAX_REMEMBERED = 300
"""Session ids that are not given again: a hundred fresh starts; 65,236 others are left."""

REWRITE_SECONDS = 3_600.0
"""A journal older than this is written anew: a step does not carry renewed times of expiry."""

REWRITE_OCTETS = 1 << 20
"""A journal is also written anew when what was added outgrows what it began with, and this."""

_JOURNAL = re.compile(r"journal-(\d{1,18})")
_DAMAGED = ".damaged"
_UNFINISHED = ".new"


class StoreError(Exception):
    """A state directory that cannot be used at all; the message names it and says why."""


class Disk:
    """The calls that change a disk, so that tests can make each of them fail.

    >>> Disk().write(os.open(os.devnull, os.O_WRONLY), b"octets", 0)
    6
    """

    def write(self, file: int, octets: memoryview | bytes, at: int) -> int:
        """Write at a place of an open file; how many octets were taken."""
        return os.pwrite(file, octets, at)

    def sync(self, file: int) -> None:
        """Return when a file, or the names in a directory, have reached the disk."""
        os.fsync(file)

    def rename(self, path: Path, target: Path) -> None:
        """Give a file another name, and take that name from whatever had it."""
        path.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file; nothing if it is not there."""
        path.unlink(missing_ok=True)


class _Journal(msgspec.Struct):
    """The journal that the head names: how far it counts, the seal there, its first size, its age."""

    name: str
    octets: int
    seal: bytes
    began_octets: int
    began_at: float


class Store:
    """A history in a state directory. ``open`` once, then ``save`` after each update; both block.

    ``synthetic``: whether the set is made up; such state is never taken for real data. ``wall`` gives
    unix seconds, ``clock`` the seconds that History counts in.
    """

    def __init__(
        self,
        directory: Path,
        *,
        synthetic: bool,
        chosen: Random,
        wall: Callable[[], float],
        clock: Callable[[], float],
        disk: Disk | None = None,
    ) -> None:
        self.directory = directory
        self._synthetic = synthetic
        self._chosen = chosen
        self._wall = wall
        self._clock = clock
        self._disk = disk or Disk()
        self._one_at_a_time = threading.Lock()
        self._folder: int | None = None
        self._journal: _Journal | None = None
        self._avoid: tuple[int, ...] = ()
        self._recorded: tuple[int, ...] = ()

    # What the owner does

    def open(self, timing: Timing) -> History:
        """The saved history, or a fresh one whose session ids differ from all that are remembered.

        Damaged state is set aside and said. StoreError: no such directory can be made, we may not write
        there, or another process has it.
        """
        self._lock()
        self._avoid = self._recorded = self._read_remembered()
        history = self._restore(timing)
        if history is None:
            history = new_history(self._chosen, timing, self._avoid)
            self._avoid += tuple(history.session_ids.values())
        return history

    def save(self, history: History, delta: Delta | None) -> History:
        """Save a history that ``delta`` led to (None: nothing changed); the history to serve.

        It is another one only where the disk could neither take it nor be told to forget: the same set
        under new session ids. Failures are logged, not raised.
        """
        with self._one_at_a_time:
            if self._folder is None:
                return history
            try:
                self._save(history, delta)
            except Exception as error:
                event(log, logging.ERROR, "state not saved", directory=self.directory, error=error)
                self._journal = None
                return history if delta is None else self._disown(history)
            return history

    def close(self) -> None:
        """Let go of the directory, after a save that is under way; later ones do nothing."""
        with self._one_at_a_time:
            self._unlock()

    # Opening

    def _lock(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"state directory {self.directory}: {error.strerror}") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(folder)
            raise StoreError(f"state directory {self.directory}: another process uses it") from error
        self._folder = folder
        if not os.access(self.directory, os.W_OK | os.X_OK):
            self._unlock()
            raise StoreError(f"state directory {self.directory}: no permission to write there")

    def _unlock(self) -> None:
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None

    def _read_remembered(self) -> tuple[int, ...]:
        path = self.directory / "session-ids"
        try:
            return records.read_one(path.read_bytes(), Remembered).session_ids
        except FileNotFoundError:
            return ()
        except (OSError, RecordError) as error:
            self._set_aside([path], error)
            return ()

    def _restore(self, timing: Timing) -> History | None:
        """The history that the head names; None if there is none that can be gone on with."""
        path = self.directory / "head"
        damaged = [path]
        try:
            head = records.read_one(path.read_bytes(), Head)
            self._avoid += tuple(
                session_id for session_id in head.session_ids if session_id not in self._avoid
            )
            if not _JOURNAL.fullmatch(head.journal) or head.format != records.FORMAT:
                raise RecordError(f"format {head.format}: expected {records.FORMAT}")
            if head.synthetic != self._synthetic:
                event(log, logging.WARNING, "state not used: made-up data beside real ones", directory=path)
                return None
            damaged.append(self.directory / head.journal)
            return self._resumed(head, timing)
        except FileNotFoundError as error:
            if path.exists():
                self._set_aside(damaged, error)
            return None
        except (OSError, RecordError, RovError, ValueError) as error:
            self._set_aside(damaged, error)
            return None

    def _resumed(self, head: Head, timing: Timing) -> History:
        """The history of a head; RecordError, RovError or ValueError where its journal is another."""
        with (self.directory / head.journal).open("rb") as file:
            octets = file.read(head.octets)
        if len(octets) != head.octets:
            raise RecordError(f"{head.journal}: expected {head.octets} octets, found {len(octets)}")
        chain = list(records.bodies(octets))
        if not chain or chain[-1][0] != head.seal:
            raise RecordError(f"{head.journal}: not the journal that the head was written for")
        base = records.read(chain[0][1], Base)
        now, wall = self._clock(), self._wall()
        steps = []
        for _, body in chain[1:]:
            step = records.read(body, Step)
            steps.append((step.before, now - max(0.0, wall - step.made_at), step.delta()))
        history = History(dict(zip(VERSIONS, head.session_ids, strict=True)), head.serial, timing=timing)
        history.resume(steps, base.snapshot.snapshot(), base.steps_before)
        if history.snapshot is None or history.snapshot.digest != head.digest:
            raise RecordError("the steps of the journal do not lead to the set that was served")
        age = max(0.0, wall - base.written_at)
        self._journal = _Journal(head.journal, head.octets, head.seal, len(chain[0][1]), now - age)
        event(log, logging.INFO, "state restored", vrps=len(history.snapshot), serial=head.serial)
        return history

    def _set_aside(self, paths: Iterable[Path], error: Exception) -> None:
        event(log, logging.ERROR, "state damaged, set aside", error=error, files=", ".join(map(str, paths)))
        for path in paths:
            with contextlib.suppress(OSError):
                self._disk.rename(path, path.with_name(path.name + _DAMAGED))

    # Saving

    def _save(self, history: History, delta: Delta | None) -> None:
        journal = self._journal
        if journal is None or self._clock() - journal.began_at > REWRITE_SECONDS:
            self._rewrite(history)
        elif delta is not None:
            added = journal.octets - journal.began_octets
            retained = list(history.steps())
            if added > max(journal.began_octets, REWRITE_OCTETS) or not retained:
                self._rewrite(history)
            else:
                self._append(history, journal, retained[-1])

    def _append(self, history: History, journal: _Journal, step: tuple[int, float, Delta]) -> None:
        """Add the last step where the head stops counting, then let the head count it."""
        before, made_at, delta = step
        sealed, octets = records.seal(journal.seal, Step.of(before, self._dated(made_at), delta))
        self._write(self.directory / journal.name, octets, at=journal.octets)
        grown = msgspec.structs.replace(journal, octets=journal.octets + records.size(octets), seal=sealed)
        self._commit(history, grown)

    def _rewrite(self, history: History) -> None:
        """A new journal of all that is retained; the old one goes when the head names the new one."""
        if history.snapshot is None:
            return
        self._remember(history)
        steps = list(history.steps())
        base = Base(self._wall(), len(steps), SnapshotRecord.of(history.snapshot))
        sealed, octets = records.seal(b"", base)
        content = list(octets)
        for before, made_at, delta in steps:
            sealed, octets = records.seal(sealed, Step.of(before, self._dated(made_at), delta))
            content += octets
        octets_in_all = records.size(content)
        name = f"journal-{max(self._numbers(), default=0) + 1}"
        self._write(self.directory / name, content)
        self._sync_names()
        self._commit(history, _Journal(name, octets_in_all, sealed, octets_in_all, self._clock()))
        self._sweep(name)

    def _commit(self, history: History, journal: _Journal) -> None:
        """Make the journal count, as far as it has been written."""
        ids = history.session_ids
        head = Head(
            records.FORMAT,
            self._synthetic,
            (ids[0], ids[1], ids[2]),
            history.serial,
            history.snapshot.digest if history.snapshot else b"",
            journal.name,
            journal.octets,
            journal.seal,
        )
        self._replace("head", records.seal(b"", head)[1])
        self._journal = journal

    def _remember(self, history: History) -> None:
        """Write down the session ids before any router can be told them."""
        wanted = (*self._avoid, *history.session_ids.values())
        wanted = tuple(dict.fromkeys(wanted))[-MAX_REMEMBERED:]
        if wanted != self._recorded:
            self._replace("session-ids", records.seal(b"", Remembered(wanted))[1])
            self._avoid = self._recorded = wanted

    def _disown(self, history: History) -> History:
        """After a save that failed: make the disk forget, or else serve what it cannot be taken for."""
        try:
            self._disk.remove(self.directory / "head")
            self._sync_names()
        except OSError as error:
            event(log, logging.ERROR, "old state not removed, new session ids", error=error)
            ids = new_ids(self._chosen, {*self._avoid, *history.session_ids.values()})
            self._avoid += tuple(ids.values())
            return history.renamed(ids)
        return history

    def _sweep(self, keep: str) -> None:
        """Remove journals that no head names; they cost room, nothing else."""
        for number in self._numbers():
            if f"journal-{number}" != keep:
                with contextlib.suppress(OSError):
                    self._disk.remove(self.directory / f"journal-{number}")

    # Inside

    def _numbers(self) -> list[int]:
        found = (_JOURNAL.fullmatch(name) for name in os.listdir(self.directory))
        return [int(match[1]) for match in found if match]

    def _dated(self, made_at: float) -> float:
        """A time of the history's clock, which ends with the process, as unix seconds."""
        return self._wall() - (self._clock() - made_at)

    def _replace(self, name: str, octets: Pieces) -> None:
        """Put a whole file in the place of another; it is there for good on return."""
        unfinished = self.directory / (name + _UNFINISHED)
        self._write(unfinished, octets)
        self._disk.rename(unfinished, self.directory / name)
        self._sync_names()

    def _write(self, path: Path, octets: Pieces, at: int = 0) -> None:
        """Write octets at a place of a file, which may be new, and see them on the disk."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if at else os.O_TRUNC)
        file = os.open(path, flags, 0o600)
        try:
            for piece in records.joined(octets):
                left = memoryview(piece)
                while left:
                    taken = self._disk.write(file, left, at)
                    left, at = left[taken:], at + taken
            self._disk.sync(file)
        finally:
            os.close(file)

    def _sync_names(self) -> None:
        assert self._folder is not None
        self._disk.sync(self._folder)
