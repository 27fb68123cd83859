"""The loader process: a pipeline at one end of a socket pair, the daemon at the other.

Started by the daemon as ``python -m rtr_server.feed.loader FD``. It ends when the daemon does, however that
ends, and by itself when it has grown: then the daemon starts another one, which goes on where this one was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from rov import ArchiveError, archive
from rtr_server.child import settle
from rtr_server.config.reader import build
from rtr_server.feed.messages import (
    Ask,
    Failed,
    FromLoader,
    Logged,
    Reload,
    Serving,
    Start,
    encode,
    receive,
)
from rtr_server.feed.pipeline import Pipeline
from rtr_server.feed.settings import Settings
from rtr_server.logs import event, fields_of

log = logging.getLogger(__name__)

RECYCLED = 75
"""Exit code of a loader that wants to be started anew (EX_TEMPFAIL of sysexits.h)."""

RECYCLE_OCTETS = 160 << 20
"""Resident memory at which a loader that has nothing to do ends: what 700,000 VRPs leave behind is less."""

RECYCLE_AFTER = 3
"""Sets before that, whatever the memory: a large feed must not restart for ever."""

MAX_DATA = 4 << 30
"""Octets of memory that a loader may ask for."""

MAX_BACKLOG = 8 << 20
"""Octets of messages that the daemon has not read: log lines beyond that are dropped."""


class _Handler(logging.Handler):
    """Log records as messages, from whatever thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self._loop = loop
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        fields = {key: _plain(value) for key, value in fields_of(record).items()}
        frame = encode(Logged(record.levelno, record.getMessage()[:200], fields))
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
            self._loop.call_soon_threadsafe(self._write, frame)

    def _write(self, frame: bytes) -> None:
        if self._writer.transport.get_write_buffer_size() < MAX_BACKLOG:
            self._writer.write(frame)


def _plain(value: object) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:1_000]


def main(descriptor: int) -> int:
    """Serve the daemon at the other end of a socket; the exit code."""
    settle(MAX_DATA)
    connection = socket.socket(fileno=descriptor)
    with contextlib.suppress(asyncio.CancelledError):
        return asyncio.run(_serve(connection))
    return 0


async def _serve(connection: socket.socket) -> int:
    reader, writer = await asyncio.open_connection(sock=connection)
    loop = asyncio.get_running_loop()
    root = logging.getLogger("rtr_server")
    root.handlers[:] = [_Handler(loop, writer)]
    root.setLevel(logging.DEBUG)
    start = await receive(reader)
    if not isinstance(start, Start):
        return 2

    def emit(message: FromLoader) -> None:
        writer.write(encode(message))

    history = _archive(start)
    settings = build(start.config, Settings, name="the daemon", base=Path("/"))
    directory = Path(start.directory)
    pipeline = Pipeline(
        settings, directory, time.time, emit, ignore_expiry=start.ignore_expiry, history=history
    )
    running = [
        asyncio.create_task(pipeline.run()),
        asyncio.create_task(_listen(reader, writer, pipeline)),
        asyncio.create_task(_grown(pipeline)),
    ]
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running[1].cancel)
    done, left = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            emit(Failed(f"loader: {type(error).__name__}: {error}", True))
            log.error("loader failed", exc_info=error)
            await asyncio.sleep(0)
    with contextlib.suppress(OSError):
        await writer.drain()
    return RECYCLED if running[2] in done else 0


async def _listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pipeline: Pipeline) -> None:
    """What the daemon says, until it says no more."""
    while (message := await receive(reader)) is not None:
        match message:
            case Serving():
                await pipeline.serving(message)
            case Reload():
                pipeline.reload()
            case Ask():
                writer.write(encode(await pipeline.answer(message)))


async def _grown(pipeline: Pipeline) -> None:
    """Return when this process has grown and done its work."""
    # memory has no event
    while pipeline.prepared < RECYCLE_AFTER or pipeline.busy or _resident() < RECYCLE_OCTETS:  # noqa: ASYNC110
        await asyncio.sleep(1.0)
    event(log, logging.DEBUG, "loader has grown and is started anew", octets=_resident())


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def _archive(start: Start) -> archive.Archive | None:
    if start.archive is None:
        return None
    try:
        history = archive.Archive(start.archive, start.archive_keep, start.archive_octets)
    except ArchiveError as error:
        event(log, logging.ERROR, "updates are not recorded", error=error)
        return None
    for note in history.notes:
        event(log, logging.WARNING, "archive", note=note)
    return history


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1])))
