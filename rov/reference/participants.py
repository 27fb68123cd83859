"""The participants of MANRS with their published conformance and scores.

Two forms are read, plain or packed: the JSON of the MANRS API (conformance of network operators), and the
table of ASes that the Observatory exports as CSV, whose rows have one AS each.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from typing import Any

import msgspec

from rov._checks import as_path
from rov._rows import asn_of
from rov.errors import ReferenceFileError
from rov.reference.lines import read_octets

MAX_PARTICIPANTS = 2**20
"""Of one file: more than there are ASes; the programme has some 1,300 participants."""

MAX_ASNS = 10_000
"""Of one participant: the largest holder of AS numbers has a tenth of that in use."""


class Score(msgspec.Struct, frozen=True):
    """A published score, 0 to 1, and its severity; None: not published.

    >>> Score(0.5, "aspiring").value
    0.5
    """

    value: float | None = None
    severity: str | None = None


class Action(msgspec.Struct, frozen=True):
    """What is published of one action: conformance as text, scores.

    >>> Action(conformance="conformant").score.value is None
    True
    """

    conformance: str = ""
    score: Score = Score()
    score_irr: Score = Score()
    score_rpki: Score = Score()


class Participant(msgspec.Struct, frozen=True):
    """A network in the programme: ``areas`` are countries, ``asns`` ascending and distinct.

    >>> Participant("1", "Example", (64496,)).routing_information.score_rpki.severity is None
    True
    """

    id: str
    name: str
    asns: tuple[int, ...]
    areas: tuple[str, ...] = ()
    member_since: str = ""
    filtering: Action = Action()
    anti_spoofing: Action = Action()
    coordination: Action = Action()
    routing_information: Action = Action()


class _Given(msgspec.Struct):
    """A participant as the API gives it; more names are passed over."""

    asns: list[int | str] = msgspec.field(name="ASNs")
    id: int | str = ""
    name: str = ""
    areas_served: list[str] | str | None = None
    member_since: str | None = None
    filtering: dict[str, Any] | None = None
    anti_spoofing: dict[str, Any] | None = None
    coordination: dict[str, Any] | None = None
    routing_information: dict[str, Any] | None = None


class _Document(msgspec.Struct):
    participants: list[_Given]


_EXPECTED = 'expected {"participants": [{"name": ..., "ASNs": [...], ...}]} or a CSV file with a column ASN'

_COLUMNS = {
    "filtering": "Filtering",
    "anti_spoofing": "Anti-spoofing",
    "coordination": "Coordination",
    "irr": "Global Validation IRR",
    "rpki": "Global Validation RPKI",
}
"""Names of the columns that the Observatory exports."""


def read_participants(path: str | os.PathLike[str]) -> tuple[Participant, ...]:
    """The participants of a file, in its order; JSON or CSV is told by the first octet.

    Scores that go to 100 are made shares: those of a file are percentages if one of them is above 1.
    ReferenceFileError: it cannot be read, is none, or names no participant.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print('{"participants": [{"name": "Example", "ASNs": [64496]}]}', file=file, flush=True)
    ...     read_participants(file.name)[0].asns
    (64496,)
    """
    name = as_path(path)
    octets = read_octets(name)
    found = _of_json(name, octets) if octets.lstrip()[:1] == b"{" else tuple(_of_csv(name, octets))
    if not found:
        raise ReferenceFileError(name, f"{_EXPECTED}, found no participant")
    if len(found) > MAX_PARTICIPANTS:
        raise ReferenceFileError(name, f"more than {MAX_PARTICIPANTS:,} participants")
    values = (score.value for who in found for score in _scores(who))
    return (
        tuple(map(_as_shares, found)) if any(value is not None and value > 1 for value in values) else found
    )


class _Asns(msgspec.Struct):
    asns: list[int | str]


def read_asns(path: str | os.PathLike[str]) -> frozenset[int]:
    """The AS numbers of the members of MANRS: {"asns": [...]} as its API gives them, or participants.

    ReferenceFileError: as read_participants.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print('{"asns": [64496]}', file=file, flush=True)
    ...     sorted(read_asns(file.name))
    [64496]
    """
    name = as_path(path)
    try:
        given = msgspec.json.decode(read_octets(name), type=_Asns).asns
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frozenset(asn for who in read_participants(name) for asn in who.asns)
    found = {asn_of(value) for value in given[: MAX_PARTICIPANTS + 1]}
    if None in found or len(given) > MAX_PARTICIPANTS:
        raise ReferenceFileError(name, f"expected at most {MAX_PARTICIPANTS:,} AS numbers in asns")
    return frozenset(asn for asn in found if asn is not None)


def _of_json(name: str, octets: bytes) -> tuple[Participant, ...]:
    try:
        given = msgspec.json.decode(octets, type=_Document).participants
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReferenceFileError(name, f"{_EXPECTED}: {error}") from error
    return tuple(_participant(name, number, row) for number, row in enumerate(given, 1))


def _participant(name: str, number: int, row: _Given) -> Participant:
    try:
        areas = [row.areas_served] if isinstance(row.areas_served, str) else row.areas_served or []
        return Participant(
            str(row.id),
            row.name,
            _asns(row.asns),
            tuple(areas),
            row.member_since or "",
            _action(row.filtering),
            _action(row.anti_spoofing),
            _action(row.coordination),
            _action(row.routing_information),
        )
    except ValueError as error:
        raise ReferenceFileError(name, f"participant {number} ({row.name[:40]!r}): {error}") from error


def _asns(values: list[int | str]) -> tuple[int, ...]:
    if len(values) > MAX_ASNS:
        raise ValueError(f"more than {MAX_ASNS:,} AS numbers")
    found = {asn_of(value) for value in values}
    if None in found:
        raise ValueError("expected AS numbers in ASNs")
    return tuple(sorted(asn for asn in found if asn is not None))


def _action(given: dict[str, Any] | None) -> Action:
    row = given or {}
    scores = (_score(row.get(key)) for key in ("score", "score_irr", "score_rpki"))
    conformance = row.get("conformance")
    return Action("" if conformance is None else str(conformance).lower(), *scores)


def _score(given: Any) -> Score:
    if given is None:
        return Score()
    try:
        score = msgspec.convert(given, Score)
    except msgspec.ValidationError as error:
        raise ValueError(f"expected a score as value and severity: {error}") from None
    return Score(_value(score.value), score.severity)


def _value(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 100:
        raise ValueError(f"score {value}: expected 0 to 1, or to 100")
    return value


def _of_csv(name: str, octets: bytes) -> Iterator[Participant]:
    lines = octets.decode("utf-8-sig", "replace").splitlines()
    rows = csv.DictReader(lines)
    try:
        if "ASN" not in (rows.fieldnames or ()):
            raise ReferenceFileError(name, f"{_EXPECTED}, found {lines[0][:60]!r}" if lines else _EXPECTED)
        for row in rows:
            asn = asn_of(row["ASN"] or "")
            if asn is None:
                raise ValueError(f"expected an AS number, found {(row['ASN'] or '')[:40]!r}")
            scores = {key: _number(row.get(column)) for key, column in _COLUMNS.items()}
            yield Participant(
                str(asn),
                row.get("Holder") or "",
                (asn,),
                tuple(filter(None, [row.get("Country")])),
                filtering=Action(score=scores["filtering"]),
                anti_spoofing=Action(score=scores["anti_spoofing"]),
                coordination=Action(score=scores["coordination"]),
                routing_information=Action(score_irr=scores["irr"], score_rpki=scores["rpki"]),
            )
    except (ValueError, csv.Error) as error:
        raise ReferenceFileError(name, str(error), rows.line_num or 1) from error


def _number(text: str | None) -> Score:
    return Score(_value(float(text))) if text and text.strip() else Score()


def _scores(who: Participant) -> Iterator[Score]:
    for action in (who.filtering, who.anti_spoofing, who.coordination, who.routing_information):
        yield from (action.score, action.score_irr, action.score_rpki)


def _as_shares(who: Participant) -> Participant:
    """With its scores, which are percentages, as shares."""

    def share(score: Score) -> Score:
        return score if score.value is None else Score(score.value / 100, score.severity)

    def of(action: Action) -> Action:
        return Action(
            action.conformance, share(action.score), share(action.score_irr), share(action.score_rpki)
        )

    return msgspec.structs.replace(
        who,
        filtering=of(who.filtering),
        anti_spoofing=of(who.anti_spoofing),
        coordination=of(who.coordination),
        routing_information=of(who.routing_information),
    )
