"""/metrics for Prometheus: made in a thread, which reads counters that the event loop goes on counting.

A thread therefore takes a copy of each dict and deque, which is one step, before it walks it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rov import Snapshot
from rtr_server.feed.losses import by_trust_anchor
from rtr_server.feed.process import ProcessFeed
from rtr_server.protocol.errors import ErrorCode
from rtr_server.protocol.events import Kind
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.publish import Change
from rtr_server.sessions import SessionRow
from rtr_server.threads import in_thread
from rtr_server.transport.tally import CLOSES, RESETS, Histogram
from rtr_server.web import query
from rtr_server.web.daemon import Daemon
from rtr_server.web.families import Values, family, one
from rtr_server.web.health import readiness
from rtr_server.web.metric_aliases import aliases, anchors, newest, octets
from rtr_server.web.metric_names import ALL
from rtr_server.web.protocol import PHASES, Traffic
from rtr_server.web.status import exceptions, filtered

KEPT = 1.0
"""Seconds for which an answer is given again: who scrapes in pairs, or without a pause, costs no more."""

LAG_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
LAG_INTERVAL = 0.25
"""Seconds between two looks at how late the event loop is."""


class Meter:
    """What only grows, counted where it happens."""

    def __init__(self, daemon: Daemon, traffic: Traffic) -> None:
        self.traffic = traffic
        self.lag = Histogram(LAG_BOUNDS)
        self.updates: dict[str, int] = {}
        self.announced = self.withdrawn = self.expired = 0
        self.requests: dict[tuple[str, int], int] = {}
        daemon.watchers.append(self._changed)

    def _changed(self, change: Change) -> None:
        self.updates[change.why] = self.updates.get(change.why, 0) + 1
        if change.delta is not None:
            self.announced += _elements(change.delta.announced)
            gone = _elements(change.delta.withdrawn)
            self.withdrawn += gone
            self.expired += gone if change.why == "expired" else 0

    async def run(self) -> None:
        """Watch the event loop; until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self.lag.add(max(0.0, loop.time() - due))


def _elements(snapshot: Snapshot) -> int:
    return len(snapshot) + len(snapshot.aspas) + len(snapshot.router_keys)


def routes(daemon: Daemon, meter: Meter) -> Iterable[BaseRoute]:
    """The path."""

    pages: dict[str, Page] = {}

    async def metrics(request: Request) -> Response:
        query.arguments(request, ())
        encoder, media_type = choose_encoder(request.headers.get("accept", ""))
        page = pages.setdefault(media_type, Page(lambda: _written(daemon, meter, encoder)))
        headers = {"Content-Type": media_type, "Cache-Control": "no-store"}
        return Response(await page.get(), headers=headers)

    yield Route("/metrics", metrics)


class Page:
    """A body that is made when it is asked for, and given again for ``KEPT`` seconds."""

    def __init__(self, make: Callable[[], Awaitable[bytes]]) -> None:
        self._make = make
        self._made = -math.inf
        self._body = b""
        self._turn = asyncio.Lock()

    async def get(self) -> bytes:
        """The body; those who ask while it is made have that one."""
        async with self._turn:
            if time.monotonic() - self._made >= KEPT:
                self._body = await self._make()
                self._made = time.monotonic()
            return self._body


async def _written(daemon: Daemon, meter: Meter, encoder: Callable[[CollectorRegistry], bytes]) -> bytes:
    """What is awaited is asked for in the event loop, the rest is done in a thread."""
    rows = (await daemon.sessions()).sessions
    found = await readiness(daemon)

    def write() -> bytes:
        snapshot = Snapshot.empty() if daemon.served is None else daemon.served.snapshot
        families = [
            *_by_anchor(daemon, snapshot),
            *_gauges(daemon, snapshot, found.ready),
            *_sources(daemon, found.sources),
            *_counters(daemon, meter, rows),
            *_rib(daemon),
            *(_routers(rows) if daemon.config.http.router_metrics else ()),
            *aliases(daemon, meter.traffic, rows),
        ]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Fixed(families))
        return encoder(registry)

    return await in_thread(write)


class _Fixed:
    """A collector of families that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _histogram(name: str, seen: Histogram) -> Metric:
    bounds = [*map(str, seen.bounds), "+Inf"]
    family = HistogramMetricFamily(name, ALL[name].meaning)
    family.add_metric([], list(zip(bounds, accumulate(tuple(seen.counts)), strict=True)), seen.total)
    return family


def _by_anchor(daemon: Daemon, snapshot: Snapshot) -> Iterator[Metric]:
    """What walks a column of the set."""
    values = {
        (version, name): float(families[place])
        for place, version in enumerate("46")
        for name, families in by_trust_anchor(snapshot).items()
    }
    yield family("rovkit_vrps", values)
    if "routinator" in daemon.config.http.metric_aliases:
        yield from anchors(snapshot, filtered(daemon))


def _gauges(daemon: Daemon, snapshot: Snapshot, ready: bool) -> Iterator[Metric]:
    yield family("rovkit_build_info", {(importlib.metadata.version("rovkit"),): 1})
    yield one("rovkit_ready", ready)
    yield one("rovkit_aspas", len(snapshot.aspas))
    yield one("rovkit_router_keys", len(snapshot.router_keys))
    if daemon.served is not None:
        yield one("rovkit_serial", daemon.served.serial)
    age = daemon.age()
    if age is not None:
        yield one("rovkit_data_age_seconds", age)
    if (last := newest(daemon)) is not None:
        stages = {(stage,): seconds for stage, seconds in {**last.stages, "serve": last.seconds}.items()}
        yield family("rovkit_update_stage_seconds", stages)
    yield one("rovkit_update_held", daemon.held()["held"] is not None)
    filtered, added = exceptions(daemon)
    yield family("rovkit_slurm_vrps", {("filtered",): filtered, ("added",): added})


def _rib(daemon: Daemon) -> Iterator[Metric]:
    status, table = daemon.rib.status(), daemon.rib.table
    counts = {} if table is None else table.counts()
    found = {(str(each), state): float(n) for each, states in counts.items() for state, n in states.items()}
    ages = {} if status.made is None else {(): max(0.0, daemon.clock() - status.made)}
    yield family("rovkit_rib_routes", found)
    yield family("rovkit_rib_age_seconds", ages)


def _sources(daemon: Daemon, rows: list[dict[str, Any]]) -> list[Metric]:
    now = daemon.clock()
    usable = {
        (row["name"], row["state"]): float(
            row["state"] == "usable" or (row["state"] == "failing" and row["loaded_at"] is not None)
        )
        for row in rows
    }
    vrps = {(row["name"],): row["vrps"] for row in rows if "vrps" in row}
    ages = {(row["name"],): now - row["as_of"] for row in rows if row.get("as_of") is not None}
    feed = daemon.updates.feed
    return [
        family("rovkit_source_usable", usable),
        family("rovkit_source_vrps", vrps),
        family("rovkit_source_age_seconds", ages),
        one("rovkit_loader_failures", feed.restarts if isinstance(feed, ProcessFeed) else 0),
    ]


def _single(counter: Mapping[str, float], known: Iterable[str] = ()) -> Values:
    """Counts by name; ``known`` names are there from the start, as a rate sees no growth in what appears."""
    return {(name,): value for name, value in {**dict.fromkeys(known, 0.0), **dict(counter)}.items()}


def _counters(daemon: Daemon, meter: Meter, rows: list[SessionRow]) -> Iterator[Metric]:
    yield family("rovkit_updates", _single(meter.updates))
    yield one("rovkit_announced_elements", meter.announced)
    yield one("rovkit_withdrawn_elements", meter.withdrawn)
    yield one("rovkit_expired_elements", meter.expired)
    yield one("rovkit_guard_holds", daemon.updates.guard.holds)
    yield from _rtr(daemon, rows)
    yield _histogram("rovkit_event_loop_lag_seconds", meter.lag)
    traffic = meter.traffic
    yield one("rovkit_http_connections", traffic.current)
    yield one("rovkit_http_refused", traffic.refused)
    yield family("rovkit_http_timeouts", _single(traffic.timeouts, PHASES))
    octets = {("in",): float(traffic.octets_in), ("out",): float(traffic.octets_out)}
    yield family("rovkit_http_octets", octets)
    requests = {(method, str(status)): count for (method, status), count in dict(meter.requests).items()}
    yield family("rovkit_http_requests", requests)


def _rtr(daemon: Daemon, rows: list[SessionRow]) -> Iterator[Metric]:
    tally = daemon.server.tally
    kinds = {listener.transport for listener in daemon.config.transport.listen}
    sessions: dict[tuple[str, ...], float] = {
        (str(version), kind): 0.0 for version in VERSIONS for kind in sorted(kinds)
    }
    for row in rows:
        key = ("none" if row.version is None else str(row.version), row.transport)
        sessions[key] = sessions.get(key, 0) + 1
    received, sent = octets(daemon, rows)
    yield family("rovkit_rtr_sessions", sessions)
    yield one("rovkit_rtr_sessions_ended", daemon.server.ledger.count)
    yield family("rovkit_rtr_closes", _single(tally.closed, CLOSES))
    yield family("rovkit_rtr_octets", {("in",): received, ("out",): sent})
    yield family("rovkit_rtr_queries", _single(tally.queries, Kind))
    yield family("rovkit_rtr_responses", _single(tally.responses, Kind))
    yield one("rovkit_rtr_payload_pdus", tally.payload_pdus)
    yield family("rovkit_rtr_resets", _single(tally.resets, RESETS))
    yield one("rovkit_rtr_cache_resets", tally.cache_resets)
    yield one("rovkit_rtr_notifies", tally.notifies)
    errors: dict[tuple[str, str], float] = {
        (way, str(code.value)): 0.0 for way in ("sent", "received") for code in ErrorCode
    }
    yield family("rovkit_rtr_errors", {**errors, **dict(tally.errors)})
    yield _histogram("rovkit_rtr_notify_lag_seconds", tally.notify_lag)


def _routers(rows: list[SessionRow]) -> Iterator[Metric]:
    def stated(name: str, field: str) -> Metric:
        found = {(row.peer,): getattr(row, field) for row in rows}
        return family(name, {peer: value for peer, value in found.items() if value is not None})

    yield stated("rovkit_router_serial", "serial")
    yield stated("rovkit_router_lag_seconds", "lag")
    yield stated("rovkit_router_behind", "behind")
    yield stated("rovkit_router_reset_age_seconds", "reset_age")
    yield stated("rovkit_router_queries", "queries")
    octets = {(row.peer, "in"): float(row.octets_in) for row in rows}
    yield family("rovkit_router_octets", octets | {(row.peer, "out"): float(row.octets_out) for row in rows})
