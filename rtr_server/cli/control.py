"""What the commands that talk to a running daemon share: where its control socket is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rtr_server.config import ConfigError, read_config
from rtr_server.control.codec import ControlError

USUAL_SOCKET = Path("/run/rtr-server/control.sock")
"""Where the unit file in contrib/systemd puts it."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def socket_options(command: Decorated) -> Decorated:
    """The options ``--control PATH`` and ``--config FILE`` of a command that asks the daemon."""
    config = click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="RTR_SERVER_CONFIG",
        help="The daemon's configuration file, which says where the socket is.",
    )
    control = click.option(
        "--control",
        type=click.Path(path_type=Path),
        envvar="RTR_SERVER_CONTROL",
        help=f"The daemon's control socket. [default: as --config says, else {USUAL_SOCKET}]",
    )
    return control(config(command))


def socket_path(control: Path | None, config: Path | None) -> Path:
    """Where to ask; ConfigError or ControlError where that is nowhere."""
    if control is not None:
        return control
    if config is None:
        return USUAL_SOCKET
    path = read_config(config).control.path
    if path is None:
        if USUAL_SOCKET.exists():
            return USUAL_SOCKET
        raise ControlError(f"{config}: no control.socket in it (--control PATH names one)")
    return path


FAILURES = (ControlError, ConfigError)
"""What these commands end with, as a line."""
