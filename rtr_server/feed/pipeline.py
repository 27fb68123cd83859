"""What the loader does: sources become one set, with local exceptions, compared, encoded and in files.

Anything that happens to a source leads to a turn; a turn builds a set if what there is to build from has
changed. A set is announced when all of its files are there, so whoever is ended in mid-turn has done nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from rov import ArchiveError, Prefix, RovError, Snapshot, archive, slurm
from rtr_server.cache import wire
from rtr_server.config import Config
from rtr_server.config.sources import Guard, Policy, Slurm, Source
from rtr_server.feed import losses
from rtr_server.feed.exceptions import Exceptions
from rtr_server.feed.feed import FeedError
from rtr_server.feed.merge import Merged, differences, merge, origins, shown
from rtr_server.feed.messages import (
    Answer,
    Ask,
    Encoded,
    Failed,
    FromLoader,
    Losses,
    Prepared,
    Serving,
    Status,
    Step,
    StepName,
)
from rtr_server.feed.tracked import Tracked
from rtr_server.logs import event
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.threads import in_thread

log = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two looks at what time alone changes; each tells the daemon that we live."""

SETTLE = 20.0
"""Seconds after the start for which sources are waited for that have not said anything yet."""

COALESCE = 60
"""Seconds between two turns because something expires under local exceptions."""

MAX_COUNTS = 1_000
"""Effects of local exceptions that are told one by one."""

_SET = re.compile(r"set-(\d{1,18})\..*")


class Settings(msgspec.Struct, frozen=True):
    """What the loader is told about the feed."""

    source: tuple[Source, ...]
    policy: Policy = Policy()
    slurm: Slurm = Slurm()
    guard: Guard = Guard()

    @classmethod
    def of(cls, config: Config) -> Settings:
        """The part of the daemon's configuration.

        >>> Settings.of(Config()).source
        ()
        """
        return cls(config.source, config.policy, config.slurm, config.guard)


class _Base(msgspec.Struct, frozen=True):
    """What the daemon serves."""

    snapshot: Snapshot
    number: int


class Pipeline:
    """Runs the sources of ``settings``; what comes of it is given to ``emit``, in the event loop.

    ``directory``: where files go; ``clock`` gives unix seconds; ``history``: the archive, if one is kept.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        clock: Callable[[], float],
        emit: Callable[[FromLoader], None],
        *,
        ignore_expiry: bool = False,
        history: archive.Archive | None = None,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._clock = clock
        self._emit = emit
        self._ignore_expiry = ignore_expiry
        self._history = history
        self._news = asyncio.Event()
        self._steps = Steps(emit)
        self._tracked = [
            Tracked(each, directory, clock, self._changed, self._reading) for each in settings.source
        ]
        self._exceptions = Exceptions(settings.slurm.files, self._news.set)
        self._base: _Base | None = None
        self._versions: tuple[int, ...] = (1,)
        self._archived: asyncio.Queue[tuple[Snapshot, Serving]] = asyncio.Queue()
        self._made_from: tuple[object, ...] | None = None
        self._used: tuple[int, ...] = ()
        self._due: int | None = None
        self.prepared = 0
        """Sets since the start."""
        self._turning = False
        self._number = self._highest()

    # What the loader's messages lead to

    async def run(self) -> None:
        """Until cancelled."""
        self._steps.start()
        await in_thread(self._resume)
        self._began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                for tracked in self._tracked:
                    tasks.create_task(tracked.run())
                tasks.create_task(self._exceptions.run())
                tasks.create_task(self._archive())
                await self._turns()
        finally:
            for tracked in self._tracked:
                tracked.cancel()

    async def serving(self, told: Serving) -> None:
        """What the daemon serves now: updates are compared with it."""
        self._versions = told.versions or self._versions
        self._base = await in_thread(lambda: _base(told, self._ignore_expiry))
        if told.serial is not None:
            if self._base is not None:
                await self._archived.put((self._base.snapshot, told))
            elif told.path is None:
                await self._archived.put((Snapshot.empty(), told))

    @property
    def busy(self) -> bool:
        """Whether something is under way that would have to be done again."""
        return self._turning or self._news.is_set() or any(each.busy for each in self._tracked)

    def reload(self) -> None:
        """Ask all sources, and read the local exceptions."""
        self._exceptions.reload()
        for tracked in self._tracked:
            tracked.reload()

    async def answer(self, asked: Ask) -> Answer:
        """The differences between the sources, or where what covers a prefix comes from."""
        sets = {each.name: each.snapshot for _, each in self._places() if each.snapshot is not None}
        if asked.covering is not None:
            served = Snapshot.empty() if self._base is None else self._base.snapshot
            prefix = Prefix.parse(asked.covering)
            rows = await in_thread(lambda: origins(served, sets, prefix, asked.asn))
            told = [
                {"vrp": str(row.vrp), "sources": row.sources, "served": row.served}
                for row in rows[: asked.limit]
            ]
            return Answer(asked.number, {"count": len(rows), "vrps": told})
        found = await in_thread(lambda: differences(sets))
        return Answer(asked.number, {"sources": [shown(each, asked.limit) for each in found]})

    def _reading(self) -> contextlib.AbstractContextManager[None]:
        return self._steps.at("read")

    # Turns

    def _changed(self, tracked: Tracked) -> None:
        """Something happened to a source; if it failed and nothing else will come of it, the daemon hears."""
        place = self._tracked.index(tracked)
        if tracked.error is not None:
            if place in self._used or self._all_failed():
                self._emit(Failed(str(tracked.error), tracked.error.temporary))
            else:
                event(log, logging.WARNING, "source failed", source=tracked.name, error=tracked.error)
        self._news.set()

    def _all_failed(self) -> bool:
        return not self._used and all(each.began and each.snapshot is None for each in self._tracked)

    async def _turns(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TICK):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            self._tell()
            usable = {place: each.snapshot for place, each in self._places() if each.snapshot is not None}
            made_from = self._inputs(usable)
            if not self._is_ready(usable) or (made_from == self._made_from and not self._is_due()):
                continue
            self._made_from = made_from
            self._turning = True
            try:
                await self._turn(usable)
            except FeedError as error:
                self._emit(Failed(str(error), error.temporary))
            except (OSError, RovError, MemoryError) as error:
                self._made_from = None
                self._emit(Failed(f"{self._directory}: {_reason(error)}", True))
                await asyncio.sleep(TICK)
            finally:
                usable = {}
                _trim()
                self._turning = False

    async def _turn(self, usable: dict[int, Snapshot]) -> None:
        """One set, its other protocol versions, and the sources on disk."""
        prepared, snapshot, used = await in_thread(lambda: self._build(usable))
        self._used = used
        self.prepared += 1
        self._emit(prepared)
        self._tell()
        for version in VERSIONS:
            if version not in prepared.encoded:
                path, count = await in_thread(partial(self._encode_other, snapshot, version))
                self._emit(Encoded(prepared.number, version, path, count))
        for tracked in self._tracked:
            await in_thread(partial(self._keep, tracked))
        self._made_from = self._renamed(usable)

    def _tell(self) -> None:
        now = self._clock()
        standing = (each.status(now, place in self._used) for place, each in enumerate(self._tracked))
        self._emit(Status(tuple(standing)))

    # What a turn is made from

    def _places(self) -> list[tuple[int, Tracked]]:
        now = self._clock()
        return [(place, each) for place, each in enumerate(self._tracked) if each.usable(now)]

    def _inputs(self, usable: dict[int, Snapshot]) -> tuple[object, ...]:
        return (*((place, id(snapshot)) for place, snapshot in usable.items()), self._exceptions.current)

    def _renamed(self, before: dict[int, Snapshot]) -> tuple[object, ...] | None:
        """The inputs of the last turn as saving has replaced them; as they were if one has changed since."""
        now = {place: each.snapshot for place, each in self._places() if each.snapshot is not None}
        same = now.keys() == before.keys() and all(now[place] == before[place] for place in now)
        return self._inputs(now) if same and not self._news.is_set() else self._made_from

    def _is_ready(self, usable: dict[int, Snapshot]) -> bool:
        """Whether to build: all have said something, or those that have will do and the others take long."""
        if not self._exceptions.ready:
            return False
        if not usable:
            return self._made_from is not None and not self._all_failed()
        if self._settings.policy.combine == "any":
            return all(each.began for each in self._tracked[: min(usable)]) or self._settled()
        return all(each.began for each in self._tracked) or self._settled()

    def _settled(self) -> bool:
        return time.monotonic() - self._began > SETTLE

    def _is_due(self) -> bool:
        return self._due is not None and self._clock() >= self._due

    # Building, in a thread

    def _resume(self) -> None:
        self._sweep(set())
        for tracked in self._tracked:
            tracked.resume()
        self._exceptions.load()

    def _build(self, usable: dict[int, Snapshot]) -> tuple[Prepared, Snapshot, tuple[int, ...]]:
        """A set in files, and the message that announces it."""
        now = int(self._clock())
        steps = self._steps
        with steps.at("merge"):
            merged = merge(usable, self._settings.policy)
            names = tuple(self._tracked[place].name for place in merged.used)
            live = self._live(merged, names, now)
            snapshot, removed, counts = self._exceptions.apply(live)
            self._expect(live, now)
        with steps.at("compare"):
            found = self._losses(snapshot, removed, now, usable)
        self._number += 1
        path = self._directory / f"set-{self._number}.rov"
        with steps.at("save"):
            snapshot.save(path)
            snapshot = Snapshot.open(path)
        with steps.at("encode"):
            encoded = {version: self._encode(snapshot, version) for version in self._versions}
        prepared = Prepared(
            self._number,
            str(path),
            encoded,
            names,
            found,
            self._as_of(merged.used),
            sum(self._tracked[place].skipped for place in merged.used),
            len(merged.snapshot) - len(live),
            dict(list(counts.items())[:MAX_COUNTS]),
            {name: steps.seconds[name] for name in ("merge", "compare", "save", "encode")},
        )
        kept = {self._number, self._number - 1, self._base.number if self._base else 0}
        self._sweep(kept)
        return prepared, snapshot, merged.used

    def _live(self, merged: Merged, names: tuple[str, ...], now: int) -> Snapshot:
        name = ", ".join(names)
        snapshot = merged.snapshot
        if not snapshot:
            raise FeedError(f"{name}: holds no VRPs, ASPAs or router keys")
        live = snapshot if self._ignore_expiry else snapshot.unexpired(now)
        if not live:
            raise FeedError(
                f"{name}: all of its {len(snapshot):,} VRPs have expired "
                f"(is the file old or the clock wrong? --ignore-expiry serves it all the same)"
            )
        return live

    def _expect(self, live: Snapshot, now: int) -> None:
        """Exceptions hold for what has not expired: build again when something does."""
        due = None if self._ignore_expiry or self._exceptions.current is None else live.next_expiry()
        self._due = None if due is None else max(due, now + COALESCE)

    def _losses(
        self, snapshot: Snapshot, removed: Snapshot, now: int, usable: dict[int, Snapshot]
    ) -> Losses | None:
        if self._base is None:
            return None
        base = self._base.snapshot
        if slurm.TRUST_ANCHOR in base.trust_anchors:
            removed |= base.of_trust_anchor(slurm.TRUST_ANCHOR)
        sources = {self._tracked[place].name: part for place, part in usable.items()}
        watch = self._settings.guard.watch
        return losses.find(base, snapshot, now, by_slurm=removed, watch=watch, sources=sources)

    def _encode_other(self, snapshot: Snapshot, version: int) -> tuple[str, int]:
        with self._steps.at("encode others"):
            return self._encode(snapshot, version)

    def _keep(self, tracked: Tracked) -> None:
        with self._steps.at("keep sources"):
            tracked.save()

    def _encode(self, snapshot: Snapshot, version: int) -> tuple[str, int]:
        payload = wire.encode_snapshot(snapshot, version)
        path = self._directory / f"set-{self._number}.v{version}.pdus"
        path.write_bytes(payload.octets)
        return str(path), payload.count

    def _as_of(self, used: tuple[int, ...]) -> int | None:
        times = (self._tracked[place].as_of for place in used)
        return max((time for time in times if time is not None), default=None)

    # Files

    def _highest(self) -> int:
        """Numbers go on where the last loader was: a name never stands for two sets."""
        found = (_SET.fullmatch(path.name) for path in self._directory.iterdir())
        return max((int(match[1]) for match in found if match), default=0)

    def _sweep(self, kept: set[int]) -> None:
        """Remove the files of sets that nobody will open again; who has opened them keeps them."""
        kept = kept or {self._number}
        for path in self._directory.iterdir():
            match = _SET.fullmatch(path.name)
            if match and int(match[1]) not in kept:
                path.unlink(missing_ok=True)

    async def _archive(self) -> None:
        """Record what the daemon has accepted, one after another."""
        while True:
            snapshot, told = await self._archived.get()
            if self._history is not None:
                await in_thread(partial(self._record, self._history, snapshot, told))

    def _record(self, history: archive.Archive, snapshot: Snapshot, told: Serving) -> None:
        with self._steps.at("record"):
            _append(history, snapshot, told)


def _base(told: Serving, ignore_expiry: bool) -> _Base | None:
    if told.path is None:
        return None
    try:
        snapshot = Snapshot.open(told.path)
        live = snapshot if ignore_expiry else snapshot.unexpired(told.at)
        return _Base(live, told.number)
    except RovError as error:
        event(log, logging.WARNING, "served set not to be had, updates are compared later", error=error)
        return None


def _append(history: archive.Archive, snapshot: Snapshot, told: Serving) -> None:
    assert told.serial is not None
    try:
        history.append(snapshot, time=told.at, serial=told.serial, source=told.source, why=told.why)
    except ArchiveError as error:
        event(log, logging.ERROR, "update not recorded", error=error)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}" if isinstance(error, MemoryError) else str(error)


def _trim() -> None:
    """Give back what reading a large file took: glibc keeps it for the next one, half an hour away."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Steps:
    """Says which step begins, from any thread, and how long each of them has taken."""

    def __init__(self, emit: Callable[[FromLoader], None]) -> None:
        self._emit = emit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: list[StepName] = []
        self.seconds: dict[str, float] = {}

    def start(self) -> None:
        """Speak through the event loop that runs now."""
        self._loop = asyncio.get_running_loop()

    @contextlib.contextmanager
    def at(self, name: StepName) -> Iterator[None]:
        """A step, in the thread that does it."""
        began = time.monotonic()
        self.begin(name)
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - began, 4)
            self._under_way.remove(name)
            self._say()

    def begin(self, name: StepName) -> None:
        """Say that a step begins."""
        self._under_way.append(name)
        self._say()

    def _say(self) -> None:
        step = Step(tuple(self._under_way))
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody listens
                self._loop.call_soon_threadsafe(self._emit, step)
