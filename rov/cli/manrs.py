"""``rov manrs``: scores by the formulas of the MANRS Observatory, of ASes and beside published ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from rov._rows import asn_of
from rov.audit.manrs import FRAMEWORK, MANRS, Match, Thresholds, manrs_table
from rov.audit.participants import PARTICIPANTS, participants_table
from rov.cli.answers import Reply, answer, count_lines, counted, limit_option
from rov.cli.asked import Asked, Command, as_one, dump_options
from rov.cli.dumps import delegated_option, names_option, output_option
from rov.cli.shared import EXIT_FOUND, busy, json_option
from rov.errors import ReferenceFileError
from rov.reference import read_delegated
from rov.reference.lines import numbered_lines, read_octets
from rov.reference.names import read_names
from rov.reference.participants import read_participants
from rov.reference.rpsl import Irr, read_irr
from rov.report.terminal import heading

if TYPE_CHECKING:
    import pyarrow as pa


class _Scoring(NamedTuple):
    """How to score, as the options have it."""

    irr: tuple[str, ...]
    match: Match
    thresholds: str | None


def scoring_options(command: Command) -> Command:
    """--irr, --irr-match, --thresholds as ``scoring``; --fail-on."""
    for option in (
        as_one(_Scoring, "scoring"),
        click.option(
            "--fail-on",
            type=click.Choice(["lagging", "aspiring"]),
            help="Exit with 1 if one is, or is worse.",
        ),
        click.option("--thresholds", metavar="FILE", help='JSON: {"ready": 0.8, "aspiring": 0.6}'),
        click.option(
            "--irr-match",
            "match",
            type=click.Choice(["exact", "covering"]),
            default="exact",
            show_default=True,
            help="Whether a less specific route object counts.",
        ),
        click.option(
            "--irr", multiple=True, metavar="FILE", help="RPSL dumps, for what IRRs register; repeatable."
        ),
    ):
        command = option(command)
    return command


class _Settings(NamedTuple):
    """How to score: what the IRRs have (None: not asked), which objects match, thresholds."""

    irr: Irr | None
    match: Match
    limits: Thresholds

    @classmethod
    def of(cls, scoring: _Scoring) -> _Settings:
        """From the options."""
        limits = _thresholds(scoring.thresholds)
        with busy("reading IRRs"):
            return cls(read_irr(scoring.irr) if scoring.irr else None, scoring.match, limits)

    def facts(self) -> dict[str, Any]:
        """What the scores rest on, as plain values."""
        found: dict[str, Any] = {
            "framework": FRAMEWORK,
            "irr_match": self.match,
            "thresholds": msgspec.structs.asdict(self.limits),
        }
        if self.irr is not None:
            found |= {"irr_objects": self.irr.routes, "irr_skipped": self.irr.skipped}
        return found

    def line(self) -> str:
        """The same for people."""
        return (
            f"framework {FRAMEWORK}; ready from {self.limits.ready:.0%}, aspiring from "
            f"{self.limits.aspiring:.0%} (MANRS publishes no thresholds); IRR objects match: {self.match}"
        )


@click.group("manrs")
def manrs_group() -> None:
    """Mutually Agreed Norms for Routing Security."""


@manrs_group.command("score")
@dump_options
@click.option("--asns", "path", required=True, metavar="FILE", help="AS numbers, one a line; # is a comment.")
@scoring_options
@delegated_option
@names_option
@output_option("the scores")
@limit_option
@json_option
def score(
    asked: Asked,
    path: str,
    scoring: _Scoring,
    fail_on: str | None,
    delegated: tuple[str, ...],
    names: tuple[str, ...],
    **how: Any,
) -> int:
    """Score ASes: M7RPKI (routes with a ROA), M7IRR (routes in an IRR), M6 and M8 (policy, contact)."""
    asns, settings = _asns(path), _Settings.of(scoring)
    known = read_delegated(delegated) if delegated else None
    called = read_names(names) if names else None
    verdicts = asked.verdicts()
    table = manrs_table(
        verdicts,
        asns,
        irr=settings.irr,
        match=settings.match,
        thresholds=settings.limits,
        delegations=known,
        names=called,
    )
    counts = dict(counted(table["severity"]))
    shown = ["asn", "announced", "valid", "invalid_asn", "invalid_len", "notfound", "m7rpki", "severity"]
    if settings.irr is not None:
        shown += ["m7irr", "severity_irr", "m6", "m8"]
    if known is not None:
        shown += ["country", "rank_in_country"]
    if called is not None:
        shown.insert(1, "name")
    subject = asked.subject(verdicts)
    lines = [settings.line(), *count_lines(counts)]
    reply = Reply(table, MANRS, counts, lines, shown, "no AS")
    answer(reply, {**subject.facts(), **settings.facts()}, heading(subject), **how)
    return _code(table, fail_on)


@manrs_group.command("table")
@dump_options
@click.option(
    "--participants",
    "path",
    required=True,
    metavar="FILE",
    help="JSON of the MANRS API, or the Observatory's CSV.",
)
@scoring_options
@output_option("a row for each participant")
@limit_option
@json_option
def table_command(
    asked: Asked,
    path: str,
    scoring: _Scoring,
    fail_on: str | None,
    **how: Any,
) -> int:
    """Put our scores of participants beside those that MANRS publishes; the largest differences first."""
    known, settings = read_participants(path), _Settings.of(scoring)
    verdicts = asked.verdicts()
    with busy("scoring"):
        table = participants_table(
            verdicts, known, irr=settings.irr, match=settings.match, thresholds=settings.limits
        )
    counts = dict(counted(table["severity"]))
    compared = {what: table[f"difference_{what}"].drop_null() for what in ("rpki", "irr")}
    summary: dict[str, Any] = {"participants": len(known), "severities": counts}
    lines = [settings.line(), f"{len(known):,} participants", *count_lines(counts)]
    for what, values in compared.items():
        if len(values):
            mean = sum(map(abs, values.to_pylist())) / len(values)
            summary[f"compared_{what}"], summary[f"mean_difference_{what}"] = len(values), mean
            lines.append(
                f"{len(values):,} have a published {what.upper()} score; ours differ by {mean:.4f} on average"
            )
    shown = ["name", "areas", "asns", "announced", "m7rpki", "published_rpki", "difference_rpki", "severity"]
    if settings.irr is not None:
        shown += ["m7irr", "published_irr", "difference_irr", "severity_irr"]
    subject = asked.subject(verdicts)
    facts = {**subject.facts(), **settings.facts(), "participants": path}
    reply = Reply(table, PARTICIPANTS, summary, lines, shown, "no participant")
    answer(reply, facts, heading(subject), **how)
    return _code(table, fail_on)


def _code(table: pa.Table, fail_on: str | None) -> int:
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
        return msgspec.json.decode(read_octets(path), type=Thresholds)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReferenceFileError(path, f'expected {{"ready": 0.8, "aspiring": 0.6}}: {error}') from error
