"""Who may connect, and what routers may cost in all."""

import asyncio
import contextlib
import ipaddress
import socket
import subprocess
import sys
import time

import pytest

from rtr_server.config.transport import Client, Limits, Transport
from rtr_server.endpoint import Endpoint
from rtr_server.tools.dump import DumpError, fetch
from rtr_server.transport.access import ANYONE, Access


def client(prefix, **settings):
    return Client(ipaddress.ip_network(prefix), **settings)


def test_the_longest_prefix_counts_alone():
    wide, narrow, one = client("192.0.2.0/24"), client("192.0.2.64/26", allow=False), client("192.0.2.65/32")
    six, link = client("2001:db8::/32", max_version=1), client("fe80::/10", allow=False)
    access = Access([narrow, six, one, wide, link])
    expected = {
        "192.0.2.1": wide,
        "192.0.2.64": narrow,
        "192.0.2.65": one,
        "::ffff:192.0.2.65": one,
        "198.51.100.1": ANYONE,
        "2001:db8::1": six,
        "2001:db9::1": ANYONE,
        "fe80::1%eth0": link,
    }
    assert {host: access.find(host) for host in expected} == expected


async def turned_away(served):
    with contextlib.suppress(ConnectionError):
        reader, writer = await served.connect()
        assert await reader.read() == b""
        writer.close()


def test_denied_addresses_are_turned_away_and_a_reload_ends_their_sessions(
    run, serve, make_snapshot, synchronize, logged, eventually
):
    async def scenario():
        served = serve(make_snapshot(3), client=(client("192.0.2.0/24", allow=False),))
        streams = await served.connect()
        await synchronize(*streams, version=2)
        denied = Transport(
            served.server.settings.listen, (client("127.0.0.0/8", allow=False), client("127.0.0.9/32"))
        )
        served.server.take(served.server.prepare(denied))
        assert (await streams[0].read())[:4].hex() == "020a000c", "cache restart: the router keeps its data"
        await turned_away(served)
        other = await served.connect(local_addr=("127.0.0.9", 0))
        assert len((await synchronize(*other)).snapshot) == 4
        for _, writer in (streams, other):
            writer.close()
        await served.close()

    run(scenario)
    assert [line["reason"] for line in logged("router refused")] == ["not allowed: client 127.0.0.0/8"]


def test_connections_of_one_address_are_bounded(run, serve, make_snapshot, monkeypatch, eventually):
    monkeypatch.setattr("rtr_server.transport.limits.is_loopback", lambda host: False)

    async def scenario():
        served = serve(
            make_snapshot(3),
            limits=Limits(max_connections_per_address=2),
            client=(client("127.0.0.9/32", max_connections=1),),
        )
        first = [await served.connect() for _ in range(2)]
        await eventually(lambda: len(served.server.connections) == 2)
        await turned_away(served)
        other = await served.connect(local_addr=("127.0.0.9", 0))
        await eventually(lambda: len(served.server.connections) == 3)
        first[0][1].close()
        await eventually(lambda: len(served.server.connections) == 2)
        assert len((await served.fetch()).snapshot) == 4, "there is room again"
        for _, writer in (*first, other):
            writer.close()
        await eventually(lambda: not served.server.connections)
        assert not served.server._occupancy._held, "nothing is kept of addresses that have gone"
        await served.close()

    run(scenario)


def test_a_flood_of_connections_waits_and_nobody_is_lost(run, serve, make_snapshot):
    async def scenario():
        served = serve(make_snapshot(3), limits=Limits(accept_rate=40, accept_burst=5))
        began = time.monotonic()
        found = await asyncio.gather(*(served.fetch() for _ in range(20)))
        assert [len(each.snapshot) for each in found] == [4] * 20
        assert time.monotonic() - began > 0.3, "fifteen of them at 40 a second"
        await served.close()

    run(scenario)


SCARCE = """
import asyncio, os, resource, sys
import uvloop
from rov import Snapshot, VrpColumns
from rtr_server import logs
from rtr_server.cache.history import History
from rtr_server.config.transport import Listen, Transport
from rtr_server.endpoint import Endpoint
from rtr_server.transport import listen
from rtr_server.transport.server import Server

async def main():
    logs.configure("text", "info")
    listen.ACCEPT_PAUSE = 0.1
    data = Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496]))
    history = History({0: 1, 1: 2, 2: 3}, 7, snapshot=data)
    server = Server(history, Transport((Listen(Endpoint("127.0.0.1", 0)),)))
    server.open()
    server.start()
    print(server.endpoints[0].port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    free = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 4, free + 4))
    print("scarce", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


def test_out_of_file_descriptors_the_listener_lives_on():
    command = [sys.executable, "-W", "ignore", "-c", SCARCE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        where = Endpoint("127.0.0.1", int(process.stdout.readline()))
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "scarce\n"
        many = [socket.create_connection(where) for _ in range(12)]
        with pytest.raises(DumpError):
            fetch(where, timeout=1.0)
        for each in many:
            each.close()
        assert len(fetch(where, timeout=20).snapshot) == 1
        process.stdin.write("\n")
        log = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert log.count("cannot accept connections") == 1
    assert "Too many open files" in log
