"""Audits against naive definitions, over random small worlds that are crowded on purpose."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rov
from rov.audit import Impact, Verdicts, impact, judge, verdict_table
from rov.audit.coverage import SPACE_BITS, coverage_table, space_of
from rov.audit.covering import covering_column
from rov.audit.hygiene import Fault, check_vrps
from rov.audit.verdicts import REASON_WORDS
from rov.reference.special import ASSIGNED_IPV6, PREFIXES, REACHABLE
from rov.rib import RouteColumns, RouteTable
from rov.types import Family

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Route = tuple[Network, int, int]

WIDTHS: dict[Family, int] = {4: 32, 6: 128}
DEPTH = 4
"""Bits that the prefixes of a world differ in: few, so that they nest and collide."""

BASES: dict[Family, list[tuple[int, int]]] = {
    4: [(0, 0), (28, 10 << 24), (28, 11 << 24)],
    6: [(0, 0), (62, 0x2A00 << 112), (30, 0x20010DB8 << 96)],
}
"""Where a world lies: (length, address) of what all its prefixes lie in; 62: across the two words.

Two have reserved blocks, two lie in one, two have none.
"""


@st.composite
def networks(draw: st.DrawFn, family: Family) -> Network:
    """A prefix of a world of a few bits."""
    above, address = draw(st.sampled_from(BASES[family]))
    length = above + draw(st.integers(0, DEPTH))
    bits = draw(st.integers(0, 2**DEPTH - 1)) << (WIDTHS[family] - above - DEPTH)
    mask = ((1 << length) - 1) << (WIDTHS[family] - length)
    kind = ipaddress.IPv4Network if family == 4 else ipaddress.IPv6Network
    return kind(((address | bits) & mask, length))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Family, list[Route], list[rov.Vrp]]:
    """A family, its distinct routes with their peers, and VRPs."""
    family: Family = draw(st.sampled_from([4, 6]))
    asns = st.integers(0, 3)
    pairs = draw(st.lists(st.tuples(networks(family), asns), max_size=14, unique=True))
    routes = [(network, origin, draw(st.integers(1, 4))) for network, origin in pairs]
    vrps = []
    for network, asn in draw(st.lists(st.tuples(networks(family), asns), max_size=8)):
        most = min(network.prefixlen + draw(st.integers(0, 3)), WIDTHS[family])
        vrps.append(rov.Vrp(_prefix(network), most, asn))
    return family, routes, vrps


def _prefix(network: Network) -> rov.Prefix:
    return rov.Prefix(4 if network.version == 4 else 6, int(network.network_address), network.prefixlen)


def _columns(family: Family, routes: Iterable[Route]) -> RouteColumns:
    rows = sorted((int(n.network_address), n.prefixlen, origin, peers) for n, origin, peers in routes)
    addresses = [row[0] for row in rows]
    shaped = (
        np.array(addresses, np.uint32)
        if family == 4
        else np.array([(a >> 64, a & (2**64 - 1)) for a in addresses], np.uint64).reshape(-1, 2)
    )
    return RouteColumns(family, shaped, *([row[place] for row in rows] for place in (1, 2, 3)))


def _verdicts(family: Family, routes: list[Route], vrps: list[rov.Vrp]) -> Verdicts:
    columns, other = _columns(family, routes), RouteColumns.empty(6 if family == 4 else 4)
    table = RouteTable(columns, other) if family == 4 else RouteTable(other, columns)
    return judge(table, rov.VrpIndex(rov.Snapshot.from_vrps(vrps)))


def not_for_use(network: Network) -> bool:
    """Whether nobody can have a ROA for it: by the tables, each block alone."""

    def lies_in(blocks: Iterable[str]) -> bool:
        known = map(ipaddress.ip_network, blocks)
        return any(network.version == b.version and network.subnet_of(b) for b in known)  # type: ignore[arg-type]

    if not network.prefixlen:
        return True
    unassigned = network.version == 6 and not lies_in(ASSIGNED_IPV6)
    return (unassigned or lies_in(special.block for special in PREFIXES)) and not lies_in(REACHABLE)


def _state(network: Network, origin: int, vrps: list[rov.Vrp]) -> str:
    """RFC 6811 §2, by its words."""
    covering = [vrp for vrp in vrps if vrp.prefix.covers(_prefix(network))]
    if not covering:
        return "not_found"
    matches = any(vrp.asn == origin != 0 and network.prefixlen <= vrp.max_length for vrp in covering)
    return "valid" if matches else "invalid"


def _order(route: Route) -> tuple[int, int, int]:
    return int(route[0].network_address), route[0].prefixlen, route[1]


def _naive_impact(routes: list[Route], vrps: list[rov.Vrp], network: Network, origin: int) -> str:
    """The class of one invalid route, by looking at every other route."""
    remaining = [
        (other, asn, _state(other, asn, vrps))
        for other, asn, _ in routes
        if _state(other, asn, vrps) != "invalid" and other.prefixlen > 0
    ]
    if any(other == network for other, _, _ in remaining):
        return "same_prefix_valid_other_origin"
    covers = [row for row in remaining if network.subnet_of(row[0])]  # type: ignore[arg-type]
    if not covers:
        return "unreachable"
    longest = max(other.prefixlen for other, _, _ in covers)
    takers = [row for row in covers if row[0].prefixlen == longest]
    same = origin != 0 and any(asn == origin for _, asn, _ in takers)
    state = takers[0][2].replace("_", "")
    return f"rescued_same_origin_{state}" if same else f"diverted_other_origin_{state}"


@given(worlds())
def test_impact_is_the_longest_match_in_what_remains(
    world: tuple[Family, list[Route], list[rov.Vrp]],
) -> None:
    family, routes, vrps = world
    verdicts = _verdicts(family, routes, vrps)
    part = impact(verdicts)[0 if family == 4 else 1]
    ordered = sorted(routes, key=_order)
    found = {int(row): Impact(int(kind)).label for row, kind in zip(part.rows, part.classes, strict=True)}
    expected = {
        row: _naive_impact(routes, vrps, network, origin)
        for row, (network, origin, _) in enumerate(ordered)
        if _state(network, origin, vrps) == "invalid"
    }
    assert found == expected
    assert len(found) == verdicts.count(rov.State.INVALID)


@given(worlds())
def test_reachable_share_is_what_remaining_more_specifics_hold(
    world: tuple[Family, list[Route], list[rov.Vrp]],
) -> None:
    family, routes, vrps = world
    part = impact(_verdicts(family, routes, vrps))[0 if family == 4 else 1]
    ordered = sorted(routes, key=_order)
    for row, share in zip(part.rows.tolist(), part.inside.tolist(), strict=True):
        network = ordered[row][0]
        inside = [
            other
            for other, origin, _ in routes
            if other != network
            and other.subnet_of(network)  # type: ignore[arg-type]
            and _state(other, origin, vrps) != "invalid"
        ]
        outermost = ipaddress.collapse_addresses(inside)
        assert share == pytest.approx(sum(2.0 ** (network.prefixlen - o.prefixlen) for o in outermost))


@given(worlds(), st.integers(0, 3))
def test_adding_a_vrp_never_makes_a_covered_route_not_found(
    world: tuple[Family, list[Route], list[rov.Vrp]], asn: int
) -> None:
    family, routes, vrps = world
    before = _verdicts(family, routes, vrps)
    for network, _, _ in routes[:2]:
        after = _verdicts(family, routes, [*vrps, rov.Vrp(_prefix(network), network.prefixlen, asn)])
        for old, new in zip(before.families(), after.families(), strict=True):
            assert not np.any(old.having(rov.State.VALID) & ~new.having(rov.State.VALID))
            assert not np.any(~old.having(rov.State.NOT_FOUND) & new.having(rov.State.NOT_FOUND))


@given(worlds())
def test_each_address_is_counted_once(world: tuple[Family, list[Route], list[rov.Vrp]]) -> None:
    family, routes, vrps = world
    verdicts = _verdicts(family, routes, vrps)
    judged = verdicts.ipv4 if family == 4 else verdicts.ipv6
    announced = ipaddress.collapse_addresses({network for network, _, _ in routes if network.prefixlen})
    expected = sum(2.0 ** (SPACE_BITS[family] - network.prefixlen) for network in announced)
    assert space_of(judged).sum() == pytest.approx(expected)


@given(worlds())
def test_rows_of_coverage_add_up_to_the_total(world: tuple[Family, list[Route], list[rov.Vrp]]) -> None:
    family, routes, vrps = world
    rows = coverage_table(_verdicts(family, routes, vrps)).to_pylist()
    for name in ("routes", "valid", "invalid", "not_found", "space", "space_valid", "space_invalid"):
        for of_family in (4, 6):
            parts = sum(row[name] for row in rows if row["family"] == of_family and not row["total"])
            (total,) = (row[name] for row in rows if row["family"] == of_family and row["total"])
            assert parts == pytest.approx(total)


def _allowed(vrp: rov.Vrp) -> set[tuple[int, int]]:
    """Every prefix that a VRP allows, as (address, length)."""
    bits = vrp.prefix.bits
    return {
        (vrp.prefix.address + (number << (bits - length)), length)
        for length in range(vrp.prefix.length, vrp.max_length + 1)
        for number in range(1 << (length - vrp.prefix.length))
    }


@given(worlds())
def test_hygiene_by_its_definitions(world: tuple[Family, list[Route], list[rov.Vrp]]) -> None:
    family, routes, vrps = world
    checked = check_vrps(_verdicts(family, routes, vrps))[0 if family == 4 else 1]
    unique = sorted(set(vrps))
    assert len(checked.faults) == len(unique)
    for row, vrp in enumerate(unique):
        faults, allowed = Fault(int(checked.faults[row])), _allowed(vrp)
        own = {
            (int(network.network_address), network.prefixlen)
            for network, origin, _ in routes
            if origin == vrp.asn != 0
        }
        under = [
            _state(network, origin, vrps)
            for network, origin, _ in routes
            if vrp.prefix.covers(_prefix(network))
        ]
        assert checked.allowed[row] == len(allowed)
        assert checked.announced[row] == len(allowed & own)
        assert checked.invalid[row] == under.count("invalid")
        real = vrp.asn != 0
        assert (Fault.LOOSE in faults) == (real and vrp.max_length > vrp.prefix.length and not allowed <= own)
        assert (Fault.UNUSED in faults) == (real and not allowed & own)
        assert (Fault.REDUNDANT in faults) == (
            real
            and any(
                other != vrp
                and other.asn == vrp.asn
                and other.prefix.covers(vrp.prefix)
                and other.max_length >= vrp.max_length
                for other in unique
            )
        )
        place = ipaddress.ip_network(str(vrp.prefix))
        assert (Fault.BOGON in faults) == (real and bool(place.prefixlen) and not_for_use(place))
        assert (Fault.AS0_ANNOUNCED in faults) == (not real and bool(under))
        if Fault.LOOSE in faults:
            exposed = rov.Prefix.parse(checked.exposed[row])
            assert (exposed.address, exposed.length) in allowed - own
        else:
            assert checked.exposed[row] == ""


@given(worlds())
def test_the_covering_vrps_are_those_of_the_index(world: tuple[Family, list[Route], list[rov.Vrp]]) -> None:
    family, routes, vrps = world
    verdicts = _verdicts(family, routes, vrps)
    table = verdict_table(verdicts)
    column = covering_column((verdicts.ipv4, verdicts.ipv6), verdicts.index.snapshot)
    expected = [sorted(map(str, verdicts.index.covering(prefix))) for prefix in table["prefix"].to_pylist()]
    assert [sorted(texts) for texts in column.to_pylist()] == expected


@given(worlds(), st.integers(1, 4))
def test_every_row_says_what_explain_says(
    world: tuple[Family, list[Route], list[rov.Vrp]], min_peers: int
) -> None:
    family, routes, vrps = world
    index = rov.VrpIndex(rov.Snapshot.from_vrps(vrps))
    columns, other = _columns(family, routes), RouteColumns.empty(6 if family == 4 else 4)
    table = RouteTable(columns, other) if family == 4 else RouteTable(other, columns)
    rows = verdict_table(judge(table, index, min_peers=min_peers)).to_pylist()
    assert len(rows) == sum(peers >= min_peers for _, _, peers in routes)
    for row in rows:
        validity = index.explain(row["prefix"], row["origin"] or 0)
        assert row["state"] == validity.state.label
        assert row["reason"] == REASON_WORDS[validity.reason]
