"""What the subcommands share that write their rows or, with --format, a text made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from rov.audit.output import format_of
from rov.cli.dumps import OutputType, output_option
from rov.errors import ArgumentError
from rov.formats.compression import write_file

C = TypeVar("C", bound=Callable[..., Any])


def form_options(names: Iterable[str], explained: str, what: str) -> Callable[[C], C]:
    """--format NAME, and --output FILE for that or for rows; what: what the file gets."""

    def options(command: C) -> C:
        command = output_option(what, OutputType(rows=False))(command)
        return click.option("--format", "form", type=click.Choice([*names]), help=explained)(command)

    return options


def templates_option(command: C) -> C:
    """--templates DIR of the commands that write configurations."""
    explained = "Templates that replace those of the same name."
    return click.option("--templates", metavar="DIR", help=explained)(command)


def check_form(form: str | None, how: dict[str, Any]) -> None:
    """UsageError: a form beside --json, or a file for rows whose name tells no format."""
    if form and how["as_json"]:
        raise click.UsageError("--format and --json: expected one of them")
    if not form and how["output"]:
        try:
            format_of(how["output"])
        except ArgumentError as error:
            raise click.UsageError(f"--output {error}, or --format") from error


def write_text(text: str, output: str | None) -> None:
    """A text to the file of --output, or to standard output."""
    if output in (None, "-"):
        click.echo(text, nl=False)
    else:
        write_file(str(output), [text.encode()])
