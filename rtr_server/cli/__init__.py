"""The command ``rtr-server``: one module for each subcommand.

Exit codes: 0 done, 1 found what it was asked to find (probe: a broken MUST; load: a router without its set;
dump --diff: a difference; update show: an update is held), 2 wrong usage or a failure that the line on
standard error names, 130 interrupted.
"""

from __future__ import annotations

import click

from rov._subcommands import Subcommands

SUBCOMMANDS = {
    "check-config": "rtr_server.cli.check_config:check_config",
    "dump": "rtr_server.cli.dump:dump",
    "hash-password": "rtr_server.cli.hash_password:hash_password",
    "kick": "rtr_server.cli.sessions:kick",
    "load": "rtr_server.cli.load:load",
    "probe": "rtr_server.cli.probe:probe",
    "serve": "rtr_server.cli.serve:serve",
    "sessions": "rtr_server.cli.sessions:sessions",
    "sources": "rtr_server.cli.update:sources",
    "status": "rtr_server.cli.sessions:status",
    "update": "rtr_server.cli.update:update",
}
"""Each subcommand as MODULE:NAME: ``serve`` need not wait for what only the tools import."""


@click.group(cls=Subcommands, places=SUBCOMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rovkit")
def main() -> None:
    """An RTR cache: serves VRPs to routers (RFC 6810, RFC 8210, 8210bis)."""
