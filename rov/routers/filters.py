"""Allow-lists for customers as the configuration of a router: prefixes, and origins at the end of paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rov._checks import as_kind, as_optional, as_path, as_rows, shown
from rov._prefix import parse
from rov._templates import packaged_templates, rendered
from rov.errors import ArgumentError
from rov.types import IPV4_BITS, IPV6_BITS, as_asn

FILTERS: dict[str, str] = {
    "bird2": "BIRD 2",
    "openbgpd": "OpenBGPD 7",
    "frr": "FRR",
    "junos": "Junos",
    "iosxr": "IOS XR",
    "eos": "Arista EOS",
    "sros": "Nokia SR OS (MD-CLI)",
    "arouteserver": "arouteserver",
}
"""The routers that ``customer_filters`` writes for, and their titles."""


class Entry(NamedTuple):
    """A prefix and the longest length allowed under it.

    >>> Entry("192.0.2.0/24", 24, 25).address
    '192.0.2.0'
    """

    prefix: str
    length: int
    le: int

    @property
    def address(self) -> str:
        """The prefix without its length.

        >>> Entry("2001:db8::/32", 32, 48).address
        '2001:db8::'
        """
        return self.prefix.partition("/")[0]


class CustomerFilter(NamedTuple):
    """What is let in from a customer: origins, entries of both families, with their origins in ``routes``."""

    asn: int
    origins: tuple[int, ...]
    ipv4: tuple[Entry, ...]
    ipv6: tuple[Entry, ...]
    routes: tuple[tuple[Entry, int], ...]
    addresses: tuple[str, ...]

    @property
    def name(self) -> str:
        """What its lists are called.

        >>> CustomerFilter(64496, (), (), (), (), ()).name
        'AS64496'
        """
        return f"AS{self.asn}"


def customer_filter(
    asn: int, rows: Iterable[tuple[int, str, int]], addresses: Sequence[str] = ()
) -> CustomerFilter:
    """The filter of a customer from rows of (origin, prefix, longest length).

    An entry within another that allows as much is left out: the lists of Junos look at the longest match
    only, and all get shorter. ArgumentError: a row is none.

    >>> customer_filter(64496, [(64496, "192.0.2.0/24", 25), (64497, "192.0.2.0/25", 25)]).ipv4
    (Entry(prefix='192.0.2.0/24', length=24, le=25),)
    """
    keyed = []
    for row in as_rows(rows, tuple, "rows"):
        if len(row) != 3:
            raise ArgumentError(f"row {shown(row)}: expected (origin, prefix, longest length)")
        origin, prefix, most = row
        family, address, length = parse(as_kind(prefix, str, "prefix"))
        bits = IPV4_BITS if family == 4 else IPV6_BITS
        if not length <= as_kind(most, int, "longest length") <= bits:
            raise ArgumentError(f"{prefix}: longest length {most}: expected {length} to {bits}")
        keyed.append((family, address, length, Entry(prefix, length, most), as_asn(origin, "origin", 1)))
    keyed.sort(key=lambda key: (*key[:3], -key[3].le, key[4]))
    lists: dict[int, list[Entry]] = {4: [], 6: []}
    open_ones: list[tuple[int, int, int, int]] = []
    for family, address, length, entry, _ in keyed:
        bits = IPV4_BITS if family == 4 else IPV6_BITS
        while open_ones and (open_ones[-1][0] != family or open_ones[-1][1] <= address):
            open_ones.pop()
        if any(most >= entry.le for _, _, _, most in open_ones):
            continue
        open_ones.append((family, address + (1 << bits - length), length, entry.le))
        lists[family].append(entry)
    return CustomerFilter(
        as_asn(asn, "customer", 1),
        tuple(sorted({key[4] for key in keyed})),
        tuple(lists[4]),
        tuple(lists[6]),
        tuple((key[3], key[4]) for key in keyed),
        tuple(addresses),
    )


def customer_filters(
    router: str, customers: Sequence[CustomerFilter], *, templates: str | os.PathLike[str] | None = None
) -> str:
    """The filters of customers in the words of a router, to be included in its configuration.

    router: a key of FILTERS. templates: a directory whose filter-NAME.j2 replaces that of the package. A
    customer that may announce nothing gets a filter that lets nothing in. ArgumentError: another router,
    two customers of one AS, a fault in a template. ExtraError: jinja2 is not installed.

    >>> text = customer_filters("frr", [customer_filter(64496, [(64496, "192.0.2.0/24", 25)])])
    >>> "ip prefix-list AS64496-IN seq 5 permit 192.0.2.0/24 le 25" in text
    True
    """
    if as_kind(router, str, "router") not in FILTERS:
        raise ArgumentError(f"router {shown(router)}: expected one of {', '.join(FILTERS)}")
    given = as_rows(customers, CustomerFilter, "customers")
    if len({customer.asn for customer in given}) < len(given):
        raise ArgumentError("two customers have the same AS")
    if router == "arouteserver" and not all(customer.addresses for customer in given):
        raise ArgumentError("arouteserver: expected the addresses of each customer, as it names sessions")
    values = {"title": FILTERS[router], "customers": given}
    return listed(f"filter-{router}.j2", values, templates)


def listed(name: str, values: Mapping[str, object], templates: str | os.PathLike[str] | None) -> str:
    """The text of a template of the package, or of the one of its name in a directory.

    >>> listed("filter-frr.j2", {"title": "FRR", "customers": []}, "/nonexistent")
    Traceback (most recent call last):
    rov.errors.ArgumentError: templates '/nonexistent': expected a directory
    """
    own = as_optional(None if templates is None else as_path(templates), str, "templates")
    if own is not None and not os.path.isdir(own):
        raise ArgumentError(f"templates {shown(own)}: expected a directory")
    with packaged_templates("rov.routers") as packaged:
        return rendered(name, [*([Path(own)] if own else []), packaged], dict(values))
