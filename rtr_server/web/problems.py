"""What went wrong with a request, as an exception: a problem document (RFC 9457) on paths of our own."""

from __future__ import annotations

import http
from typing import Any

import msgspec

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818  # the word of RFC 9457
    """A request that gets no answer: its status, why in a sentence, headers and further members with it.

    >>> Problem(404, "no such page").body()
    b'{"type":"about:blank","title":"Not Found","status":404,"detail":"no such page","error":"no such page"}'
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: dict[str, str] | None = None,
        members: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.members = members or {}

    def document(self) -> dict[str, Any]:
        """What is told; under ``error`` as well, where a tool that was written for Routinator looks."""
        title = http.HTTPStatus(self.status).phrase
        head = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        return head | {"error": self.detail} | self.members

    def body(self) -> bytes:
        """The document as JSON."""
        return msgspec.json.encode(self.document())


def shown(value: str, most: int = 100) -> str:
    """What a stranger sent, quoted, cut and in printable ASCII.

    >>> shown("x" * 200)[:5], shown("\\n")
    ("'xxxx", "'\\\\n'")
    """
    return ascii(value if len(value) <= most else f"{value[:most]}...")
