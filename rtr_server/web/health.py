"""/healthz: the process answers. /readyz: it has data that routers and clients may use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rtr_server.web.daemon import Daemon
from rtr_server.web.rib import Status


class Readiness(msgspec.Struct, frozen=True):
    """The answer of /readyz: whether it is ready, why not, and what that was judged by.

    ``age``: seconds since the newest data were made, None: nobody knows; ``stale_after`` is [stale] after;
    ``rib``: how the dumps of [http] rib stand, None without them. They do not count for being ready.
    """

    ready: bool
    reasons: list[str]
    serial: int | None
    vrps: int
    age: float | None
    stale_after: float | None
    held: bool
    sources: list[dict[str, Any]]
    rib: Status | None


def routes(daemon: Daemon) -> Iterable[BaseRoute]:
    """The two paths."""

    async def healthz(request: Request) -> Response:
        return Response(b"ok\n", media_type="text/plain")

    async def readyz(request: Request) -> Response:
        found = await readiness(daemon)
        headers = {"Cache-Control": "no-store"}
        body = msgspec.json.encode(found)
        return Response(body, 200 if found.ready else 503, headers, "application/json")

    yield Route("/healthz", healthz)
    yield Route("/readyz", readyz)


async def readiness(daemon: Daemon) -> Readiness:
    """Whether there are data, and fresh ones; a held update or a source that fails is told, not judged."""
    served, age, staleness = daemon.served, daemon.age(), daemon.updates.staleness
    after = None if staleness is None else float(staleness.policy.after)
    reasons = []
    if served is None:
        reasons.append("no data yet")
    elif not served.snapshot:
        reasons.append("the set is empty: all data have expired or were withdrawn")
    if daemon.updates.current.withheld:
        reasons.append("data are withheld: [stale] action is close")
    if age is not None and after is not None and age > after:
        reasons.append(f"data are {age:.0f} s old: at most {after:.0f} s")
    sources = await daemon.sources()
    return Readiness(
        not reasons,
        reasons,
        None if served is None else served.serial,
        0 if served is None else len(served.snapshot),
        age,
        after,
        daemon.held()["held"] is not None,
        sources["sources"],
        daemon.rib.status() if daemon.rib.files else None,
    )
