"""``rov ixp``: what a route server passed on, and what that says of each member of the exchange."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import click

from rov.audit.ixp import VERIFY, Community, Passed, as_community, passed_on, verify_table
from rov.audit.ixp_members import MEMBERS, letter, member_fixes, members_table
from rov.audit.verdicts import Verdicts
from rov.cli.answers import Reply, answer, count_lines, counted, limit_option, table_grid
from rov.cli.asked import Command, as_one, vrps_option
from rov.cli.dumps import output_option, read_verdicts, reopened, spool_of_command
from rov.cli.shared import EXIT_FOUND, PrefixType, busy, json_option, strict_option
from rov.errors import ArgumentError
from rov.formats.compression import write_file
from rov.reference.ixf import Exchange, read_members
from rov.reference.participants import read_asns
from rov.report import Subject
from rov.report.blocks import several
from rov.report.terminal import heading
from rov.types import Prefix, State

MEMBERS_SHOWN = ("asn", "name", "sessions", "routes", "valid", "invalid", "invalid_expected", "not_found")


class _CommunityType(click.ParamType[Community]):
    """A community of two numbers, or a large one of three."""

    name = "community"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Community:
        try:
            return as_community(str(value))
        except ArgumentError as error:
            self.fail(str(error))


class _Server(NamedTuple):
    """What a route server is verified by: its dumps, the VRPs, the export, marks and LANs."""

    ribs: tuple[str, ...]
    vrps: str
    path: str | None
    expected: tuple[Community, ...]
    lans: tuple[Prefix, ...]
    strict: bool

    def read(self) -> tuple[Exchange | None, Verdicts, Passed]:
        """The export, the verdicts on the routes, and what of them was passed on."""
        exchange = read_members(self.path) if self.path else None
        spool = spool_of_command()
        verdicts = read_verdicts(self.ribs, self.vrps, 1, None, self.strict, spool)
        every = tuple(dict.fromkeys([*self.lans, *(exchange.lans if exchange else ())]))
        known = exchange.asns() if exchange else None
        with reopened(self.ribs, "rov ixp", spool) as dumps:
            passed = passed_on(verdicts, dumps, expected=self.expected, lans=every, members=known)
        return exchange, verdicts, passed


def server_options(command: Command) -> Command:
    """RIB..., --vrps, --members, --expected-invalid-community, --peering-lan, --strict, as ``server``."""
    for option in (
        as_one(_Server, "server"),
        strict_option,
        click.option(
            "--peering-lan",
            "lans",
            type=PrefixType(),
            multiple=True,
            metavar="PREFIX",
            help="The peering LAN: no route may lie in it. Those of --members count too. Repeatable.",
        ),
        click.option(
            "--expected-invalid-community",
            "expected",
            type=_CommunityType(),
            multiple=True,
            metavar="COMMUNITY",
            help="Marks invalid routes that are passed on knowingly: 64500:1 or 64500:1:2. Repeatable.",
        ),
        click.option("--members", "path", metavar="FILE", help="The exchange's IX-F member export (JSON)."),
        vrps_option,
        click.argument("ribs", nargs=-1, required=True, metavar="RIB..."),
    ):
        command = option(command)
    return command


@click.group("ixp")
def ixp_group() -> None:
    """Route servers of internet exchanges, and their members."""


@ixp_group.command("verify")
@server_options
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["invalid", "expected", "lan", "nothing"]),
    help="Exit with 1 also if an expected (marked) invalid route was passed on, or one in the LAN; or never.",
)
@output_option("the entries that are invalid or in the peering LAN")
@limit_option
@json_option
def verify(
    server: _Server,
    fail_on: tuple[str, ...],
    **how: Any,
) -> int:
    """Verify that a route server drops invalid routes: exit code 1 if it passed one on unmarked.

    RIB is its table as MRT, or the JSON of its looking glass (Alice-LG, Bird's Eye, birdwatcher).
    """
    exchange, verdicts, passed = server.read()
    with busy("verifying"):
        table = verify_table(passed, exchange.names() if exchange else None)
        members = members_table(passed, exchange)
    counts, in_lans = counted(table["status"]), counted(table["peering_lan"].drop_null())
    unmarked, marked = (sum(members[name].to_pylist()) for name in ("invalid", "invalid_expected"))
    inside = sum(in_lans.values())
    blocks = [_lan(verdicts, lan, in_lans[str(lan)]) for lan in passed.lans]
    sessions = len([session for session in passed.sessions if session.address])
    summary = {
        "sessions": sessions,
        "routes": verdicts.counts(),
        "entries": {name: counts[name] for name in ("invalid", "invalid_expected")},
        "peering_lan_entries": inside,
        "not_listed": passed.found - len(passed.listed.rows),
        "passed": not unmarked,
    }
    lines = [
        f"{several(len(verdicts), 'route')} of {several(sessions, 'session')}, "
        f"invalid: {verdicts.count(State.INVALID):,}",
        f"passed on unmarked: {_entries(counts['invalid'])}, "
        f"by {several(_count(members, 'invalid'), 'member')}",
        f"marked as expected{_named(server.expected)}: {_entries(counts['invalid_expected'])}",
        *(block["advice"] for block in blocks),
        "NOT verified: invalid routes were passed on" if unmarked else "verified: no invalid route unmarked",
    ]
    if left := passed.found - len(passed.listed.rows):
        lines.append(f"counted by route only, as too many to list: {_entries(left)}")
    subject = Subject(verdicts, server.ribs, server.vrps)
    facts = {
        **subject.facts(),
        "expected_invalid_communities": [":".join(map(str, community)) for community in server.expected],
        "peering_lans": blocks,
        "members_schema": MEMBERS.name,
        "members": members.to_pylist(),
    }
    more = ["", "Members", table_grid(members, MEMBERS_SHOWN, how["limit"])] if members.num_rows else []
    shown = ("prefix", "origin", "status", "reason", "peer", "peer_as", "member", "class", "vrps")
    reply = Reply(table, VERIFY, summary, lines, shown, "no entry is invalid or in the peering LAN", more)
    answer(reply, facts, heading(subject), **how)
    # an unmarked one always counts: the code would be no evidence otherwise
    met = {"invalid": unmarked, "expected": marked, "lan": inside}
    minded = [] if "nothing" in fail_on else ["invalid", *fail_on]
    return EXIT_FOUND if any(met[name] for name in minded) else 0


@ixp_group.command("members")
@server_options
@click.option(
    "--manrs", metavar="FILE", help='AS numbers of MANRS members: {"asns": [...]}, or participants.'
)
@click.option(
    "--letters",
    type=click.Path(file_okay=False),
    metavar="DIRECTORY",
    help="Write a text to each member that has invalid routes: ASn.txt.",
)
@output_option("a row for each member")
@limit_option
@json_option
def members_command(
    server: _Server,
    manrs: str | None,
    letters: str | None,
    **how: Any,
) -> int:
    """A card for each member of an exchange: its routes by state, its score, what mends most of them."""
    known = read_asns(manrs) if manrs else None
    exchange, verdicts, passed = server.read()
    with busy("scoring"):
        table = members_table(passed, exchange, manrs=known)
    written = _write_letters(letters, passed, exchange) if letters else 0
    severities = counted(table["severity"])
    summary: dict[str, Any] = {
        "members": table.num_rows,
        "with_invalid_routes": _count(table, "invalid"),
        "severities": dict(severities),
    }
    lines = [
        f"{several(table.num_rows, 'member')}, {summary['with_invalid_routes']:,} with invalid routes",
        *count_lines(severities),
    ]
    if letters:
        lines.append(f"{several(written, 'letter')} in {letters}")
    shown = ["asn", "name", "routes", "valid", "invalid", "not_found", "m7rpki", "severity"]
    shown += ["manrs_member"] if known is not None else []
    subject = Subject(verdicts, server.ribs, server.vrps)
    reply = Reply(table, MEMBERS, summary, lines, [*shown, "top_fix"], "no member")
    answer(reply, subject.facts(), heading(subject), **how)
    return 0


def _entries(count: int) -> str:
    return several(count, "entry", "entries")


def _count(members: Any, column: str) -> int:
    """How many members have such routes."""
    return sum(value > 0 for value in members[column].to_pylist())


def _named(expected: tuple[Community, ...]) -> str:
    return f" ({', '.join(':'.join(map(str, community)) for community in expected)})" if expected else ""


def _lan(verdicts: Verdicts, lan: Prefix, count: int) -> dict[str, Any]:
    """What there is to say of a peering LAN: entries that lie in it, the VRPs over it, advice."""
    vrps = [str(vrp) for vrp in verdicts.index.explain(lan, 0).covering]
    advice = f"peering LAN {lan}: {_entries(count)} in it, "
    advice += (
        f"ROAs over it: {', '.join(vrps[:3])}"
        if vrps
        else "and no ROA covers it: one for AS 0, or for the exchange's own AS, would have leaks dropped"
    )
    return {"prefix": str(lan), "entries": count, "vrps": vrps, "advice": advice}


def _write_letters(directory: str, passed: Passed, exchange: Exchange | None) -> int:
    """A file for each member that has invalid routes; how many."""
    names = exchange.names() if exchange else {}
    fixes = member_fixes(passed)
    os.makedirs(directory, exist_ok=True)
    for asn, routes in fixes.items():
        text = letter(asn, names.get(asn, ""), routes, "the route servers of the exchange")
        write_file(os.path.join(directory, f"AS{asn}.txt"), [text.encode()])
    return len(fixes)
