"""What processes that the daemon starts do first: end when it does, ask for little, step back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from pathlib import Path

from rov._pandas import keep_out

_PR_SET_PDEATHSIG = 1


def settle(most: int, *, nice: int = 0) -> None:
    """Be ended when the daemon ends, take so many octets of memory at most, be the first that the kernel
    sacrifices; ``nice`` as in nice(1).

    The limit turns a bug or a hostile file into an error instead of a machine that swaps.
    """
    keep_out()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    with contextlib.suppress(OSError):  # rather this process than the one that routers talk to
        Path("/proc/self/oom_score_adj").write_text("500")
    with contextlib.suppress(OSError):
        os.nice(nice)
