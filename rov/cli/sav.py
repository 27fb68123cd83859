"""``rov sav``: from which sources customers may send, for routers that drop the rest."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import click

from rov.audit.sav import ALGORITHMS, SAV, sav_table
from rov.audit.sav_heard import Interface, learn
from rov.cli.answers import Reply, answer, counted, limit_option
from rov.cli.dumps import reopened
from rov.cli.forms import check_form, form_options, templates_option, write_text
from rov.cli.shared import EXIT_FOUND, json_option, read_vrps, strict_option, warn_skipped
from rov.errors import ArgumentError, PrefixError
from rov.routers.sav import SAV_ROUTERS, source_filters, source_list
from rov.snapshot import Snapshot
from rov.types import Prefix

NEED_VRPS = ("procedure-x", "bar-sav")


class InterfaceType(click.ParamType[Interface]):
    """A customer interface and who is on it."""

    name = "interface"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Interface:
        try:
            return Interface.parse(str(value))
        except ArgumentError as error:
            self.fail(str(error))


class AlsoType(click.ParamType[tuple[str, Prefix]]):
    """A prefix of an interface."""

    name = "also"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Prefix]:
        name, _, prefix = str(value).partition("=")
        try:
            return name, Prefix.parse(prefix)
        except PrefixError as error:
            self.fail(f"{value!r}: expected INTERFACE=PREFIX: {error}")


@click.group("sav")
def sav_group() -> None:
    """Source address validation: no spoofed packets from customers."""


@sav_group.command("build")
@click.argument("ribs", nargs=-1, required=True, metavar="RIB...")
@click.option(
    "--interface",
    "interfaces",
    type=InterfaceType(),
    multiple=True,
    required=True,
    metavar="NAME=NEIGHBOR",
    help="A customer interface and its BGP neighbours (AS or address, comma-separated); repeatable.",
)
@click.option(
    "--algorithm",
    type=click.Choice([*ALGORITHMS]),
    default="efp-b",
    show_default=True,
    help="strict uRPF, RFC 8704 A and B, or the BAR-SAV draft.",
)
@click.option("--vrps", metavar="FILE", help="VRPs and ASPAs, for procedure-x and bar-sav.")
@click.option(
    "--also",
    type=AlsoType(),
    multiple=True,
    metavar="NAME=PREFIX",
    help="A prefix that no route tells of, such as that of the link; repeatable.",
)
@form_options(SAV_ROUTERS, "Write configuration.", "the lists, or with --format the configuration")
@templates_option
@click.option("--fail-on", type=click.Choice(["empty"]), help="Exit with 1 if a list is empty.")
@limit_option
@json_option
@strict_option
def build(
    ribs: tuple[str, ...],
    interfaces: tuple[Interface, ...],
    algorithm: str,
    vrps: str | None,
    also: tuple[tuple[str, Prefix], ...],
    form: str | None,
    templates: str | None,
    fail_on: str | None,
    strict: bool,
    **how: Any,
) -> int:
    """List the sources that packets on customer interfaces may have.

    RIB is an MRT dump of what your routers have heard, from customers, peers and providers (Adj-RIB-In).
    """
    check_form(form, how)
    if algorithm in NEED_VRPS and vrps is None:
        raise click.UsageError(f"--algorithm {algorithm}: expected --vrps, a file that has ASPAs as well")
    snapshot = Snapshot.empty()
    if vrps is not None:
        report = read_vrps(vrps, strict)
        warn_skipped(vrps, report)
        snapshot = report.snapshot
    if algorithm in NEED_VRPS and not snapshot.aspas:
        click.echo(f"rov: {vrps}: no ASPAs in it: customer cones are as the paths have them", err=True)
    with reopened(ribs, "rov sav build") as dumps:
        learnt = learn(dumps, interfaces)
    table = sav_table(learnt, interfaces, algorithm, snapshot, also=also)
    counts = counted(table["interface"])
    empty = [interface.name for interface in interfaces if not counts[interface.name]]
    if form:
        ends = accumulate(counts[one.name] for one in interfaces)
        lists = [
            source_list(one.name, table["prefix"][end - counts[one.name] : end].to_pylist())
            for one, end in zip(interfaces, ends, strict=True)
        ]
        write_text(source_filters(form, lists, templates=templates), how["output"])
    else:
        sources = dict(counted(table["source"]))
        summary = {
            "interfaces": {interface.name: counts[interface.name] for interface in interfaces},
            "sources": sources,
        }
        facts = {"ribs": list(ribs), "vrps": vrps, "algorithm": algorithm, "aspas": len(snapshot.aspas)}
        lines = [
            f"{algorithm}, {len(snapshot.aspas):,} ASPAs",
            *(f"{one.name}: {counts[one.name]:,} prefixes" for one in interfaces),
        ]
        shown = ("interface", "prefix", "source", "via_asn")
        answer(Reply(table, SAV, summary, lines, shown, "no prefix"), facts, [], **how)
    return EXIT_FOUND if fail_on and empty else 0
