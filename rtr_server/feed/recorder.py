"""Recorder: what the daemon has come to serve goes into the archive, one update after the other."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from rov import ArchiveError, Snapshot, archive
from rtr_server.feed.messages import Serving
from rtr_server.feed.steps import Steps
from rtr_server.logs import event
from rtr_server.threads import in_thread

log = logging.getLogger(__name__)


class Recorder:
    """Appends to ``history``, if one is kept."""

    def __init__(self, history: archive.Archive | None, steps: Steps) -> None:
        self._history = history
        self._steps = steps
        self._accepted: asyncio.Queue[tuple[Snapshot, Serving]] = asyncio.Queue()

    def take(self, snapshot: Snapshot, told: Serving) -> None:
        """Have a set recorded, in its turn."""
        if self._history is not None:
            self._accepted.put_nowait((snapshot, told))

    async def run(self) -> None:
        """Record what there is, until cancelled."""
        while True:
            snapshot, told = await self._accepted.get()
            await in_thread(partial(self._record, snapshot, told))

    def _record(self, snapshot: Snapshot, told: Serving) -> None:
        assert self._history is not None, "taken only then"
        assert told.serial is not None, "told of something new"
        with self._steps.at("record"):
            try:
                self._history.append(
                    snapshot, time=told.at, serial=told.serial, source=told.source, why=told.why
                )
            except ArchiveError as error:
                event(log, logging.ERROR, "update not recorded", error=error)
