"""What a cache session tells its owner, for logs and metrics; nothing here has to be acted upon."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec


class SessionState(StrEnum):
    """Where a session stands; ``session`` has the drawing."""

    NEW = "new"
    REFUSED = "refused"
    NEGOTIATED = "negotiated"
    OPEN = "open"
    CLOSED = "closed"


class CloseReason(StrEnum):
    """Why a session came to its end."""

    END_OF_FILE = "end of file"
    ERROR_SENT = "error sent"
    ERROR_RECEIVED = "error received"
    NO_QUERY = "no query"
    PARTIAL_PDU = "partial PDU"
    STALLED = "stalled"
    FLOOD = "flood"
    RESTART = "restart"
    SHUTDOWN = "shutdown"
    INTERNAL = "internal"


class Kind(StrEnum):
    """The two queries, and the two responses that answer them."""

    FULL = "full"
    DIFF = "diff"


class Negotiated(msgspec.Struct, frozen=True):
    """The first query that we can answer fixed the version of the session."""

    version: int


class QueryReceived(msgspec.Struct, frozen=True):
    """A Reset Query (FULL) or a Serial Query (DIFF) with its session id and serial."""

    kind: Kind
    session_id: int | None = None
    serial: int | None = None


class ResponseStarted(msgspec.Struct, frozen=True):
    """A response begins: its serial, its PDUs of payload, and all its octets."""

    kind: Kind
    serial: int
    count: int
    octets: int


class ResponseFinished(msgspec.Struct, frozen=True):
    """The transport took the last octet of a response; ``seconds`` since it began."""

    kind: Kind
    serial: int
    octets: int
    seconds: float


class CacheResetSent(msgspec.Struct, frozen=True):
    """The router's serial is not known: it will ask for everything."""

    serial: int


class NotifySent(msgspec.Struct, frozen=True):
    """A Serial Notify is queued."""

    serial: int


class ErrorSent(msgspec.Struct, frozen=True):
    """An Error Report is queued, stamped with version."""

    version: int
    code: int
    text: str


class ErrorReceived(msgspec.Struct, frozen=True):
    """The router sent an Error Report; text is fit for a log, malformed says that its lengths were wrong."""

    version: int
    code: int
    text: str
    malformed: bool = False


class Closed(msgspec.Struct, frozen=True):
    """The session takes no more input; a response that was under way may still finish."""

    reason: CloseReason


Event: TypeAlias = (
    Negotiated
    | QueryReceived
    | ResponseStarted
    | ResponseFinished
    | CacheResetSent
    | NotifySent
    | ErrorSent
    | ErrorReceived
    | Closed
)
