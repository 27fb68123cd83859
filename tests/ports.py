"""Ports for servers of the tests that cannot be asked for port 0.

None of those that the kernel gives to outgoing connections: a test with a thousand routers in the process
beside this one takes any of them as a source port, in the moment before the server binds it. And a share of
its own for each worker of xdist.
"""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

COUNT = 12_000
"""Ports below the range of outgoing connections that are used."""

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")

_chosen = random.SystemRandom()
_given: set[int] = set()


def _first_outgoing() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except OSError:
        return 32_768


def free_port() -> int:
    """A TCP port of 127.0.0.1 and ::1 that nobody has, another one at each call of this process."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    end = _first_outgoing()
    share = range(max(1_024, end - COUNT) + number, end, workers)
    while True:
        port = _chosen.choice(share)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe, socket.socket(socket.AF_INET6) as probe6:
        try:
            probe.bind(("127.0.0.1", port))
            probe6.bind(("::1", port))
        except OSError:
            return False
    return True
