"""The command ``rov``: ends in order from its first moment on.

It lies beside the package, as whatever is imported of a package imports that whole first.
"""

import os
import signal


def main() -> int:
    """Import the command and run it; the exit code.

    Until it is there, Ctrl-C ends the process on the spot: an exception in the midst of imports would be a
    traceback, or an abort where C++ is being initialized. Where it is ignored, as in the background of a
    script, it stays so.
    """
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from rov.cli import main as command

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return command()


if __name__ == "__main__":
    raise SystemExit(main())
