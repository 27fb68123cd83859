"""Updates: how what a feed gives becomes what routers are served, and what else changes it.

One thing happens at a time: a set is loaded and judged, what has expired goes, what is stale is dealt with.
Whatever comes of it is built, encoded and on disk before the event loop swaps it in and tells the server
that there is something new.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from rtr_server.age import Age, Jumps, StaleError
from rtr_server.cache.current import Current
from rtr_server.cache.history import History
from rtr_server.config.sources import Guard as GuardPolicy
from rtr_server.config.sources import Stale as StalePolicy
from rtr_server.feed.expiry import Expiry, Live
from rtr_server.feed.feed import Feed, FeedError, Loaded
from rtr_server.feed.guard import FILE as HELD_FILE
from rtr_server.feed.guard import Guard
from rtr_server.feed.losses import find as find_losses
from rtr_server.feed.messages import Losses
from rtr_server.feed.process import ProcessFeed, Ready
from rtr_server.feed.settings import Settings
from rtr_server.feed.stale import Stale as Staleness
from rtr_server.logs import event
from rtr_server.protocol.source import Timing
from rtr_server.publish import LOADED, Change, Publisher, Server
from rtr_server.threads import in_thread

log = logging.getLogger(__name__)

CLOCK_STEP = 5.0
"""Seconds after which the wall clock is read again: it may have been set, or the machine been asleep."""

TIMER_SLACK = 0.1
"""Seconds by which timers may fire early."""


class Candidate(NamedTuple):
    """A set that may come to be served, and what of it is live."""

    loaded: Loaded
    live: Live


class Updates:
    """The data of a daemon: ``current`` for its sessions, kept up to date by ``run``.

    In this order: ``serve`` with the server, ``open``, ``first``, ``run`` until it is cancelled, ``close``.

    ``clock`` gives unix seconds. Raises StoreError from ``open`` where the state directory cannot be used,
    FeedError from ``first`` where the feed has no usable set and will not have one soon, StaleError from
    ``run``. A guard and staleness are as configured; without, every set passes at any age.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        timing: Timing,
        ignore_expiry: bool = False,
        state_dir: Path | None = None,
        clock: Callable[[], float] = time.time,
        guard: GuardPolicy | None = None,
        stale: StalePolicy | None = None,
    ) -> None:
        self.feed = feed
        self._state_dir = state_dir
        self._clock = clock
        self._loader = feed if isinstance(feed, ProcessFeed) else None
        self._publisher = Publisher(timing, self._loader, clock)
        self._expiry = Expiry(ignore=ignore_expiry)
        policy = guard or GuardPolicy(enabled=False)
        self.guard = Guard(policy, None if state_dir is None else state_dir / HELD_FILE)
        self._age = Age(stale, self._publisher, clock)
        self._jumps = Jumps(clock)
        self.held: Candidate | None = None
        """The update that the guard holds back."""
        self._one_at_a_time = asyncio.Lock()
        self._as_of: int | None = None
        self._refused = False
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()

    @property
    def history(self) -> History:
        """What is served, with the steps that led to it."""
        return self._publisher.history

    @property
    def current(self) -> Current:
        """What sessions are served from."""
        return self._publisher.current

    @property
    def watchers(self) -> list[Callable[[Change], None]]:
        """Called in the event loop with each set that comes to be served, once it is."""
        return self._publisher.watchers

    @property
    def staleness(self) -> Staleness | None:
        """What tells fresh data from old ones, if anything does."""
        return self._age.stale

    @property
    def served(self) -> Loaded | None:
        """What is served, as its feed gave it."""
        return self._publisher.served

    # What the daemon does

    def serve(self, server: Server) -> None:
        """Tell this server of what is new, from now on."""
        self._publisher.serve(server)

    async def open(self) -> None:
        """Go on with the history that was saved, if one was, and start what loads."""
        if self._state_dir is not None:
            await self._publisher.restore(self._state_dir, synthetic=self.feed.synthetic)
            if (saved := self.history.snapshot) is not None:
                await in_thread(lambda: self._expiry.resume(saved))
                self._as_of = saved.generated
        if self._loader is not None:
            self._loader.start()
            await self._publisher.tell_base()

    async def first(self) -> None:
        """Load before anyone may connect. Without a usable set, what was saved is served, if anything was.

        A feed that is down may come up; one that is wrong for good ends the start, unless there is a saved
        set: to have routers go without would be the worse of the two.
        """
        try:
            await self._load()
        except FeedError as error:
            if not error.temporary and not self.history.ready():
                raise
            await self._first_without_feed(error)

    async def run(self) -> None:
        """Watch the feed, load when it is worth while, let expired VRPs go; until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch())
                tasks.create_task(self._work())
        except ExceptionGroup as group:
            if (stale := group.subgroup(StaleError)) is not None:
                raise StaleError(str(stale.exceptions[0])) from None
            raise

    def reload(self) -> None:
        """Load the feed again now."""
        if self._loader is not None:
            self._loader.reload()
        else:
            self._wake.set()

    def take(self, settings: Settings, stale: StalePolicy) -> None:
        """Go on by another configuration of the feed; what is served stays until it gives something."""
        self.guard.policy = settings.guard
        self._age.take(stale)
        if self._loader is not None:
            self._loader.take(settings)

    async def close(self) -> None:
        """Let go of the feed and of the state directory."""
        self.feed.cancel()
        if self._loader is not None:
            await self._loader.close()
        await self._publisher.close()

    async def _first_without_feed(self, error: FeedError) -> None:
        """What was saved is better than nothing, as far as it has not expired."""
        if not self.history.ready():
            event(log, logging.ERROR, "no data yet", error=error, answer="error 2 to all queries")
            return
        await self._expire(self._now())
        event(log, logging.ERROR, "no data yet, serving the saved set", error=error, vrps=self._count)

    # What operators say

    async def accept(self) -> int | None:
        """Serve the update that is held, and its serial; None if there is none. FeedError: it has expired."""
        async with self._one_at_a_time:
            if self.held is None:
                return None
            await self._accept(self.held, "accepted by the operator")
            return self.history.serial

    def reject(self) -> bool:
        """Never accept by itself what is held, nor what else loses too much; whether there is anything."""
        if self.held is None:
            return False
        self.guard.reject()
        event(log, logging.WARNING, "held update rejected, the last set stays", vrps=self._count)
        return True

    # One thing at a time

    async def _watch(self) -> None:
        """Wake the worker at each change of the feed, and wait until it has looked at it."""
        while True:
            await self.feed.changed()
            self._looked.clear()
            self._wake.set()
            await self._looked.wait()

    async def _work(self) -> None:
        """One thing at a time: load when woken, else deal with what is due."""
        while True:
            async with self._one_at_a_time:
                await self._look_at_clock()
                await self._age.look(self.as_of)
            due = self._due()
            wait = CLOCK_STEP if due is None else min(CLOCK_STEP, max(0.0, due - self._clock()))
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                async with self._one_at_a_time:
                    await self._deal_with_due()
                continue
            self._wake.clear()
            async with self._one_at_a_time:
                await self._reload()

    def _due(self) -> int | None:
        """When something expires, or the held update is accepted by itself; in unix seconds."""
        times = [time for time in (self._expiry.due(), self.guard.due()) if time is not None]
        return min(times, default=None)

    async def _deal_with_due(self) -> None:
        now = self._clock() + TIMER_SLACK
        expiry, acceptance = self._expiry.due(), self.guard.due()
        if expiry is not None and now > expiry and self._age.withdrawn is None:
            await self._expire(max(expiry, self._now()))
        if acceptance is not None and now > acceptance and self.held is not None:
            why = self.guard.passes(max(acceptance, self._now())) or "held long enough"
            if not await self._tried(self._accept(self.held, why)):  # such as one that has expired meanwhile
                self.held = None
                self.guard.drop()

    async def _reload(self) -> None:
        """Load again."""
        try:
            await self._tried(self._load())
        finally:
            self._looked.set()

    async def _tried(self, taking: Awaitable[None]) -> bool:
        """Whether a new set was taken; whatever is wrong with it, the old one stays."""
        try:
            await taking
        except FeedError as error:
            self._refused = True
            event(log, logging.ERROR, "set refused, the last one stays", error=error, vrps=self._count)
        except Exception:
            self._refused = True
            log.exception("load failed, the last set stays", extra={"fields": {"feed": self.feed.name}})
        else:
            return True
        return False

    async def _load(self) -> None:
        """Load, drop what has expired, judge, serve; FeedError if the set is not fit to serve."""
        loaded = await in_thread(self.feed.load)
        if loaded is None:
            event(log, logging.DEBUG, "feed not modified", feed=self.feed.name)
            return
        now = self._now()
        live = await in_thread(lambda: self._expiry.live(self.feed.name, loaded.snapshot, now))
        self._refused = False
        candidate = Candidate(loaded, live)
        losses = await in_thread(lambda: self._losses(candidate, now))
        if self.guard.judge(losses, now):
            await self._accept(candidate, self.guard.passes(now) or "")
        else:
            self._hold(candidate)

    def _losses(self, candidate: Candidate, now: int) -> Losses | None:
        """What it would take away: as its loader says, else compared here."""
        base = self._age.withdrawn or self.history.snapshot
        if base is None or not base or not self.guard.policy.enabled:
            return None
        if isinstance(candidate.loaded, Ready) and candidate.loaded.losses is not None:
            return candidate.loaded.losses
        return find_losses(base, candidate.live.snapshot, now, watch=self.guard.policy.watch)

    def _hold(self, candidate: Candidate) -> None:
        """Keep serving the last set."""
        self.held = candidate
        held = self.guard.held
        assert held is not None, "judged just now"
        event(
            log,
            logging.ERROR,
            "UPDATE HELD, the last set stays",
            reasons="; ".join(held.reasons),
            lost=held.losses.lost,
            expired=held.losses.expired,
            by_slurm=held.losses.by_slurm,
            vrps=self._count,
            decide="rtr-server update show | accept | reject",
        )

    async def _accept(self, candidate: Candidate, why: str) -> None:
        """Serve a set."""
        began = time.monotonic()
        loaded = candidate.loaded
        judged = candidate.live.snapshot
        live = await in_thread(lambda: self._expiry.live(self.feed.name, judged, self._now()))
        if self._age.too_old(loaded.as_of):
            self._taken(loaded, live)
            self._age.withdrawn = live.snapshot
            event(log, logging.WARNING, "new set is too old to be served, too", feed=self.feed.name)
            return
        whole = live.snapshot is loaded.snapshot
        prepared = loaded.encoded if isinstance(loaded, Ready) and whole else {}
        delta = await self._publisher.advance(live.snapshot, prepared)
        self._age.withdrawn = None
        self._taken(loaded, live)
        self._publisher.tell_loader(delta, why)
        shown = {"why": why} if why else {}
        fields = {"feed": self.feed.name, **self._left_out(loaded), **shown}
        self._publisher.tell(LOADED, delta, began, **fields)

    def _taken(self, loaded: Loaded, live: Live) -> None:
        """This is the set from now on."""
        self._expiry.accept(live)
        self.guard.end()
        self.held = None
        self._as_of = loaded.as_of
        self._publisher.accept(loaded)

    def _left_out(self, loaded: Loaded) -> dict[str, object]:
        """What was loaded but is not served, where there is any, and how long it took to prepare."""
        expired = len(loaded.snapshot) - self._count
        fields: dict[str, object] = {}
        if isinstance(loaded, Ready):
            expired = loaded.expired
            fields["prepared"] = sum(loaded.seconds.values())
            if len(loaded.sources) < len(self.feed.settings.source):  # type: ignore[attr-defined]  # a loader's
                fields["sources"] = ", ".join(loaded.sources)
        counts = {"bad": loaded.skipped, "expired": expired}
        return {name: count for name, count in counts.items() if count} | fields

    async def _expire(self, now: int) -> None:
        """Withdraw what has expired. If nothing is left, routers get that too: stale data are worse."""
        began = time.monotonic()
        live = await in_thread(lambda: self._expiry.run(now))
        if live is None:
            return
        delta = await self._publisher.advance(live.snapshot)
        self._expiry.accept(live)
        self._publisher.tell_loader(delta, "expired")
        self._publisher.tell("expired", delta, began)
        if not live.snapshot:
            event(log, logging.ERROR, "ALL DATA HAVE EXPIRED: routers withdraw them", feed=self.feed.name)

    # Age and time

    @property
    def as_of(self) -> int | None:
        """The time of the newest data that are served, in unix seconds; None if nobody knows."""
        confirmed = None if self._loader is None or self.held or self._refused else self._loader.as_of
        return max((time for time in (self._as_of, confirmed) if time is not None), default=None)

    async def _look_at_clock(self) -> None:
        """Say that it has jumped. What had expired by a clock that was ahead is served again."""
        jumped = self._jumps.look()
        if not jumped:
            return
        way = "forwards" if jumped > 0 else "backwards"
        event(log, logging.WARNING, f"CLOCK: ours has jumped {way}", seconds=round(jumped))
        served = self._publisher.served
        if jumped > 0 or served is None or self._expiry.ignore or self._age.withdrawn is not None:
            return
        began = time.monotonic()
        live = await in_thread(lambda: self._expiry.of(served.snapshot, self._now()))
        delta = await self._publisher.advance(live.snapshot)
        self._expiry.accept(live)
        self._publisher.tell_loader(delta, "clock set back")
        self._publisher.tell("clock set back", delta, began)

    def _now(self) -> int:
        return int(self._clock())

    @property
    def _count(self) -> int:
        return self._publisher.count
