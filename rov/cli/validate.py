"""``rov validate``: the verdict on one route with its grounds, or on many lines of routes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, TypeVar

import click

from rov._prefix import parse
from rov._render import ValidatedRoute, route_json, verdict_text
from rov._rows import asn_of
from rov.cli.shared import EXIT_FOUND, AsnType, json_option, read_index, strict_option
from rov.index import VrpIndex
from rov.types import State

LINES_PER_BATCH = 50_000
"""Routes validated at a time from a file: enough for the batch to pay, and output keeps coming."""

STATES = {state.label: state for state in State}

T = TypeVar("T")


@click.command()
@click.argument("prefix", required=False)
@click.argument("asn", type=AsnType(), required=False)
@click.option("--vrps", "path", required=True, metavar="FILE", help="The VRP file to validate against.")
@click.option(
    "--input", "routes", type=click.File("r"), metavar="FILE", help="Lines of PREFIX ASN; - is stdin."
)
@click.option(
    "--fail-on", multiple=True, type=click.Choice([*STATES]), help="Exit with 1 if a route has this state."
)
@json_option
@strict_option
def validate(
    prefix: str | None,
    asn: int | None,
    path: str,
    routes: IO[str] | None,
    fail_on: tuple[str, ...],
    as_json: bool,
    strict: bool,
) -> int:
    """Validate the route PREFIX from ASN (RFC 6811), or each line of --input.

    One route is explained with the VRPs that cover it; without a route, lines are read from stdin.
    """
    if (prefix is None) != (asn is None) or (prefix is not None and routes is not None):
        raise click.UsageError("expected PREFIX and ASN, or --input FILE, or lines on stdin")
    if prefix is None and routes is None:
        routes = sys.stdin
        if routes.isatty():
            raise click.UsageError("expected PREFIX and ASN, or --input FILE, or lines on stdin")
    index = read_index(path, strict)
    wanted = {STATES[name] for name in fail_on}
    if prefix is not None and asn is not None:
        validity = index.explain(prefix, asn)
        route = ValidatedRoute(prefix, asn, validity)
        click.echo(route_json(route) if as_json else verdict_text(route), nl=False)
        return EXIT_FOUND if validity.state in wanted else 0
    answer = _explain_lines if as_json else _validate_lines
    found = answer(index, routes or sys.stdin)
    return EXIT_FOUND if found & wanted else 0


def _lines(source: IO[str]) -> Iterator[tuple[str, int]]:
    """Prefix and ASN of each line; blank ones and what follows a # do not count."""
    name = getattr(source, "name", "input")
    for number, line in enumerate(_text(source, name), 1):
        fields = line.split("#", 1)[0].replace(",", " ").split()
        if fields:
            try:
                yield _route(fields)
            except ValueError as error:
                raise click.ClickException(f"{name}: line {number}: {error}") from error


def _route(fields: list[str]) -> tuple[str, int]:
    asn = asn_of(fields[1]) if len(fields) == 2 else None
    if asn is None:
        raise ValueError(f"expected PREFIX ASN, found {' '.join(fields)[:60]!r}")
    parse(fields[0])
    return fields[0], asn


def _text(source: IO[str], name: str) -> Iterator[str]:
    try:
        yield from source
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{name}: expected text, found {error.reason}") from error


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _validate_lines(index: VrpIndex, source: IO[str]) -> set[State]:
    """Write each route with its state; which states there were."""
    labels = [state.label for state in State]
    found: set[int] = set()
    for batch in _batches(_lines(source), LINES_PER_BATCH):
        prefixes, origins = [prefix for prefix, _ in batch], [asn for _, asn in batch]
        states = index.validate_many(prefixes, origins).tolist()
        found |= set(states)
        rows = zip(prefixes, origins, states, strict=True)
        click.echo("\n".join(f"{prefix} AS{asn} {labels[state]}" for prefix, asn, state in rows))
    return {State(state) for state in found}


def _explain_lines(index: VrpIndex, source: IO[str]) -> set[State]:
    """Write each route as a line of JSON; which states there were."""
    found: set[State] = set()
    for prefix, asn in _lines(source):
        validity = index.explain(prefix, asn)
        found.add(validity.state)
        click.echo(route_json(ValidatedRoute(prefix, asn, validity)), nl=False)
    return found
