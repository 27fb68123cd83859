"""Taken along by the daemons of these tests alone: the product has no way to be asked for any of this.

FAULTS_DIRECTORY holds ``clock``, seconds by which the wall clock is ahead, and ``held``, the step in which
the loader is to stand still; it leaves a file ``in STEP`` when it does.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

_directory = Path(os.environ.get("FAULTS_DIRECTORY", "/nonexistent"))
_wall = time.time


def _ahead():
    with contextlib.suppress(OSError, ValueError):
        return _wall() + float((_directory / "clock").read_text())
    return _wall()


time.time = _ahead


def _hold():
    from rtr_server.feed.steps import Steps

    begin = Steps.begin

    def stand(self, name):
        begin(self, name)
        with contextlib.suppress(OSError):
            if (_directory / "held").read_text() == name:
                time.sleep(0.3)  # the loop of this process says where we are
                (_directory / f"in {name}").touch()
                time.sleep(600)

    Steps.begin = stand


if "rtr_server.feed.loader" in sys.orig_argv:
    _hold()
