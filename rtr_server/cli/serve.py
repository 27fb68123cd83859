"""``rtr-server serve``: the daemon, and what it says when it has started."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from rov import ArgumentError
from rtr_server import app
from rtr_server.cache.store import StoreError
from rtr_server.cli.shared import ENDPOINT, fail
from rtr_server.endpoint import Endpoint
from rtr_server.feed.feed import Feed, FeedError
from rtr_server.feed.file import FileFeed
from rtr_server.feed.synthetic import SyntheticFeed
from rtr_server.feed.url import DEFAULT_INTERVAL, UrlFeed
from rtr_server.logs import configure, event
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.protocol.source import Timing
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


@click.command()
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
        fail(error)


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
