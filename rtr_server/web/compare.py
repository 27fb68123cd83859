"""What changed, and what would: /api/v1/diff between serials, /api/v1/what-if for other VRPs or for SLURM."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import rov
from rov import Delta, RovError, Snapshot, Vrp, slurm
from rov.diff import RouteDiff
from rtr_server.web import needs, query
from rtr_server.web.bodies import body_of
from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.problems import Problem
from rtr_server.web.table import Table

LISTED = 100
"""VRPs and routes that an answer lists of each kind, if not told otherwise by ``limit``."""

MOST_LISTED = 10_000
"""What ``limit`` may ask for: each is explained one by one."""


def routes(daemon: Daemon) -> Iterable[BaseRoute]:
    """The two paths."""
    kitchen = daemon.kitchen

    async def diff(request: Request) -> Response:
        found = query.single(request, "from", "to", "limit")
        if "from" not in found:
            raise Problem(400, "expected the query argument from, a serial")
        served, limit = needs.served(daemon), _limit(found)
        ends = [query.number(found[name], name, 0, 2**32 - 1) for name in ("from", "to") if name in found]
        for serial in ends:
            if serial != served.serial and serial not in served.history.serials:
                raise Problem(
                    404, f"serial {serial}: expected one of those that are kept, or {served.serial}"
                )
        table = daemon.rib.table

        def work() -> dict[str, Any]:
            old, new = (_set(served, serial) for serial in (ends[0], (*ends, served.serial)[1]))
            head = {"from": ends[0], "to": (*ends, served.serial)[1]}
            return head | _difference(old, new, table, limit)

        return _json(await kitchen.once(work))

    async def what_if(request: Request) -> Response:
        limit = _limit(query.single(request, "limit"))
        served, table = needs.served(daemon), daemon.rib.table
        if table is None:
            state = daemon.rib.status().state
            missing = "there is none: [http] rib" if state == "none" else f"it is not there yet ({state})"
            raise Problem(503, f"expected a RIB to judge; {missing}", {"Retry-After": "30"})
        body = await body_of(request, daemon.config.http)
        return _json(await kitchen.once(lambda: what_would(served, body, table, limit)))

    yield Route("/api/v1/diff", diff)
    yield Route("/api/v1/what-if", what_if, methods=["POST"])


def _limit(found: dict[str, str]) -> int:
    return query.number(found.get("limit", str(LISTED)), "limit", 0, MOST_LISTED)


def _json(answer: object) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(answer), headers=headers, media_type="application/json")


def _set(served: Served, serial: int) -> Snapshot:
    """The set under a serial that is kept: the current one, with the way to it undone."""
    if served.history.serial != served.serial:
        raise Problem(503, "a new set comes to be served just now", {"Retry-After": "1"})
    try:
        delta = None if serial == served.serial else served.history.delta_since(serial)
    except KeyError:
        raise Problem(404, f"serial {serial}: kept no longer") from None
    return served.snapshot if delta is None else served.snapshot - delta.announced | delta.withdrawn


def what_would(served: Served, body: bytes, table: Table, limit: int) -> dict[str, Any]:
    """The change if the set were that of the body, or what the local exceptions of the body make of it.

    In a thread; 400 where the body is neither.
    """
    try:
        if b'"slurmVersion"' in body:
            applied = slurm.read_bytes([("body", body)]).apply(served.snapshot)
            return {"body": "SLURM"} | _difference(served.snapshot, applied.snapshot, table, limit)
        report = rov.read_bytes(body, "body")
    except RovError as error:
        raise Problem(400, f"expected VRPs or a SLURM file: {error}") from error
    return {"body": report.format} | _difference(served.snapshot, report.snapshot, table, limit)


def _difference(old: Snapshot, new: Snapshot, table: Table | None, limit: int) -> dict[str, Any]:
    """What goes and comes between two sets, and what that does to the routes; in a thread."""
    delta = Delta.between(old, new)
    empty = Snapshot.empty()
    gone, come = (empty, empty) if delta is None else (delta.withdrawn, delta.announced)
    answer: dict[str, Any] = {
        "vrps": {"before": len(old), "after": len(new)},
        "withdrawn": _part(gone, limit),
        "announced": _part(come, limit),
        "routes": None,
    }
    if table is not None:
        judged = (table.verdicts.ipv4, table.verdicts.ipv6)
        answer["routes"] = _routes(RouteDiff(old, new, [part.routes.routes for part in judged]), limit)
    return answer


def _part(part: Snapshot, limit: int) -> dict[str, Any]:
    return {
        "vrps": len(part),
        "aspas": len(part.aspas),
        "router_keys": len(part.router_keys),
        "list": [plain(vrp) for vrp in islice(part.vrps(), limit)],
    }


def plain(vrp: Vrp) -> dict[str, Any]:
    """A VRP as JSON has it.

    >>> plain(Vrp(rov.Prefix.parse("192.0.2.0/24"), 26, 64496))
    {'prefix': '192.0.2.0/24', 'max_length': 26, 'asn': 64496}
    """
    return {"prefix": str(vrp.prefix), "max_length": vrp.max_length, "asn": vrp.asn}


def _routes(diff: RouteDiff, limit: int) -> dict[str, Any]:
    """The matrix from each state to each, and the first routes that take one, with the VRPs that did it."""
    changes = [
        {
            "prefix": str(change.prefix),
            "origin": change.origin or None,
            "before": change.before.label,
            "after": change.after.label,
            "causes": [plain(vrp) for vrp in change.causes],
        }
        for change in islice(diff.changes(), limit)
    ]
    return {"matrix": diff.steps(), "changed": len(diff), "list": changes}
