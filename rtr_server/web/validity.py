"""Routinator's validity checker: /api/v1/validity/{asn}/{prefix}, /validity by GET and POST.

One deviation: a VRP for AS 0 never matches (RFC 6483 section 4, RFC 7607), not even origin AS 0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from rov import Prefix, Reason, State, Vrp
from rtr_server.threads import in_thread
from rtr_server.web import needs, query
from rtr_server.web.bodies import body_of
from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.problems import Problem

JSON = "application/json"

ROUTES_AT_ONCE = 200
"""Routes judged before RTR sessions have their turn: some milliseconds."""

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
        pairs = await in_thread(lambda: _parse(body))
        return StreamingResponse(_answers(served, pairs), media_type=JSON)

    yield Route("/api/v1/validity/{asn}/{prefix:path}", one)
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


_decoder = msgspec.json.Decoder(_Routes)


def _parse(body: bytes) -> list[tuple[int, Prefix]]:
    """The routes of a body; 400 names the first that is none."""
    try:
        found = _decoder.decode(body).routes
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f'expected {{"routes": [{{"asn": ..., "prefix": ...}}]}}: {error}') from error
    pairs = []
    for number, route in enumerate(found):
        try:
            pairs.append((query.asn(str(route.asn)), query.prefix(route.prefix, host_bits=True)))
        except Problem as problem:
            raise Problem(400, f"routes[{number}]: {problem.detail}") from problem
    return pairs


async def _answers(served: Served, pairs: list[tuple[int, Prefix]]) -> AsyncIterator[bytes]:
    yield b'{"validated_routes":['
    for start in range(0, len(pairs), ROUTES_AT_ONCE):
        part = pairs[start : start + ROUTES_AT_ONCE]
        text = await in_thread(lambda part=part: b",".join(_encoded(served, part)))  # type: ignore[misc]
        yield (b"," if start else b"") + text
    yield b'],"generatedTime":' + msgspec.json.encode(generated(served)) + b"}\n"


def _encoded(served: Served, pairs: list[tuple[int, Prefix]]) -> Iterator[bytes]:
    return (msgspec.json.encode(judged(served, asn, prefix)) for asn, prefix in pairs)
