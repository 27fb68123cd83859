"""The daemon's end of the control socket: a thin shell over ``codec`` and ``commands``.

Every client has bounds (how many, how long, how much), and what goes wrong with one ends that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Any

from rtr_server.control.codec import (
    MAX_REQUEST,
    Answer,
    ControlError,
    Lines,
    decode_request,
    encode_answer,
)
from rtr_server.control.commands import Commands

log = logging.getLogger(__name__)

MAX_CLIENTS = 16
"""At a time: people at terminals, and a monitor or two."""

IDLE = 300.0
"""Seconds that a client may be silent."""

WRITE_TIMEOUT = 30.0
"""Seconds for a client to take an answer: it is held in memory."""

CHUNK = 64 << 10
BACKLOG = 16

_CREDENTIALS = struct.Struct("3i")
"""Of SO_PEERCRED (unix(7)): process, user, group."""


class ControlSocketError(Exception):
    """The control socket cannot be made; the message names its path and says why."""


class ControlServer:
    """Answers requests at a unix socket until it is closed."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._made: tuple[Path, tuple[int, int]] | None = None

    @property
    def path(self) -> Path | None:
        """Where it listens, None if it does not."""
        return self._made[0] if self._made else None

    async def open(self, path: Path, mode: int = 0o600, group: str | None = None) -> None:
        """Listen at ``path``; ControlSocketError if that cannot be, as where another daemon does."""
        bound, identity = _bind(path, mode, group)
        self._made = path, identity
        self._server = await asyncio.start_unix_server(self._accept, sock=bound, limit=MAX_REQUEST)

    async def close(self) -> None:
        """Let everybody go, and remove the socket if it is still ours."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._made is not None:
            path, identity = self._made
            self._made = None
            with contextlib.suppress(OSError):
                _remove(path, identity)
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its first octet to its last."""
        task = asyncio.current_task()
        if task is None or len(self._clients) >= MAX_CLIENTS:
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # gone, too slow, or the daemon ends
        except Exception:
            log.exception("control client failed")
        finally:
            self._clients.discard(task)
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = Lines(MAX_REQUEST)
        while True:
            async with asyncio.timeout(IDLE):
                data = await reader.read(CHUNK)
            if not data:
                return
            try:
                complete = lines.receive_data(data)
            except ControlError as error:
                await _write(writer, Answer(ok=False, error=str(error)))
                return
            for line in complete:
                await _write(writer, await self._answer(line, writer))

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> Answer:
        """The answer to a line; a handler that fails is our fault, and told as such."""
        try:
            request = decode_request(line)
            command = self._commands.find(request.command)
            if command.changes:
                asked = {key: value for key, value in request.arguments.items() if value is not None}
                ours: dict[str, Any] = {"command": request.command, **_user(writer)}
                # first, and last as well: whoever asks may name arguments as he likes
                fields = {**ours, **asked, **ours}
                log.info("control command", extra={"fields": fields})
            return await self._commands.run(request)
        except ControlError as error:
            return Answer(ok=False, error=str(error))
        except Exception as error:
            log.exception("control command failed", extra={"fields": {"line": line[:200]}})
            return Answer(ok=False, error=f"internal error: {type(error).__name__}")


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    try:
        octets = encode_answer(answer)
    except (TypeError, ValueError):
        log.exception("control answer cannot be encoded")
        octets = encode_answer(Answer(ok=False, error="internal error: the answer cannot be encoded"))
    writer.write(octets)
    async with asyncio.timeout(WRITE_TIMEOUT):
        await writer.drain()


def _user(writer: asyncio.StreamWriter) -> dict[str, int]:
    """Who asks, as the kernel knows it."""
    connection = writer.get_extra_info("socket")
    try:
        octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except (OSError, AttributeError):
        return {}
    process, user, _ = _CREDENTIALS.unpack(octets)
    return {"uid": user, "pid": process}


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _remove(path: Path, identity: tuple[int, int]) -> None:
    if _identity(path) == identity:
        path.unlink()


def _bind(path: Path, mode: int, group: str | None) -> tuple[socket.socket, tuple[int, int]]:
    """A listening socket at ``path`` and its inode; before its mode is right, only the owner can reach it."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _remove_stale(path)
        previous = os.umask(0o177)
        try:
            bound.bind(os.fspath(path))
        finally:
            os.umask(previous)
        if group is not None:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(mode)
        bound.listen(BACKLOG)
        identity = _identity(path)
    except (OSError, KeyError) as error:
        bound.close()
        reason = f"no such group: {group}" if isinstance(error, KeyError) else error.strerror or str(error)
        raise ControlSocketError(f"control socket {path}: {reason}") from error
    except ControlSocketError:
        bound.close()
        raise
    return bound, identity


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody serves any more, as after kill -9; one that is served is an error."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ControlSocketError(f"control socket {path}: there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.settimeout(1.0)
        try:
            asked.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ControlSocketError(f"control socket {path}: another daemon serves it")
