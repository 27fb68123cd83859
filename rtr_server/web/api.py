"""Our own answers as JSON: /api/v1/sessions, /api/v1/sources, /api/v1/history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rtr_server.control.codec import ControlError
from rtr_server.operate import MAX_ROWS
from rtr_server.web import needs, query
from rtr_server.web.daemon import MAX_CHANGES, Daemon, Recorded
from rtr_server.web.pages.past import Kept, story
from rtr_server.web.problems import Problem

DAYS, MAX_DAYS = 90, 366
"""How far back a route is followed."""


def routes(daemon: Daemon) -> Iterable[BaseRoute]:
    """The three paths."""
    kept = Kept()

    async def sessions(request: Request) -> Response:
        query.arguments(request, ())
        return _json(await daemon.sessions())

    async def sources(request: Request) -> Response:
        found = query.single(request, "diff")
        limit = query.number(found["diff"], "diff", 0, MAX_ROWS) if found else None
        try:
            answer = await daemon.sources(limit is not None, limit or 0)
        except ControlError as error:
            raise Problem(503, str(error)) from error
        return _json({**answer, "update": daemon.held()})

    async def history(request: Request) -> Response:
        found = query.single(request, "prefix", "asn", "days", "limit")
        limit = query.number(found.get("limit", "20"), "limit", 1, MAX_CHANGES)
        if "prefix" in found:
            return _json(await _of_route(daemon, kept, found, limit))
        if "asn" in found or "days" in found:
            raise Problem(400, "expected the query argument prefix beside asn and days")
        return _json({"updates": [_update(each) for each in list(daemon.changes)[:limit]]})

    yield Route("/api/v1/sessions", sessions)
    yield Route("/api/v1/sources", sources)
    yield Route("/api/v1/history", history)


async def _of_route(daemon: Daemon, kept: Kept, found: dict[str, str], limit: int) -> dict[str, Any]:
    """What covers a prefix, the state of the route, and the last changes of either, newest first."""
    prefix = query.prefix(found["prefix"], host_bits=True)
    asn = query.asn(found["asn"]) if "asn" in found else None
    days = query.number(found.get("days", str(DAYS)), "days", 1, MAX_DAYS)
    served = needs.served(daemon)
    answer: dict[str, Any] = {"prefix": str(prefix)}
    if asn is not None:
        answer |= {"asn": asn, "state": served.index.validate(prefix, asn).label}
    told = await story(daemon, kept, served, prefix, asn, days)
    if told.error:
        raise Problem(503, f"the archive cannot be read: {told.error}")
    return answer | {
        "covering": [str(vrp) for vrp in served.index.covering(prefix)],
        "begins": told.begins,
        "archive": told.archive,
        "changes": told.events[:limit],
    }


def _json(answer: object) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(answer), headers=headers, media_type="application/json")


def _update(change: Recorded) -> dict[str, Any]:
    """An update in numbers; without a delta only times of expiry were renewed."""
    delta = change.delta
    parts = {
        name: {"vrps": len(part), "aspas": len(part.aspas), "router_keys": len(part.router_keys)}
        for name, part in (() if delta is None else _parts(delta))
    }
    return {
        "time": change.time,
        "serial": change.serial,
        "why": change.why,
        "vrps": change.vrps,
        "seconds": change.seconds,
        "stages": change.stages,
        **parts,
    }


def _parts(delta: Any) -> tuple[tuple[str, Any], ...]:
    return ("announced", delta.announced), ("withdrawn", delta.withdrawn)
