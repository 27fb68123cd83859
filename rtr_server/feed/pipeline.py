"""What the loader does: it runs the sources, and whenever what there is to build from changes, takes a turn.

A turn builds a set, announces it, and then does what nobody waits for. Anything that happens to a source
leads to one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rov import Prefix, RovError, Snapshot, archive
from rtr_server.feed.build import Builder
from rtr_server.feed.exceptions import Exceptions
from rtr_server.feed.feed import FeedError
from rtr_server.feed.merge import differences, origins, shown
from rtr_server.feed.messages import Answer, Ask, Encoded, Failed, FromLoader, Serving, Status
from rtr_server.feed.recorder import Recorder
from rtr_server.feed.settings import Settings
from rtr_server.feed.steps import Steps
from rtr_server.feed.tracked import Tracked
from rtr_server.logs import event
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.threads import in_thread

log = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two looks at what time alone changes; each tells the daemon that we live."""

SETTLE = 20.0
"""Seconds after the start for which sources are waited for that have not said anything yet."""

RENEWAL = 5.0
"""Seconds after the start for which sources are waited for whose set an earlier loader kept: that may be
older than what is served, and a router would be taken back to it for as long as the new one is read."""


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
        self._news = asyncio.Event()
        self._steps = Steps(emit)
        self._recorder = Recorder(history, self._steps)
        self._tracked = [
            Tracked(each, directory, clock, self._changed, self._reading) for each in settings.source
        ]
        self._exceptions = Exceptions(settings.slurm.files, self._news.set)
        self._builder = Builder(
            settings,
            directory,
            clock,
            self._tracked,
            self._exceptions,
            self._steps,
            ignore_expiry=ignore_expiry,
        )
        self._made_from: tuple[object, ...] | None = None
        self._used: tuple[int, ...] = ()
        self.prepared = 0
        """Sets since the start."""
        self._turning = False

    # What the loader's messages lead to

    async def run(self) -> None:
        """Until cancelled."""
        self._steps.start()
        await in_thread(self._resume)
        self._news.set()  # a source that has not changed since an earlier loader kept it says nothing
        self._began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                for tracked in self._tracked:
                    tasks.create_task(tracked.run())
                tasks.create_task(self._exceptions.run())
                tasks.create_task(self._recorder.run())
                await self._turns()
        finally:
            for tracked in self._tracked:
                tracked.cancel()

    async def serving(self, told: Serving) -> None:
        """What the daemon serves now: updates are compared with it."""
        builder = self._builder
        builder.versions = told.versions or builder.versions
        await in_thread(lambda: builder.compare_with(told))
        if told.serial is None:
            return
        if told.path is None:
            self._recorder.take(Snapshot.empty(), told)
        elif builder.base is not None:
            self._recorder.take(builder.base.snapshot, told)

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
            base = self._builder.base
            served = Snapshot.empty() if base is None else base.snapshot
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
            if not self._is_ready(usable) or (made_from == self._made_from and not self._builder.is_due()):
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
        prepared, snapshot, self._used = await in_thread(lambda: self._builder.build(usable))
        self.prepared += 1
        self._emit(prepared)
        if self.prepared == 1:
            self._tell_failures()
        self._tell()
        for version in VERSIONS:
            if version not in prepared.encoded:
                path, count = await in_thread(partial(self._builder.encode_other, snapshot, version))
                self._emit(Encoded(prepared.number, version, path, count))
        for tracked in self._tracked:
            await in_thread(partial(self._keep, tracked))
        self._made_from = self._renamed(usable)

    def _tell_failures(self) -> None:
        """Of sources whose sets an earlier loader kept: they failed before it was clear that we use them."""
        for place in self._used:
            if (error := self._tracked[place].error) is not None:
                self._emit(Failed(str(error), error.temporary))

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
            waited_for = self._tracked[: min(usable) + 1]
        else:
            waited_for = self._tracked
        age = time.monotonic() - self._began
        return all(each.heard or age >= (RENEWAL if each.began else SETTLE) for each in waited_for)

    # In a thread

    def _resume(self) -> None:
        self._builder.sweep(set())
        for tracked in self._tracked:
            tracked.resume()
        self._exceptions.load()

    def _keep(self, tracked: Tracked) -> None:
        with self._steps.at("keep sources"):
            tracked.save()


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}" if isinstance(error, MemoryError) else str(error)


def _trim() -> None:
    """Give back what reading a large file took: glibc keeps it for the next one, half an hour away."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
