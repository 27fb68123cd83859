"""The daemon in one process: feeds that tests control, routers on loopback, signals, the clock."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time

import pytest
import uvloop

from rov import NO_EXPIRY, Snapshot, VrpColumns
from rtr_server.app import Cache
from rtr_server.cache.mirror import Mirror, SnapshotReceived
from rtr_server.config import build_config
from rtr_server.feed.feed import FeedError
from rtr_server.protocol.client import NotifyReceived, RouterSession
from rtr_server.protocol.events import ErrorReceived
from rtr_server.transport import doors
from tests.given_feed import GivenFeed

ANYWHERE = {"address": "127.0.0.1:0"}


def vrps(*asns, expires=NO_EXPIRY):
    count = len(asns)
    times = [expires] * count if isinstance(expires, int) else expires
    return Snapshot.build(VrpColumns.ipv4([0] * count, [0] * count, [8] * count, list(asns), times))


def asns(snapshot):
    return snapshot.ipv4.asn.tolist()


class Router:
    """A router that stays connected."""

    def __init__(self, endpoint, version):
        self.mirror = Mirror(RouterSession(version=version, min_version=version, now=0.0))
        self.endpoint = endpoint
        self.seen = []

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(*self.endpoint)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def until(self, kind):
        """The next event of this kind."""
        while True:
            for number, event in enumerate(self.seen):
                if isinstance(event, kind):
                    del self.seen[: number + 1]
                    return event
            self.writer.write(self.mirror.session.data_to_send())
            octets = await asyncio.wait_for(self.reader.read(1 << 16), 5)
            assert octets, f"end of file before {kind}"
            self.mirror.receive_data(octets, 0.0)
            self.seen += self.mirror.events()


def daemon(scenario, first, *, listen=(ANYWHERE,), state=None, guard=None, **options):
    """Run a daemon with a feed that begins with ``first``, and the scenario once it has started."""
    tables = {"listen": list(listen), "limits": {"notify_interval": "50ms"}, "guard": guard or {}}
    config = build_config(tables if state is None else {**tables, "state": {"directory": str(state)}})

    async def main():
        feed = GivenFeed(first)
        ready = asyncio.Event()
        cache = Cache(feed, config, started=lambda _: ready.set(), **options)
        running = asyncio.create_task(cache.run())
        await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when="FIRST_COMPLETED")
        if not running.done():
            try:
                await asyncio.wait_for(scenario(cache, feed), 20)
            finally:
                cache.stop("shutdown")
        await asyncio.wait_for(running, 10)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def settled(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def events(caplog, name):
    return [record for record in caplog.records if record.getMessage() == name]


def test_a_change_reaches_connected_routers_of_all_versions():
    async def scenario(cache, feed):
        async with contextlib.AsyncExitStack() as stack:
            routers = [
                await stack.enter_async_context(Router(cache.endpoints[0], version)) for version in (0, 1, 2)
            ]
            first = [await router.until(SnapshotReceived) for router in routers]
            assert all(asns(event.snapshot) == [1, 2] for event in first)
            assert len({event.session_id for event in first}) == 3
            feed.tell(vrps(2, 3))
            for router, before in zip(routers, first, strict=True):
                await router.until(NotifyReceived)
                after = await router.until(SnapshotReceived)
                assert asns(after.snapshot) == [2, 3]
                assert after.serial == (before.serial + 1) % 2**32
                assert after.session_id == before.session_id

    daemon(scenario, vrps(1, 2))


def test_the_same_payload_is_no_new_serial(caplog):
    caplog.set_level(logging.DEBUG, "rtr_server")

    async def scenario(cache, feed):
        before = cache.history.serial
        feed.tell(vrps(1, expires=4_000_000_000))
        await settled(lambda: events(caplog, "set loaded: nothing changed"))
        feed.tell(None)
        await settled(lambda: events(caplog, "feed not modified"))
        assert cache.history.serial == before

    daemon(scenario, vrps(1))


def test_a_refused_set_leaves_the_last_one(caplog):
    async def scenario(cache, feed):
        for wrong in (FeedError("half a file"), Snapshot.empty(), vrps(9, expires=1), MemoryError("no room")):
            refused = len(caplog.records)
            feed.tell(wrong)
            await settled(lambda before=refused: len(caplog.records) > before)
            assert asns(cache.history.snapshot) == [1]
        feed.tell(vrps(1, 2))
        await settled(lambda: asns(cache.history.snapshot) == [1, 2])

    daemon(scenario, vrps(1))
    assert len(events(caplog, "set refused, the last one stays")) == 3
    assert len(events(caplog, "load failed, the last set stays")) == 1


def test_sighup_loads_again():
    async def scenario(cache, feed):
        feed.next = vrps(5)
        os.kill(os.getpid(), signal.SIGHUP)
        await settled(lambda: asns(cache.history.snapshot) == [5])

    daemon(scenario, vrps(1))


def test_c51_c58_expired_vrps_go_when_they_are_due(caplog):
    now = 1_000.0

    async def scenario(cache, feed):
        nonlocal now
        async with Router(cache.endpoints[0], 1) as router:
            assert asns((await router.until(SnapshotReceived)).snapshot) == [2, 3]
            now = 2_000.0
            feed.tell(None)  # wakes it, so that it reads the clock that the test has moved
            assert asns((await router.until(SnapshotReceived)).snapshot) == [3]
            now = 3_000.0
            feed.tell(None)
            assert asns((await router.until(SnapshotReceived)).snapshot) == []

    daemon(scenario, vrps(1, 2, 3, expires=[900, 2_000, 3_000]), clock=lambda: now)
    assert len(events(caplog, "ALL DATA HAVE EXPIRED: routers withdraw them")) == 1


def test_an_expiry_soon_needs_no_feed():
    """By the timer alone: half a second after the start."""
    began = time.time()

    async def scenario(cache, feed):
        await settled(lambda: asns(cache.history.snapshot) == [2])
        assert feed.loads == 1

    daemon(scenario, vrps(1, 2, expires=[10_001, NO_EXPIRY]), clock=lambda: 10_000.5 + time.time() - began)


def test_a_held_update_that_has_expired_when_its_time_comes_is_dropped(caplog):
    now = 1_000.0

    async def scenario(cache, feed):
        nonlocal now
        feed.tell(vrps(1, expires=1_050))
        await settled(lambda: cache.updates.held is not None)
        now = 1_101.0
        feed.tell(None)  # wakes it, so that it reads the clock that the test has moved
        await settled(lambda: cache.updates.held is None)
        assert asns(cache.history.snapshot) == [1, 2, 3]
        feed.tell(vrps(3, 4))
        await settled(lambda: asns(cache.history.snapshot) == [3, 4])

    guard = {"least": 1, "accept_after": "100s"}
    daemon(scenario, vrps(1, 2, 3), guard=guard, clock=lambda: now)
    [refused] = events(caplog, "set refused, the last one stays")
    assert "have expired" in str(refused.fields["error"])


def test_all_expired_is_refused_unless_told_otherwise():
    async def never(cache, feed):
        raise AssertionError("it started")

    async def served(cache, feed):
        async with Router(cache.endpoints[0], 1) as router:
            assert asns((await router.until(SnapshotReceived)).snapshot) == [1]

    with pytest.raises(FeedError, match="all of its 1 VRPs have expired"):
        daemon(never, vrps(1, expires=5))
    daemon(served, vrps(1, expires=5), ignore_expiry=True)


def test_without_data_routers_get_error_2_and_are_told_later():
    async def scenario(cache, feed):
        async with Router(cache.endpoints[0], 1) as router:
            assert (await router.until(ErrorReceived)).code == 2
            feed.tell(vrps(7))
            await router.until(NotifyReceived)
            assert asns((await router.until(SnapshotReceived)).snapshot) == [7]

    daemon(scenario, FeedError("network is down", temporary=True))


def held_up(work):
    """``work`` that waits, once it has begun, until it is told to go on; and both events."""
    began, go_on = threading.Event(), threading.Event()

    def wait(*arguments):
        began.set()
        assert go_on.wait(20)
        return work(*arguments)

    return wait, began, go_on


def test_the_loop_is_not_blocked_by_a_load():
    async def scenario(cache, feed):
        feed.load, began, go_on = held_up(feed.load)
        feed.tell(vrps(1, 2))
        assert await asyncio.to_thread(began.wait, 20)
        async with Router(cache.endpoints[0], 1) as router:
            assert asns((await router.until(SnapshotReceived)).snapshot) == [1]
        go_on.set()
        await settled(lambda: asns(cache.history.snapshot) == [1, 2])

    daemon(scenario, vrps(1))


def test_the_loop_is_not_blocked_by_the_certificates_of_a_reload(tmp_path, monkeypatch, caplog):
    file = tmp_path / "rtr-server.toml"
    file.write_text(f'[[listen]]\naddress = "{ANYWHERE["address"]}"\n[limits]\nnotify_interval = "50ms"\n')

    async def scenario(cache, feed):
        make_opener, began, go_on = held_up(doors.make_opener)
        monkeypatch.setattr(doors, "make_opener", make_opener)
        cache.reload()
        assert await asyncio.to_thread(began.wait, 20)
        async with Router(cache.endpoints[0], 1) as router:
            await router.until(SnapshotReceived)
        go_on.set()
        await settled(lambda: "configuration unchanged" in caplog.text)

    with caplog.at_level(logging.INFO):
        daemon(scenario, vrps(1), path=file)


def test_a_signal_during_the_first_load_ends_it():
    """A load that hangs, such as a download, does not hold the daemon."""

    async def main():
        feed = GivenFeed(vrps(1))
        feed.load, began, go_on = held_up(feed.load)
        running = asyncio.create_task(Cache(feed, build_config({"listen": [ANYWHERE]})).run())
        try:
            assert await asyncio.to_thread(began.wait, 20)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(running, 20)
        finally:
            go_on.set()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_an_optional_endpoint_may_be_missing(caplog):
    async def scenario(cache, feed):
        assert len(cache.endpoints) == 1

    daemon(scenario, vrps(1), listen=(ANYWHERE, {"address": "203.0.113.1:0", "optional": True}))
    assert len(events(caplog, "endpoint left out")) == 1


def test_a_feed_that_is_wrong_for_good_does_not_end_a_start_with_a_saved_set(caplog, tmp_path):
    async def served(cache, feed):
        async with Router(cache.endpoints[0], 1) as router:
            assert asns((await router.until(SnapshotReceived)).snapshot) == [1, 2]

    async def never(cache, feed):
        raise AssertionError("it started")

    wrong = FeedError("no VRP file")
    with pytest.raises(FeedError, match="no VRP file"):
        daemon(never, wrong, state=tmp_path / "state")
    daemon(served, vrps(1, 2), state=tmp_path / "state")
    daemon(served, wrong, state=tmp_path / "state")
    assert len(events(caplog, "no data yet, serving the saved set")) == 1
