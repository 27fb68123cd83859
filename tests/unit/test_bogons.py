"""Bogons: the tables of reserved blocks, and that routes are held against them as they should be."""

import ipaddress

import numpy as np
import pytest

from rov.audit.bogons import bogons, bogons_table
from rov.reference import read_delegated
from rov.reference.special import ASNS, ASSIGNED_IPV6, PREFIXES, REACHABLE, special_asn, special_asns
from rov.rib import RouteColumns, RouteTable, read_table


def columns(*routes):
    """Routes of one family from (prefix, origin)."""
    rows = sorted((ipaddress.ip_network(prefix), origin) for prefix, origin in routes)
    family = rows[0][0].version
    addresses = [int(network.network_address) for network, _ in rows]
    if family == 6:
        addresses = [(address >> 64, address & (2**64 - 1)) for address in addresses]
    dtype = np.uint32 if family == 4 else np.uint64
    lengths, origins = [network.prefixlen for network, _ in rows], [origin for _, origin in rows]
    return RouteColumns(family, np.array(addresses, dtype), lengths, origins, [1] * len(rows))


@pytest.mark.parametrize(
    ("prefix", "origin", "what", "source"),
    [
        ("192.168.0.0/24", 13335, "prefix", "RFC 1918"),
        ("192.0.0.0/24", 13335, "prefix", "RFC 6890"),
        ("224.0.0.0/24", 13335, "prefix", "RFC 5771"),
        ("1.1.1.0/24", 64512, "origin", "RFC 6996"),
        ("1.1.1.0/24", 23456, "origin", "RFC 6793"),
        ("1.1.1.0/24", 4199999999, "origin", "IANA AS numbers"),
        ("192.88.99.2/32", 13335, "prefix", "RFC 6751"),
        ("2001:db8:1::/48", 13335, "prefix", "RFC 3849"),
        ("::ffff:10.0.0.0/120", 13335, "prefix", "RFC 4291"),
        ("3fff:100::/32", 13335, "prefix", "RFC 9637"),
        ("2d00::/16", 13335, "prefix", "IANA IPv6 global unicast assignments"),
        ("4000::/16", 13335, "prefix", "IANA IPv6 global unicast assignments"),
    ],
)
def test_full_bogons(prefix, origin, what, source):
    (found,) = bogons(columns((prefix, origin)))
    assert (found.what, found.level, found.why.source) == (what, "full", source)


@pytest.mark.parametrize(
    ("prefix", "origin"),
    [
        ("1.1.1.0/24", 13335),
        ("0.0.0.0/0", 13335),
        ("::/0", 13335),
        ("192.0.0.9/32", 13335),
        ("192.0.0.0/8", 13335),
        ("192.175.48.0/24", 112),
        ("192.31.196.0/24", 112),
        ("2001::/32", 6939),
        ("2002::/16", 6939),
        ("192.88.99.0/24", 6939),
        ("2001:4:112::/48", 112),
        ("2620:4f:8000::/48", 112),
        ("2a00::/16", 0),
    ],
)
def test_what_is_none(prefix, origin):
    assert bogons(columns((prefix, origin))) == []


def test_a_route_may_be_one_twice():
    table = RouteTable(columns(("10.0.0.0/8", 64512)), RouteColumns.empty(6))
    assert bogons_table(table)["what"].to_pylist() == ["prefix", "origin"]


def test_administrative_ones(tmp_path):
    path = tmp_path / "delegated"
    lines = ["2|ripencc|20260101|3|||+0000", "ripencc|NL|ipv4|193.0.0.0|256|20260101|allocated"]
    lines += ["ripencc||ipv4|193.0.1.0|256|20260101|available", "ripencc|NL|asn|3333|1|20260101|allocated"]
    path.write_text("\n".join(lines) + "\n")
    known = read_delegated([path])
    routes = columns(
        ("193.0.0.0/24", 3333), ("193.0.1.0/24", 3333), ("8.8.8.0/24", 15169), ("10.0.0.0/8", 3333)
    )
    table = bogons_table(RouteTable(routes, RouteColumns.empty(6)), known)
    found = {(row["prefix"], row["what"]): (row["level"], row["status"]) for row in table.to_pylist()}
    assert found == {
        ("8.8.8.0/24", "prefix"): ("administrative", "not listed"),
        ("8.8.8.0/24", "origin"): ("administrative", "not listed"),
        ("10.0.0.0/8", "prefix"): ("full", None),
        ("193.0.1.0/24", "prefix"): ("administrative", "available"),
    }


def test_the_tables_are_sound():
    for block in (*(special.block for special in PREFIXES), *REACHABLE, *ASSIGNED_IPV6):
        assert str(ipaddress.ip_network(block)) == block
    edges = [edge for first, last, _ in ASNS for edge in (first, last)]
    assert edges == sorted(edges)
    for first, last, special in ASNS:
        assert special_asn(first) == special_asn(last) == special
    around = np.array(sorted({max(edge + step, 0) for edge in edges for step in (-1, 0, 1)})[:-1], np.uint64)
    assert special_asns(around).tolist() == [special_asn(asn) is not None for asn in around.tolist()]
    assert [special_asn(asn) for asn in (1, 112, 23455, 23457, 64495, 131072, 458751)] == [None] * 7


@pytest.mark.realdata
def test_a_real_table_row_by_row(data):
    """By ipaddress of the standard library, each route against each block."""
    routes = read_table(data("rib/riswhoisdump_20241220.IPv6.gz")).ipv6
    routes = routes.take(np.arange(0, len(routes), 41))
    special = [ipaddress.ip_network(row.block) for row in PREFIXES if ":" in row.block]
    reachable = [ipaddress.ip_network(block) for block in REACHABLE if ":" in block]
    assigned = [ipaddress.ip_network(block) for block in ASSIGNED_IPV6]
    expected = set()
    for row, ((high, low), length) in enumerate(
        zip(routes.addresses.tolist(), routes.lengths.tolist(), strict=True)
    ):
        network = ipaddress.IPv6Network((high << 64 | low, length))
        if length == 0 or any(network.subnet_of(block) for block in reachable):
            continue
        if any(map(network.subnet_of, special)) or not any(map(network.subnet_of, assigned)):
            expected.add(row)
    assert {found.row for found in bogons(routes) if found.what == "prefix"} == expected
