"""``rtr-server dump``: the full set of a cache, as a VRP file; or its changes as they come."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click

from rov import RovError
from rtr_server.cli.shared import BROKEN, ENDPOINT, INTERRUPTED, fail, hush
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.tools import compare
from rtr_server.tools import dump as mirror
from rtr_server.tools import follow as following


@click.command()
@click.argument("cache", type=ENDPOINT)
@click.option("--rtr-version", type=click.IntRange(VERSIONS[0], VERSIONS[-1]), help="Default: the highest.")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(0, min_open=True))
@click.option(
    "--diff", "other", metavar="FILE|HOST:PORT", help="Print what this one has more (+) and less (-) instead."
)
@click.option("--follow", is_flag=True, help="Stay, and print each change (+ and - lines) instead.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def dump(
    cache: Endpoint,
    rtr_version: int | None,
    form: str,
    output: Path | None,
    timeout: float,
    other: str | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Get the full set of the RTR cache at HOST:PORT, as a VRP file; a summary on standard error.

    With --diff, compare it to a VRP file or another cache: exit code 1 if they differ. With --follow, stay
    connected and print what changes, one JSON object a line with --json; Ctrl-C ends it.
    """
    form = "json" if as_json else form
    if other is not None and (follow or form == "json"):
        raise click.UsageError("--diff goes with neither --follow nor JSON")
    if follow and output is not None:
        raise click.UsageError("--follow writes to standard output: redirect it")
    if follow:
        _follow(following.Follower(cache, version=rtr_version, timeout=timeout), form == "json")
        return
    different = False
    try:
        found = mirror.fetch(cache, version=rtr_version, timeout=timeout)
        with _opened(output) as out:
            if other is not None:
                for line in compare.lines(found.snapshot, compare.other_set(other, timeout)):
                    different = True
                    out.write(f"{line}\n")
            elif form == "csv":
                mirror.write_csv(found.snapshot, out)
            else:
                mirror.write_json(found, out)
            out.flush()
    except BrokenPipeError:
        hush()
    except (mirror.DumpError, RovError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    snapshot = found.snapshot
    click.echo(
        f"{len(snapshot):,} VRPs ({len(snapshot.ipv4):,} IPv4, {len(snapshot.ipv6):,} IPv6), "
        f"{len(snapshot.aspas):,} ASPAs, {len(snapshot.router_keys):,} router keys; RTR version "
        f"{found.version}, session {found.session_id}, serial {found.serial}; "
        f"{found.octets:,} octets in {found.seconds:.2f} s",
        err=True,
    )
    if different:
        sys.exit(BROKEN)


def _follow(follower: following.Follower, as_json: bool) -> None:
    """Print what happens, until interrupted: changes on standard output, the rest on standard error."""
    first = True
    try:
        for happened in follower.happenings():
            at = datetime.now(UTC).isoformat(timespec="seconds")
            if isinstance(happened, following.Dropped):
                click.echo(f"{at} {happened.reason}; again in {happened.seconds:g} s", err=True)
                continue
            click.echo(f"{at} {following.summary(happened)}", err=True)
            if not first:
                _show(happened, at, as_json)
            first = False
    except BrokenPipeError:
        hush()
    except mirror.DumpError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _show(step: following.Step, at: str, as_json: bool) -> None:
    lines = [following.json_line(step, at)] if as_json else compare.signed(step.announced, step.withdrawn)
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears when it is complete."""
    if output is None:
        yield sys.stdout
        return
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as out:
            yield out
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
