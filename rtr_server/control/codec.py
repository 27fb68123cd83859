"""Lines of the control protocol: octets in, requests and answers out; no input or output.

Version 1. A line that is no request gets an answer that says so; one that is too long ends the
connection, as there is no telling where the next one begins.
"""

from __future__ import annotations

from typing import Any

import msgspec

VERSION = 1
"""Raised when an old client would misread an answer; a new command or a new field is no reason."""

MAX_REQUEST = 64 << 10
"""Octets of a request line: a command and a few short arguments."""

MAX_ANSWER = 64 << 20
"""Octets of an answer line that a client takes: 100,000 sessions of 600 octets."""


class ControlError(Exception):
    """A request that cannot be understood or carried out; the message is the answer."""


class Request(msgspec.Struct, frozen=True):
    """What a client asks.

    >>> Request("sessions").arguments
    {}
    """

    command: str
    arguments: dict[str, Any] = {}
    v: int = VERSION


class Answer(msgspec.Struct, frozen=True):
    """What it is told: a result (any JSON), or an error as a text."""

    ok: bool
    result: Any = None
    error: str | None = None
    v: int = VERSION


class Lines:
    """Cuts octets into lines of bounded length.

    >>> lines = Lines(100)
    >>> lines.receive_data(b'{"v":'), lines.receive_data(b"1}\\n{}\\nx")
    ([], [b'{"v":1}', b'{}'])
    """

    def __init__(self, max_octets: int) -> None:
        self._max_octets = max_octets
        self._rest = bytearray()

    def receive_data(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their end; ControlError if one is too long."""
        searched = len(self._rest)
        self._rest += data
        if self._rest.find(b"\n", searched) >= 0:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
        else:
            lines = []
        if len(self._rest) > self._max_octets or any(len(line) > self._max_octets for line in lines):
            raise ControlError(f"line longer than {self._max_octets:,} octets")
        return lines

    @property
    def partial(self) -> bool:
        """Whether a line has begun."""
        return bool(self._rest)


_requests = msgspec.json.Decoder(Request)
_answers = msgspec.json.Decoder(Answer)


def decode_request(line: bytes) -> Request:
    """A request from its line; ControlError says what is wrong with it.

    >>> decode_request(b'{"v": 1, "command": "status"}').command
    'status'
    """
    try:
        request = _requests.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError(f"no request: {error}") from error
    if request.v != VERSION:
        raise ControlError(f"version {request.v}: expected {VERSION}")
    return request


def encode_request(request: Request) -> bytes:
    """The line of a request."""
    return msgspec.json.encode(request) + b"\n"


def decode_answer(line: bytes) -> Answer:
    """An answer from its line; ControlError where it is none.

    >>> decode_answer(b'{"v": 1, "ok": true, "result": 5}').result
    5
    """
    try:
        answer = _answers.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError(f"no answer: {error}") from error
    if answer.v != VERSION:
        raise ControlError(f"the daemon speaks version {answer.v} of the control protocol, we {VERSION}")
    return answer


def encode_answer(answer: Answer) -> bytes:
    """The line of an answer."""
    return msgspec.json.encode(answer) + b"\n"
