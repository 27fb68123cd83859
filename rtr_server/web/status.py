"""/status, /api/v1/status, /version as Routinator has them, StayRTR's /clients.

What belongs to validation (ROAs, repositories, rsync, RRDP) is not seen by a cache: 0 or empty.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rov import Snapshot
from rov.formats.routinator import NO_TRUST_ANCHOR
from rtr_server.endpoint import Endpoint
from rtr_server.feed.process import Ready
from rtr_server.sessions import SessionRow
from rtr_server.web import needs, query
from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.vrps import TEXT, counts

NO_STORE = {"Cache-Control": "no-store"}


def routes(daemon: Daemon) -> Iterable[BaseRoute]:
    """The four paths."""
    version = f"rovkit/{importlib.metadata.version('rovkit')}"

    async def status(request: Request) -> Response:
        query.arguments(request, ())
        served, rows = needs.served(daemon), (await daemon.sessions()).sessions
        lines = _lines(daemon, served, rows, version)
        return Response("".join(f"{line}\n" for line in lines), media_type=TEXT, headers=NO_STORE)

    async def api_status(request: Request) -> Response:
        query.arguments(request, ())
        served, rows = needs.served(daemon), (await daemon.sessions()).sessions
        body = msgspec.json.encode(_document(daemon, served, rows, version))
        return Response(body, media_type="application/json", headers=NO_STORE)

    async def just_version(request: Request) -> Response:
        query.arguments(request, ())
        return Response(version.partition("/")[2], media_type=TEXT)

    async def addresses(request: Request) -> Response:
        query.arguments(request, ())
        rows = (await daemon.sessions()).sessions
        return Response(msgspec.json.encode([row.peer for row in rows]), media_type="application/json")

    yield Route("/status", status)
    yield Route("/api/v1/status", api_status)
    yield Route("/version", just_version)
    yield Route("/clients", addresses)


class Client(msgspec.Struct):
    """The sessions of one address together."""

    connections: int = 0
    serial: int | None = None
    reset_age: float | None = None
    update_age: float | None = None
    resets: int = 0
    queries: int = 0
    read: int = 0
    written: int = 0


def clients(rows: Iterable[SessionRow]) -> dict[str, Client]:
    """By address."""
    found: dict[str, Client] = {}
    for row in rows:
        client = found.setdefault(Endpoint.parse(row.peer).host, Client())
        client.connections += 1
        client.serial = row.serial if client.serial is None else max(client.serial, row.serial or 0)
        client.reset_age = _younger(client.reset_age, row.reset_age)
        client.update_age = _younger(client.update_age, row.update_age)
        client.resets += row.reset_age is not None
        client.queries += row.queries
        client.read += row.octets_in
        client.written += row.octets_out
    return found


def _younger(one: float | None, other: float | None) -> float | None:
    return min((age for age in (one, other) if age is not None), default=None)


def filtered(daemon: Daemon) -> dict[str, tuple[int, int]]:
    """VRPs that the local exceptions took out, IPv4 and IPv6, by trust anchor."""
    served = daemon.updates.served
    found = served.filtered if isinstance(served, Ready) else {}
    return {name or NO_TRUST_ANCHOR: families for name, families in found.items()}


def exceptions(daemon: Daemon) -> tuple[int, int]:
    """What the local exceptions did to the set that is served: VRPs filtered, VRPs added."""
    served = daemon.updates.served
    effects = dict(served.slurm) if isinstance(served, Ready) else {}
    added = effects.pop("assertions", 0)
    return sum(effects.values()), added


def _lines(daemon: Daemon, served: Served, rows: list[SessionRow], version: str) -> Iterator[str]:
    snapshot, now = served.snapshot, daemon.clock()
    taken = {name: sum(families) for name, families in filtered(daemon).items()}
    final = {**dict.fromkeys(taken, 0), **counts(snapshot)}
    none = dict.fromkeys(final, 0)
    found = {name: number + taken.get(name, 0) for name, number in final.items()}
    last = daemon.changes[0] if daemon.changes else None
    seconds = 0.0 if last is None else last.seconds + sum(last.stages.values())
    done = float(served.made if last is None else last.time)
    yield f"version: {version}"
    yield f"serial: {served.serial}"
    for name, at in (("start", done - seconds), ("done", done)):
        yield f"{f'last-update-{name}-at:':<22} {_moment(at)}"
        yield f"{f'last-update-{name}-ago:':<22} PT{max(0.0, now - at):.3f}S"
    yield f"last-update-duration:  PT{seconds:.3f}S"
    # what only a validator has is there by name, for those who look a line up
    yield "valid-roas: 0"
    yield f"valid-roas-per-tal: {_each(none)}"
    yield f"vrps: {sum(found.values())}"
    yield f"vrps-per-tal: {_each(found)}"
    yield f"locally-filtered-vrps: {exceptions(daemon)[0]}"
    yield f"locally-filtered-vrps-per-tal: {_each(none | taken)}"
    yield f"duplicate-vrps-per-tal: {_each(none)}"
    yield f"locally-added-vrps: {exceptions(daemon)[1]}"
    yield f"final-vrps: {len(snapshot)}"
    yield f"final-vrps-per-tal: {_each(final)}"
    yield "stale-count: 0"
    yield "rsync-durations:"
    yield "rrdp-durations:"
    yield f"rtr-connections: {len(rows)} current"
    sent, received = sum(row.octets_out for row in rows), sum(row.octets_in for row in rows)
    yield f"rtr-data: {sent} bytes sent, {received} bytes received"
    if daemon.config.http.router_metrics:
        yield "rtr-clients:"
        for address, client in clients(rows).items():
            serial = "N/A" if client.serial is None else client.serial
            updated, reset = _ago("updated", client.update_age), _ago("last-reset", client.reset_age)
            yield (
                f"    {address}: connections={client.connections}, serial={serial}, {updated}, {reset}, "
                f"reset-queries={client.resets}, serial-queries={client.queries - client.resets}, "
                f"read={client.read}, written={client.written}"
            )
    yield from _rib_lines(daemon)
    traffic = daemon.traffic
    yield f"http-connections: {traffic.current} current, {traffic.connections} total"
    yield f"http-data: {traffic.octets_out} bytes sent, {traffic.octets_in} bytes received"
    yield f"http-requests: {traffic.requests}"


def _ago(name: str, age: float | None) -> str:
    return f"{name}=N/A" if age is None else f"{name}-ago={age:.3f}s"


def _rib_lines(daemon: Daemon) -> Iterator[str]:
    """How the dumps of [http] rib stand; nothing without them."""
    rib = daemon.rib.status()
    if not rib.files:
        return
    yield f"rib: {rib.state}" + ("" if rib.error is None else f": {rib.error}")
    yield f"rib-files: {' '.join(rib.files)}"
    yield f"rib-routes: {rib.routes}"
    if rib.made is not None:
        yield f"rib-made-at: {_moment(rib.made)}"


def _each(numbers: dict[str, int]) -> str:
    """A number for each trust anchor, as Routinator's status page has them.

    >>> _each({"ripe": 1, "arin": 2})
    'ripe=1 arin=2 '
    """
    return "".join(f"{name}={number} " for name, number in numbers.items())


def _moment(seconds: float) -> str:
    """A time as Routinator's status page has it.

    >>> _moment(1.5)
    '1970-01-01 00:00:01.500000 UTC'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S.%f} UTC"


def _payload(final: int, taken: int = 0, *, origins: bool) -> dict[str, int]:
    unsafe = {"unsafe": 0} if origins else {}
    return {"total": final + taken, **unsafe, "locallyFiltered": taken, "duplicate": 0, "final": final}


def _payloads(snapshot: Snapshot, taken: dict[str, tuple[int, int]]) -> dict[str, dict[str, int]]:
    four, six = (sum(families[place] for families in taken.values()) for place in (0, 1))
    return {
        "routeOriginsIPv4": _payload(len(snapshot.ipv4), four, origins=True),
        "routeOriginsIPv6": _payload(len(snapshot.ipv6), six, origins=True),
        "routerKeys": _payload(len(snapshot.router_keys), origins=False),
        "aspas": _payload(len(snapshot.aspas), origins=False),
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _document(daemon: Daemon, served: Served, rows: list[SessionRow], version: str) -> dict[str, Any]:
    snapshot, now, taken = served.snapshot, daemon.clock(), filtered(daemon)
    by_ta = {**dict.fromkeys(taken, 0), **counts(snapshot)}
    last = daemon.changes[0] if daemon.changes else None
    seconds = 0.0 if last is None else last.seconds + sum(last.stages.values())
    done = float(served.made if last is None else last.time)
    rtr: dict[str, Any] = {
        "currentConnections": len(rows),
        "bytesRead": sum(row.octets_in for row in rows),
        "bytesWritten": sum(row.octets_out for row in rows),
    }
    if daemon.config.http.router_metrics:
        rtr["clients"] = {
            address: {
                "connections": client.connections,
                "serial": client.serial,
                "updated": None if client.update_age is None else _iso(now - client.update_age),
                "lastReset": None if client.reset_age is None else _iso(now - client.reset_age),
                "resetQueries": client.resets,
                "serialQueries": client.queries - client.resets,
                "read": client.read,
                "written": client.written,
            }
            for address, client in clients(rows).items()
        }
    return {
        "version": version,
        "serial": served.serial,
        "now": _iso(now),
        "lastUpdateStart": _iso(done - seconds),
        "lastUpdateDone": _iso(done),
        "lastUpdateDuration": round(seconds, 3),
        "payload": _payloads(snapshot, taken),
        "aspasLargeProviderSet": 0,
        "tals": {name: _tal(count, sum(taken.get(name, ()))) for name, count in by_ta.items()},
        "repositories": {},
        "vrpsAddedLocally": exceptions(daemon)[1],
        "rsync": {},
        "rrdp": {},
        "pubPointIssues": {},
        "rib": daemon.rib.status() if daemon.rib.files else None,
        "rtr": rtr,
        "http": {
            "totalConnections": daemon.traffic.connections,
            "currentConnections": daemon.traffic.current,
            "requests": daemon.traffic.requests,
            "bytesRead": daemon.traffic.octets_in,
            "bytesWritten": daemon.traffic.octets_out,
        },
    }


def _tal(count: int, taken: int) -> dict[str, int]:
    return {
        "vrpsTotal": count + taken,
        "vrpsUnsafe": 0,
        "vrpsLocallyFiltered": taken,
        "vrpsDuplicate": 0,
        "vrpsFinal": count,
        "validROAs": 0,
    }
