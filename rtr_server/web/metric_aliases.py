"""The names that StayRTR and Routinator have for what our metrics say, too."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from rtr_server.sessions import SessionRow
from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.families import Values, family, one
from rtr_server.web.protocol import Traffic
from rtr_server.web.status import clients, exceptions


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


def _stayrtr(daemon: Daemon, served: Served, rows: list[SessionRow]) -> Iterator[Metric]:
    snapshot, path = served.snapshot, daemon.updates.feed.name
    last = daemon.changes[0].time if daemon.changes else served.made
    changed = next((change.time for change in daemon.changes if change.delta is not None), served.made)
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


def _routinator(daemon: Daemon, served: Served, rows: list[SessionRow]) -> Iterator[Metric]:
    last = daemon.changes[0] if daemon.changes else None
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
