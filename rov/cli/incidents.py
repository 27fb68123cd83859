"""``rov incidents``: mis-originations, leaks and bogons as they begin and end, and their counts by year."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from rov.audit.incident_summary import BY, SUMMARY, summary_table
from rov.audit.incidents import INCIDENTS, Detector, Rules, incidents_table
from rov.cli.answers import Reply, answer, limit_option
from rov.cli.dumps import output_option, read_dumps, reopened, spool_of_command
from rov.cli.shared import EXIT_FOUND, busy, json_option, read_index, strict_option
from rov.reference import read_delegated
from rov.reference.events import read_events
from rov.reference.relations import read_relations
from rov.reference.rpsl import read_irr
from rov.report.blocks import several

TYPES = ("hijack", "leak", "bogon")


class AsesType(click.ParamType[tuple[int, int]]):
    """How many ASes there were in a year."""

    name = "ases"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        year, _, count = str(value).partition("=")
        if not (year.isascii() and year.isdigit() and count.isascii() and count.isdigit() and int(count)):
            self.fail(f"{value!r}: expected YEAR=COUNT such as 2018=62500")
        return int(year), int(count)


@click.group("incidents")
def incidents_group() -> None:
    """What went wrong, from when to when."""


@incidents_group.command("detect")
@click.argument("updates", nargs=-1, required=True, metavar="MRT...")
@click.option(
    "--vrps", required=True, metavar="FILE", help="VRPs, and ASPAs, without which no leak is found."
)
@click.option("--before", multiple=True, metavar="RIB", help="The routes that were there before; repeatable.")
@click.option("--irr", multiple=True, metavar="FILE", help="RPSL dumps: what they register is none.")
@click.option("--as-rel", "relations", metavar="FILE", help="AS relations: who does business is cleared.")
@click.option("--delegated", multiple=True, metavar="FILE", help="Registries' files, for the country.")
@click.option(
    "--weak", is_flag=True, help="Also new origins that neither VRPs nor route objects speak against."
)
@click.option("--fail-on", multiple=True, type=click.Choice(TYPES), help="Exit with 1 if there is such.")
@output_option("the incidents")
@limit_option
@json_option
@strict_option
def detect(
    updates: tuple[str, ...],
    vrps: str,
    before: tuple[str, ...],
    irr: tuple[str, ...],
    relations: str | None,
    delegated: tuple[str, ...],
    weak: bool,
    fail_on: tuple[str, ...],
    strict: bool,
    **how: Any,
) -> int:
    """Find incidents in MRT updates, or in a RIB beside the one --before.

    Without --before all routes are new, and VRPs alone tell whose a prefix is.
    """
    index = read_index(vrps, strict)
    with busy("reading evidence"):
        delegations = read_delegated(delegated) if delegated else None
        pairs = read_relations(relations) if relations else None
        rules = Rules(index, read_irr(irr) if irr else None, pairs, delegations, weak)
    spool = spool_of_command() if index.snapshot.aspas else None
    detector = Detector(rules, read_dumps(before, spool) if before else None)
    if before and index.snapshot.aspas:
        with reopened(before, "--before with ASPAs", spool) as dumps:
            detector.excuse(dumps)
    with reopened(updates, "rov incidents detect") as dumps:
        for dump in dumps:
            detector.take(dump)
            for warning in dump.warnings:
                click.echo(f"rov: {warning}", err=True)
    table = incidents_table(detector.incidents(), delegations)
    counts = Counter(table["type"].to_pylist())
    going_on = table["end"].null_count
    summary = {**{name: counts[name] for name in TYPES}, "going_on": going_on}
    lines = [
        ", ".join(several(counts[name], name) for name in TYPES),
        f"still going on: {going_on:,}",
    ]
    facts = {
        "updates": list(updates),
        "before": list(before),
        "vrps": vrps,
        "aspas": len(index.snapshot.aspas),
    }
    shown: tuple[str, ...] = (
        "type",
        "kind",
        "start",
        "end",
        "prefix",
        "prefixes",
        "victim_as",
        "culprit_as",
        "peers",
        "rpki",
    )
    shown += ("irr", "weight")
    reply = Reply(table, INCIDENTS, summary, lines, shown, "no incident")
    answer(reply, facts, [], **how)
    return EXIT_FOUND if any(counts[name] for name in fail_on) else 0


@incidents_group.command("summarize")
@click.argument("events", nargs=-1, required=True, metavar="EVENTS...")
@click.option(
    "--by", type=click.Choice([*BY]), default="year", show_default=True, help="Count by year and this."
)
@click.option(
    "--ases",
    type=AsesType(),
    multiple=True,
    metavar="YEAR=COUNT",
    help="How many ASes there were, for the share; repeatable.",
)
@output_option("the counts")
@limit_option
@json_option
def summarize(events: tuple[str, ...], by: str, ases: tuple[tuple[int, int], ...], **how: Any) -> int:
    """Count events by year, with the change against the year before.

    EVENTS are files of rov incidents detect, of any format, or CSV with columns type, start, victim_as,
    culprit_as, country.
    """
    with busy("reading events"):
        found = read_events(events)
    table = summary_table(found, by, dict(ases))
    lines = [f"{len(found):,} events"]
    if by == "year":
        lines += [line for row in table.to_pylist() for line in _year(row)]
    facts = {"events": list(events), "by": by, "ases": {str(year): count for year, count in ases}}
    shown = [name for name in table.column_names if name != "group" or by != "year"]
    reply = Reply(table, SUMMARY, {"events": len(found)}, lines, shown, "no event")
    answer(reply, facts, [], **how)
    return 0


def _year(row: dict[str, Any]) -> list[str]:
    """The figures of a year as a talk shows them."""

    def change(value: float | None, unit: str = " %") -> str:
        return "" if value is None else f" ({value:+.1f}{unit} against {row['year'] - 1})"

    lines = [f"{row['year']}: {row['incidents']:,} incidents{change(row['incidents_change'])}"]
    if row["share_of_ases"] is not None:
        lines.append(
            f"  {row['share_of_ases']:.1f} % of all ASes hit{change(row['share_change'], ' points')}"
        )
    lines.append(f"  {row['victims']:,} ASes hit{change(row['victims_change'])}")
    lines.append(f"  {row['culprits']:,} ASes did it{change(row['culprits_change'])}")
    return lines
