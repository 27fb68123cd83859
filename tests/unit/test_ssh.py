"""SSH: the subsystem and nothing else, keys and passwords, stalled and strange peers, flow control."""

import asyncio
import contextlib
import os

import asyncssh
import msgspec
import pytest

from rtr_server.config.transport import Limits, Ssh
from rtr_server.config.values import Seconds
from rtr_server.transport import passwords
from rtr_server.transport.errors import TransportError
from rtr_server.transport.ssh import SshOpener

RESET_QUERY = bytes.fromhex("0102000000000008")


@pytest.fixture(scope="module")
def keys():
    """Host key, router's key, somebody else's key."""
    return [asyncssh.generate_private_key("ssh-ed25519") for _ in range(3)]


@pytest.fixture
def settings(tmp_path, keys, monkeypatch):
    """Keys of ``keys[1]``, and the password "correct horse" of user r2, cheaply hashed."""
    monkeypatch.setattr(passwords, "SCRYPT", (1 << 4, 1, 1))
    host, authorized, hashes = (tmp_path / name for name in ("host_key", "routers", "passwords"))
    host.write_bytes(keys[0].export_private_key())
    authorized.write_bytes(keys[1].export_public_key())
    hashes.write_text(f"# routers\n{passwords.hash_password('r2', 'correct horse')}\n")
    return Ssh(host_keys=(host,), authorized_keys=authorized, passwords=hashes)


@pytest.fixture
def login(keys):
    """Connect as asyncssh's client, by the router's key unless told otherwise."""

    def connect(served, **options):
        options = {"username": "r1", "client_keys": [keys[1]], **options}
        trusted = ([keys[0].convert_to_public()], [], [])
        return asyncssh.connect(*served.endpoint, known_hosts=trusted, config=None, **options)

    return connect


async def subsystem(connection, **options):
    writer, reader, _ = await connection.open_session(subsystem="rpki-rtr", encoding=None, **options)
    return reader, writer


@pytest.mark.parametrize(
    "options",
    [{}, {"username": "r2", "client_keys": None, "password": "correct horse"}],
    ids=["key", "password"],
)
def test_c49_a_full_set_over_ssh(run, serve, make_snapshot, settings, login, synchronize, logged, options):
    data = make_snapshot(60_000)

    async def scenario():
        served = serve(data, listen={"ssh": settings})
        async with login(served, **options) as connection:
            found = await synchronize(*await subsystem(connection), version=2)
            assert found.snapshot == data
            router = await served.router()
            assert (router.kind, router.identity) == ("ssh", options.get("username", "r1"))
        await served.close()

    run(scenario)
    assert len(logged("router connected")) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"client_keys": None},
        {"client_keys": None, "preferred_auth": "none"},
        {"client_keys": None, "username": "r2", "password": "wrong"},
        {"client_keys": None, "username": "nobody", "password": "correct horse"},
    ],
    ids=["none", "only none", "wrong password", "unknown user"],
)
def test_c49_logins_that_are_refused(run, serve, make_snapshot, settings, login, eventually, options):
    async def scenario():
        served = serve(make_snapshot(3), listen={"ssh": settings})
        with pytest.raises(asyncssh.PermissionDenied):
            await login(served, **options)
        await eventually(lambda: not served.server.connections)
        await served.close()

    run(scenario)


def test_somebody_elses_key_is_refused(run, serve, make_snapshot, settings, login, keys):
    async def scenario():
        served = serve(make_snapshot(3), listen={"ssh": settings})
        with pytest.raises(asyncssh.PermissionDenied):
            await login(served, client_keys=[keys[2]])
        await served.close()

    run(scenario)


def test_c49_nothing_but_the_subsystem(run, serve, make_snapshot, settings, login, synchronize):
    """No shell, no command, no terminal, no other subsystem, no forwarding; one session a connection."""

    async def scenario():
        served = serve(make_snapshot(3), listen={"ssh": settings})
        for wanted in ({}, {"command": "id"}, {"subsystem": "sftp"}, {"term_type": "xterm"}):
            async with login(served) as connection:
                with pytest.raises(asyncssh.ChannelOpenError):
                    await connection.open_session(encoding=None, **wanted)
        async with login(served) as connection:
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection("127.0.0.1", served.endpoint.port)
            with pytest.raises(asyncssh.ChannelListenError):
                await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1)
            streams = await subsystem(connection)
            assert len((await synchronize(*streams)).snapshot) == 4
            with pytest.raises(asyncssh.ChannelOpenError):
                await subsystem(connection)
        await served.close()

    run(scenario)


@pytest.mark.parametrize(
    "octets",
    [b"", b"SSH-2.0-x\r\n", RESET_QUERY * 9, b"GET / HTTP/1.1\r\n\r\n", b"SSH-1.5-x\r\n", os.urandom(40_000)],
)
def test_a_stalled_or_strange_peer_blocks_nobody(
    run, serve, make_snapshot, settings, login, synchronize, eventually, octets
):
    async def scenario():
        limits = Limits(handshake=Seconds(1), max_handshakes=4)
        served = serve(make_snapshot(3), listen={"ssh": settings}, limits=limits)
        silent = [await served.connect() for _ in range(8)]
        for _, writer in silent:
            writer.write(octets)
        async with login(served) as connection:
            assert len((await synchronize(*await subsystem(connection))).snapshot) == 4
            for reader, writer in silent:
                with contextlib.suppress(ConnectionError):
                    assert b"\x01\x03\x00" not in await reader.read()
                writer.close()
            await eventually(lambda: len(served.server.connections) == 1)
        await eventually(lambda: not served.server.connections)
        await served.close()

    run(scenario)


def test_who_logs_in_and_asks_for_nothing_is_sent_away(
    run, serve, make_snapshot, settings, login, eventually
):
    async def scenario():
        served = serve(make_snapshot(3), listen={"ssh": settings}, limits=Limits(handshake=Seconds(0.5)))
        async with login(served) as connection:
            await asyncio.wait_for(connection.wait_closed(), 20)
        await eventually(lambda: not served.server.connections)
        await served.close()

    run(scenario)


def test_a_large_window_does_not_make_us_hold_the_set(
    run, serve, make_snapshot, settings, login, synchronize, eventually
):
    """A client that allows 2 GB and reads nothing: what it cannot take stays in the shared buffer."""

    async def scenario():
        served = serve(make_snapshot(600_000), listen={"ssh": settings})
        async with login(served) as connection:
            _, writer = await subsystem(connection, window=1 << 31)
            transport = connection._transport
            transport.pause_reading()
            writer.write(RESET_QUERY)
            router = await served.router()
            await eventually(lambda: router.session.pending and not router._writable)
            assert router._transport.get_write_buffer_size() < 1 << 20
            assert router.session.pending > 2_000_000
            async with login(served) as other:
                found = await synchronize(*await subsystem(other))
                assert len(found.snapshot) == 600_001, "others are served meanwhile"
            transport.resume_reading()
            await eventually(lambda: not router.session.pending)
        await served.close()

    run(scenario)


def test_the_end_of_the_cache_ends_ssh_sessions_in_order(
    run, serve, make_snapshot, settings, login, synchronize
):
    async def scenario():
        served = serve(make_snapshot(3), listen={"ssh": settings})
        async with login(served) as connection:
            streams = await subsystem(connection)
            await synchronize(*streams, version=2)
            closing = asyncio.create_task(served.close("restart"))
            assert (await streams[0].read())[:4].hex() == "020a000c"
            await connection.wait_closed()
            await closing

    run(scenario)


def test_files_that_cannot_be_used(run, settings, tmp_path, keys):
    broken, locked = tmp_path / "broken", tmp_path / "locked"
    broken.write_text("nothing\n")
    locked.write_bytes(keys[0].export_private_key("pkcs8-pem", passphrase="x"))

    async def scenario():
        for wrong in (
            {"host_keys": (broken,)},
            {"host_keys": (locked,)},
            {"host_keys": (tmp_path / "missing",)},
            {"authorized_keys": tmp_path / "missing"},
            {"passwords": broken},
            {"passwords": tmp_path / "missing"},
        ):
            (path,) = {str(value[0] if isinstance(value, tuple) else value) for value in wrong.values()}
            with pytest.raises(TransportError, match=path):
                SshOpener(msgspec.structs.replace(settings, **wrong), 5.0)

    run(scenario)


@pytest.mark.parametrize(
    "line",
    [
        "r1",
        "r1:plain:secret",
        "r1:scrypt:32768:8:3:00:11",
        "r1:scrypt:32767:8:3:00:" + "11" * 32,
        "r1:scrypt:1073741824:8:1:00:" + "11" * 32,
        "r1:scrypt:16:1:1000:00:" + "11" * 32,
        "r1:scrypt:16:1:1:zz:" + "11" * 32,
        "r1:scrypt:16:1:1:00:" + "11" * 32 + "\nr1:scrypt:16:1:1:00:" + "11" * 32,
    ],
)
def test_password_lines_that_are_none(tmp_path, line):
    path = tmp_path / "passwords"
    path.write_text(f"\n{line}\n")
    with pytest.raises(TransportError, match=r"line [23]: "):
        passwords.Passwords(path)


def test_password_hashes_with_the_real_cost(tmp_path):
    path = tmp_path / "passwords"
    path.write_text(passwords.hash_password("r1", "geheimer Schlüssel") + "\n")
    known = passwords.Passwords(path)
    assert known.check("r1", "geheimer Schlüssel")
    assert not known.check("r2", "geheimer Schlüssel")
    assert not known.check("r1", "x" * 100_000)
