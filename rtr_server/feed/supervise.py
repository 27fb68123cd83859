"""What stands between the loader and a program that it runs: a program whose loader dies ends with it.

Run as ``python -I -S supervise.py PARENT PROGRAM [ARGUMENT ...]``, at the head of a process group. The kernel
tells it when the loader PARENT is gone, however that ended; then the whole group is ended. It ends as the
program does. Nothing of the project is imported: it starts in the time of an interpreter.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from types import FrameType

TERM_SECONDS = 5
"""What the program gets to clean up before it is killed."""

NOT_FOUND = 127
"""Exit code where there is no such program, as shells have it."""

_PR_SET_PDEATHSIG = 1


def main(parent: int, argv: list[str]) -> int:
    """Run a program and wait for it; its exit code. Ends by the same signal as the program."""
    signal.signal(signal.SIGTERM, _end_group)
    signal.signal(signal.SIGALRM, _kill_group)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before that
        return 1
    try:
        child = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=[signal.SIGTERM, signal.SIGALRM])
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        return NOT_FOUND
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _end_group(number: int, frame: FrameType | None) -> None:
    """Ask all to end, ourselves excepted: who is left after a while is killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    signal.alarm(TERM_SECONDS)


def _kill_group(number: int, frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), sys.argv[2:]))
