"""``rtr-server probe``: how a cache keeps to the RTR documents."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from rtr_server.cli.shared import BROKEN, ENDPOINT, INTERRUPTED, fail, hush
from rtr_server.endpoint import Endpoint
from rtr_server.tools import checks, probe_report
from rtr_server.tools import probe as prober


@click.command()
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
        hush()
    except prober.UnreachableError as error:
        fail(error)
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
