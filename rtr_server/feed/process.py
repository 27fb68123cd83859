"""The loader process as a feed: started, watched, started again, and what it has prepared taken over.

Whatever happens to the loader, the set that is served stays: it is ended and replaced if it is silent for
too long, and a new one goes on with the files that the last one left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from rov import RovError, Snapshot
from rtr_server.cache.wire import Payload
from rtr_server.feed.backoff import Backoff
from rtr_server.feed.feed import FeedError, Loaded
from rtr_server.feed.loader import RECYCLED
from rtr_server.feed.messages import (
    Answer,
    Ask,
    ChannelError,
    Encoded,
    Failed,
    FromLoader,
    Logged,
    Losses,
    Prepared,
    Reload,
    Serving,
    SourceStatus,
    Start,
    Status,
    Step,
    StepName,
    ToLoader,
    encode,
    receive,
)
from rtr_server.feed.settings import Settings
from rtr_server.logs import event

log = logging.getLogger(__name__)

SILENCE = 120.0
"""Seconds without a word after which a loader hangs; it speaks every five, if Python gets to run at all."""

RETRY = 1.0
MAX_RETRY = 300.0
"""Seconds before a loader that has failed is started again: at first, and at most."""

HEALTHY = 60.0
"""Seconds after which a loader that ends is no part of a row of failures."""

FIRST_WAIT = 120.0
"""Seconds for the first set after the start, before we serve what was saved, or nothing."""

ANSWER_WAIT = 30.0
TERM_WAIT = 5.0


class Ready(Loaded, frozen=True, kw_only=True):
    """A set that the loader has prepared: its PDUs, what it takes away, how many VRPs were left out."""

    number: int
    path: str
    encoded: dict[int, Payload]
    losses: Losses | None
    sources: tuple[str, ...]
    expired: int
    slurm: dict[str, int]
    filtered: dict[str, tuple[int, int]]
    seconds: dict[str, float]


class ProcessFeed:
    """The sources of ``settings``, run by a process of their own, with files in ``directory``.

    ``archive``: directory, seconds and octets of the record of updates, if one is kept.

    >>> from rtr_server.config.sources import FileSource
    >>> ProcessFeed(Settings((FileSource(path=Path("/a.json")),)), Path("/tmp")).name
    '/a.json'
    """

    synthetic = False

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        *,
        ignore_expiry: bool = False,
        archive: tuple[Path, int, int] | None = None,
    ) -> None:
        self.name = ", ".join(source.label for source in settings.source)
        self.settings = settings
        self.directory = directory
        self.status: tuple[SourceStatus, ...] = ()
        self.restarts = 0
        """Loaders that have failed so far."""
        self.encoded: Callable[[int, int, Payload], None] = lambda number, version, payload: None
        """Called with a prepared set in one more protocol version."""
        kept = (None, 0, 0) if archive is None else (str(archive[0]), int(archive[1]), int(archive[2]))
        self._start = Start(_tables(settings), str(directory), ignore_expiry, *kept)
        self._serving = Serving(None, 0, 0, ())
        self._outcomes: deque[Prepared | Failed] = deque()
        self._heard = False
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._under_way: tuple[StepName, ...] = ()
        self._life: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._questions: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self._backoff = Backoff(RETRY, MAX_RETRY)
        self.pid: int | None = None
        """Of the loader that runs now."""

    # The feed

    def start(self) -> None:
        """Start the first loader; in the event loop."""
        self._loop = asyncio.get_running_loop()
        if self._life is None:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._life = asyncio.create_task(self._live())

    def load(self) -> Ready | None:
        """The set that was prepared last, mapped; in a thread. None: there is nothing new."""
        outcome = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
        if isinstance(outcome, Failed):
            raise FeedError(outcome.error, temporary=outcome.temporary)
        return None if outcome is None else self._open(outcome)

    async def _next(self) -> Prepared | Failed | None:
        """What came and was not taken yet; the first time it is waited for."""
        if not self._heard:
            try:
                async with asyncio.timeout(FIRST_WAIT):
                    await self._news.wait()
            except TimeoutError:
                self._heard = True
                return Failed(f"{self.name}: nothing loaded in {FIRST_WAIT:g} s", True)
        outcome = self._outcomes.popleft() if self._outcomes else None
        if not self._outcomes:
            self._news.clear()
        self._heard = True
        return outcome

    async def changed(self) -> None:
        """Return when the loader has prepared a set, or says why it cannot."""
        await self._news.wait()

    def reload(self) -> None:
        """Ask all sources now; a loader that has failed is started at once."""
        self._hurry.set()
        self._send(Reload())

    def cancel(self) -> None:
        """Let the loader end."""
        if self._life is not None:
            self._life.cancel()

    async def close(self) -> None:
        """Return when the loader has ended."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    @property
    def as_of(self) -> int | None:
        """The time of the newest data of a source that is in use, None before the first."""
        times = [each.as_of for each in self.status if each.in_use and each.as_of is not None]
        return max(times, default=None)

    # What the daemon tells

    def take(self, settings: Settings) -> None:
        """Go on with other sources, by another loader; nothing if they are the same."""
        if settings == self.settings:
            return
        self.name = ", ".join(source.label for source in settings.source)
        self.settings = settings
        self._start = msgspec.structs.replace(self._start, config=_tables(settings))
        if self._writer is not None:
            self._writer.close()

    def serve(self, serving: Serving) -> None:
        """Say what is served now, so that updates are compared with it; a later loader is told as well."""
        self._serving = msgspec.structs.replace(serving, serial=None)
        self._send(serving)

    async def ask(self, limit: int, covering: str | None = None, asn: int | None = None) -> dict[str, Any]:
        """The differences between sources, or who has what covers a prefix; FeedError: no answer."""
        self._asked += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._questions[self._asked] = answer
        try:
            self._send(Ask(self._asked, limit, covering, asn))
            async with asyncio.timeout(ANSWER_WAIT):
                return await answer
        except TimeoutError:
            raise FeedError("the loader does not answer: it is busy or is being started") from None
        finally:
            self._questions.pop(self._asked, None)

    def _send(self, message: ToLoader) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(message))

    # The life of loaders

    async def _live(self) -> None:
        """One loader after the other."""
        while True:
            began = time.monotonic()
            try:
                ended = await self._one()
            except Exception as error:
                ended = f"cannot be started: {type(error).__name__}: {error}"
            if ended is None:
                continue
            self.restarts += 1
            if time.monotonic() - began > HEALTHY:
                self._backoff.succeeded()
            self._backoff.failed()
            delay = self._backoff.delay(RETRY)
            fields = {"reason": ended, "step": ", ".join(self._under_way) or None, "again_in": delay}
            event(log, logging.ERROR, "loader failed, the last set stays", **fields)
            if not self._heard:
                self._take(Failed(f"{self.name}: loader failed: {ended}", True))
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._hurry.wait()

    async def _one(self) -> str | None:
        """One loader from start to end; why it ended, None if that was in order."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, _closed_on_error(ours):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "rtr_server.feed.loader",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = process.pid
        self._under_way = ()
        try:
            reader, self._writer = await asyncio.open_connection(sock=ours)
            self._send(self._start)
            self._send(self._serving)
            reason = await self._listen(reader)
        finally:
            if self._writer is not None:
                self._writer.close()
            self._writer = self.pid = None
            code = await _ended(process)
        if reason is None and code in (0, RECYCLED):
            return None
        return reason or (f"killed by signal {-code}" if code < 0 else f"exit code {code}")

    async def _listen(self, reader: asyncio.StreamReader) -> str | None:
        """Take what it says until it ends; why it must be ended, if so."""
        while True:
            try:
                async with asyncio.timeout(SILENCE):
                    message = await receive(reader)
            except TimeoutError:
                return f"silent for {SILENCE:g} s"
            except ChannelError as error:
                return str(error)
            if message is None:
                return None
            self._hear(message)  # type: ignore[arg-type]  # what else a loader would say falls through

    def _hear(self, message: FromLoader) -> None:
        match message:
            case Prepared() | Failed():
                self._take(message)
            case Step(names):
                self._under_way = names
            case Status(sources):
                self.status = sources
            case Logged(level, name, fields):
                event(log, level, name, **fields)
            case Encoded(number, version, path, count):
                with contextlib.suppress(OSError, ValueError):
                    self.encoded(number, version, _payload(path, count))
            case Answer(number, body) if number in self._questions:
                if not self._questions[number].done():  # who asked may have gone this very moment
                    self._questions[number].set_result(body)

    def _take(self, outcome: Prepared | Failed) -> None:
        """The latest set counts, and after it the latest failure."""
        if isinstance(outcome, Prepared):
            self._outcomes.clear()
        elif self._outcomes and isinstance(self._outcomes[-1], Failed):
            self._outcomes.pop()
        self._outcomes.append(outcome)
        self._news.set()

    # Files, in a thread

    def _open(self, prepared: Prepared) -> Ready:
        try:
            snapshot = Snapshot.open(prepared.path)
            encoded = {version: _payload(*file) for version, file in prepared.encoded.items()}
        except (RovError, OSError, ValueError) as error:
            raise FeedError(f"{self.name}: prepared set lost: {error}", temporary=True) from error
        return Ready(
            snapshot,
            prepared.skipped,
            as_of=prepared.as_of,
            number=prepared.number,
            path=prepared.path,
            encoded=encoded,
            losses=prepared.losses,
            sources=prepared.sources,
            expired=prepared.expired,
            slurm=prepared.slurm,
            filtered=prepared.filtered,
            seconds=prepared.seconds,
        )


@contextlib.contextmanager
def _closed_on_error(connection: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


async def _ended(process: asyncio.subprocess.Process) -> int:
    """The exit code of a loader that has been told to end, by the end of its socket, and is made to."""
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            if number is not None:
                process.send_signal(number)
        try:
            async with asyncio.timeout(TERM_WAIT):
                return await process.wait()
        except TimeoutError:
            continue
    return await process.wait()


def _payload(path: str, count: int) -> Payload:
    """The PDUs of a file, read in place."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return Payload(memoryview(b""), count)
        return Payload(memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)), count)


def _tables(value: object) -> Any:
    """A configuration as what TOML gives: without what is None, paths and prefixes as text."""
    if isinstance(value, msgspec.Struct):
        fields = {field.encode_name: getattr(value, field.name) for field in msgspec.structs.fields(value)}
        tag = value.__struct_config__
        named = {tag.tag_field: tag.tag} if tag.tag_field else {}
        return named | {key: _tables(item) for key, item in fields.items() if item is not None}
    if isinstance(value, tuple | list):
        return [_tables(item) for item in value]
    if isinstance(value, dict):
        return {key: _tables(item) for key, item in value.items()}
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value) if isinstance(value, float) else int(value)
    return str(value)
