"""``rov filter``: allow-lists for customers, from ROAs and route objects, for routers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from rov.audit.allow import ALLOW, CONFLICTS, LONGEST_IPV4, LONGEST_IPV6, allow_table
from rov.cli.answers import Reply, answer, limit_option
from rov.cli.forms import check_form, form_options, templates_option, write_text
from rov.cli.shared import EXIT_FOUND, busy, json_option, read_index, strict_option
from rov.errors import ArgumentError, ReferenceFileError
from rov.reference.as_sets import Customer, read_as_sets
from rov.reference.lines import numbered_lines
from rov.reference.rpsl import read_irr
from rov.report.blocks import several
from rov.routers.filters import FILTERS, customer_filter, customer_filters

if TYPE_CHECKING:
    import pyarrow as pa

FAIL_ON = ("conflict", "missing", "empty")


class _Members(NamedTuple):
    """The ASes of each customer; what was asked for and is nowhere, what several sources have."""

    asns: dict[int, set[int]]
    missing: list[str]
    ambiguous: list[str]


@click.group("filter")
def filter_group() -> None:
    """What customers may announce."""


@filter_group.command("build")
@click.option(
    "--customer",
    "texts",
    multiple=True,
    metavar="CUSTOMER",
    help='"AS [AS-SET...] [ADDRESS...]"; repeatable.',
)
@click.option("--customers", "path", metavar="FILE", help="The same, one a line; # begins a comment.")
@click.option("--vrps", required=True, metavar="FILE", help="The VRPs.")
@click.option(
    "--irr", multiple=True, metavar="FILE", help="RPSL dumps: route objects and AS-SETs; the first counts."
)
@click.option(
    "--longest-ipv4",
    type=click.IntRange(1, 32),
    default=LONGEST_IPV4,
    show_default=True,
    help="The longest prefix that is let in.",
)
@click.option(
    "--longest-ipv6",
    type=click.IntRange(1, 128),
    default=LONGEST_IPV6,
    show_default=True,
    help="The same of IPv6.",
)
@form_options(
    FILTERS, "Write the configuration of a router.", "the entries, or with --format the configuration"
)
@templates_option
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(FAIL_ON),
    help="Exit with 1 if a route object is in conflict, an AS-SET is missing, a list is empty.",
)
@limit_option
@json_option
@strict_option
def build(
    texts: tuple[str, ...],
    path: str | None,
    vrps: str,
    irr: tuple[str, ...],
    longest_ipv4: int,
    longest_ipv6: int,
    form: str | None,
    templates: str | None,
    fail_on: tuple[str, ...],
    strict: bool,
    **how: Any,
) -> int:
    """Build a list for each customer: its ROAs up to max length, and route objects not RPKI-invalid.

    A customer is its AS, and the AS-SETs of its own customers, which are looked up in the dumps of --irr.
    """
    customers = _customers(texts, path)
    check_form(form, how)
    index = read_index(vrps, strict)
    members = _members(customers, irr)
    with busy("reading IRRs"):
        objects = read_irr(irr) if irr else None
    table = allow_table(members.asns, index, objects, longest_ipv4=longest_ipv4, longest_ipv6=longest_ipv6)
    for name in members.missing:
        click.echo(f"rov: {name}: in none of the dumps", err=True)
    for name in members.ambiguous:
        click.echo(f"rov: {name}: several sources have one, the first counts; SOURCE::{name} picks", err=True)
    if form:
        write_text(_configuration(form, customers, table, templates), how["output"])
    counts = _counts(table, customers)
    if not form:
        facts = {
            "vrps": vrps,
            "irr": list(irr),
            "customers": [customer._asdict() for customer in customers],
            "ases": {customer.name: len(members.asns[customer.asn]) for customer in customers},
            "missing": members.missing,
            "longest": [longest_ipv4, longest_ipv6],
        }
        shown = ("customer", "origin", "prefix", "le", "source", "conflict")
        reply = Reply(
            table, ALLOW, counts, [*_lines(counts, members, customers)], shown, "nothing is allowed"
        )
        answer(reply, facts, [], **how)
    met = {"conflict": sum(counts["conflicts"].values()), "missing": len(members.missing),
           "empty": len(counts["empty"])}  # fmt: skip
    return EXIT_FOUND if any(met[name] for name in fail_on) else 0


def _customers(texts: tuple[str, ...], path: str | None) -> list[Customer]:
    """Those of the options and of the file; an AS that comes twice is an error."""
    found = [Customer.parse(text) for text in texts]
    for number, line in numbered_lines(path) if path else ():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(Customer.parse(text))
        except ArgumentError as error:
            raise ReferenceFileError(str(path), str(error), number) from error
    if path and not found:
        raise ReferenceFileError(path, "expected customers, one a line, found none")
    if not found:
        raise click.UsageError("expected --customer or --customers")
    twice = [name for name, count in Counter(customer.name for customer in found).items() if count > 1]
    if twice:
        raise click.UsageError(f"{twice[0]}: expected each customer once, with all of its AS-SETs")
    return found


def _members(customers: list[Customer], irr: tuple[str, ...]) -> _Members:
    """The ASes whose routes each customer may announce: its own, and those of its AS-SETs."""
    asns = {customer.asn: {customer.asn} for customer in customers}
    if not any(customer.sets for customer in customers):
        return _Members(asns, [], [])
    if not irr:
        raise click.UsageError("AS-SETs are looked up in RPSL dumps: expected --irr")
    with busy("reading AS-SETs"):
        sets = read_as_sets(irr)
    missing: dict[str, None] = {}
    ambiguous: dict[str, None] = {}
    for customer in customers:
        found = sets.expand(customer.sets)
        asns[customer.asn] |= found.asns
        missing |= dict.fromkeys(found.missing)
        ambiguous |= dict.fromkeys(found.ambiguous)
    return _Members(asns, [*missing], [*ambiguous])


def _counts(table: pa.Table, customers: list[Customer]) -> dict[str, Any]:
    conflicts = table["conflict"].to_pylist()
    sources = table["source"].to_pylist()
    allowed = Counter(
        asn for asn, conflict in zip(table["customer"].to_pylist(), conflicts, strict=True) if not conflict
    )
    found = Counter(conflicts)
    return {
        "entries": sum(allowed.values()),
        "sources": dict(Counter(s for s, c in zip(sources, conflicts, strict=True) if not c)),
        "conflicts": {name: found[name] for name in CONFLICTS if found[name]},
        "empty": [customer.name for customer in customers if not allowed[customer.asn]],
    }


LEFT_OUT = {
    "asn": "ROAs of the prefix name other ASes; have the route object deleted",
    "length": "longer than the ROA of this AS allows; have the ROA or the route object changed",
    "as0": "the prefix must not be announced (AS 0); have the route object deleted",
    "bogon": "a reserved prefix, or a default route",
    "too_specific": "longer than --longest-ipv4 or --longest-ipv6",
}
"""Why an entry is not let in, and what to do about it."""


def _lines(counts: dict[str, Any], members: _Members, customers: list[Customer]) -> Iterator[str]:
    ases = len(set().union(*members.asns.values()))
    who = f"{several(len(customers), 'customer')} with {several(ases, 'AS', 'ASes')}"
    yield f"{who} may announce {several(counts['entries'], 'prefix', 'prefixes')}"
    for name in ("roa", "irr", "both"):
        yield f"  {counts['sources'].get(name, 0):,} by {name}"
    for name, count in counts["conflicts"].items():
        yield f"not let in: {count:,} ({name}: {LEFT_OUT[name]})"
    for name in counts["empty"]:
        yield f"{name} may announce nothing"


def _configuration(router: str, customers: list[Customer], table: pa.Table, templates: str | None) -> str:
    rows: dict[int, list[tuple[int, str, int]]] = {customer.asn: [] for customer in customers}
    for row in table.to_pylist():
        if row["conflict"] is None:
            rows[row["customer"]].append((row["origin"], row["prefix"], row["le"]))
    made = [customer_filter(customer.asn, rows[customer.asn], customer.addresses) for customer in customers]
    return customer_filters(router, made, templates=templates)
