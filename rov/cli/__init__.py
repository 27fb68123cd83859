"""The command ``rov``: one module for each subcommand, imported when it is asked for.

Exit codes: 0 done; 1 found what --fail-on names; 2 wrong usage or input; 130 interrupted.
"""

from __future__ import annotations

import os
import sys

import click

from rov._subcommands import Subcommands
from rov.cli.shared import EXIT_ERROR
from rov.errors import RovError

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE, as a shell shows for any program whose reader went away."""

SUBCOMMANDS = {
    "audit": "rov.cli.audit:audit",
    "bogons": "rov.cli.bogons:bogons_command",
    "config": "rov.cli.config:config",
    "contacts": "rov.cli.contacts:contacts",
    "convert": "rov.cli.convert:convert",
    "coverage": "rov.cli.coverage:coverage",
    "diff": "rov.cli.diff:diff",
    "filter": "rov.cli.filter:filter_group",
    "hijacks": "rov.cli.hijacks:hijacks",
    "history": "rov.cli.history:history",
    "impact": "rov.cli.impact:impact",
    "incidents": "rov.cli.incidents:incidents_group",
    "info": "rov.cli.info:info",
    "irr": "rov.cli.irr:irr_command",
    "ixp": "rov.cli.ixp:ixp_group",
    "leaks": "rov.cli.leaks:leaks",
    "lint": "rov.cli.lint:lint",
    "manrs": "rov.cli.manrs:manrs_group",
    "sav": "rov.cli.sav:sav_group",
    "slurm": "rov.cli.slurm:slurm_group",
    "suggest": "rov.cli.suggest:suggest_command",
    "synth": "rov.cli.synth:synth_group",
    "validate": "rov.cli.validate:validate",
    "watch": "rov.cli.watch:watch",
    "whatif": "rov.cli.whatif:whatif",
}
"""Each subcommand as MODULE:NAME: ``rov validate`` need not wait for what only ``rov audit`` imports."""


@click.group(cls=Subcommands, places=SUBCOMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rovkit", prog_name="rov")
def app() -> None:
    """BGP route origin validation."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code.

    >>> main(["synth", "vrps", "--count", "0", "--output", "-"])
    2
    """
    return _guarded(sys.argv[1:] if arguments is None else arguments)


def _guarded(arguments: list[str]) -> int:
    """Every way to end, as an exit code and at most one line on stderr."""
    try:
        # not app.main: it takes a broken pipe for an error of its own
        with app.make_context("rov", arguments) as context:
            code = app.invoke(context)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # what is still buffered has no reader either: the interpreter must not try to flush it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_ERROR
    except click.ClickException as error:
        return _fail(error.format_message())
    except OSError as error:
        said = error.strerror or str(error)
        return _fail(f"{error.filename}: {said}" if error.filename else said)
    except RovError as error:
        return _fail(str(error))


def _fail(message: str) -> int:
    click.echo(f"rov: error: {' '.join(message.split())}", err=True)
    return EXIT_ERROR
