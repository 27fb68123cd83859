"""RTR over SSH (RFC 8210 §9.1): the subsystem rpki-rtr and nothing else, by asyncssh.

A login by "none" is refused, so are shells, commands, terminals, forwarding and other subsystems. One
connection carries one RTR session.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any, cast

from rtr_server.config.transport import Ssh
from rtr_server.threads import in_thread
from rtr_server.transport.connection import WRITE_HIGH, WRITE_LOW, Connection, anybody
from rtr_server.transport.errors import TransportError
from rtr_server.transport.passwords import Passwords

try:
    import asyncssh
except ImportError as error:  # pragma: no cover
    raise TransportError("SSH needs asyncssh: pip install 'rovkit[ssh]'") from error

SUBSYSTEM = "rpki-rtr"

MAX_TRIES = 6
"""Passwords on one connection, as OpenSSH has it."""

MAX_HASHING = 2
"""Passwords hashed at one time: each takes 32 MB and a processor."""

logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
"""What matters of a connection stands in our own log, bounded."""


class SshOpener:
    """Logins by one set of keys and passwords; another set needs another opener.

    TransportError: a file cannot be read, or is not what it should be.
    """

    kind = "ssh"

    def __init__(self, settings: Ssh, handshake: float) -> None:
        self._handshake = handshake
        self._passwords = None if settings.passwords is None else Passwords(settings.passwords)
        self._hashing = asyncio.Semaphore(MAX_HASHING)
        keys = [_read_host_key(str(path)) for path in settings.host_keys]
        authorized: Any = None
        if settings.authorized_keys is not None:
            authorized = _read_authorized(str(settings.authorized_keys))
        self._options = asyncssh.SSHServerConnectionOptions(
            server_host_keys=keys,
            authorized_client_keys=authorized,
            server_version="rovkit",
            login_timeout=handshake,
            compression_algs=None,
            public_key_auth=authorized is not None,
            password_auth=self._passwords is not None,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            allow_pty=False,
            agent_forwarding=False,
            x11_forwarding=False,
            encoding=None,
        )

    async def open(self, router: Connection, connection: socket.socket) -> None:
        """Return when the router has logged in and asked for the subsystem; asyncssh.Error, OSError."""
        loop = asyncio.get_running_loop()
        up: asyncio.Future[None] = loop.create_future()
        host = _Host(router, up, self.check)
        options = asyncssh.SSHServerConnectionOptions(self._options, server_factory=lambda: host)
        wire = _Wire(loop, options)
        host.wire = wire
        try:
            await loop.connect_accepted_socket(lambda: wire, connection)
            async with asyncio.timeout(self._handshake):
                await up
        except BaseException as error:
            wire.abort()
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"no subsystem within {self._handshake:g} seconds") from error
            raise

    def admit(self, transport: asyncio.Transport) -> str:
        """Whoever got here has logged in."""
        return str(transport.get_extra_info("username")) or anybody(transport)

    async def check(self, user: str, password: str) -> bool:
        """Whether the password is right, without holding up the event loop."""
        passwords = self._passwords
        if passwords is None:
            return False
        async with self._hashing:
            return await in_thread(lambda: passwords.check(user, password))


def _read_host_key(path: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(path)
    except OSError as error:
        raise TransportError(f"{path}: {error.strerror}") from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise TransportError(f"{path}: {error}: expected a private key without a passphrase") from error


def _read_authorized(path: str) -> asyncssh.SSHAuthorizedKeys:
    try:
        return asyncssh.read_authorized_keys(path)
    except OSError as error:
        raise TransportError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise TransportError(f"{path}: {error}") from error


class _Wire(asyncssh.SSHServerConnection):
    """The SSH connection; it tells the channel when the socket is full, which asyncssh leaves to us.

    Without that, a client with a large window and a small appetite would make us hold the full set.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, options: asyncssh.SSHServerConnectionOptions) -> None:
        super().__init__(loop, options)
        self.socket_transport: asyncio.Transport | None = None
        self.subsystem: _Subsystem | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.socket_transport = cast(asyncio.Transport, transport)
        self.socket_transport.set_write_buffer_limits(high=WRITE_HIGH, low=WRITE_LOW)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        if self.subsystem is not None:
            self.subsystem.hold(socket=True)

    def resume_writing(self) -> None:
        if self.subsystem is not None:
            self.subsystem.hold(socket=False)


class _Host(asyncssh.SSHServer):
    """Who may log in, and what they may ask for."""

    wire: _Wire

    def __init__(self, router: Connection, up: asyncio.Future[None], check: Any) -> None:
        self._router = router
        self._up = up
        self._check = check
        self._tries = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """The version exchange begins."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The whole connection is gone: so is the session, if there was one."""
        if not self._up.done():
            self._up.set_exception(exc or ConnectionResetError("closed before the subsystem was asked for"))
        if self.wire.subsystem is not None:
            self.wire.subsystem.lost(exc)

    def begin_auth(self, username: str) -> bool:
        """Always: a login by "none" is no login (8210bis §9.1)."""
        return True

    def password_auth_supported(self) -> bool:
        """The options say so."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Whether the password is right; too many tries end the connection."""
        self._tries += 1
        if self._tries > MAX_TRIES:
            raise asyncssh.PermissionDenied("too many passwords")
        return bool(await self._check(username, password))

    def session_requested(self) -> Any:
        """One session, as a channel of octets."""
        if self.wire.subsystem is not None:
            return False
        self.wire.subsystem = _Subsystem(self._router, self._up, self.wire)
        return self.wire.subsystem


class _Subsystem(asyncssh.SSHServerSession[bytes]):
    """The channel: gives octets to the router's connection, and takes them from it."""

    def __init__(self, router: Connection, up: asyncio.Future[None], wire: _Wire) -> None:
        self._router = router
        self._up = up
        self._wire = wire
        self._full = {"socket": False, "channel": False}
        self._ended = False

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        if subsystem != SUBSYSTEM:
            self._router.journal.line(logging.WARNING, "subsystem refused", subsystem=subsystem)
        return subsystem == SUBSYSTEM

    def session_started(self) -> None:
        if not self._up.done():
            self._up.set_result(None)
        self._router.connection_made(_Transport(self._channel, self._wire))

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._router.data_received(data)

    def eof_received(self) -> bool:
        return self._router.eof_received()

    def pause_writing(self) -> None:
        self.hold(channel=True)

    def resume_writing(self) -> None:
        self.hold(channel=False)

    def hold(self, **full: bool) -> None:
        """Whether the socket or the channel is full: the router writes while neither is."""
        before = any(self._full.values())
        self._full.update(full)
        after = any(self._full.values())
        if after and not before:
            self._router.pause_writing()
        elif before and not after:
            self._router.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost(exc)
        self._wire.close()

    def lost(self, exc: Exception | None) -> None:
        """The session is over, once."""
        if not self._ended:
            self._ended = True
            if not self._up.done():
                self._up.set_exception(exc or ConnectionResetError("closed before it began"))
            elif self._up.exception() is None:
                self._router.connection_lost(exc)


class _Transport(asyncio.Transport):
    """The channel as a transport."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], wire: _Wire) -> None:
        super().__init__()
        self._channel = channel
        self._wire = wire

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._channel.write(bytes(data))

    def write_eof(self) -> None:
        self._channel.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._channel.close()

    def abort(self) -> None:
        self._wire.abort()

    def is_closing(self) -> bool:
        return self._channel.is_closing()

    def pause_reading(self) -> None:
        self._channel.pause_reading()

    def resume_reading(self) -> None:
        self._channel.resume_reading()

    def get_write_buffer_size(self) -> int:
        below = self._wire.socket_transport
        waiting = 0 if below is None or below.is_closing() else below.get_write_buffer_size()
        return self._channel.get_write_buffer_size() + waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._channel.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._channel.get_extra_info(name, default)
