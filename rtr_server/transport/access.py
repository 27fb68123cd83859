"""Which settings hold for the router at an address: the longest prefix that covers it counts, alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import pytricia

from rtr_server.config.transport import Client

ANYONE = Client(ipaddress.IPv6Network("::/0"))
"""What holds for an address that no prefix covers."""


class Access:
    """The clients of a configuration by prefix.

    >>> access = Access([Client(ipaddress.ip_network("192.0.2.0/24"), allow=False)])
    >>> access.find("192.0.2.7").allow, access.find("::ffff:192.0.2.7").allow, access.find("::1").allow
    (False, False, True)
    """

    def __init__(self, clients: Iterable[Client] = ()) -> None:
        self.clients = tuple(clients)
        self._tries = {4: pytricia.PyTricia(32), 6: pytricia.PyTricia(128)}
        for client in self.clients:
            self._tries[client.prefix.version][str(client.prefix)] = client

    def find(self, host: str) -> Client:
        """The client whose prefix covers the address most closely, ANYONE where none does."""
        address = ipaddress.ip_address(host.partition("%")[0])
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        found = self._tries[address.version].get(str(address), ANYONE)
        assert isinstance(found, Client)
        return found
