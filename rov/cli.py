"""The command ``rov``: validate routes, look into VRP files, make synthetic ones.

Exit codes: 0 done; 1 found what --fail-on names; 2 wrong usage or input; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import IO, Any, TypeVar

import click
from rich.console import Console

from rov import synth
from rov._prefix import parse
from rov._render import ValidatedRoute, facts_json, facts_text, route_json, verdict_text
from rov._rows import asn_of
from rov.errors import RovError
from rov.formats import ReadReport, read_report
from rov.formats.compression import write_file
from rov.formats.rpki_client import encode
from rov.index import VrpIndex
from rov.snapshot import Snapshot
from rov.types import MAX_ASN, State

EXIT_FOUND = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE, as a shell shows for any program whose reader went away."""

QUIET_SECONDS = 2.0
"""What takes longer says on a terminal that it is at work."""

LINES_PER_BATCH = 50_000
"""Routes validated at a time from a file: enough for the batch to pay, and output keeps coming."""

STATES = {state.label: state for state in State}

C = TypeVar("C", bound=Callable[..., Any])
T = TypeVar("T")


@contextlib.contextmanager
def _busy(what: str) -> Iterator[None]:
    """Tell on stderr what goes on, if it is a terminal and this takes long."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    status = console.status(what)
    timer = threading.Timer(QUIET_SECONDS, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        status.stop()


class AsnType(click.ParamType[int]):
    """An AS number, 13335 or AS13335."""

    name = "asn"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        asn = asn_of(value)
        if asn is None:
            self.fail(f"{value!r}: expected an AS number from 0 to {MAX_ASN} such as 13335 or AS13335")
        return asn


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rovkit", prog_name="rov")
def app() -> None:
    """BGP route origin validation."""


def strict_option(command: C) -> C:
    """--strict / --no-strict of every command that reads VRPs."""
    explained = "Refuse a file with a bad row, or leave such rows out."
    return click.option("--strict/--no-strict", default=True, show_default=True, help=explained)(command)


def json_option(command: C) -> C:
    """--json of every command that answers."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(command)


def _read(path: str, strict: bool) -> ReadReport:
    with _busy(f"reading {path}"):
        return read_report(path, strict=strict)


def _index(path: str, strict: bool) -> VrpIndex:
    report = _read(path, strict)
    if report.skipped_count:
        click.echo(
            f"rov: {path}: {report.skipped_count} bad rows left out, first {report.skipped[0]}", err=True
        )
    with _busy(f"indexing {path}"):
        return VrpIndex(report.snapshot)


@app.command()
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
    index = _index(path, strict)
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


@app.command()
@click.argument("file")
@json_option
@strict_option
def info(file: str, as_json: bool, strict: bool) -> None:
    """Tell what a VRP file holds."""
    report = _read(file, strict)
    if as_json:
        click.echo(facts_json(report), nl=False)
    else:
        click.echo(facts_text(file, report), nl=False)


@app.group("synth")
def synth_group() -> None:
    """Make synthetic data with the proportions of the real."""


@synth_group.command("vrps")
@click.option("--count", type=click.IntRange(1, synth.MAX_COUNT), default=700_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Same seed, same set.")
@click.option(
    "--output", required=True, metavar="FILE", help="- is stdout; .gz .bz2 .xz .zst are compressed."
)
def synth_vrps(count: int, seed: int, output: str) -> None:
    """Write a synthetic VRP set as rpki-client JSON; its metadata says that it is synthetic."""
    with _busy(f"making {count:,} VRPs"):
        snapshot = synth.vrps(count, seed)
        chunks = encode(snapshot, _metadata(snapshot, seed))
        if output == "-":
            sys.stdout.buffer.writelines(chunks)
            sys.stdout.buffer.flush()
        else:
            write_file(output, chunks)


def _metadata(snapshot: Snapshot, seed: int) -> dict[str, Any]:
    """As rpki-client's, without times: the same seed writes the same file."""
    return {
        "buildmachine": "synthetic",
        "synthetic": True,
        "seed": seed,
        "vrps": len(snapshot),
        "uniquevrps": len(snapshot),
        "aspas": len(snapshot.aspas),
        "bgpsec_pubkeys": len(snapshot.router_keys),
    }


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
    except (RovError, OSError) as error:
        return _fail(str(error))


def _fail(message: str) -> int:
    click.echo(f"rov: error: {' '.join(message.split())}", err=True)
    return EXIT_ERROR
