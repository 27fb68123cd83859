"""``rov whatif``: what adding or removing VRPs, or a SLURM file, would do to the routes of a RIB."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from rov import slurm as slurm_files
from rov._rows import asn_of
from rov.audit.whatif import WHATIF, Change, change, whatif_table
from rov.cli.answers import Reply, answer_about, limit_option
from rov.cli.asked import Asked, dump_options
from rov.cli.dumps import output_option
from rov.cli.shared import EXIT_FOUND, busy, json_option
from rov.errors import PrefixError
from rov.report.blocks import several
from rov.snapshot import Snapshot
from rov.types import Prefix, State, Vrp

FAIL_ON = ("route", "to-invalid", "valid-to-invalid", "unreachable")
"""A route that changes; one that becomes invalid; one that was valid; one that nothing would reach then."""


class VrpType(click.ParamType[Vrp]):
    """A VRP as AS,PREFIX[,MAXLENGTH]."""

    name = "vrp"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Vrp:
        parts = str(value).split(",")
        asn = asn_of(parts[0].strip())
        if len(parts) not in (2, 3) or asn is None:
            self.fail(f"{value!r}: expected AS,PREFIX or AS,PREFIX,MAXLENGTH such as AS64496,192.0.2.0/24,24")
        try:
            prefix = Prefix.parse(parts[1].strip())
        except PrefixError as error:
            self.fail(str(error))
        most = parts[2].strip() if len(parts) == 3 else str(prefix.length)
        if not (most.isascii() and most.isdigit() and prefix.length <= int(most) <= prefix.bits):
            self.fail(f"{value!r}: expected a max length of {prefix.length} to {prefix.bits}")
        return Vrp(prefix, int(most), asn)


@click.command()
@dump_options
@click.option("--add", "added", type=VrpType(), multiple=True, metavar="AS,PREFIX[,MAX]", help="A VRP more.")
@click.option(
    "--remove", "removed", type=VrpType(), multiple=True, metavar="AS,PREFIX[,MAX]", help="A VRP less."
)
@click.option("--slurm", "slurms", multiple=True, metavar="FILE", help="Local exceptions (RFC 8416).")
@click.option("--fail-on", multiple=True, type=click.Choice(FAIL_ON), help="Exit with 1 if there is such.")
@output_option("the routes that change")
@limit_option
@json_option
def whatif(
    asked: Asked,
    added: tuple[Vrp, ...],
    removed: tuple[Vrp, ...],
    slurms: tuple[str, ...],
    fail_on: tuple[str, ...],
    **how: Any,
) -> int:
    """Tell which routes of a RIB change their state, if VRPs come or go.

    Removals are done first, then additions, then the SLURM files. A route that becomes invalid has a class:
    where the packets to it would go (as in rov audit).
    """
    if not (added or removed or slurms):
        raise click.UsageError("expected --add, --remove or --slurm")
    verdicts = asked.verdicts()
    after = _after(verdicts.index.snapshot, added, removed, slurms)
    with busy("validating again"):
        changed = change(verdicts, after)
        table = whatif_table(changed)
    counts = _counts(changed)
    kinds = Counter(kind for kind in table["class"].to_pylist() if kind)
    lines = [f"{several(count, 'route')} {step}" for step, count in counts.items()]
    lines += [f"  of those that become invalid, {count:,} {kind}" for kind, count in kinds.most_common()]
    summary = {"vrps_before": len(verdicts.index), "vrps_after": len(after), **counts, "classes": dict(kinds)}
    shown = ("prefix", "origin", "before", "after", "reason", "peers", "class", "causes")
    reply = Reply(table, WHATIF, summary, lines, shown, "no route changes its state")
    answer_about(reply, asked.subject(verdicts), **how)
    return EXIT_FOUND if _found(changed, kinds) & set(fail_on) else 0


def _after(
    snapshot: Snapshot, added: tuple[Vrp, ...], removed: tuple[Vrp, ...], slurms: tuple[str, ...]
) -> Snapshot:
    for vrp in removed:
        if vrp not in snapshot:
            raise click.UsageError(f"--remove {vrp}: there is no such VRP")
    after = snapshot - Snapshot.from_vrps(removed) | Snapshot.from_vrps(added)
    if slurms:
        loaded = slurm_files.read(*slurms)
        for warning in loaded.warnings:
            click.echo(f"rov: warning: {warning}", err=True)
        after = loaded.apply(after).snapshot
    return after


def _counts(changed: Change) -> dict[str, int]:
    """How many routes take each step, those that take none left out."""
    matrix = changed.matrix()
    return {
        f"{before.label} -> {after.label}": int(matrix[before, after])
        for before in State
        for after in State
        if before != after and matrix[before, after]
    }


def _found(changed: Change, kinds: Counter[str]) -> set[str]:
    """Which of FAIL_ON there are."""
    matrix = changed.matrix()
    invalid = State.INVALID
    met = {
        "route": int(matrix.sum() - matrix.trace()),
        "to-invalid": int(matrix[:, invalid].sum() - matrix[invalid, invalid]),
        "valid-to-invalid": int(matrix[State.VALID, invalid]),
        "unreachable": kinds["unreachable"],
    }
    return {name for name, count in met.items() if count}
