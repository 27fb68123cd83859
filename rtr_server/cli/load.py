"""``rtr-server load``: a cache under many routers."""

from __future__ import annotations

import contextlib
import json
import resource
import sys

import click
import msgspec
from rich.console import Console

from rtr_server.cli.shared import BROKEN, ENDPOINT, INTERRUPTED, fail
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.tools import load as simulator
from rtr_server.tools.load_report import Plan, Report

SPARE_FILES = 64
"""Descriptors that are no routers."""


@click.command()
@click.argument("cache", type=ENDPOINT)
@click.option("--routers", default=100, show_default=True, type=click.IntRange(1), help="Healthy ones.")
@click.option("--slow", default=0, type=click.IntRange(0), help="More that hardly read.")
@click.option("--broken", default=0, type=click.IntRange(0), help="More that send nonsense and vanish.")
@click.option("--version", default=VERSIONS[-1], type=click.IntRange(VERSIONS[0], VERSIONS[-1]))
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(0, min_open=True))
@click.option("--duration", default=0.0, type=click.FloatRange(0), help="Seconds to stay and follow deltas.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def load(
    cache: Endpoint,
    routers: int,
    slow: int,
    broken: int,
    version: int,
    timeout: float,
    duration: float,
    as_json: bool,
) -> None:
    """Connect many routers to the RTR cache at HOST:PORT, and see how long each takes for its set.

    For a cache of your own: this is load, and with --slow and --broken it is meant to hurt. Exit code 1 if
    a healthy router got no set, lost its connection, or got other octets than the others.
    """
    _need_files(routers + slow + broken)
    plan = Plan(routers, slow, broken, version, timeout, duration)
    try:
        with Console(stderr=True).status("connecting") as status:
            report = simulator.run(cache, plan, lambda report: status.update(_line(report)))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    nobody = not report.sync_seconds and report.refused >= routers
    if as_json:
        click.echo(json.dumps(_summary(report), indent=2))
    elif not nobody:
        for name, value in _summary(report).items():
            click.echo(f"{name.replace('_', ' '):<24} {value}")
    if nobody:
        fail(ConnectionError(f"{cache}: no router could connect: {report.refusal}"))
    sys.exit(0 if report.healthy else BROKEN)


def _need_files(count: int) -> None:
    """As many descriptors as there are routers; a usage error where the system does not allow it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and count + SPARE_FILES > hard:
        raise click.UsageError(f"{count} routers: the limit of open files is {hard} (ulimit -n)")


def _line(report: Report) -> str:
    return (
        f"{len(report.sync_seconds):,} of {report.plan.routers:,} routers synchronized, "
        f"{report.octets / 1e6:,.0f} MB, {report.updates:,} updates"
    )


def _summary(report: Report) -> dict[str, object]:
    """Numbers for both forms of output; seconds and octets."""
    times = {
        f"sync_seconds_{name}": None if (found := report.percentile(share)) is None else round(found, 4)
        for name, share in (("median", 0.5), ("95", 0.95), ("99", 0.99), ("slowest", 1.0))
    }
    return {
        "routers": report.plan.routers,
        "synchronized": len(report.sync_seconds),
        "by_version": msgspec.to_builtins(report.versions),
        **times,
        "elapsed_seconds": round(report.elapsed, 3),
        "octets": report.octets,
        "notifies": report.notifies,
        "updates": report.updates,
        "connections_refused": report.refused,
        "connections_lost": report.lost,
        "errors": msgspec.to_builtins(report.errors),
        "different": report.different,
        "serials_at_the_end": msgspec.to_builtins(report.serials),
    }
