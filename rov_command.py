"""The command ``rov``: ends in order from its first moment on.

It lies beside the package, as whatever is imported of a package imports that whole first.
"""

import os
import signal


def end_on_interrupt() -> bool:
    """Until the command is there, Ctrl-C ends the process on the spot; False: it is ignored, and stays so.

    An exception in the midst of imports would be a traceback, or an abort where C++ is being initialized. In
    the background of a script Ctrl-C is ignored.
    """
    heeded = signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _end)
    if heeded:
        signal.signal(signal.SIGINT, _end)
    return heeded


def _end(*_: object) -> None:
    os._exit(130)


def main() -> int:
    """Import the command and run it; the exit code."""
    heeded = end_on_interrupt()
    from rov._pandas import keep_out
    from rov.cli import main as command

    keep_out()
    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return command()


if __name__ == "__main__":
    raise SystemExit(main())
