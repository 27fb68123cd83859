"""What the subcommands of ``rov`` share: exit codes, argument types, options, the notice of long work."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console

from rov._rows import asn_of
from rov._urls import is_url
from rov.errors import PrefixError
from rov.formats import ReadReport, read_bytes, read_report
from rov.formats.compression import read_open, read_url
from rov.formats.times import parse_time
from rov.index import VrpIndex
from rov.types import MAX_ASN, Aspa, Prefix, RouterKey, Vrp

EXIT_FOUND = 1
EXIT_ERROR = 2

QUIET_SECONDS = 2.0
"""What takes longer says on a terminal that it is at work."""

C = TypeVar("C", bound=Callable[..., Any])


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
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


class PrefixType(click.ParamType[Prefix]):
    """A prefix."""

    name = "prefix"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Prefix:
        try:
            return Prefix.parse(str(value))
        except PrefixError as error:
            self.fail(str(error))


class InstantType(click.ParamType[int]):
    """A time: unix seconds, or ISO 8601, UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        try:
            found = int(text) if text.isascii() and text.isdigit() else parse_time(text)
        except (ValueError, OverflowError):
            found = None
        if found is None or found >= 2**62:
            self.fail(f"{text[:60]!r}: expected unix seconds or a time such as 2025-07-20T09:31:33Z")
        return found


def strict_option(command: C) -> C:
    """--strict / --no-strict of every command that reads VRPs."""
    explained = "Refuse a file with a bad row, or leave such rows out."
    return click.option("--strict/--no-strict", default=True, show_default=True, help=explained)(command)


def json_option(command: C) -> C:
    """--json of every command that answers."""
    explained = "Write JSON."
    return click.option("--json", "as_json", is_flag=True, callback=one_on_stdout, help=explained)(command)


def one_on_stdout(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """The value of --json or --output; UsageError if both want standard output, before anything is read."""
    given = {**context.params, str(option.name): value}
    if given.get("as_json") and given.get("output") == "-":
        raise click.UsageError("--json and --output -: expected one of them on stdout")
    return value


def read_vrps(source: str, strict: bool) -> ReadReport:
    """A VRP file, - for standard input, or a URL, read with a notice that it goes on.

    VrpFileError or OSError where it cannot be; ExtraError where a URL needs what is not installed.
    """
    with busy(f"reading {source}"):
        if source == "-":
            return read_bytes(read_open(sys.stdin.buffer), "standard input", strict=strict)
        if is_url(source):
            return read_bytes(read_url(source), source, strict=strict)
        return read_report(source, strict=strict)


def warn_skipped(path: str, report: ReadReport) -> None:
    """Tell on stderr how many bad rows were left out, if any."""
    if report.skipped_count:
        click.echo(
            f"rov: {path}: {report.skipped_count} bad rows left out, first {report.skipped[0]}", err=True
        )


def read_index(path: str, strict: bool) -> VrpIndex:
    """A VRP file and the index that answers for it; bad rows left out are told on stderr."""
    report = read_vrps(path, strict)
    warn_skipped(path, report)
    with busy(f"indexing {path}"):
        return VrpIndex(report.snapshot)


def json_text(answer: Any) -> str:
    """An answer as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n"


def plain(element: Vrp | RouterKey | Aspa) -> dict[str, Any]:
    """An element of a payload as plain values, under the names that all commands use."""
    if isinstance(element, Vrp):
        return {"prefix": str(element.prefix), "max_length": element.max_length, "asn": element.asn}
    if isinstance(element, Aspa):
        return {"customer": element.customer, "providers": element.providers}
    return {"asn": element.asn, "ski": element.ski.hex().upper()}
