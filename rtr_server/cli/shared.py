"""What the subcommands of ``rtr-server`` share: exit codes, argument types, how a failure is told."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import click

from rov import ArgumentError
from rtr_server.endpoint import Endpoint

BROKEN = 1
FAILURE = 2
INTERRUPTED = 130


class _EndpointType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Endpoint:
        try:
            return value if isinstance(value, Endpoint) else Endpoint.parse(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)


ENDPOINT = _EndpointType()


def hush() -> None:
    """Whoever read our output has had enough: the interpreter must not complain about it at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(error: Exception) -> None:
    """End with one line on standard error."""
    click.echo(f"rtr-server: {error}", err=True)
    sys.exit(FAILURE)
