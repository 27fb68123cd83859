"""Network endpoints as text: ADDR:PORT, with an IPv6 address in brackets."""

from __future__ import annotations

from typing import Any, NamedTuple

from rov import ArgumentError

MAX_PORT = 65_535


class Endpoint(NamedTuple):
    """A host (name or address) and a TCP port.

    >>> str(Endpoint("::1", 8323))
    '[::1]:8323'
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read HOST:PORT or [IPV6]:PORT; ArgumentError says what was expected.

        >>> Endpoint.parse("[::1]:8323").host
        '::1'
        """
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not host or (":" in host and not bracketed):
            raise ArgumentError(f"{text!r}: expected HOST:PORT, an IPv6 address as [::1]:8323")
        if not (port.isascii() and port.isdecimal() and int(port) <= MAX_PORT):
            raise ArgumentError(f"{text!r}: expected a port from 0 to {MAX_PORT} after the last colon")
        return cls(host[1:-1] if bracketed else host, int(port))

    @classmethod
    def of(cls, address: tuple[Any, ...]) -> Endpoint:
        """From a socket address of either family; IPv4 that came mapped into IPv6 is shown as IPv4.

        >>> str(Endpoint.of(("::ffff:192.0.2.1", 4711, 0, 0)))
        '192.0.2.1:4711'
        """
        host = str(address[0])
        if host.startswith("::ffff:") and "." in host:
            host = host.removeprefix("::ffff:")
        return cls(host, int(address[1]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
