"""TCP-MD5 and TCP-AO: who has the key comes in, and what the kernel lacks is said."""

import asyncio
import ipaddress
import socket

import pytest

from rtr_server.cache.history import History
from rtr_server.config.transport import AuthenticationOption, Client, Listen, Transport
from rtr_server.endpoint import Endpoint
from rtr_server.tools.dump import DumpError, fetch
from rtr_server.transport import tcp_auth
from rtr_server.transport.errors import TransportError
from rtr_server.transport.server import Server

LOCAL = ipaddress.ip_network("127.0.0.0/8")


def client(prefix, **settings):
    return Client(ipaddress.ip_network(prefix), **settings)


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
