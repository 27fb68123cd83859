"""What every request passes: the bearer token, headers of every answer, counts for the metrics."""

from __future__ import annotations

import base64
import email.utils
import hmac
import re
import time
from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtr_server.web.problems import MEDIA_TYPE, Problem
from rtr_server.web.protocol import Traffic
from rtr_server.web.vrps import FORMATS

OPEN = frozenset({"/healthz", "/readyz"})
"""Paths without a token: load balancers have none."""

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

POLICY = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
)
"""Nothing from outside, nothing inline; pages are told the same as the rest."""


PUBLIC = re.compile(
    r"/(api/v1/(validity/.*|origins/[a-z0-9]*)|validity|version|json-delta(/notify)?|summary|"
    rf"{'|'.join(FORMATS)})"
)
"""Routinator's paths that tell of the RPKI and not of this network: scripts of any page may read them."""

SHARED = (b"access-control-allow-origin", b"*")


class Gate:
    """An ASGI application in front of another. ``token``: what requests must bear, None: nothing."""

    def __init__(self, app: ASGIApp, traffic: Traffic, token: str | None) -> None:
        self._app = app
        self._traffic = traffic
        self.bear(token)
        self.requests: Counter[tuple[str, int]] = Counter()
        """Answers by method and status."""
        self.current = 0

    def bear(self, token: str | None) -> None:
        """From now on this is the token."""
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        self.current += 1
        status = 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers(scope["path"])]
            elif scope["method"] != "HEAD":
                self._traffic.octets_out += len(message.get("body", b""))
            await send(message)

        try:
            if self._token is not None and scope["path"] not in OPEN and not self._bears(scope):
                await refuse(sent)
            else:
                await self._app(scope, receive, sent)
        finally:
            self.current -= 1
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.requests[method, status] += 1
            self._traffic.requests += 1

    def _bears(self, scope: Scope) -> bool:
        assert self._token is not None, "asked where there is one"
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(borne(given[0]), self._token)

    def _headers(self, path: str) -> tuple[tuple[bytes, bytes], ...]:
        date = email.utils.formatdate(time.time(), usegmt=True).encode()
        shared = (SHARED,) if PUBLIC.fullmatch(path) else ()
        return ((b"date", date), (b"server", b"rovkit"), *HEADERS, POLICY, *shared)


def borne(authorization: bytes) -> bytes:
    """The token in the value of an Authorization header, b"" if there is none.

    Of Bearer (RFC 6750), or, since browsers send nothing else, the password of Basic (RFC 7617); the name of
    the scheme in any case, and with any blanks behind it (RFC 9110 section 11.4).

    >>> borne(b"Bearer x"), borne(b"bearer  x"), borne(b"x")
    (b'x', b'x', b'')
    >>> borne(b"Basic " + base64.b64encode(b"anybody:x"))
    b'x'
    """
    scheme, _, value = authorization.partition(b" ")
    scheme, value = scheme.lower(), value.strip(b" ")
    if scheme == b"bearer":
        return value
    if scheme != b"basic":
        return b""
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except ValueError:
        return b""


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
"""What is counted by name: a stranger's words must not become names of metrics."""


async def refuse(send: Send) -> None:
    """401."""
    body = Problem(401, "expected Authorization: Bearer TOKEN, or Basic with the token as password").body()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b'Bearer realm="rtr-server"'),
        (b"www-authenticate", b'Basic realm="rtr-server: the token as password", charset="UTF-8"'),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
