"""Who may connect, what routers may cost in all, and what is different for some of them."""

import asyncio
import contextlib
import ipaddress
import os
import socket
import struct
import subprocess
import sys
import time

import pytest

from rov import Aspa, Snapshot
from rtr_server.cache import draft10, wire
from rtr_server.cache.history import History
from rtr_server.cache.view import View
from rtr_server.config.transport import AuthenticationOption, Client, Limits, Listen, Transport
from rtr_server.config.values import Octets, Seconds
from rtr_server.endpoint import Endpoint
from rtr_server.tools.dump import DumpError, fetch
from rtr_server.transport import inherited, tcp_auth
from rtr_server.transport.access import ANYONE, Access
from rtr_server.transport.errors import TransportError
from rtr_server.transport.server import Server

RESET_QUERY = bytes.fromhex("0102000000000008")
LOCAL = ipaddress.ip_network("127.0.0.0/8")


def client(prefix, **settings):
    return Client(ipaddress.ip_network(prefix), **settings)


# Access


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


# Per-client settings


def test_versions_and_timers_of_a_client(run, serve, make_snapshot):
    async def scenario():
        own = client("127.0.0.0/8", max_version=1, refresh=Seconds(300), retry=Seconds(60))
        served = serve(make_snapshot(3), client=(own,))
        reader, writer = await served.connect()
        writer.write(b"\x02" + RESET_QUERY[1:])
        assert (await reader.readexactly(4)).hex() == "010a0004", "error 4, stamped with their highest"
        length = int.from_bytes(await reader.readexactly(4))
        await reader.readexactly(length - 8)
        writer.write(RESET_QUERY)
        await reader.readuntil(bytes.fromhex("010700020000001800000007"))
        assert struct.unpack("!III", await reader.readexactly(12)) == (300, 60, 7_200)
        writer.close()
        await served.close()

    run(scenario)


def test_a_rate_slows_one_client_and_nobody_else(run, serve, make_snapshot):
    async def scenario():
        served = serve(make_snapshot(10_000), client=(client("127.0.0.9/32", rate=Octets(400_000)),))
        reader, writer = await served.connect(local_addr=("127.0.0.9", 0))
        writer.write(RESET_QUERY)
        began = time.monotonic()
        slow = asyncio.create_task(reader.readexactly(8 + 10_000 * 20 + 32 + 33 + 24))
        assert len((await served.fetch()).snapshot) == 10_001
        assert not slow.done()
        await slow
        assert time.monotonic() - began > 0.25, "200 kB at 400 kB/s, 80 kB of them at once"
        writer.transport.abort()
        await served.close()

    run(scenario)


ASPAS = [Aspa(64496, (64497, 64498)), Aspa(64500, (64501,))]


@pytest.mark.parametrize("count", [0, 1, 5_000])
def test_the_older_layout_of_aspas(make_snapshot, count):
    data = make_snapshot(count) if count else Snapshot.empty()
    both = Snapshot.build(data.ipv4, data.ipv6, aspas=ASPAS, router_keys=data.router_keys)
    now = wire.encode_snapshot(both, 2)
    octets, more = draft10.to_draft10(now.octets)
    objects = len(now.octets) - (20 + 16)
    assert bytes(octets[:objects]) == bytes(now.octets[:objects]), "all else is as it was"
    assert octets[objects:].hex(" ", 4) == (
        "020b0000 00000018 01000002 0000fbf0 0000fbf1 0000fbf2 "
        "020b0000 00000018 01010002 0000fbf0 0000fbf1 0000fbf2 "
        "020b0000 00000014 01000001 0000fbf4 0000fbf5 "
        "020b0000 00000014 01010001 0000fbf4 0000fbf5"
    )
    assert more == 2


def test_withdrawals_in_the_older_layout():
    gone = wire.encode(Snapshot.empty(), Snapshot.build(aspas=ASPAS[:1]), 2)
    octets, more = draft10.to_draft10(gone.octets)
    assert octets.hex(" ", 4) == "020b0000 00000010 00000000 0000fbf0 020b0000 00000010 00010000 0000fbf0"
    assert more == 1


def test_an_aspa_of_too_many_providers_for_the_older_layout_is_left_out():
    payload = wire.encode_snapshot(Snapshot.build(aspas=[Aspa(1, tuple(range(2, 16_382)))]), 2)
    assert len(payload.octets) == 65_532
    assert draft10.to_draft10(payload.octets) == (b"", -1)


def test_the_older_layout_is_for_version_2_and_shared(serve, run, make_snapshot):
    async def scenario():
        served = serve(make_snapshot(3), client=(client("127.0.0.0/8", aspa_format="draft10"),))
        view = View(served.history, None, draft10=True)
        assert view.full(1) is served.history.full(1)
        assert view.full(2) is view.full(2), "converted once"
        assert view.full(2).count == served.history.full(2).count + 1
        assert view.timing() == served.history.timing()
        reader, writer = await served.connect()
        writer.write(b"\x02" + RESET_QUERY[1:])
        await reader.readuntil(bytes.fromhex("020b000000000014010000010000fbf00000fbf1"))
        writer.close()
        await served.close()

    run(scenario)


# TCP-MD5 and TCP-AO


def has_md5():
    with socket.socket() as probe:
        try:
            option = tcp_auth.md5_option(LOCAL, b"x")
            probe.setsockopt(socket.IPPROTO_TCP, tcp_auth.TCP_MD5SIG_EXT, option)
        except OSError:
            return False
        return True


def has_ao(settings):
    with socket.socket() as probe:
        try:
            option = tcp_auth.ao_option(LOCAL, settings, b"x")
            probe.setsockopt(socket.IPPROTO_TCP, tcp_auth.TCP_AO_ADD_KEY, option)
        except OSError:
            return False
        return True


async def sign(option, value):
    """A socket whose segments to 127.0.0.0/8 are signed."""
    signed = socket.socket()
    signed.setsockopt(socket.IPPROTO_TCP, option, value)
    signed.setblocking(False)
    return signed


async def syncs(endpoint, signed, synchronize):
    """Whether a full set comes over the socket."""
    try:
        async with asyncio.timeout(1.0):
            await asyncio.get_running_loop().sock_connect(signed, endpoint)
    except TimeoutError:
        signed.close()
        return False
    reader, writer = await asyncio.open_connection(sock=signed)
    found = await synchronize(reader, writer)
    writer.close()
    return len(found.snapshot) == 4


@pytest.mark.skipif(not has_md5(), reason="this kernel has no TCP-MD5")
def test_c50_tcp_md5_lets_in_who_has_the_key(run, serve, make_snapshot, synchronize, tmp_path):
    key, other = tmp_path / "key", tmp_path / "other"
    key.write_text("x" * 80 + "\n")
    other.write_text("hex:" + "0f" * 16)

    async def scenario():
        served = serve(make_snapshot(3), client=(client("127.0.0.0/8", md5=key), client("::1/128", md5=key)))
        option = tcp_auth.TCP_MD5SIG_EXT
        assert await syncs(
            served.endpoint, await sign(option, tcp_auth.md5_option(LOCAL, b"x" * 80)), synchronize
        )
        assert not await syncs(
            served.endpoint, await sign(option, tcp_auth.md5_option(LOCAL, b"y")), synchronize
        )
        unsigned = socket.socket()
        unsigned.setblocking(False)
        assert not await syncs(served.endpoint, unsigned, synchronize)
        changed = Transport(served.server.settings.listen, (client("127.0.0.0/8", md5=other),))
        served.server.take(served.server.prepare(changed))
        assert await syncs(
            served.endpoint, await sign(option, tcp_auth.md5_option(LOCAL, b"\x0f" * 16)), synchronize
        )
        without = Transport(served.server.settings.listen)
        served.server.take(served.server.prepare(without))
        plain = socket.socket()
        plain.setblocking(False)
        assert await syncs(served.endpoint, plain, synchronize)
        await served.close()

    run(scenario)


@pytest.mark.skipif(not has_md5(), reason="this kernel has no TCP-MD5")
def test_c50_tcp_md5_on_a_socket_of_both_families(run, make_snapshot, synchronize, tmp_path):
    """As systemd passes one without BindIPv6Only=ipv6-only: there, IPv4 peers have mapped addresses."""
    four, six = tmp_path / "four", tmp_path / "six"
    four.write_text("key of IPv4")
    six.write_text("key of IPv6")
    option, loopback = tcp_auth.TCP_MD5SIG_EXT, ipaddress.ip_network("::1/128")

    async def scenario():
        bound = socket.socket(socket.AF_INET6)
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(("::", 0))
        bound.setblocking(False)
        clients = (client("127.0.0.0/8", md5=four), client("::1/128", md5=six))
        listen = (Listen(systemd="rtr"),)
        history = History({0: 1, 1: 2, 2: 3}, 7, snapshot=make_snapshot(3))
        server = Server(history, Transport(listen, clients), {"rtr": [bound]})
        server.open()
        server.start()
        port = bound.getsockname()[1]

        async def lets_in(host, key):
            family, peer = (socket.AF_INET6, loopback) if ":" in host else (socket.AF_INET, LOCAL)
            router = socket.socket(family)
            router.setblocking(False)
            if key:
                router.setsockopt(socket.IPPROTO_TCP, option, tcp_auth.md5_option(peer, key))
            return await syncs((host, port), router, synchronize)

        assert await lets_in("127.0.0.1", b"key of IPv4")
        assert await lets_in("::1", b"key of IPv6")
        assert not await lets_in("127.0.0.1", b"key of IPv6")
        assert not await lets_in("127.0.0.1", None)
        assert not await lets_in("::1", None)
        server.take(server.prepare(Transport(listen, clients[1:])))
        assert await lets_in("127.0.0.1", None), "the key of IPv4 is gone"
        assert not await lets_in("::1", None)
        await server.close("shutdown", 1.0)
        bound.close()

    run(scenario)


def test_c50_tcp_ao_works_or_says_what_the_kernel_lacks(run, serve, make_snapshot, synchronize, tmp_path):
    key = tmp_path / "key"
    key.write_text("secret")
    settings = AuthenticationOption(key=key, send_id=7, receive_id=9)
    mirrored = AuthenticationOption(key=key, send_id=9, receive_id=7)

    async def scenario():
        ao = (client("127.0.0.0/8", ao=settings),)
        if not has_ao(settings):
            with pytest.raises(
                TransportError, match=r"client 127\.0\.0\.0/8: .* has no TCP-AO: expected Linux 6\.7"
            ):
                serve(make_snapshot(3), client=ao)
            return
        served = serve(make_snapshot(3), client=ao)
        option = tcp_auth.ao_option(LOCAL, mirrored, b"secret")
        assert await syncs(served.endpoint, await sign(tcp_auth.TCP_AO_ADD_KEY, option), synchronize)
        unsigned = socket.socket()
        unsigned.setblocking(False)
        assert not await syncs(served.endpoint, unsigned, synchronize)
        await served.close()

    run(scenario)


def test_what_cannot_be_had_changes_nothing(run, serve, make_snapshot, tmp_path, free_port):
    """A reload with one bad key: the new endpoint is free again, the old settings hold."""
    port = free_port()

    async def scenario():
        served = serve(make_snapshot(3))
        listen = (*served.server.settings.listen, Listen(Endpoint("127.0.0.1", port)))
        with pytest.raises(TransportError, match="missing"):
            served.server.prepare(Transport(listen, (client("127.0.0.0/8", md5=tmp_path / "missing"),)))
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))
        assert len((await served.fetch()).snapshot) == 4
        served.server.take(served.server.prepare(Transport(listen)))
        found = await asyncio.to_thread(fetch, Endpoint("127.0.0.1", port), timeout=20)
        assert len(found.snapshot) == 4
        served.server.take(served.server.prepare(Transport(listen[:1])))
        with pytest.raises(DumpError):
            await asyncio.to_thread(fetch, Endpoint("127.0.0.1", port), timeout=5)
        assert len((await served.fetch()).snapshot) == 4, "the endpoint that stayed was not touched"
        await served.close()

    run(scenario)


@pytest.mark.parametrize("text", ["", "hex:0", "hex:zz", "x" * 81, "hex:" + "00" * 81])
def test_c50_keys_that_are_none(tmp_path, text):
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(TransportError, match="key: "):
        tcp_auth.read_key(path)


# Sockets of systemd


ACTIVATED = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "rtr_server", "serve", "--config", sys.argv[1]])
"""


def test_sockets_from_systemd(tmp_path):
    """The daemon itself, started as systemd would: two named sockets from descriptor 3 on."""
    (tmp_path / "vrps.csv").write_text("ASN,IP Prefix,Max Length,Trust Anchor\nAS64496,192.0.2.0/24,24,x\n")
    config = tmp_path / "config.toml"
    config.write_text(
        '[[source]]\ntype = "file"\npath = "vrps.csv"\n'
        '[[listen]]\nsystemd = "rtr"\n[[listen]]\nsystemd = "more"\n'
    )
    with contextlib.ExitStack() as stack:
        passed = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = [each.getsockname()[1] for each in passed]

        def place():
            copies = [os.dup(each.fileno()) for each in passed]
            high = [os.dup2(copy, 200 + number) for number, copy in enumerate(copies)]
            for number, descriptor in enumerate(high):
                os.dup2(descriptor, 3 + number)

        log = stack.enter_context((tmp_path / "log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATED, str(config)],
            env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "rtr:more"},
            preexec_fn=place,
            close_fds=False,
            stdout=log,
            stderr=log,
        )
        try:
            for port in ports:
                assert len(fetch(Endpoint("127.0.0.1", port), timeout=60).snapshot) == 1
        finally:
            process.terminate()
            code = process.wait(20)
    assert code == 0, (tmp_path / "log").read_text()


def test_what_systemd_passed_is_checked(monkeypatch, run, serve):
    with socket.socket() as quiet:
        monkeypatch.setattr(inherited, "FIRST_DESCRIPTOR", quiet.fileno())
        variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        with pytest.raises(TransportError, match=r"\(unknown\): expected ListenStream="):
            inherited.inherited_sockets(variables)
        assert variables == {}, "no child takes them for its own"
    assert inherited.inherited_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == {}

    async def scenario():
        served = serve()
        with pytest.raises(TransportError, match="systemd:rtr: expected a socket"):
            served.server.prepare(Transport((Listen(systemd="rtr"),)))
        await served.close()

    run(scenario)
