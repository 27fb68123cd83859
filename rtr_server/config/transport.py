"""The sections about routers' connections: where and how they are accepted, who may come, what one may cost.

[[listen]]   an endpoint, plain or under TLS or SSH
[[client]]   what holds for the routers of a prefix; the longest prefix that covers an address counts
[limits]     connections, handshakes, slow routers
[tcp]        socket options
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Literal

import msgspec

from rov import ArgumentError
from rtr_server.config.faults import SectionError
from rtr_server.config.section import Section
from rtr_server.config.values import Network, Octets, Seconds
from rtr_server.endpoint import Endpoint
from rtr_server.protocol import limits as session_limits
from rtr_server.protocol.source import Timing

MIN_RATE = 16 * 1024
"""Octets a second at which a full set of 16 MB still fits into the time that a response may take."""


class Tls(Section, frozen=True):
    """``[listen.tls]``: TLS 1.3 with certificates of both ends (RFC 8210 §9.2, BCP 195).

    >>> Tls(certificate=Path("cert.pem"), key=Path("key.pem"), client_ca=Path("ca.pem")).client
    'required'
    """

    certificate: Path
    """PEM: the certificate of the cache, followed by its intermediate ones."""

    key: Path
    """PEM: its private key, not encrypted."""

    client: Literal["required", "optional", "none"] = "required"
    """Whether routers must show a certificate; RFC 8210 requires it."""

    client_ca: Path | None = None
    """PEM: the authorities that sign the certificates of routers."""

    client_crl: Path | None = None
    """PEM: their revocation list; a certificate on it is refused."""

    check_address: bool = True
    """Refuse a certificate whose iPAddress names (subjectAltName) lack the address of the router."""

    def __post_init__(self) -> None:
        if self.client != "none" and self.client_ca is None:
            raise SectionError("client_ca", 'missing: expected the CA of the routers, or client = "none"')
        if self.client == "none" and (self.client_ca or self.client_crl):
            raise SectionError("client", '"none": expected no client_ca and no client_crl then')

    def check(self) -> Iterator[SectionError]:
        """The files must be there."""
        for name in ("certificate", "key", "client_ca", "client_crl"):
            yield from _must_be_file(name, getattr(self, name))


class Ssh(Section, frozen=True):
    """``[listen.ssh]``: SSH version 2, subsystem ``rpki-rtr`` (RFC 8210 §9.1).

    >>> Ssh(host_keys=(Path("host_key"),), authorized_keys=Path("routers")).passwords is None
    True
    """

    host_keys: tuple[Path, ...]
    """Private keys of the cache, in the form of ssh-keygen, not encrypted."""

    authorized_keys: Path | None = None
    """Public keys of routers, a line each as in OpenSSH; the user name is not looked at."""

    passwords: Path | None = None
    """Lines USER:HASH, written by ``rtr-server hash-password``."""

    def __post_init__(self) -> None:
        if not self.host_keys:
            raise SectionError("host_keys", "expected one at least")
        if self.authorized_keys is None and self.passwords is None:
            raise SectionError("", "expected authorized_keys or passwords: nobody could log in")

    def check(self) -> Iterator[SectionError]:
        """The files must be there."""
        for number, path in enumerate(self.host_keys, 1):
            yield from _must_be_file(f"host_keys[{number}]", path)
        yield from _must_be_file("authorized_keys", self.authorized_keys)
        yield from _must_be_file("passwords", self.passwords)


class Listen(Section, frozen=True):
    """``[[listen]]``: an endpoint where routers are served; plain TCP without ``tls`` and ``ssh``.

    >>> Listen(Endpoint("::1", 8323)).transport
    'tcp'
    """

    address: Endpoint | None = None
    """HOST:PORT, an IPv6 address in brackets."""

    systemd: str | None = None
    """Instead of an address: the FileDescriptorName= of a socket unit that passes its sockets."""

    optional: bool = False
    """Leave it out, with a warning, where the machine has no such address."""

    tls: Tls | None = None
    ssh: Ssh | None = None

    def __post_init__(self) -> None:
        if (self.address is None) == (self.systemd is None):
            raise SectionError("address", "expected either address or systemd")
        if self.tls is not None and self.ssh is not None:
            raise SectionError("ssh", "expected either tls or ssh")

    @property
    def transport(self) -> Literal["tcp", "tls", "ssh"]:
        """What runs under RTR here."""
        return "tls" if self.tls is not None else "ssh" if self.ssh is not None else "tcp"

    @property
    def name(self) -> str:
        """As a person would call it.

        >>> Listen(systemd="rtr").name
        'systemd:rtr'
        """
        return f"systemd:{self.systemd}" if self.address is None else str(self.address)


DEFAULT_PORT = 8323
"""Not 323, the port of RFC 8210: that one needs root."""

DEFAULT_LISTEN = (
    Listen(Endpoint("127.0.0.1", DEFAULT_PORT)),
    Listen(Endpoint("::1", DEFAULT_PORT), optional=True),
)
"""Machines without IPv6 exist; on them the second is left out with a warning."""


class AuthenticationOption(Section, frozen=True):
    """``[client.ao]``: TCP-AO (RFC 5925) for the connections of these routers; Linux 6.7 or later.

    >>> AuthenticationOption(key=Path("key"), send_id=1, receive_id=1).algorithm
    'hmac-sha1-96'
    """

    key: Path
    """A file with the key, as text, or as digits after "hex:"."""

    send_id: int
    """Key id of our segments: the receive id of the router, 0 to 255."""

    receive_id: int
    """Key id of the router's segments: its send id, 0 to 255."""

    algorithm: Literal["hmac-sha1-96", "aes-128-cmac-96"] = "hmac-sha1-96"
    """Those that RFC 5926 requires."""

    def __post_init__(self) -> None:
        for name in ("send_id", "receive_id"):
            if not 0 <= getattr(self, name) <= 255:
                raise SectionError(name, f"{getattr(self, name)}: expected 0 to 255")

    def check(self) -> Iterator[SectionError]:
        """The file must be there."""
        yield from _must_be_file("key", self.key)


class Client(Section, frozen=True):
    """``[[client]]``: what holds for the routers of a prefix, in place of every shorter prefix.

    >>> from ipaddress import ip_network
    >>> Client(ip_network("192.0.2.0/24"), max_version=1).versions
    range(0, 2)
    """

    prefix: Network
    """Addresses of routers; an IPv4 prefix also holds for those that come mapped into IPv6."""

    allow: bool = True
    """Whether they may connect; an address that no prefix covers may."""

    min_version: Literal[0, 1, 2] = 0
    """The lowest protocol version that they are spoken to in."""

    max_version: Literal[0, 1, 2] = 2
    """The highest one."""

    aspa_format: Literal["current", "draft10"] = "current"
    """The layout of ASPA PDUs in version 2: draft10 is that of draft-ietf-sidrops-8210bis-10 (Huawei VRP)."""

    rate: Octets | None = None
    """Octets a second at most to each router, for those that choke on large responses (FRR)."""

    max_connections: int | None = None
    """Connections from one address, in place of the general limit."""

    refresh: Seconds | None = None
    """In place of the general timer."""

    retry: Seconds | None = None
    """In place of the general timer."""

    expire: Seconds | None = None
    """In place of the general timer."""

    md5: Path | None = None
    """A file with the key of TCP-MD5 (RFC 2385), as text, or as digits after "hex:"."""

    ao: AuthenticationOption | None = None
    """TCP-AO, in place of TCP-MD5."""

    def __post_init__(self) -> None:
        if self.min_version > self.max_version:
            raise SectionError("min_version", f"{self.min_version}: expected at most {self.max_version}")
        if self.rate is not None and self.rate < MIN_RATE:
            raise SectionError("rate", f"{self.rate}: expected at least {Octets(MIN_RATE)} a second")
        if self.max_connections is not None and self.max_connections < 1:
            raise SectionError("max_connections", f"{self.max_connections}: expected at least 1")
        if self.md5 is not None and self.ao is not None:
            raise SectionError("ao", "expected either md5 or ao")
        for name in ("refresh", "retry", "expire"):
            if (value := getattr(self, name)) is not None and value % 1:
                raise SectionError(name, f"{value}: expected whole seconds")
        _plain_prefix(self.prefix)

    def check(self) -> Iterator[SectionError]:
        """The file must be there."""
        yield from _must_be_file("md5", self.md5)

    @property
    def versions(self) -> range:
        """The protocol versions that these routers are spoken to in."""
        return range(self.min_version, self.max_version + 1)

    def timing(self, general: Timing) -> Timing:
        """The timers for these routers; ArgumentError if they do not go together.

        >>> from ipaddress import ip_network
        >>> Client(ip_network("192.0.2.0/24"), refresh=Seconds(300)).timing(Timing()).refresh
        300
        """
        own = {name: getattr(self, name) for name in ("refresh", "retry", "expire")}
        chosen = {
            name: getattr(general, name) if value is None else int(value) for name, value in own.items()
        }
        try:
            return Timing(**chosen)
        except ArgumentError as error:
            raise ArgumentError(f"prefix {self.prefix}: {error}") from error


class Limits(Section, frozen=True):
    """``[limits]``: what routers may cost, and how long they may keep us waiting.

    >>> Limits(stall=Seconds(60)).session.stall
    60.0
    """

    max_connections: int | None = None
    """Connections in all; without it: as many as the limit of open files allows."""

    max_connections_per_address: int = 64
    """From one address; those from this machine itself are not counted."""

    accept_rate: int = 1_000
    """Connections accepted a second in the long run: more wait in the queue of the kernel."""

    accept_burst: int = 10_000
    """Connections accepted at once before that: all routers come back after a restart."""

    handshake: Seconds = Seconds(15)
    """For the handshake of TLS, or until the subsystem is asked for under SSH."""

    max_handshakes: int = 256
    """Handshakes at one time; one more ends the oldest, which is the one most likely to have stalled."""

    first_query: Seconds = Seconds(session_limits.Limits().first_query)
    """Until the first query."""

    partial_pdu: Seconds = Seconds(session_limits.Limits().partial_pdu)
    """Until a PDU that has begun is complete."""

    stall: Seconds | None = None
    """Without progress while we send; without it: three times the Retry interval (8210bis §9)."""

    response: Seconds = Seconds(session_limits.Limits().response)
    """For a whole response, however it progresses."""

    notify_interval: Seconds = Seconds(session_limits.Limits().notify_interval)
    """Between two Serial Notifies to a router: RFC 8210 §8.2 wants at least a minute."""

    notify_spread: Seconds = Seconds(4)
    """Over how long the Serial Notifies of an update are spread where there are many routers."""

    def __post_init__(self) -> None:
        for name in ("max_connections", "max_connections_per_address", "accept_rate", "accept_burst",
                     "max_handshakes"):  # fmt: skip
            if (value := getattr(self, name)) is not None and value < 1:
                raise SectionError(name, f"{value}: expected at least 1")
        for name in ("handshake", "first_query", "partial_pdu", "stall", "response", "notify_interval"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise SectionError(name, f"{value}: expected more than nothing")

    @property
    def session(self) -> session_limits.Limits:
        """As a session wants them."""
        return session_limits.Limits(
            first_query=self.first_query,
            partial_pdu=self.partial_pdu,
            notify_interval=self.notify_interval,
            response=self.response,
            stall=self.stall,
        )


class Tcp(Section, frozen=True):
    """``[tcp]``: options of the routers' sockets.

    >>> Tcp().keepalive_count
    4
    """

    keepalive_idle: Seconds = Seconds(60)
    """Silence until the first probe: with the other two, a router that is gone is known after 140 s."""

    keepalive_interval: Seconds = Seconds(20)
    """Between probes."""

    keepalive_count: int = 4
    """Probes without an answer until the connection ends."""

    unsent: Octets = Octets(1 << 20)
    """What the kernel may hold of a connection that it has not sent yet (TCP_NOTSENT_LOWAT).

    On loopback half of it is slower for a full set, and no bound at all no faster.
    """

    def __post_init__(self) -> None:
        for name in ("keepalive_idle", "keepalive_interval"):
            value = getattr(self, name)
            if value % 1 or not 1 <= value <= 32_767:
                raise SectionError(name, f"{value}: expected whole seconds, 1 to 32767")
        if not 1 <= self.keepalive_count <= 127:
            raise SectionError("keepalive_count", f"{self.keepalive_count}: expected 1 to 127")
        if not 4_096 <= self.unsent <= 1 << 30:
            raise SectionError("unsent", f"{self.unsent}: expected 4KiB to 1GiB")


class Transport(msgspec.Struct, frozen=True):
    """All sections that the server of routers reads, and the timers that it tells where a client has none.

    >>> Transport((Listen(Endpoint("::1", 0)),)).limits.max_handshakes
    256
    """

    listen: tuple[Listen, ...]
    client: tuple[Client, ...] = ()
    limits: Limits = Limits()
    tcp: Tcp = Tcp()
    timing: Timing = Timing()


def check_clients(clients: Sequence[Client], general: Timing) -> None:
    """Raise SectionError where two clients have one prefix, or timers do not go together.

    >>> check_clients((), Timing())
    """
    seen: dict[Network, int] = {}
    for number, client in enumerate(clients, 1):
        if seen.setdefault(client.prefix, number) != number:
            text = f"{client.prefix}: client[{seen[client.prefix]}] has it already"
            raise SectionError(f"client[{number}].prefix", text)
        try:
            client.timing(general)
        except ArgumentError as error:
            raise SectionError(f"client[{number}]", str(error)) from error


def _must_be_file(key: str, path: Path | None) -> Iterator[SectionError]:
    if path is not None and not path.is_file():
        yield SectionError(key, f"{path}: no such file")


def _plain_prefix(prefix: Network) -> None:
    """Addresses in ::ffff:0:0/96 are shown and looked up as IPv4 everywhere."""
    if isinstance(prefix, IPv6Network) and prefix.subnet_of(IPv6Network((IPv6Address("::ffff:0:0"), 96))):
        raise SectionError("prefix", f"{prefix}: expected it written as an IPv4 prefix")
