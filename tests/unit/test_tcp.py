"""The TCP transport: real sockets on loopback, flow control, isolation, errors of accept."""

import asyncio
import contextlib
import errno
import socket
import time

import pytest

from rov import Snapshot
from rtr_server.config.transport import Limits
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.session import CacheSession
from rtr_server.transport import connection, doors, listen

RESET_QUERY = bytes.fromhex("0102000000000008")


@pytest.mark.parametrize("version", [0, 1, 2])
def test_full_synchronization_gives_the_set(run, version, serve, make_snapshot):
    data = make_snapshot(50_000)

    async def scenario():
        served = serve(data)
        found = await served.fetch(version=version)
        await served.close()
        assert (found.version, found.serial) == (version, 7)
        assert (found.snapshot.ipv4.asn.size, found.snapshot.ipv6.asn.size) == (50_000, 1)
        kept = Snapshot.build(
            data.ipv4,
            data.ipv6,
            aspas=data.aspas if version == 2 else (),
            router_keys=data.router_keys if version else (),
        )
        assert found.snapshot == kept

    run(scenario)


def test_slow_reader_holds_a_position_and_delays_nobody(run, serve, make_snapshot):
    data = make_snapshot(600_000)

    async def scenario():
        served = serve(data)
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, served.endpoint)
        await loop.sock_sendall(slow, RESET_QUERY)
        await asyncio.sleep(0.2)
        (stuck,) = served.server.connections
        began = time.monotonic()
        assert len((await served.fetch(version=1)).snapshot) == 600_001
        assert time.monotonic() - began < 10
        assert 0 < stuck._transport.get_write_buffer_size() <= connection.WRITE_HIGH + connection.CHUNK
        assert stuck.session.pending > 0
        received = 0
        expected = 8 + 600_000 * 20 + 32 + 33 + 24
        while received < expected:
            received += len(await loop.sock_recv(slow, 1 << 20))
        assert received == expected
        slow.close()
        await served.close()

    run(scenario)


def test_notify_reaches_who_has_data_and_who_was_told_to_wait(run, serve, make_snapshot):
    async def scenario():
        served = serve()
        reader, writer = await served.connect()
        writer.write(RESET_QUERY)
        error = await reader.readexactly(8)
        assert error[:4].hex() == "010a0002"
        await reader.readexactly(int.from_bytes(error[4:]) - 8)
        served.history.update(make_snapshot(3), 0.0)
        served.server.notify()
        assert (await reader.readexactly(12)).hex() == "010000020000000c00000007"
        writer.close()
        await served.close()

    run(scenario)


def test_an_exception_in_one_session_ends_that_one(run, caplog, monkeypatch, serve, make_snapshot):
    receive, calls = CacheSession.receive_data, []

    def receive_data(session, data, now):
        calls.append(data)
        if len(calls) == 1:
            raise ZeroDivisionError
        receive(session, data, now)

    monkeypatch.setattr(CacheSession, "receive_data", receive_data)

    async def scenario():
        served = serve(make_snapshot(10))
        reader, writer = await served.connect()
        writer.write(RESET_QUERY)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert len((await served.fetch()).snapshot) == 11
        await served.close()

    run(scenario)
    failures = [record for record in caplog.records if record.getMessage() == "session failed"]
    assert len(failures) == 1


def test_error_report_arrives_although_more_was_sent(run, serve, make_snapshot):
    async def scenario():
        served = serve(make_snapshot(10))
        reader, writer = await served.connect()
        writer.write(bytes.fromhex("0103000000000008") + bytes(60_000))
        answer = await reader.read()
        assert answer[:4].hex() == "010a0003", "invalid request, then the end"
        writer.close()
        await served.close()

    run(scenario)


def test_who_floods_while_the_end_is_near_is_cut_off(run, monkeypatch, serve, make_snapshot):
    monkeypatch.setattr(connection, "MAX_DISCARDED", 10_000)

    async def scenario():
        served = serve(make_snapshot(10))
        reader, writer = await served.connect()
        writer.write(bytes.fromhex("0103000000000008"))
        await reader.read()
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                writer.write(bytes(10_000))
                await writer.drain()
                await asyncio.sleep(0.001)
                if not served.server.connections:
                    break
        assert not served.server.connections
        writer.close()
        await served.close()

    run(scenario)


def test_reading_stops_while_queries_wait(run, serve, make_snapshot):
    """A peer that sends queries and reads nothing is not read from either."""
    data = make_snapshot(100_000)

    async def scenario():
        served = serve(data)
        peer = socket.socket()
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(peer, served.endpoint)
        await loop.sock_sendall(peer, RESET_QUERY * 400)
        await asyncio.sleep(0.3)
        (router,) = served.server.connections
        assert not router.session.wants_data
        assert not router._transport.is_reading()
        received, expected = 0, 400 * (8 + 100_000 * 20 + 32 + 33 + 24)
        until = time.monotonic() + 1.0
        while time.monotonic() < until and received < expected:
            received += len(await loop.sock_recv(peer, 1 << 22))
        assert received > 10 * 2_000_000, "answers go on as the peer reads"
        peer.close()
        await served.close()

    run(scenario)


def test_too_many_routers_are_turned_away(run, serve, make_snapshot):
    async def scenario():
        served = serve(make_snapshot(3), limits=Limits(max_connections=1))
        _, first = await served.connect()
        await asyncio.sleep(0.05)
        reader, second = await served.connect()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        first.close()
        second.close()
        await asyncio.sleep(0.1)
        assert len((await served.fetch()).snapshot) == 4, "there is room again"
        await served.close()

    run(scenario)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("reason", "code"), [("shutdown", 13), ("restart", 12)])
def test_the_end_is_announced_in_version_2_only(run, version, reason, code, serve, make_snapshot):
    async def scenario():
        served = serve(make_snapshot(3))
        reader, writer = await served.connect()
        writer.write(bytes([version]) + RESET_QUERY[1:])
        await reader.readuntil(bytes([version, 7]))
        await reader.readexactly(22)
        closing = asyncio.create_task(served.close(reason))
        last = await reader.read()
        assert last[:4] == (bytes([2, 10, 0, code]) if version == 2 else b"")
        writer.close()
        await closing
        assert not served.server.connections

    run(scenario)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ECONNABORTED, None])
def test_errors_of_accept_do_not_end_the_listener(run, monkeypatch, caplog, error, serve, make_snapshot):
    monkeypatch.setattr(listen, "ACCEPT_PAUSE", 0.05)
    failures = 3

    class Flaky(socket.socket):
        def accept(self):
            nonlocal failures
            if failures:
                failures -= 1
                raise MemoryError if error is None else OSError(error, "injected")
            return super().accept()

    def flaky(endpoint):
        return [
            Flaky(bound.family, bound.type, bound.proto, fileno=bound.detach())
            for bound in listen.bind(endpoint)
        ]

    monkeypatch.setattr(doors, "bind", flaky)

    async def scenario():
        served = serve(make_snapshot(3))
        assert len((await served.fetch()).snapshot) == 4
        await served.close()

    run(scenario)
    assert failures == 0
    told = [record for record in caplog.records if record.getMessage() == "cannot accept connections"]
    assert len(told) == (0 if error == errno.ECONNABORTED else 1), "one line, not one per error"


def test_c46_keepalive_is_on(run, serve, make_snapshot):
    async def scenario():
        served = serve(make_snapshot(3))
        _, writer = await served.connect()
        await asyncio.sleep(0.05)
        (router,) = served.server.connections
        theirs = router._transport.get_extra_info("socket")
        assert theirs.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        writer.close()
        await served.close()

    run(scenario)


def test_bind_says_what_is_wrong(free_port):
    port = free_port()
    with contextlib.ExitStack() as stack:
        for bound in listen.bind(Endpoint("127.0.0.1", port)):
            stack.enter_context(bound)
            bound.listen()
        with pytest.raises(listen.ListenError, match=rf"127\.0\.0\.1:{port}: the port is in use") as caught:
            listen.bind(Endpoint("127.0.0.1", port))
        assert not caught.value.missing
    with pytest.raises(listen.ListenError, match="no interface") as caught:
        listen.bind(Endpoint("203.0.113.1", 0))
    assert caught.value.missing


@pytest.mark.parametrize("text", ["8323", ":8323", "::1:8323", "host:", "host:70000", "host:-1", "[::1]"])
def test_endpoints_that_are_none(text):
    with pytest.raises(ValueError, match="expected"):
        Endpoint.parse(text)


@pytest.mark.parametrize("text", ["127.0.0.1:8323", "[2001:db8::1]:323", "localhost:0"])
def test_endpoints_round_trip(text):
    assert str(Endpoint.parse(text)) == text
