"""Routinator's validity checker: /api/v1/validity/{asn}/{prefix}, /validity by GET and POST.

One deviation: a VRP for AS 0 never matches (RFC 6483 section 4, RFC 7607), not even origin AS 0.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from rov import Prefix, Reason, State, Vrp
from rov._json_cuts import cut_rows, find_list
from rtr_server.threads import in_thread
from rtr_server.web import needs, query
from rtr_server.web.bodies import body_of
from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.problems import Problem

JSON = "application/json"

PART = 16 << 10
"""Octets of a body decoded at once: some hundred routes, before RTR sessions have their turn."""

MAX_ROW = 256 << 10
"""Octets of a row at most, whatever else it has."""

STATES = {State.VALID: "valid", State.INVALID: "invalid", State.NOT_FOUND: "not-found"}

_VALID = "At least one VRP Matches the Route Prefix"
_NOT_FOUND = "No VRP Covers the Route Prefix"
_AS = "At least one VRP Covers the Route Prefix, but no VRP ASN matches the route origin ASN"
_LENGTH = (
    "At least one VRP Covers the Route Prefix, but the Route Prefix length is greater than the maximum "
    "length allowed by VRP(s) matching this route origin ASN"
)


def routes(daemon: Daemon) -> Iterable[BaseRoute]:
    """The three forms of the question."""

    async def one(request: Request) -> Response:
        query.arguments(request, ())
        asn, prefix = request.path_params["asn"], request.path_params["prefix"]
        return _one(needs.served(daemon), asn, prefix)

    async def by_query(request: Request) -> Response:
        found = query.single(request, "asn", "prefix")
        if len(found) < 2:
            raise Problem(400, "expected the query arguments asn and prefix")
        return _one(needs.served(daemon), found["asn"], found["prefix"])

    async def many(request: Request) -> Response:
        query.arguments(request, ())
        served = needs.served(daemon)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise Problem(415, f"expected a body of Content-Type {JSON}")
        body = await body_of(request, daemon.config.http)
        parts = await in_thread(lambda: checked(body))
        return StreamingResponse(_answers(served, body, parts), media_type=JSON)

    async def no_prefix(request: Request) -> Response:
        raise Problem(400, "expected /api/v1/validity/ASN/PREFIX")

    yield Route("/api/v1/validity/{asn}/{prefix:path}", one)
    yield Route("/api/v1/validity/{asn}", no_prefix, include_in_schema=False)
    yield Route("/validity", by_query, methods=["GET"])
    yield Route("/validity", many, methods=["POST"])


def _one(served: Served, asn: str, prefix: str) -> Response:
    route = query.prefix(prefix, host_bits=True)
    answer = {
        "validated_route": judged(served, query.asn(asn), route),
        "generatedTime": generated(served),
    }
    return Response(msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n", media_type=JSON)


def generated(served: Served) -> str:
    """When the set came to be served.

    RFC 3339, in UTC.
    """
    return datetime.fromtimestamp(served.made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def judged(served: Served, asn: int, prefix: Prefix) -> dict[str, Any]:
    """A route with its validity, as Routinator writes it."""
    validity = served.index.explain(prefix, asn)
    found: dict[str, Any] = {"state": STATES[validity.state]}
    if validity.state is State.INVALID:
        found["reason"] = "as" if validity.unmatched_as else "length"
    found["description"] = _description(validity.state, validity.reason, bool(validity.unmatched_as))
    found["VRPs"] = {
        "matched": _vrps(validity.matched),
        "unmatched_as": _vrps(validity.unmatched_as),
        "unmatched_length": _vrps(validity.unmatched_length),
    }
    return {"route": {"origin_asn": f"AS{asn}", "prefix": str(prefix)}, "validity": found}


def _description(state: State, reason: Reason, other_as: bool) -> str:
    if state is State.INVALID:
        return _AS if other_as else _LENGTH
    return _VALID if state is State.VALID else _NOT_FOUND


def _vrps(vrps: Iterable[Vrp]) -> list[dict[str, str]]:
    return [
        {"asn": f"AS{vrp.asn}", "prefix": str(vrp.prefix), "max_length": str(vrp.max_length)} for vrp in vrps
    ]


class _Route(msgspec.Struct):
    asn: str | int
    prefix: str


class _Routes(msgspec.Struct):
    routes: list[_Route]


_document = msgspec.json.Decoder(_Routes)
_rows = msgspec.json.Decoder(list[_Route])
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_EXPECTED = 'expected {"routes": [{"asn": ..., "prefix": ...}]}'

Part = tuple[int, int]
"""Where some rows begin in a body, and where they end."""


def checked(body: bytes) -> list[Part]:
    """The rows of a body in parts, each of which is sound; 400 names the first that is none. In a thread.

    Nothing is decoded in one piece, which would keep the event loop waiting, and no route is kept.

    >>> checked(b'{"routes": [{"asn": 1, "prefix": "::/0"}]}')
    [(12, 40)]
    """
    try:
        begin = find_list(body, b"routes")
        if begin < 0:
            raise Problem(400, _EXPECTED)
        parts = list(_parts(body, begin))
        end = parts[-1][1] if parts else begin
        _document.decode(body[:begin] + body[end:])
        count = 0
        for part in parts:
            found = _routes(body, part, count)
            if not found and len(parts) > 1:
                raise Problem(400, f"{_EXPECTED}: a comma without a row")
            count += len(found)
    except _FAULTS as error:
        raise Problem(400, f"{_EXPECTED}: {error}") from error
    return parts


def _parts(body: bytes, at: int) -> Iterator[Part]:
    """The rows from an octet on, cut at the commas between them; 400 where a list does not end."""
    while True:
        size = PART
        while True:
            window = memoryview(body)[at : at + size]
            comma, bracket = cut_rows(window, 0) if len(window) else (-1, -1)
            if bracket >= 0:
                yield at, at + bracket
                return
            if comma >= 0:
                break
            if at + size >= len(body) or size > MAX_ROW:
                raise Problem(400, f"{_EXPECTED}: the list does not end, or a row is too long")
            size *= 2
        yield at, at + comma
        at += comma + 1


def _routes(body: bytes, part: Part, before: int) -> list[tuple[int, Prefix]]:
    """The routes of a part; 400 names the first that is none, ``before`` rows standing above these."""
    pairs = []
    try:
        rows = _rows.decode(b"[" + body[part[0] : part[1]] + b"]")
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$[")  # such as at `$[3].asn`, of this part
        number = before + int(place.partition("]")[0])
        raise Problem(400, f"routes[{number}]: {_EXPECTED}: {what}", members={"row": number}) from error
    except msgspec.DecodeError as error:
        raise Problem(400, f"{_EXPECTED}: {_moved(error, part[0] - 1)}") from error
    for number, route in enumerate(rows, before):
        try:
            pairs.append((query.asn(str(route.asn)), query.prefix(route.prefix, host_bits=True)))
        except Problem as problem:
            raise Problem(400, f"routes[{number}]: {problem.detail}", members={"row": number}) from problem
    return pairs


def _moved(error: msgspec.DecodeError, by: int) -> str:
    """What is wrong with JSON, its place counted from where the body begins and not the part.

    >>> _moved(msgspec.DecodeError("JSON is malformed: invalid character (byte 3)"), 100)
    'JSON is malformed: invalid character (byte 103)'
    """
    return re.sub(r"(?<=\(byte )\d+(?=\)$)", lambda found: str(int(found[0]) + by), str(error))


async def _answers(served: Served, body: bytes, parts: list[Part]) -> AsyncIterator[bytes]:
    yield b'{"validated_routes":['
    begun = False
    for part in parts:
        text = await in_thread(lambda part=part: b",".join(_encoded(served, _routes(body, part, 0))))  # type: ignore[misc]
        if text:
            yield (b"," if begun else b"") + text
            begun = True
    yield b'],"generatedTime":' + msgspec.json.encode(generated(served)) + b"}\n"


def _encoded(served: Served, pairs: list[tuple[int, Prefix]]) -> Iterator[bytes]:
    return (msgspec.json.encode(judged(served, asn, prefix)) for asn, prefix in pairs)
