"""TCP-MD5 (RFC 2385) and TCP-AO (RFC 5925) by the kernel: keys on listening sockets, by prefix of the peer.

Once a prefix has a key, the kernel drops every segment from it that is not signed with that key: to the
router a wrong key looks like a cache that is not there.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from rtr_server.config.transport import AuthenticationOption, Client
from rtr_server.config.values import Network
from rtr_server.transport.errors import TransportError

TCP_MD5SIG_EXT = 32
TCP_AO_ADD_KEY = 38
TCP_AO_DEL_KEY = 39
"""linux/tcp.h; Python's socket module does not have them."""

MAX_KEY = 80
"""Octets that the kernel takes; RFC 8210 §9.3 and §9.4 ask for at least as many characters."""

MD5_PREFIX = 1
"""TCP_MD5SIG_FLAG_PREFIX: the key holds for a prefix, not for an address alone."""

AO_MAC_OCTETS = 12
"""Both algorithms of RFC 5926 are cut to 96 bits."""

_ALGORITHMS = {"hmac-sha1-96": b"hmac(sha1)", "aes-128-cmac-96": b"cmac(aes128)"}

_STORAGE = 128
"""Octets of struct sockaddr_storage."""

_LACKS = frozenset({errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.ENOENT, errno.ENOSYS})


def read_key(path: Path) -> bytes:
    """The key in a file: its text without white space at the ends, or what stands as digits after hex:.

    TransportError: the file cannot be read, or holds no key of 1 to 80 octets.
    """
    try:
        with path.open("rb") as file:
            text = file.read(1_024).strip()
    except OSError as error:
        raise TransportError(f"{path}: {error.strerror}") from error
    try:
        key = bytes.fromhex(text[4:].decode("ascii")) if text.startswith(b"hex:") else text
    except ValueError as error:
        raise TransportError(f"{path}: expected pairs of hexadecimal digits after hex:") from error
    if not 1 <= len(key) <= MAX_KEY:
        raise TransportError(f"{path}: a key of {len(key)} octets: expected 1 to {MAX_KEY}")
    return key


class Keys:
    """The keys of all clients, read from their files; TransportError if one cannot be read."""

    def __init__(self, clients: tuple[Client, ...] = ()) -> None:
        self.md5 = {client.prefix: read_key(client.md5) for client in clients if client.md5 is not None}
        self.ao = {
            client.prefix: (client.ao, read_key(client.ao.key)) for client in clients if client.ao is not None
        }

    def apply(self, bound: socket.socket, before: Keys | None = None) -> None:
        """Set the keys on a listening socket, and remove those that only ``before`` had.

        TransportError says which peer it is for, and what the kernel lacks.
        """
        old = before or Keys()
        for prefix in _fitting(bound, old.md5.keys() - self.md5.keys()):
            _set(
                bound,
                "TCP-MD5",
                prefix,
                TCP_MD5SIG_EXT,
                md5_option(prefix, b"", mapped=_is_mapped(bound, prefix)),
            )
        for prefix in _fitting(bound, old.ao.keys()):
            if self.ao.get(prefix) != old.ao[prefix]:
                option = ao_deletion(prefix, old.ao[prefix][0], mapped=_is_mapped(bound, prefix))
                _set(bound, "TCP-AO", prefix, TCP_AO_DEL_KEY, option)
        for prefix in _fitting(bound, self.md5.keys()):
            option = md5_option(prefix, self.md5[prefix], mapped=_is_mapped(bound, prefix))
            _set(bound, "TCP-MD5", prefix, TCP_MD5SIG_EXT, option)
        for prefix in _fitting(bound, self.ao.keys()):
            if self.ao[prefix] != old.ao.get(prefix):
                _set(
                    bound,
                    "TCP-AO",
                    prefix,
                    TCP_AO_ADD_KEY,
                    ao_option(prefix, *self.ao[prefix], mapped=_is_mapped(bound, prefix)),
                )


def md5_option(prefix: Network, key: bytes, *, mapped: bool = False) -> bytes:
    """struct tcp_md5sig; an empty key removes the one that the prefix has.

    >>> from ipaddress import ip_network
    >>> len(md5_option(ip_network("192.0.2.0/24"), b"secret"))
    216
    """
    tail = struct.pack("=BBHi80s", MD5_PREFIX, prefix.prefixlen, len(key), 0, key)
    return _address(prefix, mapped) + tail


def ao_option(prefix: Network, settings: AuthenticationOption, key: bytes, *, mapped: bool = False) -> bytes:
    """struct tcp_ao_add.

    >>> from ipaddress import ip_network
    >>> settings = AuthenticationOption(key=Path("key"), send_id=1, receive_id=2)
    >>> len(ao_option(ip_network("192.0.2.0/24"), settings, b"secret"))
    288
    """
    ids = (prefix.prefixlen, settings.send_id, settings.receive_id, AO_MAC_OCTETS, 0, len(key))
    middle = struct.pack("=64siIH6B", _ALGORITHMS[settings.algorithm], 0, 0, 0, *ids)
    return _padded(_address(prefix, mapped) + middle + key.ljust(MAX_KEY, b"\0"))


def ao_deletion(prefix: Network, settings: AuthenticationOption, *, mapped: bool = False) -> bytes:
    """struct tcp_ao_del.

    >>> from ipaddress import ip_network
    >>> settings = AuthenticationOption(key=Path("key"), send_id=1, receive_id=2)
    >>> len(ao_deletion(ip_network("192.0.2.0/24"), settings))
    144
    """
    ids = (prefix.prefixlen, settings.send_id, settings.receive_id, 0, 0, 0)
    return _padded(_address(prefix, mapped) + struct.pack("=iIH6B", 0, 0, 0, *ids))


def _padded(option: bytes) -> bytes:
    """Both structs are aligned to eight octets."""
    return option + bytes(-len(option) % 8)


def _address(prefix: Network, mapped: bool) -> bytes:
    """struct sockaddr_storage, port 0: any. The length of a mapped prefix stays that of IPv4."""
    network = prefix.network_address.packed
    if mapped:
        network = bytes(10) + b"\xff\xff" + network
    if len(network) == 4:
        filled = struct.pack("=HH", socket.AF_INET, 0) + network
    else:
        filled = struct.pack("=HHI", socket.AF_INET6, 0, 0) + network
    return filled.ljust(_STORAGE, b"\0")


def _fitting(bound: socket.socket, prefixes: Iterable[Network]) -> list[Network]:
    """Those prefixes whose addresses can come in on the socket."""
    dual, version = _is_dual(bound), 6 if bound.family == socket.AF_INET6 else 4
    return [prefix for prefix in prefixes if dual or prefix.version == version]


def _is_dual(bound: socket.socket) -> bool:
    """An IPv6 socket that also takes IPv4; ours do not, one from systemd may."""
    return bound.family == socket.AF_INET6 and not bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def _is_mapped(bound: socket.socket, prefix: Network) -> bool:
    """Whether the socket sees addresses of the prefix as IPv4 mapped into IPv6."""
    return prefix.version == 4 and bound.family == socket.AF_INET6


def _set(bound: socket.socket, what: str, prefix: Network, option: int, value: bytes) -> None:
    try:
        bound.setsockopt(socket.IPPROTO_TCP, option, value)
    except OSError as error:
        if error.errno in _LACKS:
            system = f"{platform.system()} {platform.release()}"
            needs = "CONFIG_TCP_MD5SIG" if what == "TCP-MD5" else "Linux 6.7 or later with CONFIG_TCP_AO"
            raise TransportError(
                f"client {prefix}: this kernel ({system}) has no {what}: expected {needs}"
            ) from error
        raise TransportError(f"client {prefix}: {what}: {error.strerror}") from error
