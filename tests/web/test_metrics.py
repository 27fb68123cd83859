"""/metrics: the documented names and no others, values that follow the daemon, contrib by promtool."""

import asyncio
import json
import re
import socket
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rtr_server.cache.mirror import Mirror, SnapshotReceived
from rtr_server.config.sources import FileSource
from rtr_server.feed.messages import SourceStatus
from rtr_server.feed.process import ProcessFeed
from rtr_server.feed.settings import Settings
from rtr_server.protocol.client import RouterSession
from rtr_server.transport.tally import CLOSES
from rtr_server.web import metric_aliases, metrics
from rtr_server.web.metric_names import ALL, NAMES, page
from rtr_server.web.pages.overview import warnings
from tests.web.conftest import SMALL, vrp_set

STATES = ("valid", "unsafe", "locally_filtered", "duplicate", "contributed")
ROOT = Path(__file__).resolve().parents[2]
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def scrape(running):
    answer = running.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def values(family):
    labels = ALL[family.name].labels
    return {tuple(sample.labels[label] for label in labels): sample.value for sample in family.samples}


async def synced(endpoint, opened):
    """A router that has the whole set; its connection is among ``opened``."""
    reader, writer = await asyncio.open_connection(*endpoint)
    opened.append(writer)
    mirror = Mirror(RouterSession(version=1, min_version=1, now=0.0))
    seen = []
    while not any(isinstance(event, SnapshotReceived) for event in seen):
        writer.write(mirror.session.data_to_send())
        mirror.receive_data(await asyncio.wait_for(reader.read(1 << 16), 30), 0.0)
        seen += mirror.events()


async def leave(opened):
    """Close the connections."""
    for writer in opened:
        writer.close()
        await writer.wait_closed()


def test_the_page_is_made_from_the_source():
    assert (ROOT / "docs/metrics.md").read_text() == page()


def test_names_are_the_documented_ones(run_daemon):
    aliases = {"metric_aliases": ["routinator", "stayrtr"], "router_metrics": True}
    with run_daemon(SMALL, {"http": aliases}) as running:
        opened = []
        running.call(lambda: synced(running.cache.endpoints[0], opened))
        found = scrape(running)
        status, lines = running.client.get("/api/v1/status").json(), running.client.get("/status").text
        running.call(lambda: leave(opened))
        client = status["rtr"]["clients"]["127.0.0.1"]
        assert client["lastReset"][:16] <= client["updated"][:16] <= status["now"][:16]
        assert re.search(
            r"127\.0\.0\.1: connections=1, serial=\d+, updated-ago=\d+\.\d{3}s, last-reset-ago=", lines
        )
        assert set(found) == set(ALL)
        for name, family in found.items():
            declared = ALL[name]
            assert (family.type, family.documentation) == (declared.kind, declared.meaning), name
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(declared.labels), name
        assert values(found["routinator_ta_contributed_vrps_total"]) == {("ripe",): 3, ("apnic",): 2}
        assert values(found["rtr_clients"]) == {("all",): 1}
        assert values(found["routinator_ta_contributed_payload_total"]) == {
            ("ripe", "route_origins_ipv4"): 2,
            ("ripe", "route_origins_ipv6"): 1,
            ("apnic", "route_origins_ipv4"): 2,
            ("apnic", "route_origins_ipv6"): 0,
            ("N/A", "router_keys"): 1,
            ("N/A", "aspas"): 1,
        }
        assert set(values(found["routinator_ta_unsafe_payload_total"]).values()) == {0}
        assert 0 <= values(found["routinator_rtr_client_last_update_seconds"])[("127.0.0.1",)] < 30
        assert [sample.value for sample in found["rtr_info"].samples] == [1]


def test_what_exceptions_took_out_is_counted_by_trust_anchor():
    """Routinator's valid is before its local exceptions, contributed after them."""
    taken = {"ripe": (5, 1), "gone": (0, 7)}
    found = {family.name: family for family in metric_aliases.anchors(SMALL, taken)}
    vrps = {state: values(found[f"routinator_ta_{state}_vrps_total"]) for state in STATES}
    assert vrps == {
        "valid": {("ripe",): 9, ("apnic",): 2, ("gone",): 7},
        "unsafe": {("ripe",): 0, ("apnic",): 0, ("gone",): 0},
        "locally_filtered": {("ripe",): 6, ("apnic",): 0, ("gone",): 7},
        "duplicate": {("ripe",): 0, ("apnic",): 0, ("gone",): 0},
        "contributed": {("ripe",): 3, ("apnic",): 2, ("gone",): 0},
    }
    payload = values(found["routinator_ta_locally_filtered_payload_total"])
    assert {key: count for key, count in payload.items() if count} == {
        ("ripe", "route_origins_ipv4"): 5,
        ("ripe", "route_origins_ipv6"): 1,
        ("gone", "route_origins_ipv6"): 7,
    }


def test_http_answers_of_sources(tmp_path):
    feed = ProcessFeed(Settings((FileSource(path=tmp_path / "a"),)), tmp_path)
    feed.status = [
        SourceStatus("https://a.example/", "usable", answers={"200": 2, "304": 5}),
        SourceStatus("/b", "usable"),
    ]
    daemon = SimpleNamespace(updates=SimpleNamespace(feed=feed))
    assert metric_aliases.answers(daemon) == {
        ("https://a.example/", "200"): 2,
        ("https://a.example/", "304"): 5,
    }


def test_a_source_that_has_given_no_set_is_not_usable(small):
    rows = [
        msgspec.to_builtins(SourceStatus("had one", "failing", loaded_at=1, error="gone")),
        msgspec.to_builtins(SourceStatus("none", "failing", error="gone")),
    ]
    found = metrics._sources(small.daemon, rows)[0]
    assert values(found) == {("had one", "failing"): 1, ("none", "failing"): 0}
    told = [alert.text for alert in warnings(small.daemon, {"sources": rows})]
    assert told == ["gone (its last set is still used)", "gone (it has given no set yet)"]


def test_aliases_and_routers_are_off(small):
    assert set(scrape(small)) == set(NAMES)


def test_values(small):
    found = scrape(small)
    assert values(found["rovkit_vrps"]) == {
        ("4", "ripe"): 2,
        ("4", "apnic"): 2,
        ("6", "ripe"): 1,
        ("6", "apnic"): 0,
    }
    assert values(found["rovkit_serial"]) == {(): small.daemon.served.serial}
    assert values(found["rovkit_ready"]) == {(): 1}
    assert 0 <= values(found["rovkit_data_age_seconds"])[()] < 600
    assert values(found["rovkit_source_usable"]) == {("test feed", "usable"): 1}


def test_sessions_are_counted(run_daemon):
    with run_daemon(SMALL, {"limits": {"notify_interval": "50ms"}}) as running:
        opened = []
        running.call(lambda: synced(running.cache.endpoints[0], opened))
        found = scrape(running)
        assert values(found["rovkit_rtr_sessions"]) == {("0", "tcp"): 0, ("1", "tcp"): 1, ("2", "tcp"): 0}
        resets = values(found["rovkit_rtr_resets"])
        assert resets == {("first query",): 1, ("unknown serial",): 0, ("asked",): 0}
        assert values(found["rovkit_rtr_payload_pdus"]) == {(): 6}
        assert values(found["rovkit_rtr_queries"]) == {("full",): 1, ("diff",): 0}
        sent = values(found["rovkit_rtr_octets"])[("out",)]
        running.load(vrp_set(("10.0.0.0/8", 8, 1)))
        running.until(lambda: running.cache._server.tally.notifies)
        found = scrape(running)
        assert found["rovkit_rtr_notify_lag_seconds"].samples[-1].value >= 0
        assert values(found["rovkit_announced_elements"]) == {(): 8}
        assert values(found["rovkit_withdrawn_elements"]) == {(): 7}
        assert values(found["rovkit_updates"]) == {("set loaded",): 2}

        running.call(lambda: leave(opened))
        running.until(lambda: not running.cache._server.connections)
        found = scrape(running)
        assert values(found["rovkit_rtr_sessions_ended"]) == {(): 1}
        closes = values(found["rovkit_rtr_closes"])
        assert {key for key, count in closes.items() if count} == {("end of file",)}
        assert set(closes) == {(reason,) for reason in CLOSES}, "a rate needs a beginning"
        assert values(found["rovkit_rtr_octets"])[("out",)] > sent


def test_sessions_that_end_without_a_word_or_by_an_operator_are_counted(run_daemon):
    with run_daemon() as running:
        routers = running.cache._server.connections
        opened = []
        running.call(lambda: synced(running.cache.endpoints[0], opened))
        running.call(lambda: _kick(*routers))
        running.call(lambda: leave(opened))
        running.until(lambda: not routers)
        where = running.cache.endpoints[0]
        with socket.create_connection((where.host, where.port)) as router:
            running.until(lambda: routers)
            router.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends by RST
        running.until(lambda: not routers)
        found = values(scrape(running)["rovkit_rtr_closes"])
        assert {key[0]: count for key, count in found.items() if count} == {"kicked": 1, "connection lost": 1}


async def _kick(router):
    router.kick()


@pytest.mark.parametrize("command", ["check rules rtr-server.yml", "test rules rtr-server.test.yml"])
def test_promtool_takes_the_alert_rules(program, command):
    done = subprocess.run(
        [program("promtool"), *command.split()],
        cwd=ROOT / "contrib/prometheus",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_metrics(program, small):
    text = small.client.get("/metrics").content
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()


def test_dashboard_and_rules_speak_of_known_metrics():
    dashboard = json.loads((ROOT / "contrib/grafana/rtr-server.json").read_text())
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    texts.append((ROOT / "contrib/prometheus/rtr-server.yml").read_text())
    named = set(re.findall(r"rovkit_\w+", " ".join(texts)))
    stems = {re.sub(r"_(total|bucket)$", "", name) for name in named}
    assert len(stems) > 15
    assert stems <= set(ALL)


def test_scrapes_within_a_second_are_one(run_daemon, monkeypatch):
    monkeypatch.setattr(metrics, "KEPT", 3600.0)
    with run_daemon() as running:
        first = running.client.get("/metrics").text
        running.load(vrp_set(("192.0.2.0/24", 24, 64496)))
        assert running.client.get("/metrics").text == first
        assert "rovkit_aspas 0.0" in running.client.get("/metrics", headers={"Accept": OPEN_METRICS}).text
        monkeypatch.setattr(metrics, "KEPT", 0.0)
        assert running.client.get("/metrics").text != first
