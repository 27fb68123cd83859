"""The router simulator against our own server and against caches that do wrong."""

import asyncio
import json

import pytest
import uvloop
from click.testing import CliRunner

from rov import Prefix, Snapshot, Vrp
from rtr_server.cache.history import History
from rtr_server.cli import main
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.errors import ErrorCode
from rtr_server.protocol.pdu import ErrorReport
from rtr_server.protocol.session import CacheSession
from rtr_server.tools.load import MISCHIEF, Load
from rtr_server.tools.load_report import Plan

SET = Snapshot.from_vrps([Vrp(Prefix(4, number << 8, 24), 24, number) for number in range(1, 5000)])


class Cache(asyncio.Protocol):
    """Our session behind a socket; ``twist(number, octets)`` changes what connection ``number`` gets.

    ``closes``: what it sends, before it closes the connection, to a version that it does not speak.
    """

    connections = 0
    live: set["Cache"]

    def __init__(self, history, twist, highest=2, closes=None):
        self.history, self.twist, self.highest, self.closes = history, twist, highest, closes

    def connection_made(self, transport):
        Cache.connections += 1
        self.number, self.transport = Cache.connections, transport
        self.session = CacheSession(self.history, now=0.0, max_version=self.highest)
        Cache.live.add(self)

    def connection_lost(self, exc):
        Cache.live.discard(self)

    def data_received(self, data):
        if self.closes is not None and data[0] > self.highest:
            self.transport.write(self.closes)
            self.transport.close()
            return
        self.session.receive_data(data, 0.0)
        self.flush()

    def flush(self):
        while (chunk := self.session.next_chunk(1 << 20)) is not None:
            octets = bytes(chunk)
            self.session.sent(len(octets), 0.0)
            self.transport.write(self.twist(self.number, octets))
        if self.session.closing:
            self.transport.close()


def simulate(plan, twist=lambda number, octets: octets, during=None, kind=Cache, **speaks):
    """The report of a simulation; ``during`` runs beside it, with the history; ``speaks``: as Cache."""
    Cache.connections, Cache.live = 0, set()

    async def main():
        history = History({0: 1, 1: 2, 2: 3}, 7, snapshot=SET)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: kind(history, twist, **speaks), "127.0.0.1", 0)
        beside = asyncio.create_task(during(history)) if during else None
        report = await Load(Endpoint(*server.sockets[0].getsockname()), plan).run()
        if beside:
            await beside
        server.close()
        return report

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


async def until(condition):
    """Wait until it holds; the simulation around it has a time limit."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_all_get_the_set(version):
    report = simulate(Plan(routers=30, version=version))
    assert report.healthy
    assert len(report.sync_seconds) == 30
    assert report.serials == {"7": 30}
    assert report.octets == 30 * (8 + len(SET) * 20 + (24 if version else 12))


@pytest.mark.parametrize("highest", [0, 1])
@pytest.mark.parametrize("how", ["error 4", "error 4 and the end", "the end"])
def test_a_cache_of_an_older_version_is_followed_down(highest, how):
    told = ErrorReport(highest, ErrorCode.UNSUPPORTED_PROTOCOL_VERSION).encode()
    closes = {"error 4": None, "error 4 and the end": told, "the end": b""}[how]
    report = simulate(Plan(routers=10, slow=2), highest=highest, closes=closes)
    assert report.healthy, report
    assert report.versions == {str(highest): 10}


def test_a_close_where_others_are_served_is_a_lost_connection():
    """One router gets no answer; when the others have theirs, its connection ends without a word."""

    class Picky(Cache):
        def data_received(self, data):
            if self.number != 6:
                super().data_received(data)

    async def turn_away(history):
        await until(lambda: sum(cache.session.responses for cache in Cache.live) == 5)
        history.update(Snapshot.from_vrps(list(SET.vrps())[:-1]), 1.0)
        for cache in Cache.live:
            cache.session.notify(1.0)
            cache.flush()
        # Who asks again has seen the end of the first response.
        await until(lambda: sum(cache.session.queries for cache in Cache.live) == 10)
        for cache in tuple(Cache.live):
            if cache.number == 6:
                cache.transport.close()

    report = simulate(Plan(routers=6), during=turn_away, kind=Picky)
    assert (report.versions, report.lost, report.healthy) == ({"2": 5}, 1, False)


def test_slow_and_broken_ones_are_no_failure():
    report = simulate(Plan(routers=5, slow=3, broken=2 * len(MISCHIEF), duration=1.5))
    assert report.healthy, report
    assert Cache.connections > 5 + 3 + 2 * len(MISCHIEF), "the broken ones come back"


def test_a_delta_is_followed():
    async def change(history):
        await until(lambda: sum(cache.session.responses > 0 for cache in Cache.live) == 10)
        history.update(Snapshot.from_vrps(list(SET.vrps())[:-1]), 1.0)
        for cache in Cache.live:
            cache.session.notify(1.0)
            cache.flush()

    report = simulate(Plan(routers=10, duration=1.0), during=change)
    assert (report.notifies, report.updates) == (10, 10)
    assert report.serials == {"8": 10}
    assert report.healthy


FAULTS = {
    "other octets": (lambda number, octets: octets.replace(b"\0\0\1\0", b"\0\0\2\0", 1), "different"),
    "cut off": (lambda number, octets: octets[:1000] + bytes(8), "errors"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_one_router_gets_otherwise_is_found(name):
    twist, field = FAULTS[name]
    report = simulate(Plan(routers=8, timeout=5), lambda number, o: twist(number, o) if number == 5 else o)
    assert not report.healthy
    assert getattr(report, field), report


def test_a_silent_cache_is_given_up():
    report = simulate(Plan(routers=2, timeout=0.3), lambda number, octets: b"")
    assert not report.healthy
    assert (len(report.sync_seconds), report.lost) == (0, 0)


def test_nobody_listens(free_port):
    ran = CliRunner().invoke(main, ["load", f"127.0.0.1:{free_port()}", "--routers", "3", "--json"])
    assert ran.exit_code == 2
    assert "no router could connect" in ran.stderr
    assert json.loads(ran.stdout)["connections_refused"] == 3


def test_too_many_for_the_limit_of_files():
    ran = CliRunner().invoke(main, ["load", "127.0.0.1:1", "--routers", str(2**40)])
    assert ran.exit_code == 2
    assert "open files" in ran.output
