"""``rtr-server check-config``: what a configuration would serve where, or all that is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from rtr_server.cli.shared import FAILURE
from rtr_server.config import Client, Config, ConfigError, Http, Problem, check, read_config
from rtr_server.transport.doors import make_opener
from rtr_server.transport.errors import TransportError
from rtr_server.transport.tcp_auth import Keys
from rtr_server.transport.tls import https_context


@click.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check_config(file: Path, as_json: bool) -> None:
    """Check a configuration file and what it names: files, certificates, groups.

    Prints what would be served where. Exit code 2 where something is wrong, with a line for each fault.
    Whether the addresses can be listened on is not tried.
    """
    problems: tuple[Problem, ...] = ()
    plan: list[tuple[str, str]] = []
    try:
        config = read_config(file)
        problems = (*_unserved(config), *(check(config, file) or _unreadable(config)))
        plan = _plan(config)
    except ConfigError as error:
        problems = error.problems
    if as_json:
        answer = {"file": str(file), "ok": not problems, "problems": problems, "plan": _grouped(plan)}
        click.echo(msgspec.json.encode(answer))
    else:
        for what, text in plan if not problems else ():
            click.echo(f"{what:<9} {text}")
        for problem in problems:
            click.echo(f"rtr-server: {file}: {problem}", err=True)
    sys.exit(FAILURE if problems else 0)


def _unserved(config: Config) -> list[Problem]:
    return [] if config.source else [Problem("source", "expected a [[source]] at least")]


def _unreadable(config: Config) -> list[Problem]:
    """Certificates and keys that are there, but are none, or do not go together."""
    problems = []
    for number, listen in enumerate(config.transport.listen, 1):
        try:
            make_opener(listen, config.limits)
        except TransportError as error:
            problems.append(Problem(f"listen[{number}].{listen.transport}", str(error)))
    try:
        https_context(config.http)
    except TransportError as error:
        problems.append(Problem("http.certificate", str(error)))
    try:
        Keys(config.client)
    except TransportError as error:
        problems.append(Problem("client", str(error)))
    return problems


def _grouped(plan: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for what, text in plan:
        grouped.setdefault(what, []).append(text)
    return grouped


def _plan(config: Config) -> list[tuple[str, str]]:
    """What would be served where, a line each."""
    timers, guard, stale = config.timers, config.guard, config.stale
    lines = [
        (
            "listen",
            f"{listen.name} over {listen.transport}{', if there is such an address' * listen.optional}",
        )
        for listen in config.transport.listen
    ]
    lines += [
        ("client", f"{client.prefix} {_client(client) if client.allow else 'refused'}")
        for client in config.client
    ]
    lines += [("source", source.label) for source in config.source]
    if len(config.source) > 1:
        quorum = f" {config.policy.quorum}" if config.policy.quorum else ""
        lines.append(("policy", f"{config.policy.combine}{quorum}"))
    lines += [("slurm", str(path)) for path in config.slurm.files]
    if guard.enabled:
        lines.append(("guard", f"holds an update that removes more than {guard.max_loss} of all VRPs"))
    lines += [
        ("stale", f"{stale.action} when the data are older than {stale.after}"),
        ("timers", f"refresh {timers.refresh}, retry {timers.retry}, expire {timers.expire}"),
        ("state", str(config.state.directory or "none: routers start anew after a restart")),
        ("control", _control(config)),
        *(("http", line) for line in _http(config.http)),
        ("log", f"{config.log.level}, {config.log.format}"),
    ]
    return lines


def _client(client: Client) -> str:
    """What differs from the defaults for these routers."""
    default = Client(client.prefix)
    own = {
        name: getattr(client, name)
        for name in client.__struct_fields__
        if name not in ("prefix", "allow") and getattr(client, name) != getattr(default, name)
    }
    return "allowed" + "".join(f", {name} {value}" for name, value in own.items())


def _http(settings: Http) -> Iterator[str]:
    """Where HTTP would be served, and what it would show."""
    over = "HTTPS" if settings.certificate else "HTTP"
    token = ", with a token" if settings.token else ""
    yield from (f"{endpoint} over {over}{token}" for endpoint in settings.listen)
    if not settings.listen:
        yield "off: http.listen turns it on"
    elif settings.rib:
        yield f"routes of {', '.join(map(str, settings.rib))}"


def _control(config: Config) -> str:
    if config.control.path is None:
        return "none: rtr-server sessions, kick and status need control.socket"
    return f"{config.control.path}, mode {config.control.mode}"
