"""``rov info``: what a VRP file holds."""

from __future__ import annotations

import click

from rov._render import facts_json, facts_text
from rov.cli.shared import json_option, read_vrps, strict_option


@click.command()
@click.argument("file")
@json_option
@strict_option
def info(file: str, as_json: bool, strict: bool) -> None:
    """Tell what a VRP file holds."""
    report = read_vrps(file, strict)
    if as_json:
        click.echo(facts_json(report), nl=False)
    else:
        click.echo(facts_text(file, report), nl=False)
