"""What most audits are asked about: dumps, VRPs and which routes; the options of it come as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from rov import rib
from rov.audit import Verdicts
from rov.cli.dumps import read_verdicts
from rov.cli.shared import AsnType, strict_option
from rov.report import Subject

Command = Callable[..., Any]


class Asked(NamedTuple):
    """The dumps by their names, the VRP file, and of the routes those that are looked at."""

    ribs: tuple[str, ...]
    vrps: str
    min_peers: int
    neighbor: int | None
    strict: bool

    def verdicts(self, spool: rib.Spool | None = None) -> Verdicts:
        """The verdicts on the routes; what was left out of the dumps is told on stderr."""
        return read_verdicts(self.ribs, self.vrps, self.min_peers, self.neighbor, self.strict, spool)

    def subject(self, verdicts: Verdicts, **more: Any) -> Subject:
        """What a report of these verdicts is about; ``more``: further fields of a Subject."""
        return Subject(verdicts, self.ribs, self.vrps, self.neighbor, **more)


def as_one(kind: type[Any], name: str) -> Callable[[Command], Command]:
    """The options that are fields of a NamedTuple reach the command as one value, called ``name``."""

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def called(**given: Any) -> Any:
            one = kind(**{field: given.pop(field) for field in kind._fields})
            return command(**{name: one}, **given)

        return called

    return decorated


def vrps_option(command: Command) -> Command:
    """--vrps FILE of the commands that judge routes."""
    explained = "The VRPs to validate against."
    return click.option("--vrps", "vrps", required=True, metavar="FILE", help=explained)(command)


def min_peers_option(command: Command) -> Command:
    """--min-peers N."""
    explained = "Only routes that at least so many peers carry."
    option = click.option("--min-peers", type=click.IntRange(1), default=1, show_default=True, help=explained)
    return option(command)


def dump_options(command: Command) -> Command:
    """RIB..., --vrps, --min-peers, --neighbor, --strict: what every audit is asked about, as ``asked``."""
    for option in (
        as_one(Asked, "asked"),
        strict_option,
        click.option(
            "--neighbor", type=AsnType(), metavar="AS", help="Only the routes of peers in this AS (MRT)."
        ),
        min_peers_option,
        vrps_option,
        click.argument("ribs", nargs=-1, required=True, metavar="RIB..."),
    ):
        command = option(command)
    return command
