"""Routers that take nothing, or hardly anything: they end with a reason, and delay nobody meanwhile."""

import asyncio
import contextlib
import socket

import pytest

from rov import Snapshot, VrpColumns
from rtr_server.cache.history import History
from rtr_server.config.transport import Limits, Tcp
from rtr_server.config.values import Octets, Seconds
from rtr_server.protocol.pdu import EndOfData
from rtr_server.protocol.session import CacheSession
from rtr_server.transport import spread
from rtr_server.transport.connection import WRITE_HIGH

RESET_QUERY = bytes.fromhex("0102000000000008")
NOTIFY_8 = bytes.fromhex("010000020000000c00000008")
COUNT = 600_000
"""12 MB: more than kernel and transport hold together."""


async def narrow(served, query=RESET_QUERY):
    """A router with a small window that has asked; it reads only what a test makes it read."""
    router = socket.socket()
    router.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    router.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(router, served.endpoint)
    if query:
        await loop.sock_sendall(router, query)
    return router


def test_slow_routers_delay_nobody_and_end_with_a_reason(
    run, serve, make_snapshot, synchronize, logged, eventually
):
    """One stops after 8 octets, one takes an octet now and then, one never asks; a fourth goes on as ever."""
    data = make_snapshot(COUNT)
    more = Snapshot.build(data.ipv4, data.ipv6)

    async def drip(router):
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while await loop.sock_recv(router, 1):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def scenario():
        limits = Limits(first_query=Seconds(2), stall=Seconds(2), notify_interval=Seconds(0.05))
        served = serve(data, limits=limits)
        good = await served.connect()
        await synchronize(*good)
        stopped, dripping, silent = [await narrow(served, query) for query in (RESET_QUERY, RESET_QUERY, b"")]
        loop = asyncio.get_running_loop()
        assert len(await loop.sock_recv(stopped, 8)) == 8
        task = asyncio.create_task(drip(dripping))
        await eventually(lambda: sum(bool(each.session.pending) for each in served.server.connections) == 2)
        stuck = [each for each in served.server.connections if each.session.pending]
        served.history.update(more, 0.0)
        served.server.notify()
        assert await good[0].readexactly(12) == NOTIFY_8
        assert len((await synchronize(*good)).snapshot) == COUNT + 1, "a full set while they hang"
        for each in stuck:
            assert each._transport.get_write_buffer_size() <= WRITE_HIGH + 128 * 1024, "bounded"
        await eventually(lambda: len(served.server.connections) == 1)
        ended = sorted(session.reason for session in served.server.ledger.ended)
        assert ended == ["no query", "stalled", "stalled"]
        task.cancel()
        for router in (stopped, dripping, silent):
            router.close()
        good[1].close()
        await served.close()

    run(scenario)
    assert sorted(line["reason"].split(":")[0] for line in logged("router disconnected")[:3]) == [
        "no query",
        "stalled",
        "stalled",
    ]


def test_a_tail_that_the_router_leaves_in_the_transport_ends_it_too(run, serve, make_snapshot, eventually):
    """The session has given everything out; version 2 is told why, since the stream is between two PDUs."""

    async def scenario():
        little = Tcp(unsent=Octets(4_096))  # so that the tail is not in the kernel
        served = serve(make_snapshot(COUNT), limits=Limits(stall=Seconds(1)), tcp=little)
        router = await narrow(served, b"\x02" + RESET_QUERY[1:])
        connection = await served.router()
        loop = asyncio.get_running_loop()
        received = bytearray()
        while not connection.session.responses:
            received += await loop.sock_recv(router, 8_192)
        assert connection._transport.get_write_buffer_size(), "a tail is left"
        await eventually(lambda: connection.record.closed == "stalled")
        with contextlib.suppress(ConnectionError):
            while octets := await loop.sock_recv(router, 1 << 20):
                received += octets
        assert bytes.fromhex("020a000a") in received[-100:]
        router.close()
        await eventually(lambda: not served.server.connections)
        await served.close()

    run(scenario)


def test_a_session_that_is_over_does_not_wait_for_its_router_without_end(
    run, serve, make_snapshot, eventually
):
    async def scenario():
        served = serve(make_snapshot(COUNT), limits=Limits(stall=Seconds(1)))
        stopped = await narrow(served)
        connection = await served.router()
        await eventually(lambda: connection.session.pending)
        connection.kick()
        assert connection.session.closing
        assert connection.session.pending, "the response under way may finish"
        await eventually(lambda: not served.server.connections)
        stopped.close()
        await served.close()

    run(scenario)


def test_many_routers_are_told_in_groups_and_nobody_is_forgotten(run, monkeypatch):
    """Updates come faster than a round takes; each router is told at least once after each update."""
    monkeypatch.setattr(spread, "STEP", 0.005)

    class Router:
        def __init__(self):
            self.told = []

        def notify(self):
            self.told.append(serial)

    serial = 1

    async def scenario():
        nonlocal serial
        routers = [Router() for _ in range(1_000)]
        speaker = spread.Spread(lambda: 0.1)
        speaker.tell(routers)
        at_once = sum(bool(router.told) for router in routers)
        assert 0 < at_once < 200, "not all at once"
        for number in range(2, 6):
            await asyncio.sleep(0.02)
            serial = number
            speaker.tell(routers)
        speaker.forget(routers[0])
        while len(speaker):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert all(router.told[-1] == 5 for router in routers[1:])
        assert all(len(router.told) <= 5 for router in routers)

    run(scenario)


def test_few_routers_are_told_at_once(run):
    async def scenario():
        told = []

        class Router:
            def notify(self):
                told.append(self)

        speaker = spread.Spread(lambda: 100.0)
        speaker.tell([Router() for _ in range(spread.AT_ONCE)])
        assert len(told) == spread.AT_ONCE

    run(scenario)


@pytest.mark.parametrize("version", [1, 2])
def test_news_during_a_response_is_told_after_it(version):
    """A notify never stands inside a response, and comes again after End of Data when the serial moved."""
    data = Snapshot.empty()
    history = History({0: 1, 1: 2, 2: 3}, 7, snapshot=data)
    session = CacheSession(history, now=0.0)
    session.receive_data(bytes([version]) + RESET_QUERY[1:], 0.0)
    first = session.next_chunk(10)
    session.sent(len(first), 0.0)
    history.update(Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496])), 0.0)
    session.notify(0.0)
    stream = bytes(first)
    while (chunk := session.next_chunk(1_000)) is not None:
        stream += bytes(chunk)
        session.sent(len(chunk), 1.0)
    assert stream[8:10] == bytes([version, 7]), "End of Data follows"
    assert stream[8 + len(EndOfData(version, 1, 7, 1, 1, 1).encode()) :][:2] == bytes([version, 0])
    assert stream[-4:] == (8).to_bytes(4)
    assert session.notifies == 1
