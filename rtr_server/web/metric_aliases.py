"""The names that StayRTR and Routinator have for what our metrics say, too."""

from __future__ import annotations

import importlib.metadata
import socket
from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric

from rov import Snapshot
from rov.formats.routinator import NO_TRUST_ANCHOR
from rtr_server.feed.losses import by_trust_anchor
from rtr_server.feed.process import ProcessFeed
from rtr_server.sessions import SessionRow
from rtr_server.web.daemon import Daemon, Recorded, Served
from rtr_server.web.families import Values, family, one
from rtr_server.web.protocol import Traffic
from rtr_server.web.status import clients, exceptions

ORIGINS = ("route_origins_ipv4", "route_origins_ipv6")
"""Routinator's types of payload for VRPs."""

Families = Mapping[str, tuple[int, int]]
"""VRPs of IPv4 and IPv6 by trust anchor."""


def aliases(daemon: Daemon, traffic: Traffic, rows: list[SessionRow]) -> Iterator[Metric]:
    """Those that [http] metric_aliases asks for; none before the first data."""
    wanted, served = daemon.config.http.metric_aliases, daemon.served
    if served is None:
        return
    if "stayrtr" in wanted:
        yield from _stayrtr(daemon, served, rows)
    if "routinator" in wanted:
        yield from _routinator(daemon, served, rows)
        yield from _routinator_http(traffic)
        if daemon.config.http.router_metrics:
            yield from _routinator_clients(rows)


def octets(daemon: Daemon, rows: list[SessionRow]) -> tuple[int, int]:
    """Received and sent in all sessions, those that are over among them."""
    tally = daemon.server.tally
    received = tally.octets_in + sum(row.octets_in for row in rows)
    return received, tally.octets_out + sum(row.octets_out for row in rows)


def anchors(snapshot: Snapshot, taken: Families) -> Iterator[Metric]:
    """Routinator's of each trust anchor; ``taken``: what local exceptions took out. It walks a column.

    Router keys and ASPAs stand under no trust anchor, as a Snapshot does not tell theirs; what only a
    validator sees is 0.
    """
    there = {name or NO_TRUST_ANCHOR: families for name, families in by_trust_anchor(snapshot).items()}
    final = _payload(there, len(snapshot.router_keys), len(snapshot.aspas))
    filtered = _payload({name: taken.get(name, (0, 0)) for name in (*there, *taken)}, 0, 0)
    keys = sorted(final.keys() | filtered.keys())
    stated = {
        "valid": {key: final.get(key, 0) + filtered.get(key, 0) for key in keys},
        "unsafe": dict.fromkeys(keys, 0),
        "locally_filtered": {key: filtered.get(key, 0) for key in keys},
        "duplicate": dict.fromkeys(keys, 0),
        "contributed": {key: final.get(key, 0) for key in keys},
    }
    for state, payload in stated.items():
        vrps = dict.fromkeys([(name,) for name in (*there, *taken)], 0)
        for (name, kind), count in payload.items():
            if kind in ORIGINS:
                vrps[(name,)] += count
        yield family(f"routinator_ta_{state}_vrps_total", vrps)
        yield family(f"routinator_ta_{state}_payload_total", payload)


def _payload(origins: Families, keys: int, aspas: int) -> dict[tuple[str, str], int]:
    """By trust anchor and type, as Routinator labels them."""
    found = {
        (name, kind): count
        for name, families in origins.items()
        for kind, count in zip(ORIGINS, families, strict=True)
    }
    return {**found, (NO_TRUST_ANCHOR, "router_keys"): keys, (NO_TRUST_ANCHOR, "aspas"): aspas}


def _stayrtr(daemon: Daemon, served: Served, rows: list[SessionRow]) -> Iterator[Metric]:
    snapshot, path = served.snapshot, daemon.updates.feed.name
    changes = tuple(daemon.changes)
    last = changes[0].time if changes else served.made
    changed = next((change.time for change in changes if change.delta is not None), served.made)
    families = {
        ("ipv4", "filtered", path): len(snapshot.ipv4),
        ("ipv6", "filtered", path): len(snapshot.ipv6),
    }
    yield family("rpki_vrps", families)
    objects = {("vrps",): len(snapshot), ("router_keys",): len(snapshot.router_keys)}
    yield family("rpki_objects", {**objects, ("aspas",): len(snapshot.aspas)})
    yield family("rpki_refresh", {(path,): last})
    yield family("rpki_change", {(path,): changed})
    yield family("rtr_clients", {("all",): len(rows)})
    yield one("rtr_serial", served.serial)
    queries = daemon.server.tally.queries
    kinds = {"reset_query": "full", "serial_query": "diff"}
    yield family("rtr_pdus", {(name,): queries.get(kind, 0) for name, kind in kinds.items()})
    yield family("refresh_requests", answers(daemon))
    host, _, domain = socket.gethostname().partition(".")
    yield family("rtr_info", {(domain, host, importlib.metadata.version("rovkit")): 1})


def answers(daemon: Daemon) -> Values:
    """HTTP answers by source and status."""
    feed = daemon.updates.feed
    sources = feed.status if isinstance(feed, ProcessFeed) else ()
    return {(each.name, code): count for each in sources for code, count in each.answers.items()}


def newest(daemon: Daemon) -> Recorded | None:
    """The last change, None before the first."""
    changes = tuple(daemon.changes)
    return changes[0] if changes else None


def _routinator(daemon: Daemon, served: Served, rows: list[SessionRow]) -> Iterator[Metric]:
    last = newest(daemon)
    received, sent = octets(daemon, rows)
    ago = max(0.0, daemon.clock() - (served.made if last is None else last.time))
    seconds = 0.0 if last is None else last.seconds + sum(last.stages.values())
    yield one("routinator_serial", served.serial)
    yield one("routinator_last_update_start", ago + seconds)
    yield one("routinator_last_update_done", ago)
    yield one("routinator_last_update_duration", seconds)
    yield one("routinator_vrps_added_locally", exceptions(daemon)[1])
    yield one("routinator_rtr_current_connections", len(rows))
    yield one("routinator_rtr_bytes_read", received)
    yield one("routinator_rtr_bytes_written", sent)


def _routinator_http(traffic: Traffic) -> Iterator[Metric]:
    yield one("routinator_http_connections", traffic.connections)
    yield one("routinator_http_current_connections", traffic.current)
    yield one("routinator_http_requests", traffic.requests)
    yield one("routinator_http_bytes_read", traffic.octets_in)
    yield one("routinator_http_bytes_written", traffic.octets_out)


def _routinator_clients(rows: list[SessionRow]) -> Iterator[Metric]:
    found = clients(rows).items()
    stated: dict[str, Values] = {
        "connections": {(addr,): client.connections for addr, client in found},
        "serial": {(addr,): client.serial for addr, client in found if client.serial is not None},
        "last_update_seconds": {
            (addr,): client.update_age for addr, client in found if client.update_age is not None
        },
        "last_reset_seconds": {
            (addr,): client.reset_age for addr, client in found if client.reset_age is not None
        },
        "reset_queries": {(addr,): client.resets for addr, client in found},
        "serial_queries": {(addr,): client.queries - client.resets for addr, client in found},
        "read_bytes": {(addr,): client.read for addr, client in found},
        "written_bytes": {(addr,): client.written for addr, client in found},
    }
    for name, values in stated.items():
        yield family(f"routinator_rtr_client_{name}", values)
