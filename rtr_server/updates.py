"""Updates: how what a feed gives becomes what routers are served, and what else changes it.

One thing happens at a time: a set is loaded and judged, what has expired goes, what is stale is dealt with.
Whatever comes of it is built, encoded and on disk before the event loop swaps it in and tells the server
that there is something new.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from rov import Delta, Snapshot
from rtr_server.cache.current import Current, advanced
from rtr_server.cache.history import History, new_history
from rtr_server.cache.store import Store
from rtr_server.cache.wire import Payload
from rtr_server.config.sources import Guard as GuardPolicy
from rtr_server.config.sources import Stale as StalePolicy
from rtr_server.feed.expiry import Expiry
from rtr_server.feed.feed import Feed, FeedError, Loaded
from rtr_server.feed.guard import FILE as HELD_FILE
from rtr_server.feed.guard import Guard
from rtr_server.feed.losses import find as find_losses
from rtr_server.feed.messages import Losses, Serving
from rtr_server.feed.pipeline import Settings
from rtr_server.feed.process import ProcessFeed, Ready
from rtr_server.feed.stale import Stale as Staleness
from rtr_server.logs import event
from rtr_server.protocol.source import Timing
from rtr_server.threads import in_thread

log = logging.getLogger(__name__)

CLOCK_STEP = 30.0
"""Seconds after which the wall clock is read again: it may have been set, or the machine been asleep."""

TIMER_SLACK = 0.1
"""Seconds by which timers may fire early."""

USUAL_VERSION = 1
"""What today's routers speak: encoded ahead, so that the first of them need not wait."""


LOADED = "set loaded"
"""What the log calls a set that came from the feed."""


class Server(Protocol):
    """What the updates need of whoever serves the routers."""

    @property
    def versions(self) -> set[int]:
        """The protocol versions that routers speak now: what is encoded ahead."""

    def notify(self) -> None:
        """Tell the routers that there is something new."""

    def dismiss(self) -> None:
        """End all sessions in order; routers may come again."""


class StaleError(Exception):
    """The data are too old, and the configuration says that the daemon ends then."""


class Change(NamedTuple):
    """A set that came to be served: how it is called in the log, and its step (None: only times changed).

    ``seconds`` of this process, ``stages`` those of the loader's.
    """

    why: str
    snapshot: Snapshot
    serial: int
    delta: Delta | None
    seconds: float
    stages: Mapping[str, float]


class Candidate(NamedTuple):
    """A set that may come to be served, and what of it is live."""

    loaded: Loaded
    live: Snapshot


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
        self._timing = timing
        self._state_dir = state_dir
        self._clock = clock
        self._chosen = random.SystemRandom()
        self.current = Current(new_history(self._chosen, timing))
        self._store: Store | None = None
        self._expiry = Expiry(ignore=ignore_expiry)
        policy = guard or GuardPolicy(enabled=False)
        self.guard = Guard(policy, None if state_dir is None else state_dir / HELD_FILE)
        self.staleness = None if stale is None else Staleness(stale)
        self.held: Candidate | None = None
        """The update that the guard holds back."""
        self.served: Loaded | None = None
        """What is served, as its feed gave it."""
        self.watchers: list[Callable[[Change], None]] = []
        """Called in the event loop with each set that comes to be served, once it is."""
        self._loader = feed if isinstance(feed, ProcessFeed) else None
        self._more: dict[int, dict[int, Payload]] = {}
        self._withdrawn: Snapshot | None = None
        self._one_at_a_time = asyncio.Lock()
        self._as_of: int | None = None
        self._refused = False
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()

    @property
    def history(self) -> History:
        """What is served, with the steps that led to it."""
        return self.current.history

    # What the daemon does

    def serve(self, server: Server) -> None:
        """Tell this server of what is new, from now on."""
        self._server = server

    async def open(self) -> None:
        """Go on with the history that was saved, if one was, and start what loads."""
        if self._state_dir is not None:
            await self._restore(self._state_dir)
        if self._loader is not None:
            self._loader.encoded = self._encoded
            self._loader.start()
            await self._tell_base()

    async def _restore(self, directory: Path) -> None:
        store = Store(
            directory,
            synthetic=self.feed.synthetic,
            chosen=self._chosen,
            wall=self._clock,
            clock=time.monotonic,
        )
        self.current.history = await in_thread(lambda: store.open(self._timing))
        self._store = store
        if self.history.snapshot is not None:
            self._expiry.resume(self.history.snapshot)
            self._as_of = self.history.snapshot.generated

    async def _tell_base(self) -> None:
        """Let the loader compare with what was saved."""
        snapshot = self.history.snapshot
        if self._loader is None or snapshot is None:
            return
        path = self._loader.directory / "base.rov"
        try:
            await in_thread(lambda: snapshot.save(path))
        except OSError as error:
            event(log, logging.WARNING, "loader compares nothing at first", error=error)
            return
        self._loader.serve(Serving(str(path), int(self._clock()), 0, tuple(self._versions())))

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
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._work())

    def reload(self) -> None:
        """Load the feed again now."""
        if self._loader is not None:
            self._loader.reload()
        else:
            self._wake.set()

    def take(self, settings: Settings, stale: StalePolicy) -> None:
        """Go on by another configuration of the feed; what is served stays until it gives something."""
        self.guard.policy = settings.guard
        self.staleness = Staleness(stale)
        if self._loader is not None:
            self._loader.take(settings)

    async def close(self) -> None:
        """Let go of the feed and of the state directory."""
        self.feed.cancel()
        if self._loader is not None:
            await self._loader.close()
        if self._store is not None:
            await in_thread(self._store.close)

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
                await self._look_at_age()
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
        if expiry is not None and now > expiry and self._withdrawn is None:
            await self._expire(max(expiry, self._now()))
        if acceptance is not None and now > acceptance and self.held is not None:
            why = self.guard.passes(max(acceptance, self._now())) or "held long enough"
            await self._accept(self.held, why)

    async def _reload(self) -> None:
        """Load again; whatever is wrong with the new set, the old one stays."""
        try:
            await self._load()
        except FeedError as error:
            self._refused = True
            event(log, logging.ERROR, "set refused, the last one stays", error=error, vrps=self._count)
        except Exception:
            self._refused = True
            log.exception("load failed, the last set stays", extra={"fields": {"feed": self.feed.name}})
        finally:
            self._looked.set()

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
            await self._accept(candidate, "")
        else:
            self._hold(candidate)

    def _losses(self, candidate: Candidate, now: int) -> Losses | None:
        """What it would take away: as its loader says, else compared here."""
        base = self.history.snapshot
        if base is None or not base or not self.guard.policy.enabled:
            return None
        if isinstance(candidate.loaded, Ready) and candidate.loaded.losses is not None:
            return candidate.loaded.losses
        return find_losses(base, candidate.live, now, watch=self.guard.policy.watch)

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
        live = await in_thread(lambda: self._expiry.live(self.feed.name, candidate.live, self._now()))
        prepared = loaded.encoded if isinstance(loaded, Ready) and live is loaded.snapshot else {}
        delta = await self._advance(live, prepared)
        self._expiry.accept(live)
        self.guard.end()
        self.held = self._withdrawn = None
        self.served, self._as_of = loaded, loaded.as_of
        self._adopt()
        self._tell_loader(delta, self._now(), why)
        shown = {"why": why} if why else {}
        self._tell(LOADED, delta, began, feed=self.feed.name, **self._left_out(loaded), **shown)

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
        delta = await self._advance(live)
        self._tell_loader(delta, now, "expired")
        self._tell("expired", delta, began)
        if not live:
            event(log, logging.ERROR, "ALL DATA HAVE EXPIRED: routers withdraw them", feed=self.feed.name)

    # Age

    @property
    def as_of(self) -> int | None:
        """The time of the newest data that are served, in unix seconds; None if nobody knows."""
        confirmed = None if self._loader is None or self.held or self._refused else self._loader.as_of
        return max((time for time in (self._as_of, confirmed) if time is not None), default=None)

    async def _look_at_age(self) -> None:
        """Warn of old data, and do what is configured when they are too old."""
        as_of, now = self.as_of, self._now()
        if self.staleness is None or as_of is None or not self.history.ready():
            return
        seen, action = self.staleness.look(as_of, now), self.staleness.policy.action
        fields = {"age_seconds": seen.age, "limit": self.staleness.policy.after}
        if seen.level == "stale":
            if seen.told:
                event(log, logging.ERROR, "DATA ARE STALE", **fields, action=action)
            await self._act(action)
        else:
            if seen.told and seen.level == "aging":
                event(log, logging.WARNING, "data are getting old", **fields, then=action)
            await self._recover()

    async def _act(self, action: str) -> None:
        if action == "exit":
            raise StaleError("the data are too old: [stale] action is exit")
        if action == "close" and not self.current.withheld:
            self.current.withheld = True
            self._server.dismiss()
        if action == "withdraw" and self._withdrawn is None and self.history.snapshot:
            self._withdrawn = self.history.snapshot
            await self._replace(Snapshot.empty(), "stale data withdrawn")

    async def _recover(self) -> None:
        """The data are fresh again: what was kept from routers is theirs."""
        if self.current.withheld:
            self.current.withheld = False
            event(log, logging.WARNING, "data are fresh again, routers are served", vrps=self._count)
            self._server.notify()
        if self._withdrawn is not None:
            before, self._withdrawn = self._withdrawn, None
            await self._replace(before.unexpired(self._now()), "data are fresh again")

    async def _replace(self, snapshot: Snapshot, why: str) -> None:
        began = time.monotonic()
        delta = await self._advance(snapshot)
        self._tell(why, delta, began)

    # Serving

    def _versions(self) -> set[int]:
        return {USUAL_VERSION} | self._server.versions

    async def _advance(self, live: Snapshot, prepared: Mapping[int, Payload] | None = None) -> Delta | None:
        """Diff, encode and save in a thread, then serve the outcome; the step to it, None if none."""
        versions = self._versions()
        history = self.history
        after, delta = await in_thread(lambda: self._saved(history, live, versions, prepared or {}))
        if delta is not None or not history.ready():
            self.current.history = after
        return delta

    def _saved(
        self, history: History, live: Snapshot, versions: set[int], prepared: Mapping[int, Payload]
    ) -> tuple[History, Delta | None]:
        """The history after ``live``, on disk before any router is told of it; in a thread."""
        after, delta = advanced(history, live, time.monotonic(), versions, prepared)
        saved = after if self._store is None else self._store.save(after, delta)
        if saved is not after:  # under new session ids: nothing of it has been encoded
            for version in versions:
                saved.full(version)
        return saved, delta

    def _encoded(self, number: int, version: int, payload: Payload) -> None:
        """The loader has a set in one more protocol version: use it if that set is served, or once it is."""
        self._more.setdefault(number, {})[version] = payload
        self._adopt()

    def _adopt(self) -> None:
        """Take over what is encoded of the set that is served; forget what is older."""
        served = self.served
        if not isinstance(served, Ready):
            return
        self._more = {number: found for number, found in self._more.items() if number >= served.number}
        if self.history.snapshot is served.snapshot:
            for version, payload in self._more.pop(served.number, {}).items():
                self.history.adopt(version, payload)

    def _tell_loader(self, delta: Delta | None, now: int, why: str) -> None:
        """Let the loader compare with what is served now, and record it if it is new."""
        if self._loader is None or not isinstance(self.served, Ready):
            return
        new = self.history.serial if delta is not None else None
        source = ", ".join(self.served.sources)
        versions = tuple(sorted(self._versions()))
        self._loader.serve(Serving(self.served.path, now, self.served.number, versions, new, source, why))

    def _tell(self, name: str, delta: Delta | None, began: float, **fields: object) -> None:
        """Tell the log what changed, and the routers that something did."""
        seconds = time.monotonic() - began
        self._tell_watchers(name, delta, seconds)
        if delta is None:
            event(log, logging.DEBUG, f"{name}: nothing changed", seconds=seconds, **fields)
            return
        event(
            log,
            logging.INFO,
            name,
            **fields,
            vrps=self._count,
            announced=f"+{len(delta.announced)}",
            withdrawn=f"-{len(delta.withdrawn)}",
            serial=self.history.serial,
            seconds=seconds,
        )
        self._server.notify()

    def _tell_watchers(self, why: str, delta: Delta | None, seconds: float) -> None:
        snapshot = self.history.snapshot
        if snapshot is None:
            return
        ready = self.served if why == LOADED and isinstance(self.served, Ready) else None
        stages = ready.seconds if ready is not None else {}
        change = Change(why, snapshot, self.history.serial, delta, seconds, stages)
        for watcher in self.watchers:
            watcher(change)

    def _now(self) -> int:
        return int(self._clock())

    @property
    def _count(self) -> int:
        return len(self.history.snapshot or ())
