"""What systemd is told of the daemon (sd_notify(3)): ready, reloading, stopping, alive; elsewhere nothing.

It is one datagram of KEY=VALUE lines to the socket that NOTIFY_SOCKET names, which needs no library. The
watchdog is fed from the event loop: a loop that hangs feeds it no more, and systemd starts the daemon anew,
with its saved state. How fresh the data are is told in the status and left to ``[stale]``: a restart brings
no newer ones.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

from rtr_server.logs import event

log = logging.getLogger(__name__)

STATUS_INTERVAL = 10.0
"""Seconds between two looks at the status line, where no watchdog asks for more of them."""

FEEDS_PER_WATCH = 3
"""Times that the watchdog is fed in its interval: sd_watchdog_enabled(3) asks for two, one may come late."""

STARTING = 60.0
"""Seconds that systemd is asked to wait longer, again and again while the first set is loaded."""

MICROSECONDS = 1_000_000


class Systemd:
    """The service manager, as the environment names it; without one, nothing is sent.

    >>> Systemd({}).watched is None
    True
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status: str | None = None
        self._failed = False
        self.watched = _watchdog(environment)
        """Seconds in which the watchdog wants to hear of us, None if there is none."""

    def ready(self) -> None:
        """The daemon serves, for the first time or again after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(time.monotonic() * MICROSECONDS)}")

    def stopping(self, why: str) -> None:
        """The daemon ends."""
        self._send("STOPPING=1", f"STATUS={_line(why)}")

    def starting(self) -> None:
        """The start takes longer: the first set is still being loaded."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(STARTING * MICROSECONDS)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watched is not None:
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``, sent where it changed."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={_line(text)}")

    async def attend(self, status: Callable[[], str]) -> None:
        """Feed the watchdog and keep the status line up to date, until cancelled."""
        if not self._address:
            return
        interval = STATUS_INTERVAL if self.watched is None else self.watched / FEEDS_PER_WATCH
        while True:
            self.alive()
            self.status(status())
            await asyncio.sleep(min(interval, STATUS_INTERVAL))

    async def attend_start(self) -> None:
        """Ask for more time, until cancelled."""
        while self._address:
            self.starting()
            self.alive()
            await asyncio.sleep(min(self.watched or STARTING, STARTING) / FEEDS_PER_WATCH)

    def _send(self, *lines: str) -> None:
        """One datagram; a manager that does not take it is told of once, and harms nothing."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._failed:
                self._failed = True
                event(log, logging.WARNING, "systemd not told", error=error, lines=" ".join(lines))


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """The interval that the service manager set for this process (sd_watchdog_enabled(3))."""
    text, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text.isascii() or not text.isdecimal() or int(text) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(text) / MICROSECONDS


def _line(text: str) -> str:
    return " ".join(text.split())
