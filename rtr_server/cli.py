"""The command ``rtr-server``: serve VRPs to routers, dump what a cache serves, probe how it behaves.

Exit codes: 0 done, 1 (probe) a cache that breaks a MUST, 2 wrong usage or a failure that the line on
standard error names, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console

from rov import ArgumentError
from rtr_server import app
from rtr_server.cache.store import StoreError
from rtr_server.endpoint import Endpoint
from rtr_server.feed.feed import Feed, FeedError
from rtr_server.feed.file import FileFeed
from rtr_server.feed.synthetic import SyntheticFeed
from rtr_server.feed.url import DEFAULT_INTERVAL, UrlFeed
from rtr_server.logs import configure, event
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.protocol.source import Timing
from rtr_server.tools import checks, probe_report
from rtr_server.tools import dump as mirror
from rtr_server.tools import probe as prober
from rtr_server.transport.listen import ListenError

DEFAULT_PORT = 8323
"""Not 323, the port of RFC 8210: that one needs root."""

DEFAULT_LISTEN = (Endpoint("127.0.0.1", DEFAULT_PORT),)
DEFAULT_OPTIONAL = (Endpoint("::1", DEFAULT_PORT),)
"""Machines without IPv6 exist; on them this one is left out with a warning."""

SYNTHETIC_COUNT = 700_000
SYNTHETIC_SEED = 1

MIN_INTERVAL = 10
"""Seconds between fetches of a URL at least, out of courtesy to whoever serves it."""

BROKEN = 1
FAILURE = 2
INTERRUPTED = 130


class _EndpointType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Endpoint:
        try:
            return value if isinstance(value, Endpoint) else Endpoint.parse(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)


ENDPOINT = _EndpointType()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rovkit")
def main() -> None:
    """An RTR cache: serves VRPs to routers (RFC 6810, RFC 8210, 8210bis)."""


@main.command()
@click.option("--vrps", metavar="PATH|URL", help="VRP file, plain or compressed; watched, or fetched.")
@click.option("--synthetic", is_flag=True, help="Serve a made-up set instead.")
@click.option("--count", default=SYNTHETIC_COUNT, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=SYNTHETIC_SEED, show_default=True, help="Of the synthetic set.")
@click.option("--listen", multiple=True, type=ENDPOINT, help="Default: 127.0.0.1:8323 and [::1]:8323.")
@click.option("--refresh", default=Timing().refresh, show_default=True, help="Seconds, told to routers.")
@click.option("--retry", default=Timing().retry, show_default=True, help="Seconds, told to routers.")
@click.option("--expire", default=Timing().expire, show_default=True, help="Seconds, told to routers.")
@click.option("--ignore-expiry", is_flag=True, help="Serve VRPs whose time of expiry has passed.")
@click.option(
    "--skip-bad-rows", is_flag=True, help="Leave out rows that are no VRP, instead of refusing all."
)
@click.option(
    "--interval",
    default=DEFAULT_INTERVAL,
    show_default=True,
    type=click.IntRange(MIN_INTERVAL),
    help="Seconds between fetches of a URL.",
)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep session ids, serial and deltas here, so that routers go on after a restart.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="Debug lines too: each query, each notify.")
def serve(
    vrps: str | None,
    synthetic: bool,
    count: int,
    seed: int,
    listen: tuple[Endpoint, ...],
    refresh: int,
    retry: int,
    expire: int,
    ignore_expiry: bool,
    skip_bad_rows: bool,
    interval: int,
    state_dir: Path | None,
    log_format: str,
    verbose: bool,
) -> None:
    """Serve a VRP file, a URL or a synthetic set to routers.

    SIGHUP loads again, SIGTERM or Ctrl-C ends, SIGUSR2 ends and tells version 2 routers that the cache
    will be back, so that they keep their data.
    """
    if (vrps is None) == (not synthetic):
        raise click.UsageError("expected either --vrps PATH|URL or --synthetic")
    try:
        timing = Timing(refresh, retry, expire)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error
    configure(log_format, verbose)
    feed = _feed(vrps, SyntheticFeed(count, seed), interval, strict=not skip_bad_rows)
    settings = app.Settings(
        listen=listen or DEFAULT_LISTEN,
        optional=() if listen else DEFAULT_OPTIONAL,
        timing=timing,
        ignore_expiry=ignore_expiry,
        state_dir=state_dir,
    )
    try:
        app.run(app.Cache(feed, settings, started=_started))
    except (FeedError, ListenError, StoreError) as error:
        _fail(error)


def _feed(vrps: str | None, synthetic: SyntheticFeed, interval: int, *, strict: bool) -> Feed:
    if vrps is None:
        return synthetic
    if vrps.startswith(("http://", "https://")):
        return UrlFeed(vrps, interval=interval, strict=strict)
    return FileFeed(Path(vrps), strict=strict)


def _started(cache: app.Cache) -> None:
    """What is served, where, and what to try next."""
    if cache.feed.synthetic:
        notice = "SYNTHETIC DATA: made up, never let a router filter by it"
        event(app.log, logging.WARNING, notice, feed=cache.feed.name)
    snapshot = cache.history.snapshot
    served = (
        "nothing yet"
        if snapshot is None
        else (
            f"{len(snapshot):,} VRPs, {len(snapshot.aspas):,} ASPAs, "
            f"{len(snapshot.router_keys):,} router keys"
        )
    )
    where = cache.endpoints[0]
    click.echo(f"Serving {served} from {cache.feed.name}")
    click.echo(
        f"at {', '.join(map(str, cache.endpoints))}, RTR versions {VERSIONS[0]} to {VERSIONS[-1]}. Try:"
    )
    click.echo(f"  rtr-server dump {where} --format csv | head")
    tables = "roa4 table r4; roa6 table r6;"
    channels = "roa4 { table r4; }; roa6 { table r6; };"
    click.echo(f"  BIRD: {tables} protocol rpki {{ {channels} remote {where.host} port {where.port}; }}")
    sys.stdout.flush()


@main.command()
@click.argument("cache", type=ENDPOINT)
@click.option("--rtr-version", type=click.IntRange(VERSIONS[0], VERSIONS[-1]), help="Default: the highest.")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(0, min_open=True))
def dump(cache: Endpoint, rtr_version: int | None, form: str, output: Path | None, timeout: float) -> None:
    """Get the full set of the RTR cache at HOST:PORT, as a VRP file; a summary on standard error."""
    try:
        found = mirror.fetch(cache, version=rtr_version, timeout=timeout)
        with _opened(output) as out:
            if form == "csv":
                mirror.write_csv(found.snapshot, out)
            else:
                mirror.write_json(found, out)
            out.flush()
    except BrokenPipeError:
        _hush()
    except (mirror.DumpError, OSError) as error:
        _fail(error)
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


@main.command()
@click.argument("cache", type=ENDPOINT)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.option(
    "--timeout", default=3.0, show_default=True, type=click.FloatRange(0.1, 10), help="Seconds for an answer."
)
@click.option("--only", metavar="C26,...", help="These checks alone.")
def probe(cache: Endpoint, as_json: bool, timeout: float, only: str | None) -> None:
    """Check how the RTR cache at HOST:PORT keeps to RFC 6810, RFC 8210 and 8210bis.

    Behaves as routers do, well and badly, on some thirty connections one after another, for less than a
    minute. Exit code 1 if the cache breaks a MUST, 2 if it cannot be reached.
    """
    chosen = _chosen(only)
    try:
        with Console(stderr=True).status("probing") as status:
            results = prober.run(
                prober.Probe(cache, timeout=timeout),
                chosen,
                lambda done, check: status.update(f"{done} of {len(chosen)}: {check.number} {check.what}"),
            )
        if as_json:
            probe_report.write_json(results, cache, sys.stdout)
        else:
            probe_report.write_table(results, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        _hush()
    except prober.UnreachableError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    found = probe_report.counts(results)
    click.echo(f"{cache}: {found['pass']} pass, {found['fail']} fail, {found['skip']} skipped", err=True)
    sys.exit(BROKEN if prober.failed(results) else 0)


def _chosen(only: str | None) -> list[prober.Check]:
    if only is None:
        return checks.CHECKS
    names = {name.strip().upper() for name in only.split(",")}
    unknown = names.difference(checks.numbers())
    if unknown:
        raise click.UsageError(
            f"--only {', '.join(sorted(unknown))}: expected some of {', '.join(checks.numbers())}"
        )
    return [check for check in checks.CHECKS if check.number in names]


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


def _hush() -> None:
    """Whoever read our output has had enough: the interpreter must not complain about it at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: Exception) -> None:
    click.echo(f"rtr-server: {error}", err=True)
    sys.exit(FAILURE)
