"""``rtr-server serve``: the daemon, and what it says when it has started."""

from __future__ import annotations

import atexit
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from rtr_server import app
from rtr_server.age import StaleError
from rtr_server.cache.store import StoreError
from rtr_server.cli.shared import ENDPOINT, INTERRUPTED, fail
from rtr_server.config import Config, ConfigError, Problem, build_config, read_config
from rtr_server.control.server import ControlSocketError
from rtr_server.feed.feed import Feed, FeedError
from rtr_server.feed.process import ProcessFeed
from rtr_server.feed.settings import Settings
from rtr_server.feed.synthetic import SyntheticFeed
from rtr_server.feed.url import DEFAULT_INTERVAL
from rtr_server.logs import configure, event
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.protocol.source import Timing
from rtr_server.transport.errors import TransportError

SYNTHETIC_COUNT = 700_000
SYNTHETIC_SEED = 1

MIN_INTERVAL = 10
"""Seconds between fetches of a URL at least, out of courtesy to whoever serves it."""


@click.command(context_settings={"auto_envvar_prefix": "RTR_SERVER"})
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file (TOML), in place of all options below; see docs/configuration.md.",
)
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
    type=click.Path(file_okay=False),
    help="Keep session ids, serial and deltas here, so that routers go on after a restart.",
)
@click.option(
    "--http", multiple=True, type=ENDPOINT, help="API, metrics and pages over HTTP; off without it."
)
@click.option("--control", type=click.Path(), help="Control socket, for rtr-server sessions, kick, status.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="Debug lines too: each query, each notify.")
@click.pass_context
def serve(context: click.Context, /, config: Path | None, **flags: Any) -> None:
    """Serve a VRP file, a URL or a synthetic set to routers, or what a configuration file says.

    Each option can come from the environment: RTR_SERVER_CONFIG, RTR_SERVER_VRPS, RTR_SERVER_LISTEN ...

    SIGHUP reads the configuration and loads again, SIGTERM or Ctrl-C ends, SIGUSR2 ends and tells version 2
    routers that the cache will be back, so that they keep their data.
    """
    try:
        chosen = _from_flags(flags) if config is None else _from_file(context, config)
        configure(chosen.log.format, chosen.log.level)
        synthetic = SyntheticFeed(flags["count"], flags["seed"]) if flags["synthetic"] else None
        feed = synthetic or _feed(chosen, flags["ignore_expiry"])
        cache = app.Cache(feed, chosen, path=config, ignore_expiry=flags["ignore_expiry"], started=_started)
        app.run(cache)
    except (ConfigError, FeedError, TransportError, StoreError, StaleError, ControlSocketError) as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _from_file(context: click.Context, path: Path) -> Config:
    """The configuration of a file, which stands alone; UsageError where there are options beside it."""
    beside = [
        f"--{name.replace('_', '-')}"
        for name in context.params
        if name != "config" and context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    ]
    if beside:
        raise click.UsageError(f"--config stands alone: expected no {', '.join(beside)}")
    config = read_config(path)
    if not config.source:
        raise ConfigError(str(path), [Problem("source", "expected a [[source]] at least")])
    return config


def _from_flags(flags: dict[str, Any]) -> Config:
    """What the options say, as a configuration."""
    vrps = flags["vrps"]
    if (vrps is None) == (not flags["synthetic"]):
        raise click.UsageError("expected --config FILE, or either --vrps PATH|URL or --synthetic")
    tables: dict[str, Any] = {
        "listen": [{"address": str(endpoint)} for endpoint in flags["listen"]],
        "timers": {name: flags[name] for name in ("refresh", "retry", "expire")},
        "state": {} if flags["state_dir"] is None else {"directory": flags["state_dir"]},
        "control": {} if flags["control"] is None else {"socket": flags["control"]},
        "http": {"listen": [str(endpoint) for endpoint in flags["http"]]},
        "log": {"format": flags["log_format"], "level": "debug" if flags["verbose"] else "info"},
    }
    if vrps is not None:
        tables["source"] = [{"bad_rows": 1.0 if flags["skip_bad_rows"] else 0.0, **_source(vrps, flags)}]
    try:
        return build_config(tables)
    except ConfigError as error:
        raise click.UsageError(str(error.problems[0])) from error


def _source(vrps: str, flags: dict[str, Any]) -> dict[str, object]:
    if vrps.startswith(("http://", "https://")):
        return {"type": "url", "url": vrps, "interval": flags["interval"]}
    return {"type": "file", "path": vrps}


def _feed(config: Config, ignore_expiry: bool) -> Feed:
    """The sources, run by a process of their own, whose files are kept if anything is."""
    state = config.state.directory
    archive = None
    if state is None:
        directory = Path(tempfile.mkdtemp(prefix="rtr-server-"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    else:
        directory = state / "feed"
        if config.history.enabled:
            archive = state / "history", int(config.history.keep), config.history.max_octets
    return ProcessFeed(Settings.of(config), directory, ignore_expiry=ignore_expiry, archive=archive)


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
    for url in cache.http.urls:
        click.echo(f"  curl {url}readyz")
    click.echo(f"  rtr-server dump {where} --format csv | head")
    tables = "roa4 table r4; roa6 table r6;"
    channels = "roa4 { table r4; }; roa6 { table r6; };"
    click.echo(f"  BIRD: {tables} protocol rpki {{ {channels} remote {where.host} port {where.port}; }}")
    sys.stdout.flush()
