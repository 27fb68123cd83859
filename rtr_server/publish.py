"""Publishing: a set becomes the next serial, encoded and on disk, before routers hear of it."""

from __future__ import annotations

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
from rtr_server.feed.feed import Loaded
from rtr_server.feed.messages import Serving
from rtr_server.feed.process import ProcessFeed, Ready
from rtr_server.logs import event
from rtr_server.protocol.source import Timing
from rtr_server.threads import in_thread

log = logging.getLogger(__name__)

USUAL_VERSION = 1
"""What today's routers speak: encoded ahead, so that the first of them need not wait."""


LOADED = "set loaded"
"""What the log calls a set that came from the feed."""


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


class Server(Protocol):
    """What is needed of whoever serves the routers."""

    @property
    def versions(self) -> set[int]:
        """The protocol versions that routers speak now: what is encoded ahead."""

    def notify(self) -> None:
        """Tell the routers that there is something new."""

    def dismiss(self) -> None:
        """End all sessions in order; routers may come again."""


class Publisher:
    """What routers are served: ``current``, for their sessions. One ``advance`` at a time.

    ``loader``: who compares updates with what is served, and records them, if anybody does. ``clock``
    gives unix seconds.
    """

    def __init__(self, timing: Timing, loader: ProcessFeed | None, clock: Callable[[], float]) -> None:
        self._timing = timing
        self._loader = loader
        self._clock = clock
        self._chosen = random.SystemRandom()
        self.current = Current(new_history(self._chosen, timing))
        self.served: Loaded | None = None
        """What is served, as its feed gave it."""
        self.watchers: list[Callable[[Change], None]] = []
        """Called in the event loop with each set that comes to be served, once it is."""
        self._store: Store | None = None
        self._more: dict[int, dict[int, Payload]] = {}
        self._base: Serving | None = None
        if loader is not None:
            loader.encoded = self._encoded

    def serve(self, server: Server) -> None:
        """Tell this server of what is new, from now on."""
        self.server = server

    @property
    def history(self) -> History:
        """What is served, with the steps that led to it."""
        return self.current.history

    @property
    def count(self) -> int:
        """VRPs that are served."""
        return len(self.history.snapshot or ())

    async def restore(self, directory: Path, *, synthetic: bool) -> None:
        """Go on with the history that was saved, if one was; StoreError where that cannot be."""
        store = Store(
            directory,
            synthetic=synthetic,
            chosen=self._chosen,
            wall=self._clock,
            clock=time.monotonic,
        )
        self.current.history = await in_thread(lambda: store.open(self._timing))
        self._store = store

    async def close(self) -> None:
        """Let go of the state directory."""
        if self._store is not None:
            await in_thread(self._store.close)

    # A new set

    async def advance(self, live: Snapshot, prepared: Mapping[int, Payload] | None = None) -> Delta | None:
        """Diff, encode and save in a thread, then serve the outcome; the step to it, None if none."""
        versions = self._versions()
        history = self.history
        after, delta = await in_thread(lambda: self._saved(history, live, versions, prepared or {}))
        if delta is not None or not history.ready():
            self.current.history = after
        return delta

    def accept(self, loaded: Loaded) -> None:
        """What was made current came from this."""
        self.served = loaded
        self._adopt()

    def _versions(self) -> set[int]:
        return {USUAL_VERSION} | self.server.versions

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

    # Who hears of it

    async def tell_base(self) -> None:
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
        self._base = Serving(str(path), int(self._clock()), 0, tuple(self._versions()), source="saved set")
        self._loader.serve(self._base)

    def tell_loader(self, delta: Delta | None, why: str, *, nothing: bool = False) -> None:
        """Let the loader compare with what is served now, and record it if it is new.

        ``nothing``: all was withdrawn, though the set is still there.
        """
        if self._loader is None:
            return
        path, number, source = self._place()
        if path is None:
            return
        new = self.history.serial if delta is not None else None
        versions = tuple(sorted(self._versions()))
        now = int(self._clock())
        self._loader.serve(Serving(None if nothing else path, now, number, versions, new, source, why))

    def _place(self) -> tuple[str | None, int, str]:
        """The file that has what is served, and what has expired of it; its number and its sources."""
        if isinstance(self.served, Ready):
            return self.served.path, self.served.number, ", ".join(self.served.sources)
        return (None, 0, "") if self._base is None else (self._base.path, 0, self._base.source)

    def tell(self, name: str, delta: Delta | None, began: float, **fields: object) -> None:
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
            vrps=self.count,
            announced=f"+{len(delta.announced)}",
            withdrawn=f"-{len(delta.withdrawn)}",
            serial=self.history.serial,
            seconds=seconds,
        )
        self.server.notify()

    def _tell_watchers(self, why: str, delta: Delta | None, seconds: float) -> None:
        snapshot = self.history.snapshot
        if snapshot is None:
            return
        ready = self.served if why == LOADED and isinstance(self.served, Ready) else None
        stages = ready.seconds if ready is not None else {}
        change = Change(why, snapshot, self.history.serial, delta, seconds, stages)
        for watcher in self.watchers:
            watcher(change)
