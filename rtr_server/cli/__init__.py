"""The command ``rtr-server``: one module for each subcommand.

Exit codes: 0 done, 1 found what it was asked to find (probe: a broken MUST; load: a router without its set;
dump --diff: a difference; update show: an update is held), 2 wrong usage or a failure that the line on
standard error names, 130 interrupted.
"""

from __future__ import annotations

import click

from rtr_server.cli.check_config import check_config
from rtr_server.cli.dump import dump
from rtr_server.cli.hash_password import hash_password
from rtr_server.cli.load import load
from rtr_server.cli.probe import probe
from rtr_server.cli.serve import serve
from rtr_server.cli.sessions import kick, sessions, status
from rtr_server.cli.update import sources, update


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rovkit")
def main() -> None:
    """An RTR cache: serves VRPs to routers (RFC 6810, RFC 8210, 8210bis)."""


for _command in (
    serve,
    check_config,
    sessions,
    kick,
    status,
    sources,
    update,
    dump,
    probe,
    load,
    hash_password,
):
    main.add_command(_command)
