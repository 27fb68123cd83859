"""Lists of source addresses as the configuration of a router: packets from elsewhere are dropped."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import NamedTuple

from rov._checks import as_kind, as_rows, shown
from rov.errors import ArgumentError
from rov.routers.filters import listed

SAV_ROUTERS: dict[str, str] = {
    "nftables": "nftables",
    "junos": "Junos",
    "iosxr": "IOS XR",
    "eos": "Arista EOS",
}
"""What ``source_filters`` writes for, and their titles."""

_NAME = re.compile(r"[^A-Za-z0-9]+")


class SourceList(NamedTuple):
    """The sources of an interface, as few prefixes as can be; ``name`` fits into names of lists."""

    interface: str
    name: str
    ipv4: tuple[IPv4Network, ...]
    ipv6: tuple[IPv6Network, ...]


def source_list(interface: str, prefixes: Iterable[str]) -> SourceList:
    """The list of an interface; prefixes within others go, halves are joined. ArgumentError: one is none.

    >>> source_list("ge-0/0/1.0", ["192.0.2.0/25", "192.0.2.128/25"]).ipv4
    (IPv4Network('192.0.2.0/24'),)
    """
    four: list[IPv4Network] = []
    six: list[IPv6Network] = []
    for text in as_rows(prefixes, str, "prefixes"):
        try:
            network = ip_network(text)
        except ValueError as error:
            raise ArgumentError(f"prefix {shown(text)}: {error}") from error
        if isinstance(network, IPv4Network):
            four.append(network)
        else:
            six.append(network)
    return SourceList(
        as_kind(interface, str, "interface"),
        _NAME.sub("_", interface).strip("_"),
        tuple(collapse_addresses(four)),
        tuple(collapse_addresses(six)),
    )


def source_filters(
    router: str, lists: Sequence[SourceList], *, templates: str | os.PathLike[str] | None = None
) -> str:
    """The lists in the words of a router, with the filter that drops what comes from elsewhere.

    router: a key of SAV_ROUTERS. templates: a directory whose sav-NAME.j2 replaces that of the package.
    ArgumentError: another router, names of interfaces that become the same, a fault in a template.

    >>> text = source_filters("nftables", [source_list("eth1", ["192.0.2.0/24"])])
    >>> 'iifname "eth1" ip saddr != @eth1_ipv4' in text
    True
    """
    if as_kind(router, str, "router") not in SAV_ROUTERS:
        raise ArgumentError(f"router {shown(router)}: expected one of {', '.join(SAV_ROUTERS)}")
    given = as_rows(lists, SourceList, "lists")
    if len({one.name for one in given}) < len(given):
        raise ArgumentError("two interfaces have names that become the same name of a list")
    return listed(f"sav-{router}.j2", {"title": SAV_ROUTERS[router], "lists": given}, templates)
