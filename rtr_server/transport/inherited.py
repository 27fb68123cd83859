"""Sockets that systemd has opened for us (sd_listen_fds(3)): ports below 1024 without privileges."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from rtr_server.transport.errors import TransportError

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""

DEFAULT_NAME = "unknown"
"""What systemd calls a socket where it says no names."""


def inherited_sockets(environ: MutableMapping[str, str] | None = None) -> dict[str, list[socket.socket]]:
    """The listening sockets that were passed to this process, by FileDescriptorName=; none without systemd.

    The variables are removed, so that no child takes them for its own. TransportError: what was passed is
    no listening TCP socket.

    >>> inherited_sockets({})
    {}
    """
    variables = os.environ if environ is None else environ
    pid, count, names = (variables.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    known = names.split(":") if names else []
    found: dict[str, list[socket.socket]] = {}
    for number in range(int(count)):
        name = known[number] if number < len(known) else DEFAULT_NAME
        found.setdefault(name, []).append(_socket(FIRST_DESCRIPTOR + number, name))
    return found


def _socket(descriptor: int, name: str) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        passed = socket.socket(fileno=descriptor)
        listening = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise TransportError(f"descriptor {descriptor} of systemd ({name}): {error.strerror}") from error
    stream = passed.family in (socket.AF_INET, socket.AF_INET6) and passed.type == socket.SOCK_STREAM
    if not (listening and stream):
        passed.detach()
        raise TransportError(
            f"descriptor {descriptor} of systemd ({name}): expected ListenStream= with a TCP port, Accept=no"
        )
    passed.setblocking(False)
    return passed
