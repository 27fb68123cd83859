"""Steps: what the loader does now, said to the daemon so that its log tells where one has ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from rtr_server.feed.messages import FromLoader, Step, StepName


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
