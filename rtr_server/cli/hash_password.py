"""``rtr-server hash-password``: a line for the password file of an SSH listener."""

from __future__ import annotations

import click

from rtr_server.transport import passwords

MIN_PASSWORD = 8
"""Characters: shorter ones are guessed from a stolen file."""


@click.command("hash-password")
@click.argument("user")
def hash_password(user: str) -> None:
    """Ask for a password of USER and print the line for the file that [listen.ssh] passwords names."""
    if not user.isprintable() or ":" in user or user.strip() != user or not user or user[0] == "#":
        raise click.UsageError(f"user {user!r}: expected a name without a colon, not beginning with #")
    password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not MIN_PASSWORD <= len(password) <= passwords.MAX_PASSWORD:
        raise click.UsageError(f"a password of {len(password)} characters: expected {MIN_PASSWORD} or more")
    click.echo(passwords.hash_password(user, password))
