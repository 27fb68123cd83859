"""The command ``rtr-server``, also ``python -m rtr_server``: ends in order from its first moment on."""

import os
import signal


def main() -> None:
    """Import the subcommands and run one.

    Until they are there, Ctrl-C ends the process on the spot: an exception in the midst of imports would be
    a traceback, or an abort where C++ is being initialized.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from rov._pandas import keep_out
    from rtr_server.cli import main as command

    keep_out()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command()


if __name__ == "__main__":
    main()
