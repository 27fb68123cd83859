"""``rtr-server hash-password``: a line for the password file of an SSH listener."""

from __future__ import annotations

import sys

import click

from rtr_server.cli.shared import INTERRUPTED, fail
from rtr_server.transport import passwords

MIN_PASSWORD = 8
"""Characters: shorter ones are guessed from a stolen file."""


@click.command("hash-password")
@click.argument("user")
def hash_password(user: str) -> None:
    """Ask for a password of USER and print the line for the file that [listen.ssh] passwords names.

    Where standard input is no terminal, its first line is the password.
    """
    if not user.isprintable() or ":" in user or user.strip() != user or not user or user[0] == "#":
        raise click.UsageError(f"user {user!r}: expected a name without a colon, not beginning with #")
    password = _asked() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not password:
        fail(EOFError("no password on standard input"))
    if not MIN_PASSWORD <= len(password) <= passwords.MAX_PASSWORD:
        raise click.UsageError(f"a password of {len(password)} characters: expected {MIN_PASSWORD} or more")
    click.echo(passwords.hash_password(user, password))


def _asked() -> str:
    try:
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    except click.Abort:
        sys.exit(INTERRUPTED)
