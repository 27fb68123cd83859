"""Error codes, which version knows which, and which end a session (RFC 6810 §10, RFC 8210 and bis §12)."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """The error code of an Error Report.

    >>> ErrorCode.NO_DATA_AVAILABLE.label
    'no data available'
    """

    CORRUPT_DATA = 0
    INTERNAL_ERROR = 1
    NO_DATA_AVAILABLE = 2
    INVALID_REQUEST = 3
    UNSUPPORTED_PROTOCOL_VERSION = 4
    UNSUPPORTED_PDU_TYPE = 5
    WITHDRAWAL_OF_UNKNOWN_RECORD = 6
    DUPLICATE_ANNOUNCEMENT_RECEIVED = 7
    UNEXPECTED_PROTOCOL_VERSION = 8
    ASPA_PROVIDER_LIST_ERROR = 9
    TRANSPORT_FAILURE = 10
    ORDERING_ERROR = 11
    CACHE_RESTART = 12
    CACHE_SHUTDOWN = 13

    @property
    def label(self) -> str:
        """The name in lower case, as logs write it."""
        return self.name.lower().replace("_", " ")


_LAST_CODE = {
    0: ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED,
    1: ErrorCode.UNEXPECTED_PROTOCOL_VERSION,
    2: ErrorCode.CACHE_SHUTDOWN,
}

_SURVIVABLE = {
    0: frozenset({ErrorCode.NO_DATA_AVAILABLE}),
    1: frozenset({ErrorCode.NO_DATA_AVAILABLE}),
    2: frozenset(
        {ErrorCode.NO_DATA_AVAILABLE, ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, ErrorCode.CACHE_RESTART}
    ),
}


def is_defined(code: int, version: int) -> bool:
    """Whether this version knows the code; a peer treats one that it does not know as fatal.

    >>> is_defined(8, 0), is_defined(8, 1)
    (False, True)
    """
    return 0 <= code <= _LAST_CODE[version]


def is_fatal(code: int, version: int) -> bool:
    """Whether the code ends the session in this version; unknown codes do.

    >>> is_fatal(2, 1), is_fatal(4, 1), is_fatal(4, 2)
    (False, True, False)
    """
    return code not in _SURVIVABLE[version]


def code_label(code: int) -> str:
    """The name of a code in lower case, also of one that no version defines.

    >>> code_label(0), code_label(99)
    ('corrupt data', 'unknown code 99')
    """
    return ErrorCode(code).label if code in ErrorCode.__members__.values() else f"unknown code {code}"


class PduError(Exception):
    """A PDU that breaks the rules: ``code`` is what an Error Report says, ``pdu`` its erroneous octets."""

    def __init__(self, code: ErrorCode, text: str, pdu: bytes = b"") -> None:
        self.code = code
        self.text = text
        self.pdu = pdu
        super().__init__(f"{code.label}: {text}")
