"""``rov config``: what makes a router drop routes that are invalid by RFC 6811."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import click

from rov.cli.forms import templates_option
from rov.cli.shared import AsnType, read_vrps, strict_option, warn_skipped
from rov.formats.compression import write_file
from rov.routers import ROLES, ROUTERS, configure
from rov.snapshot import Snapshot


@click.command()
@click.argument("router", required=False, type=click.Choice([*ROUTERS]))
@click.option("--list", "listed", is_flag=True, help="Show the routers, and what each can be.")
@click.option("--asn", type=AsnType(), help="Our AS.")
@click.option("--cache", "caches", multiple=True, metavar="HOST:PORT", help="An RTR cache; repeat it.")
@click.option("--static", is_flag=True, help="Write the VRPs of --vrps into it; they get old there.")
@click.option("--vrps", "path", metavar="FILE", help="The VRP file of --static.")
@click.option(
    "--role", type=click.Choice(ROLES), help="What the neighbours are: other ASes, our own, members."
)
@click.option("--neighbor", "neighbors", multiple=True, metavar="ADDRESS=ASN", help="A session; repeatable.")
@click.option("--router-id", metavar="ADDRESS", help="The BGP identifier.")
@templates_option
@click.option(
    "--output", metavar="FILE|DIR", help="Where to write; DIR for arouteserver, which takes several."
)
@strict_option
def config(
    router: str | None,
    listed: bool,
    asn: int | None,
    caches: tuple[str, ...],
    static: bool,
    path: str | None,
    role: str | None,
    neighbors: tuple[str, ...],
    router_id: str | None,
    templates: str | None,
    output: str | None,
    strict: bool,
) -> None:
    """Write a configuration of ROUTER that validates origins against a cache, or against VRPs in it.

    Without --neighbor it has a group or a template that your own sessions are attached to.
    """
    if listed:
        click.echo(_listing(), nl=False)
        return
    if router is None or asn is None:
        raise click.UsageError("expected ROUTER and --asn N, or --list")
    if static != (path is not None):
        raise click.UsageError("--static and --vrps FILE: expected both or none of them")
    if router == "arouteserver" and output is None:
        raise click.UsageError("arouteserver takes several files: expected --output DIR")
    directory = str(Path(output).absolute()) if output else "."
    vrps = _vrps(path, strict) if path else None
    made = configure(
        router,
        asn,
        caches=caches,
        vrps=vrps,
        role=role,
        neighbors=neighbors,
        router_id=router_id,
        templates=templates,
        directory=directory,
        at=int(time.time()) if vrps is None or vrps.generated is None else vrps.generated,
    )
    _write(made, output, router == "arouteserver")


def _vrps(path: str, strict: bool) -> Snapshot:
    report = read_vrps(path, strict)
    warn_skipped(path, report)
    return report.snapshot


def _write(made: Mapping[str, str], output: str | None, several: bool) -> None:
    """To stdout, a file, or files in a directory."""
    if output is None:
        click.echo("".join(made.values()), nl=False)
        return
    for name, text in made.items():
        target = Path(output, name) if several else Path(output)
        if several:
            target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, [text.encode()])


def _listing() -> str:
    """A line a router: name, title, roles, and whether VRPs can be in it."""
    width = max(map(len, ROUTERS))
    return "".join(
        f"{name:{width}}  {router.title}: {', '.join(router.roles)}{'; --static' if router.static else ''}\n"
        for name, router in ROUTERS.items()
    )
