"""``rov lint``: what is wrong with VRPs, seen from the routes that they should protect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rov.audit import Verdicts
from rov.audit.hygiene import Fault, hygiene_table
from rov.audit.schemas import HYGIENE
from rov.cli.asked import Asked, dump_options
from rov.cli.dumps import give, instant, limit_option, listed, output_option
from rov.cli.shared import EXIT_FOUND, AsnType, busy, json_option

if TYPE_CHECKING:
    import pyarrow as pa

FAULTS = [(fault.name or "").lower() for fault in Fault]

HOUR = 3600


@click.command()
@dump_options
@output_option("the VRPs")
@click.option("--asn", "asns", multiple=True, type=AsnType(), help="Only VRPs of an AS; repeatable.")
@click.option("--fault", "faults", multiple=True, type=click.Choice(FAULTS), help="Only VRPs that have one.")
@click.option("--fail-on", multiple=True, type=click.Choice(FAULTS), help="Exit with 1 if one is shown.")
@click.option("--soon", type=click.IntRange(1), default=24, show_default=True, help="Hours: expires_soon.")
@limit_option
@json_option
def lint(
    asked: Asked,
    output: str | None,
    asns: tuple[int, ...],
    faults: tuple[str, ...],
    fail_on: tuple[str, ...],
    soon: int,
    limit: int,
    as_json: bool,
) -> int:
    """Tell which VRPs allow more than is announced, serve nothing, or forbid what is announced (RFC 9319).

    The rows are those with a fault, or with the faults and of the ASes asked for. VRPs of a family that the
    dumps have no routes of are left out.
    """
    verdicts = asked.verdicts()
    subject = asked.subject(verdicts, at=instant(verdicts))
    with busy("auditing"):
        table = hygiene_table(verdicts, now=subject.at, soon=soon * HOUR)
        table = _chosen(_of_families(table, verdicts), asns, faults)
    cells = [
        [
            row["prefix"],
            f"{row['max_length']}",
            f"AS{row['asn']}",
            ", ".join(row["faults"]),
            f"{row['announced']:,} of {row['allowed']:,.0f}",
            row["exposed"] or "-",
        ]
        for row in table.slice(0, limit).to_pylist()
    ]
    head = ["prefix", "max", "origin", "faults", "announced of allowed", "open, e.g."]
    rows = listed("VRPs", head, cells, table.num_rows)
    give(subject, "hygiene", table, HYGIENE, rows, output=output, as_json=as_json)
    return EXIT_FOUND if _has(table, fail_on) else 0


def _of_families(table: pa.Table, verdicts: Verdicts) -> pa.Table:
    """The VRPs of families that there are routes of: of others nothing can be said."""
    ipv4 = len(verdicts.index.snapshot.ipv4)
    start = 0 if len(verdicts.ipv4) else ipv4
    return table.slice(start, (table.num_rows if len(verdicts.ipv6) else ipv4) - start)


def _having(table: pa.Table, faults: tuple[str, ...]) -> pa.Array:
    """The rows that have one of the faults."""
    from pyarrow import array, compute, string

    lists = table["faults"].combine_chunks()
    marked = compute.is_in(lists.flatten(), array(faults, string()))
    return compute.unique(compute.list_parent_indices(lists).filter(marked))


def _chosen(table: pa.Table, asns: tuple[int, ...], faults: tuple[str, ...]) -> pa.Table:
    """The rows asked for."""
    from pyarrow import array, compute, uint32

    if asns:
        table = table.filter(compute.is_in(table["asn"], array(asns, uint32())))
    return table.take(_having(table, faults or tuple(name for name in FAULTS if name != "minimal")))


def _has(table: pa.Table, faults: tuple[str, ...]) -> bool:
    return bool(faults) and len(_having(table, faults)) > 0
