"""RIB dumps beside the VRPs: loaded, judged anew by each set, read again, and asked."""

import gzip
import os
import signal
import threading

import numpy as np
import pytest

from rov import Prefix, State, VrpIndex, rib
from rtr_server.config import build_config, check
from rtr_server.web import rib as ribs
from rtr_server.web import rib_loader
from rtr_server.web.table import Dumps, Table
from tests.web.conftest import SMALL, vrp_set

ROUTES = b"""prefix,origin,peers
192.0.2.0/24,64496,9
192.0.2.0/24,64499,1
192.0.2.0/25,64496,3
192.0.0.0/16,64500,4
198.51.100.0/24,64500,5
203.0.113.0/24,64496,6
2001:db8::/32,64496,7
2001:db8::/48,64497,8
2001:db8:0:1::/64,64496,2
"""


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "rib.csv"
    path.write_bytes(ROUTES)
    return path


def given(routes):
    return [(route.prefix, route.origin, route.state, route.peers) for route in routes]


@pytest.fixture
def running(run_daemon, dump):
    with run_daemon(SMALL, {"http": {"rib": [str(dump)]}}) as started:
        started.until(lambda: started.daemon.rib.table is not None)
        yield started


def test_the_routes_under_and_around_a_prefix_and_of_an_asn(running):
    table = running.daemon.rib.table
    assert len(table) == 9
    assert given(table.covering(Prefix.parse("192.0.2.0/25"))) == [
        ("192.0.0.0/16", 64500, "not_found", 4),
        ("192.0.2.0/24", 64496, "valid", 9),
        ("192.0.2.0/24", 64499, "invalid", 1),
        ("192.0.2.0/25", 64496, "valid", 3),
    ]
    found = table.under(Prefix.parse("192.0.0.0/15"), 2)
    assert (given(found.routes), found.total) == (
        [("192.0.0.0/16", 64500, "not_found", 4), ("192.0.2.0/24", 64496, "valid", 9)],
        4,
    )
    assert table.under(Prefix.parse("::/0")).total == 3
    assert [route.prefix for route in table.covering(Prefix.parse("2001:db8::/64"))] == [
        "2001:db8::/32",
        "2001:db8::/48",
    ]
    found = table.of(64496)
    assert found.total == 5
    assert {route.state for route in found.routes} == {"valid", "not_found", "invalid"}
    assert table.counts_of(64496) == {"not_found": 1, "valid": 3, "invalid": 1}
    assert len(table.part_of(64496)) == 5
    assert table.of(64496, 1).routes == found.routes[:1]
    assert table.of(1) == ([], 0)


def test_the_states_follow_the_set_and_the_files(running, dump, monkeypatch):
    status = running.client.get("/readyz").json()["rib"]
    assert running.client.get("/api/v1/status").json()["rib"] == status
    lines = running.client.get("/status").text.splitlines()
    assert "rib: loaded" in lines
    assert f"rib-files: {status['files'][0]}" in lines
    assert f"rib-routes: {status['routes']}" in lines
    assert (status["state"], status["routes"], status["error"]) == ("loaded", 9, None)
    assert status["counts"]["ipv4"] == {"not_found": 2, "valid": 2, "invalid": 2}
    first = running.daemon.rib.table
    running.load(vrp_set(("203.0.113.0/24", 24, 64496)))
    running.until(lambda: running.daemon.rib.table is not first)
    assert running.daemon.rib.table.generation == running.daemon.served.generation
    assert running.daemon.rib.table.counts()[4] == {"not_found": 5, "valid": 1, "invalid": 0}

    dump.write_bytes(b"neither this\nnor that\n")
    running.call(lambda: sighup(running))
    running.until(lambda: running.daemon.rib.status().state == "failed")
    status = running.client.get("/readyz").json()["rib"]
    assert "rib.csv" in status["error"]
    assert status["routes"] == 9

    dump.write_bytes(b"prefix,origin\n10.0.0.0/8,1\n")
    running.call(lambda: sighup(running))
    running.until(lambda: len(running.daemon.rib.table) == 1)


async def sighup(running):
    running.cache.reload()


def test_files_that_change_are_read_once_they_are_whole(run_daemon, dump, monkeypatch):
    monkeypatch.setattr(ribs, "LOOK", 0.05)
    with run_daemon(SMALL, {"http": {"rib": [str(dump)]}}) as running:
        running.until(lambda: running.daemon.rib.table is not None)
        dump.write_bytes(ROUTES + b"10.0.0.0/8,1,1\n")
        running.until(lambda: len(running.daemon.rib.table) == 10)


def test_a_dump_that_is_cut_short_is_used_and_told(run_daemon, tmp_path, caplog):
    packed = gzip.compress(ROUTES + b"".join(b"10.0.%d.0/24,%d,1\n" % (n, n) for n in range(256)))
    (tmp_path / "rib.csv.gz").write_bytes(packed[:-20])
    caplog.set_level("INFO", "rtr_server")
    with run_daemon(SMALL, {"http": {"rib": [str(tmp_path / "rib.csv.gz")]}}) as running:
        running.until(lambda: running.daemon.rib.table is not None)
        (line,) = (record for record in caplog.records if record.getMessage() == "RIB loaded")
        told = running.client.get("/readyz").json()["rib"]["warnings"]
        assert (line.levelname, line.fields["fault"]) == ("WARNING", told[0])
        assert "cut short" in told[-1]
        assert "Part of the RIB is left out" in running.client.get("/").text
        assert "part of it is left out" in running.client.get("/lookup?prefix=192.0.2.0/24").text


def test_reading_ends_with_the_daemon(run_daemon, tmp_path):
    pipe = tmp_path / "rib"
    os.mkfifo(pipe)
    before = threading.active_count()
    with run_daemon(SMALL, {"http": {"rib": [str(pipe)]}}) as running:
        running.until(lambda: running.daemon.rib._child is not None)
        child = running.daemon.rib._child
        assert child.poll() is None
        assert running.client.get("/readyz").json()["rib"]["state"] == "loading"
    assert child.poll() == -signal.SIGTERM
    assert threading.active_count() <= before + 1


def test_a_dump_that_is_missing_is_a_fault_of_the_configuration(tmp_path):
    config = build_config({"http": {"rib": [str(tmp_path / "none")]}})
    (fault,) = check(config)
    assert (fault.key, fault.text) == ("http.rib[1]", f"{tmp_path / 'none'}: no such file")


def test_answers_are_those_of_all_rows(tmp_path):
    """Random routes that nest: searches against looking at every row."""
    rng = np.random.default_rng(7)
    lengths = rng.integers(0, 17, 500)
    addresses = (rng.integers(0, 1 << 8, 500) << 24) >> (32 - lengths) << (32 - lengths)
    rows = sorted(
        {
            (int(a), int(n), int(o))
            for a, n, o in zip(addresses, lengths, rng.integers(0, 4, 500), strict=True)
        }
    )
    columns = rib.RouteColumns(4, *map(list, zip(*rows, strict=True)), [1] * len(rows))
    assert rib_loader.write(rib.RouteTable(columns, rib.RouteColumns.empty(6)), tmp_path).peers == 0
    index = VrpIndex(vrp_set(("0.0.0.0/1", 9, 1), ("8.0.0.0/5", 16, 2)))
    table = Table(Dumps.open(tmp_path), index, 1)
    prefixes = {(address, length): Prefix(4, address, length) for address, length, _ in rows}
    for wanted in list(prefixes.values())[::9]:
        over = [row for row in rows if prefixes[row[:2]].covers(wanted)]
        assert sorted((r.prefix, r.origin or 0) for r in table.covering(wanted)) == sorted(
            (str(prefixes[row[:2]]), row[2]) for row in over
        )
        assert table.under(wanted).total == sum(wanted.covers(prefixes[row[:2]]) for row in rows)
    for asn in range(1, 5):
        mine = [row for row in rows if row[2] == asn]
        found = table.of(asn)
        assert [(route.prefix, route.origin) for route in found.routes] == [
            (str(prefixes[row[:2]]), asn) for row in mine
        ]
        states = [index.validate(prefixes[row[:2]], asn) for row in mine]
        assert table.counts_of(asn) == {state.label: states.count(state) for state in State}
