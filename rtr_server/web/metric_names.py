"""The names of all metrics: kind, labels, meaning. docs/metrics.md is made from them.

    python -m rtr_server.web.metric_names > docs/metrics.md

A test holds the page, and what /metrics answers, against this.
"""

from __future__ import annotations

import sys
from typing import Literal, NamedTuple

Kind = Literal["gauge", "counter", "histogram", "unknown"]


class Name(NamedTuple):
    """A family of metrics; a counter's samples end in _total."""

    kind: Kind
    labels: tuple[str, ...]
    meaning: str


NAMES: dict[str, Name] = {
    "rovkit_build_info": Name("gauge", ("version",), "1, labelled with the version."),
    "rovkit_ready": Name("gauge", (), "Whether /readyz says 200."),
    "rovkit_vrps": Name("gauge", ("family", "trust_anchor"), "VRPs that are served."),
    "rovkit_aspas": Name("gauge", (), "ASPAs that are served."),
    "rovkit_router_keys": Name("gauge", (), "BGPsec router keys that are served."),
    "rovkit_serial": Name("gauge", (), "RTR serial of the set that is served."),
    "rovkit_data_age_seconds": Name("gauge", (), "Since the newest data were made; absent if nobody knows."),
    "rovkit_source_vrps": Name("gauge", ("source",), "VRPs of the last set of each source."),
    "rovkit_source_usable": Name("gauge", ("source", "state"), "1 where its last set is used or could be."),
    "rovkit_source_age_seconds": Name("gauge", ("source",), "Since its data were made."),
    "rovkit_loader_failures": Name("counter", (), "Loader processes that have failed."),
    "rovkit_updates": Name("counter", ("why",), "Sets that came to be served, and why."),
    "rovkit_announced_elements": Name("counter", (), "Elements that updates announced."),
    "rovkit_withdrawn_elements": Name("counter", (), "Elements that updates withdrew."),
    "rovkit_expired_elements": Name("counter", (), "Elements withdrawn since they had expired."),
    "rovkit_update_stage_seconds": Name("gauge", ("stage",), "How long each stage of the last update took."),
    "rovkit_guard_holds": Name("counter", (), "Episodes in which the guard held updates."),
    "rovkit_update_held": Name("gauge", (), "1 while the guard holds an update."),
    "rovkit_slurm_vrps": Name("gauge", ("effect",), "What local exceptions filtered and added."),
    "rovkit_rib_routes": Name("gauge", ("family", "state"), "Routes of [http] rib by their state."),
    "rovkit_rib_age_seconds": Name("gauge", (), "Since the newest dump was written; absent without one."),
    "rovkit_rtr_sessions": Name("gauge", ("version", "transport"), "Connected routers."),
    "rovkit_rtr_sessions_ended": Name("counter", (), "Sessions that are over."),
    "rovkit_rtr_closes": Name("counter", ("reason",), "How each session ended; stalled: slow readers."),
    "rovkit_rtr_octets": Name("counter", ("direction",), "Octets received and sent in sessions."),
    "rovkit_rtr_queries": Name("counter", ("kind",), "Reset Queries (full) and Serial Queries (diff)."),
    "rovkit_rtr_responses": Name("counter", ("kind",), "Responses that were taken whole."),
    "rovkit_rtr_payload_pdus": Name("counter", (), "PDUs of payload in responses that began."),
    "rovkit_rtr_resets": Name("counter", ("reason",), "Full sets that routers were sent, and why."),
    "rovkit_rtr_cache_resets": Name("counter", (), "Cache Resets sent: the router's serial was not known."),
    "rovkit_rtr_notifies": Name("counter", (), "Serial Notifies sent."),
    "rovkit_rtr_errors": Name("counter", ("direction", "code"), "Error Reports, by code."),
    "rovkit_rtr_notify_lag_seconds": Name("histogram", (), "From an update to a router's Serial Notify."),
    "rovkit_event_loop_lag_seconds": Name("histogram", (), "By how much the event loop was late."),
    "rovkit_http_connections": Name("gauge", (), "HTTP clients that are connected."),
    "rovkit_http_requests": Name("counter", ("method", "status"), "Answers by method and status."),
    "rovkit_http_octets": Name("counter", ("direction",), "Octets received, and octets of bodies sent."),
    "rovkit_http_timeouts": Name("counter", ("phase",), "HTTP clients cut off: head, body, stall, answer."),
    "rovkit_http_refused": Name("counter", (), "HTTP connections refused for their number."),
}
"""Ours."""

ROUTERS: dict[str, Name] = {
    "rovkit_router_serial": Name("gauge", ("router",), "Serial of the router."),
    "rovkit_router_lag_seconds": Name("gauge", ("router",), "Since that serial ceased to be current."),
    "rovkit_router_behind": Name("gauge", ("router",), "Serials between the router's and ours."),
    "rovkit_router_reset_age_seconds": Name("gauge", ("router",), "Since its last full set."),
    "rovkit_router_octets": Name("counter", ("router", "direction"), "Octets of its session."),
    "rovkit_router_queries": Name("counter", ("router",), "Its queries."),
}
"""For each router, by ADDR:PORT: with `router_metrics = true` only."""

STAYRTR: dict[str, Name] = {
    "rpki_vrps": Name("gauge", ("ip_version", "filtered", "path"), "VRPs that are served."),
    "rpki_objects": Name("gauge", ("type",), "vrps, router_keys, aspas."),
    "rpki_refresh": Name("gauge", ("path",), "Unix time of the last update."),
    "rtr_clients": Name("gauge", ("bind",), "Connected routers."),
    "rtr_serial": Name("gauge", (), "Serial."),
    "rpki_change": Name("gauge", ("path",), "Unix time of the last update that changed something."),
    "rtr_pdus": Name("unknown", ("type",), "Queries received: reset_query, serial_query."),
    "refresh_requests": Name("counter", ("path", "code"), "HTTP answers of each source that is a URL."),
    "rtr_info": Name("gauge", ("domainname", "nodename", "version"), "1, labelled with host and version."),
}
"""Names of StayRTR: with `metric_aliases = ["stayrtr"]`."""

ROUTINATOR: dict[str, Name] = {
    "routinator_serial": Name("gauge", (), "Serial."),
    "routinator_last_update_start": Name("gauge", (), "Seconds since it began."),
    "routinator_last_update_done": Name("gauge", (), "Seconds since the last update."),
    "routinator_last_update_duration": Name("gauge", (), "Seconds that it took."),
    "routinator_ta_valid_vrps_total": Name(
        "gauge", ("name",), "VRPs of each trust anchor, with those filtered."
    ),
    "routinator_ta_unsafe_vrps_total": Name("gauge", ("name",), "0: seen by a validator only."),
    "routinator_ta_locally_filtered_vrps_total": Name("gauge", ("name",), "VRPs that exceptions took out."),
    "routinator_ta_duplicate_vrps_total": Name("gauge", ("name",), "0: seen by a validator only."),
    "routinator_ta_contributed_vrps_total": Name("gauge", ("name",), "VRPs of each that are served."),
    "routinator_ta_valid_payload_total": Name(
        "gauge", ("name", "type"), "VRPs of each; keys, ASPAs under N/A."
    ),
    "routinator_ta_unsafe_payload_total": Name("gauge", ("name", "type"), "0: seen by a validator only."),
    "routinator_ta_locally_filtered_payload_total": Name(
        "gauge", ("name", "type"), "Payload that exceptions took out: of VRPs, by trust anchor."
    ),
    "routinator_ta_duplicate_payload_total": Name("gauge", ("name", "type"), "0: seen by a validator only."),
    "routinator_ta_contributed_payload_total": Name("gauge", ("name", "type"), "Payload that is served."),
    "routinator_vrps_added_locally": Name("gauge", (), "VRPs of local exceptions."),
    "routinator_rtr_current_connections": Name("gauge", (), "Connected routers."),
    "routinator_rtr_bytes_read": Name("unknown", (), "Octets received in sessions."),
    "routinator_rtr_bytes_written": Name("unknown", (), "Octets sent in sessions."),
    "routinator_http_connections": Name("unknown", (), "HTTP connections so far."),
    "routinator_http_current_connections": Name("gauge", (), "HTTP clients that are connected."),
    "routinator_http_requests": Name("unknown", (), "HTTP requests answered."),
    "routinator_http_bytes_read": Name("unknown", (), "Octets received by HTTP."),
    "routinator_http_bytes_written": Name("unknown", (), "Octets of bodies sent by HTTP."),
    "routinator_rtr_client_connections": Name("gauge", ("addr",), "Sessions (with router_metrics)."),
    "routinator_rtr_client_serial": Name("gauge", ("addr",), "Serial (with router_metrics)."),
    "routinator_rtr_client_last_update_seconds": Name("gauge", ("addr",), "Since its last whole response."),
    "routinator_rtr_client_last_reset_seconds": Name("gauge", ("addr",), "Since its last full set."),
    "routinator_rtr_client_reset_queries": Name("unknown", ("addr",), "Sessions that had a full set."),
    "routinator_rtr_client_serial_queries": Name("unknown", ("addr",), "Other queries."),
    "routinator_rtr_client_read_bytes": Name("unknown", ("addr",), "Octets received."),
    "routinator_rtr_client_written_bytes": Name("unknown", ("addr",), "Octets sent."),
}
"""Names of Routinator: with `metric_aliases = ["routinator"]`."""

ALL = NAMES | ROUTERS | STAYRTR | ROUTINATOR

HEAD = """\
# Metrics

`/metrics` of the HTTP side ([http.md](http.md)) has these for Prometheus; the samples of a counter end in
`_total`, those of a histogram in `_bucket`, `_count`, `_sum`. A dashboard for Grafana and rules for alerts
lie in `contrib/grafana` and `contrib/prometheus`.

This page is made from the source: `python -m rtr_server.web.metric_names > docs/metrics.md`.
"""


def page() -> str:
    """The whole page.

    >>> "rovkit_serial" in page()
    True
    """
    parts = [HEAD]
    for title, names in (
        ("Always", NAMES),
        ("For each router, by `[http] router_metrics = true`", ROUTERS),
        ('StayRTR\'s names, by `metric_aliases = ["stayrtr"]`', STAYRTR),
        ('Routinator\'s names, by `metric_aliases = ["routinator"]`', ROUTINATOR),
    ):
        parts.append(f"\n## {title}\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n")
        parts += [
            f"| `{name}` | {each.kind} | {', '.join(each.labels)} | {each.meaning} |\n"
            for name, each in names.items()
        ]
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
