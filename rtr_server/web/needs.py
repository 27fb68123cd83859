"""What handlers need before they answer."""

from __future__ import annotations

from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.problems import Problem

WAIT = {"Retry-After": "5"}


def served(daemon: Daemon) -> Served:
    """The set; 503 before the first, and where it is withheld."""
    if daemon.served is None:
        raise Problem(503, "Initial validation ongoing. Please wait.", WAIT)
    if not daemon.ready():
        raise Problem(503, "The data are too old and are withheld ([stale] action is close).", WAIT)
    return daemon.served
