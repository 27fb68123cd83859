"""``[http]``: the HTTP side, which is off where no address is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from rtr_server.config.faults import SectionError
from rtr_server.config.section import Section
from rtr_server.config.values import Octets, Seconds
from rtr_server.endpoint import Endpoint

MIN_TOKEN = 16
"""Characters of a bearer token at least: shorter ones can be guessed."""

Alias = Literal["routinator", "stayrtr"]


class Http(Section, frozen=True, kw_only=True):
    """``[http]``: API, metrics and pages over HTTP; changed by a restart only; SIGHUP reads its files again.

    >>> Http().listen
    ()
    """

    listen: tuple[Endpoint, ...] = ()
    """Where HTTP is served; without it: nowhere."""

    certificate: Path | None = None
    """PEM: the certificate, followed by its intermediate ones; with it HTTPS (TLS 1.2 or later) is spoken."""

    key: Path | None = None
    """PEM: its private key, not encrypted."""

    token: Path | None = None
    """A file with a bearer token that all requests must bear but those to /healthz and /readyz."""

    max_connections: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1_024
    """Connections in all; one more gets 503 and is closed."""

    max_connections_per_address: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 128
    """From one address; those from this machine itself are not counted."""

    max_body: Octets = Octets(256 << 20)
    """Octets of a request's body, before and after content decoding."""

    uploads: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 16
    """Bodies of many routes that are taken at one time; one more gets 503."""

    header_timeout: Seconds = Seconds(10)
    """Until the head of a request is complete, TLS handshake included."""

    body_timeout: Seconds = Seconds(300)
    """Until the body of a request is complete, however it progresses."""

    stall: Seconds = Seconds(30)
    """Without progress, in a body that comes or in an answer that goes."""

    idle: Seconds = Seconds(75)
    """Between two requests of a connection."""

    heavy: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    """Large answers that are made at one time, each in a thread; more wait for their turn."""

    cache: Octets = Octets(256 << 20)
    """Octets of large answers that are kept for those who ask the same."""

    metric_aliases: tuple[Alias, ...] = ()
    """Whose metric names `/metrics` has beside ours."""

    router_metrics: bool = False
    """Whether `/metrics` has some for each router, by its address."""

    rib: tuple[Path, ...] = ()
    """RIB dumps, as `rov` reads them: API and pages judge their routes; read again when they change."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise SectionError(missing, "missing: expected certificate and key, or neither")

    def check(self) -> Iterator[SectionError]:
        """The files must be there, and the token be one."""
        for name in ("certificate", "key"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                yield SectionError(name, f"{path}: no such file")
        for number, dump in enumerate(self.rib, 1):
            if not dump.is_file():
                yield SectionError(f"rib[{number}]", f"{dump}: no such file")
        if self.token is not None:
            try:
                read_token(self.token)
            except (OSError, ValueError) as error:
                yield SectionError("token", f"{self.token}: {getattr(error, 'strerror', None) or error}")


def read_token(path: Path) -> str:
    """The token of a file, without the blanks around it; OSError, ValueError.

    >>> read_token(Path("/dev/null"))
    Traceback (most recent call last):
    ValueError: expected a token of at least 16 printable ASCII characters without blanks
    """
    token = path.read_bytes().strip()
    if len(token) < MIN_TOKEN or not all(0x21 <= octet <= 0x7E for octet in token):
        raise ValueError(
            f"expected a token of at least {MIN_TOKEN} printable ASCII characters without blanks"
        )
    return token.decode("ascii")
