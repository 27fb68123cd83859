"""The sections about the service itself: timers told to routers, saved state, log, control socket."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rov import ArgumentError
from rtr_server.config.faults import SectionError
from rtr_server.config.section import Section
from rtr_server.config.values import Octal, Seconds
from rtr_server.protocol.source import Timing

MAX_SOCKET_PATH = 107
"""Octets of a unix socket's path that Linux takes (unix(7))."""


class Timers(Section, frozen=True):
    """``[timers]``: what End of Data tells routers of versions 1 and 2 (RFC 8210 §6).

    >>> Timers(refresh=Seconds(300)).timing.refresh
    300
    """

    refresh: Seconds = Seconds(Timing().refresh)
    """How often a router asks when nobody notifies it: 1s to 1d."""

    retry: Seconds = Seconds(Timing().retry)
    """How long it waits after a query that failed: 1s to 2h."""

    expire: Seconds = Seconds(Timing().expire)
    """How long it keeps data without hearing of us: 10m to 2d, more than the other two."""

    def __post_init__(self) -> None:
        for name in ("refresh", "retry", "expire"):
            if (value := getattr(self, name)) % 1:
                raise SectionError(name, f"{value}: expected whole seconds")
        try:
            _ = self.timing
        except ArgumentError as error:
            key, _, text = str(error).partition(" ")
            raise SectionError(key, text) from error

    @property
    def timing(self) -> Timing:
        """As the protocol wants it."""
        return Timing(int(self.refresh), int(self.retry), int(self.expire))


class State(Section, frozen=True):
    """``[state]``: what survives a restart.

    >>> State().directory is None
    True
    """

    directory: Path | None = None
    """Where session ids, serial, set and deltas are kept; without it routers start anew after a restart."""


class Log(Section, frozen=True):
    """``[log]``: what is written to standard error.

    >>> Log().level
    'info'
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written; debug has each query and each notify."""

    format: Literal["text", "json"] = "text"
    """A line of text with key=value, or a JSON object a line."""


def _runtime_socket() -> Path | None:
    """Where systemd made us a directory, the socket is in it."""
    directory = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(directory, "control.sock") if directory else None


class Control(Section, frozen=True):
    """``[control]``: the local socket for ``rtr-server sessions``, ``kick`` and ``status``.

    >>> str(Control().mode)
    '0600'
    """

    socket: Path | None = None
    """Its path; without it: control.sock in the RuntimeDirectory of systemd, else no socket."""

    mode: Octal = Octal(0o600)
    """Who may use it: whoever may write to it may end sessions."""

    group: str | None = None
    """The group that owns it, for mode "0660"."""

    def __post_init__(self) -> None:
        if self.socket is not None and len(os.fsencode(self.socket)) > MAX_SOCKET_PATH:
            raise SectionError(
                "socket", f"{self.socket}: expected a path of at most {MAX_SOCKET_PATH} octets"
            )

    @property
    def path(self) -> Path | None:
        """Where the socket is, None if there is none."""
        return self.socket or _runtime_socket()

    def check(self) -> Iterator[SectionError]:
        """The group must be known. The directory need not be there: systemd makes it at the start."""
        if self.group is not None:
            try:
                grp.getgrnam(self.group)
            except KeyError:
                yield SectionError("group", f"{self.group!r}: no such group")
