"""The command line's end of the control socket: ask, and wait for the answer."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from rtr_server.control.codec import (
    MAX_ANSWER,
    ControlError,
    Lines,
    Request,
    decode_answer,
    encode_request,
)

TIMEOUT = 60.0
"""Seconds for an answer: commands that load data may take a while."""

CHUNK = 256 << 10


class ControlClient:
    """A connection to a daemon, for several questions. ControlError and OSError name the socket.

    Use it as a context manager.
    """

    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._lines = Lines(MAX_ANSWER)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(os.fspath(path))
        except OSError as error:
            self._socket.close()
            raise ControlError(f"{path}: {_reason(error)}") from error

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        """The result of a command; ControlError if the daemon refuses it, is gone or does not answer."""
        try:
            self._socket.sendall(encode_request(Request(command, arguments)))
            while not (lines := self._lines.receive_data(octets := self._socket.recv(CHUNK))):
                if not octets:
                    raise ControlError(f"{self._path}: the daemon closed the connection")
        except OSError as error:
            raise ControlError(f"{self._path}: {_reason(error)}") from error
        answer = decode_answer(lines[0])
        if not answer.ok:
            raise ControlError(answer.error or "refused")
        return answer.result


def ask(path: Path, command: str, **arguments: Any) -> Any:
    """One question to the daemon that listens at ``path``; ControlError as in ``ControlClient``."""
    with ControlClient(path) as client:
        return client.ask(command, **arguments)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such socket; is the daemon running, with [control] in its configuration?"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there; the daemon has ended"
    if isinstance(error, TimeoutError):
        return "no answer"
    return error.strerror or str(error)
