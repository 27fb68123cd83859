"""Builder: usable sources become one set, with local exceptions, compared, encoded and in files.

All of it runs in threads of the loader. A set is announced when all of its files are there, so whoever is
ended in the middle has done nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from rov import RovError, Snapshot, slurm
from rtr_server.cache import wire
from rtr_server.feed import losses
from rtr_server.feed.exceptions import Exceptions
from rtr_server.feed.expiry import COALESCE, Expiry
from rtr_server.feed.merge import merge
from rtr_server.feed.messages import Losses, Prepared, Serving
from rtr_server.feed.settings import Settings
from rtr_server.feed.steps import Steps
from rtr_server.feed.tracked import Tracked
from rtr_server.logs import event

log = logging.getLogger(__name__)

MAX_COUNTS = 1_000
"""Effects of local exceptions that are told one by one."""

_SET = re.compile(r"set-(\d{1,18})\..*")

_STAGES = ("merge", "compare", "save", "encode")


class Base(NamedTuple):
    """What the daemon serves, and the number of the set that it came from."""

    snapshot: Snapshot
    number: int


class Built(NamedTuple):
    """The message that announces a set, the set, and the places of its sources."""

    prepared: Prepared
    snapshot: Snapshot
    used: tuple[int, ...]


class Builder:
    """Makes sets of what ``tracked`` have, in files of ``directory``. ``clock`` gives unix seconds.

    ``base``: what sets are compared with; ``versions``: those that are encoded before a set is announced.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        clock: Callable[[], float],
        tracked: Sequence[Tracked],
        exceptions: Exceptions,
        steps: Steps,
        *,
        ignore_expiry: bool = False,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._clock = clock
        self._tracked = tracked
        self._exceptions = exceptions
        self._steps = steps
        self._expiry = Expiry(ignore=ignore_expiry)
        self._number = self._highest()
        self._due: int | None = None
        self.base: Base | None = None
        self.versions: tuple[int, ...] = (1,)

    def is_due(self) -> bool:
        """Whether something has expired, so that exceptions that were applied to it have to go."""
        return self._due is not None and self._clock() >= self._due

    def compare_with(self, told: Serving) -> None:
        """Take what the daemon says it serves as the base; in a thread."""
        self.base = self._served(told)

    def build(self, usable: Mapping[int, Snapshot]) -> Built:
        """A set in files, of the sources in these places; FeedError if it is not fit to serve.

        OSError: the disk does not take it. It is saved in a thread of its own: half of that is waiting.
        """
        now, base, steps = int(self._clock()), self.base, self._steps
        with steps.at("merge"):
            merged = merge(usable, self._settings.policy)
            names = tuple(self._tracked[place].name for place in merged.used)
            live, until = self._expiry.live(", ".join(names), merged.snapshot, now)
            snapshot, removed, counts = self._exceptions.apply(live)
            self._expect(until, now)
        self._number += 1
        path = self._directory / f"set-{self._number}.rov"
        with ThreadPoolExecutor(1) as other:
            saving = other.submit(self._saved, snapshot, path)
            with steps.at("compare"):
                found = None if base is None else self._losses(base.snapshot, snapshot, removed, now, usable)
            with steps.at("encode"):
                encoded = {version: self._encode(snapshot, version) for version in self.versions}
            snapshot = saving.result()
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
            {name: found for name, found in losses.by_trust_anchor(removed).items() if any(found)},
            {name: steps.seconds[name] for name in _STAGES},
        )
        self.sweep({self._number, self._number - 1, base.number if base else 0})
        return Built(prepared, snapshot, merged.used)

    def encode_other(self, snapshot: Snapshot, version: int) -> tuple[str, int]:
        """The set that was built last in one more protocol version: the file, how many PDUs."""
        with self._steps.at("encode others"):
            return self._encode(snapshot, version)

    def sweep(self, kept: set[int]) -> None:
        """Remove the files of sets that nobody will open again; who has opened them keeps them."""
        kept = kept or {self._number}
        for path in self._directory.iterdir():
            match = _SET.fullmatch(path.name)
            if match and int(match[1]) not in kept:
                path.unlink(missing_ok=True)

    # Inside

    def _served(self, told: Serving) -> Base | None:
        if told.path is None:
            return None
        try:
            snapshot = Snapshot.open(told.path)
        except RovError as error:
            event(log, logging.WARNING, "served set not to be had, updates are compared later", error=error)
            return None
        return Base(self._expiry.of(snapshot, told.at).snapshot, told.number)

    def _expect(self, until: int | None, now: int) -> None:
        """Exceptions hold for what has not expired: build again when something does."""
        due = None if self._exceptions.current is None else until
        self._due = None if due is None else max(due, now + COALESCE)

    def _losses(
        self,
        base: Snapshot,
        snapshot: Snapshot,
        removed: Snapshot,
        now: int,
        usable: Mapping[int, Snapshot],
    ) -> Losses:
        if slurm.TRUST_ANCHOR in base.trust_anchors:
            removed |= base.of_trust_anchor(slurm.TRUST_ANCHOR)
        sources = {self._tracked[place].name: part for place, part in usable.items()}
        watch = self._settings.guard.watch
        return losses.find(base, snapshot, now, by_slurm=removed, watch=watch, sources=sources)

    def _saved(self, snapshot: Snapshot, path: Path) -> Snapshot:
        """The set as the file that the daemon maps; after a power cut it is made anew."""
        with self._steps.at("save"):
            snapshot.save(path, sync=False)
            return Snapshot.open(path)

    def _encode(self, snapshot: Snapshot, version: int) -> tuple[str, int]:
        payload = wire.encode_snapshot(snapshot, version)
        path = self._directory / f"set-{self._number}.v{version}.pdus"
        path.write_bytes(payload.octets)
        return str(path), payload.count

    def _as_of(self, used: Sequence[int]) -> int | None:
        times = (self._tracked[place].as_of for place in used)
        return max((time for time in times if time is not None), default=None)

    def _highest(self) -> int:
        """Numbers go on where the last loader was: a name never stands for two sets."""
        found = (_SET.fullmatch(path.name) for path in self._directory.iterdir())
        return max((int(match[1]) for match in found if match), default=0)
