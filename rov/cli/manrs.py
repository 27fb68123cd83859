"""``rov manrs``: scores of ASes by the formulas of the MANRS Observatory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click
import msgspec

from rov._rows import asn_of
from rov.audit.manrs import FRAMEWORK, MANRS, Match, Thresholds, manrs_table
from rov.cli.answers import Reply, answer, limit_option
from rov.cli.dumps import dump_options, output_option, read_verdicts
from rov.cli.shared import EXIT_FOUND, busy, json_option
from rov.errors import ReferenceFileError
from rov.reference.lines import numbered_lines
from rov.reference.rpsl import read_irr
from rov.report import Subject
from rov.report.terminal import heading


@click.group("manrs")
def manrs_group() -> None:
    """Mutually Agreed Norms for Routing Security."""


@manrs_group.command("score")
@dump_options
@click.option("--asns", "path", required=True, metavar="FILE", help="AS numbers, one a line; # is a comment.")
@click.option("--irr", multiple=True, metavar="FILE", help="RPSL dumps, for M7IRR, M6 and M8; repeatable.")
@click.option(
    "--irr-match",
    "match",
    type=click.Choice(["exact", "covering"]),
    default="exact",
    show_default=True,
    help="Whether a less specific route object counts.",
)
@click.option("--thresholds", metavar="FILE", help='JSON: {"ready": 0.8, "aspiring": 0.6}')
@click.option(
    "--fail-on", type=click.Choice(["lagging", "aspiring"]), help="Exit with 1 if one is, or is worse."
)
@output_option("the scores")
@limit_option
@json_option
def score(
    ribs: tuple[str, ...],
    vrps: str,
    min_peers: int,
    neighbor: int | None,
    strict: bool,
    path: str,
    irr: tuple[str, ...],
    match: Match,
    thresholds: str | None,
    fail_on: str | None,
    **how: Any,
) -> int:
    """Score ASes: M7RPKI (routes with a ROA), M7IRR (routes in an IRR), M6 and M8 (policy, contact)."""
    asns, limits = _asns(path), _thresholds(thresholds)
    with busy("reading IRRs"):
        known = read_irr(irr) if irr else None
    verdicts = read_verdicts(ribs, vrps, min_peers, neighbor, strict)
    table = manrs_table(verdicts, asns, irr=known, match=match, thresholds=limits)
    counts = Counter(table["severity"].to_pylist())
    settings: dict[str, Any] = {
        "framework": FRAMEWORK,
        "irr_match": match,
        "thresholds": msgspec.structs.asdict(limits),
    }
    lines = [
        f"framework {FRAMEWORK}; ready from {limits.ready:.0%}, aspiring from {limits.aspiring:.0%} "
        f"(MANRS publishes no thresholds); IRR objects match: {match}",
        *(f"{count:,} {word.replace('_', ' ')}" for word, count in sorted(counts.items())),
    ]
    shown: tuple[str, ...] = (
        "asn",
        "announced",
        "valid",
        "invalid_asn",
        "invalid_len",
        "notfound",
        "m7rpki",
        "severity",
    )
    if known is not None:
        shown = (*shown, "m7irr", "severity_irr", "m6", "m8")
        settings["irr_objects"], settings["irr_skipped"] = known.routes, known.skipped
    subject = Subject(verdicts, ribs, vrps, neighbor)
    reply = Reply(table, MANRS, dict(counts), lines, shown, "no AS")
    answer(reply, {**subject.facts(), **settings}, heading(subject), **how)
    worse: set[str] = {"lagging": {"lagging"}, "aspiring": {"lagging", "aspiring"}}.get(fail_on or "", set())
    return EXIT_FOUND if worse & {*table["severity"].to_pylist(), *table["severity_irr"].to_pylist()} else 0


def _asns(path: str) -> list[int]:
    found = []
    for number, line in numbered_lines(path):
        text = line.partition("#")[0].strip()
        asn = asn_of(text) if text else None
        if text and asn is None:
            raise ReferenceFileError(path, f"expected an AS number, found {text[:40]!r}", number)
        if asn is not None:
            found.append(asn)
    if not found:
        raise ReferenceFileError(path, "expected AS numbers, one a line, found none")
    return found


def _thresholds(path: str | None) -> Thresholds:
    if path is None:
        return Thresholds()
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Thresholds)
    except msgspec.DecodeError as error:
        raise ReferenceFileError(path, f'expected {{"ready": 0.8, "aspiring": 0.6}}: {error}') from error
