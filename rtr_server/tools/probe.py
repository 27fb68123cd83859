"""The conformance probe: behaves as routers do, well and badly, and judges how a cache answers.

A ``Probe`` makes each observation once, when a check first asks for it; ``run`` goes through the checks
(``checks.CHECKS``), each of which returns a note, or raises Broken or Skip. The numbers of the checks are
those of the project's conformance sheet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from rtr_server.endpoint import Endpoint
from rtr_server.protocol.errors import ErrorCode
from rtr_server.protocol.pdu import VERSIONS, PduType, ResetQuery, SerialQuery
from rtr_server.tools.link import Broken, BrokenResponse, Link, OutOfTimeError, Reaction, describe
from rtr_server.tools.received import Payload, Response

BUDGET = 50.0
"""Seconds for everything; checks that are left by then are skipped."""

QUIET = 0.7
"""Seconds of silence after which a connection counts as left open, and as saying nothing by itself."""

Level = Literal["MUST", "SHOULD", "robustness"]
Outcome = Literal["pass", "fail", "skip"]
Judge: TypeAlias = "Callable[[Probe], str | None]"


class Skip(Exception):  # noqa: N818  # not an error
    """A check cannot be made with this cache; the message says why."""


class UnreachableError(Exception):
    """No connection to the cache; the message says why."""


class Check(NamedTuple):
    """A requirement: number in the sheet, level, where it is written, what it says, and its function."""

    number: str
    level: Level
    section: str
    what: str
    function: Judge


def register(
    table: list[Check], number: str, level: Level, section: str, what: str
) -> Callable[[Judge], Judge]:
    """Decorator: put a function into a table of checks.

    >>> table = []
    >>> register(table, "C00", "MUST", "nowhere", "nothing")(lambda probe: None).__name__
    '<lambda>'
    >>> table[0].number
    'C00'
    """

    def put(function: Judge) -> Judge:
        table.append(Check(number, level, section, what, function))
        return function

    return put


class Result(NamedTuple):
    """What became of a check; ``why`` says what was seen."""

    check: Check
    outcome: Outcome
    why: str


class Survey(NamedTuple):
    """One version tried on a connection of its own: a Reset Query, a Serial Query at the serial it gave.

    ``fault``: why an answer is missing, empty if none is; ``cut``: whether a response began and did not
    end. ``after``: what the cache said unasked, and whether it closed.
    """

    version: int
    full: Response | None
    again: Response | None
    fault: str
    cut: bool
    after: Reaction


class Probe:
    """Observations of one cache; ``timeout`` in seconds for each answer."""

    def __init__(self, endpoint: Endpoint, *, timeout: float = 3.0, budget: float = BUDGET) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._until = time.monotonic() + budget
        self._reactions: dict[str, Reaction] = {}
        self._payloads: dict[int, Payload] = {}

    def link(self) -> Link:
        """A new connection; Skip if the cache takes none any more."""
        try:
            return Link(self.endpoint, self.timeout, self._until)
        except OSError as error:
            raise Skip(f"no connection: {error.strerror or error}") from error

    def reach(self) -> None:
        """UnreachableError if there is no way to the cache."""
        try:
            Link(self.endpoint, self.timeout, self._until).__exit__(None, None, None)
        except OSError as error:
            raise UnreachableError(f"{self.endpoint}: {error.strerror or error}") from error

    # Versions and full responses

    @cached_property
    def surveys(self) -> dict[int, Survey]:
        """Each version, tried."""
        return {version: self._survey(version) for version in VERSIONS}

    def _survey(self, version: int) -> Survey:
        with self.link() as link:
            full = again = None
            fault, cut = "", False
            try:
                full = link.ask(ResetQuery(version).encode())
                if full.complete:
                    again = link.ask(SerialQuery(version, full.session_id, full.serial).encode())
            except Broken as error:
                fault, cut = str(error), isinstance(error, BrokenResponse)
            return Survey(version, full, again, fault, cut, link.reaction(b"", version, QUIET))

    @cached_property
    def versions(self) -> list[int]:
        """Those that the cache answers with a response or with No Data, in the version asked."""
        return [version for version, survey in self.surveys.items() if _accepted(survey)]

    def outcome(self, version: int) -> str:
        """How a version was answered, in words."""
        survey = self.surveys[version]
        return survey.fault if survey.full is None else describe(survey.full.head)

    @property
    def why_no_version(self) -> str:
        """How all versions were answered, in words."""
        return "; ".join(f"version {version}: {self.outcome(version)}" for version in VERSIONS)

    @property
    def highest(self) -> int:
        """The highest version that the cache speaks; Skip if it speaks none."""
        if not self.versions:
            raise Skip("no version was answered")
        return self.versions[-1]

    @property
    def fulls(self) -> dict[int, Response]:
        """The complete full responses by version; Skip if there is none."""
        found = {
            version: survey.full
            for version, survey in self.surveys.items()
            if survey.full is not None and survey.full.complete and version in self.versions
        }
        if not found:
            raise Skip("no full response was had")
        return found

    def payload(self, version: int) -> Payload:
        """The payload of the full response in a version."""
        if version not in self._payloads:
            self._payloads[version] = Payload(self.fulls[version].payload)
        return self._payloads[version]

    # Open sessions and provocations

    def query(self, version: int | None = None, *, session_id: int = 0, ahead: int = 0) -> bytes:
        """A Serial Query for what the cache serves now; session_id is xored into its id, ahead added."""
        version = self.highest if version is None else version
        if version not in self.fulls:
            raise Skip(f"no full response in version {version}")
        full = self.fulls[version]
        serial = (full.serial + ahead) % 2**32
        return SerialQuery(version, full.session_id ^ session_id, serial).encode()

    def opened(self) -> Link:
        """A connection on which the highest version is spoken and a response was had; Skip if not."""
        query = self.query()
        link = self.link()
        try:
            if link.ask(query).header[:2] == (self.highest, PduType.CACHE_RESPONSE):
                return link
            why = "answered otherwise"
        except Broken as error:
            why = str(error)
        except OutOfTimeError:
            link.__exit__(None, None, None)
            raise
        link.__exit__(None, None, None)
        raise Skip(f"no session: a Serial Query at the current serial was not answered: {why}")

    def provoke(self, name: str, octets: bytes) -> Reaction:
        """What follows on octets on an open session; made once for each name."""
        if name not in self._reactions:
            with self.opened() as link:
                self._reactions[name] = link.reaction(octets, self.highest)
        return self._reactions[name]

    def remember(self, name: str, reaction: Reaction) -> Reaction:
        """Keep a reaction that was had otherwise, for the checks of Error Reports."""
        return self._reactions.setdefault(name, reaction)

    @property
    def reactions(self) -> list[Reaction]:
        """All that was provoked so far, and how unknown versions were answered."""
        refused = [
            Reaction(ResetQuery(version).encode(), version, (survey.full.head,), survey.after.closed)
            for version, survey in self.surveys.items()
            if survey.full is not None and not survey.full.complete
        ]
        return [*refused, *self._reactions.values()]


def _accepted(survey: Survey) -> bool:
    if survey.full is None:
        return False
    version, kind, code, _ = survey.full.header
    no_data = kind == PduType.ERROR_REPORT and code == ErrorCode.NO_DATA_AVAILABLE
    return version == survey.version and (kind == PduType.CACHE_RESPONSE or no_data)


def run(
    probe: Probe, checks: Sequence[Check], progress: Callable[[int, Check], None] | None = None
) -> list[Result]:
    """Make the checks in their order; UnreachableError if there is no connection at all.

    ``progress`` is told the number of checks done, and the next one.
    """
    probe.reach()
    results = []
    for done, check in enumerate(checks):
        if progress is not None:
            progress(done, check)
        results.append(_judge(probe, check))
    return results


def _judge(probe: Probe, check: Check) -> Result:
    try:
        return Result(check, "pass", check.function(probe) or "")
    except Broken as error:
        return Result(check, "fail", str(error))
    except Skip as error:
        return Result(check, "skip", str(error))
    except OutOfTimeError:
        return Result(check, "skip", "no time left")


def failed(results: Iterable[Result]) -> bool:
    """Whether a MUST is broken.

    >>> failed([])
    False
    """
    return any(result.outcome == "fail" and result.check.level == "MUST" for result in results)
