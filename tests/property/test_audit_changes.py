"""What-if, suggestions and candidates of hijacks against naive definitions, over random small worlds."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

import rov
from rov.audit.hijacks import Evidence, hijacks_table
from rov.audit.suggest import suggest, suggest_table
from rov.audit.whatif import change, whatif_table
from rov.types import Family
from tests.property.test_audit import (
    Route,
    _naive_impact,
    _order,
    _prefix,
    _state,
    _verdicts,
    not_for_use,
    worlds,
)

World = tuple[Family, list[Route], list[rov.Vrp]]


@given(worlds(), worlds())
def test_whatif_is_the_difference_of_two_verdicts(world: World, other: World) -> None:
    family, routes, vrps = world
    later = [*vrps[1:], *(vrp for vrp in other[2] if other[0] == family)]
    rows = whatif_table(change(_verdicts(family, routes, vrps), rov.Snapshot.from_vrps(later))).to_pylist()
    expected = []
    for network, origin, peers in sorted(routes, key=_order):
        before, after = _state(network, origin, vrps), _state(network, origin, later)
        if before != after:
            kind = _naive_impact(routes, later, network, origin) if after == "invalid" else None
            expected.append((str(_prefix(network)), origin or None, before, after, peers, kind))
    names = ("prefix", "origin", "before", "after", "peers", "class")
    assert [tuple(row[name] for name in names) for row in rows] == expected
    for row in rows:
        assert row["causes"], "a change has a cause"
        assert {*row["causes"]} <= {*map(str, {*vrps} ^ {*later})}


@given(worlds())
def test_the_matrix_counts_each_route_once(world: World) -> None:
    family, routes, vrps = world
    changed = change(_verdicts(family, routes, vrps), rov.Snapshot.from_vrps(vrps[1:]))
    assert changed.matrix().sum() == len(routes)
    assert sum(map(len, changed.rows())) == changed.matrix().sum() - changed.matrix().trace()
    assert changed.after.counts() == _verdicts(family, routes, vrps[1:]).counts()


def _made(vrp: rov.Vrp) -> set[tuple[int, int]]:
    """Every prefix that a VRP allows, as (address, length)."""
    bits = vrp.prefix.bits
    return {
        (vrp.prefix.address + (number << (bits - length)), length)
        for length in range(vrp.prefix.length, vrp.max_length + 1)
        for number in range(1 << (length - vrp.prefix.length))
    }


@given(worlds(), st.sets(st.integers(1, 3), min_size=1))
def test_suggestions_are_minimal_enough_and_safe(world: World, asns: set[int]) -> None:
    family, routes, vrps = world
    found = suggest(_verdicts(family, routes, vrps), asns=asns)
    part = found[0 if family == 4 else 1]
    made = list(part.vrps.vrps())
    announced = {(int(n.network_address), n.prefixlen, origin) for n, origin, _ in routes}
    for vrp in made:
        assert vrp.asn in asns
        assert {(*place, vrp.asn) for place in _made(vrp)} <= announced, "allows what is announced only"
    lacking = {
        (str(_prefix(n)), origin)
        for n, origin, _ in routes
        if origin in asns and not not_for_use(n) and _state(n, origin, vrps) != "valid"
    }
    assert not any(not_for_use(ipaddress.ip_network(str(vrp.prefix))) for vrp in made)
    helped = [(str(_prefix(n)), o) for n, o, _ in routes if _state(n, o, [*vrps, *made]) == "valid"]
    assert lacking <= {*helped}, "all together make each of the routes valid"
    safe = [vrp for vrp, good in zip(made, part.safe.tolist(), strict=True) if good]
    for network, origin, _ in routes:
        before, after = _state(network, origin, vrps), _state(network, origin, [*vrps, *safe])
        assert after != "invalid" or before == "invalid", "the safe ones harm no route"


@given(worlds())
def test_what_each_suggestion_alone_does(world: World) -> None:
    family, routes, vrps = world
    found = suggest(_verdicts(family, routes, vrps))
    rows = suggest_table(found).to_pylist()
    made = [vrp for part in found for vrp in part.vrps.vrps()]
    for row, vrp in zip(rows, made, strict=True):
        steps: dict[str, set[str]] = {"valid": set(), "invalid": set()}
        for network, origin, _ in routes:
            before, after = _state(network, origin, vrps), _state(network, origin, [*vrps, vrp])
            if before != after:
                steps[after].add(f"{_prefix(network)} AS{origin}")
        assert {*row["makes_valid"]} == steps["valid"]
        assert {*row["would_invalidate"]} == steps["invalid"]
        assert row["safe"] or steps["invalid"]


def _naive_candidates(
    routes: list[Route], vrps: list[rov.Vrp]
) -> dict[tuple[str, int], tuple[str, set[int]]]:
    """Each invalid route beside or under a valid one of other origins: the kind and those origins."""
    found = {}
    valid = [(n, o) for n, o, _ in routes if _state(n, o, vrps) == "valid"]
    for network, origin, _ in routes:
        if origin == 0 or _state(network, origin, vrps) != "invalid":
            continue
        covers = [n for n, _ in valid if n == network or (n.prefixlen and network.subnet_of(n))]  # type: ignore[arg-type]
        if not covers:
            continue
        nearest = max(covers, key=lambda n: n.prefixlen)
        expected = {o for n, o in valid if n == nearest}
        if origin not in expected:
            kind = "moas" if nearest == network else "sub_moas"
            found[str(_prefix(network)), origin] = kind, expected
    return found


@given(worlds())
def test_candidates_of_hijacks(world: World) -> None:
    family, routes, vrps = world
    rows = hijacks_table(_verdicts(family, routes, vrps)).to_pylist()
    found = {(row["prefix"], row["origin"]): (row["kind"], {*row["expected_origins"]}) for row in rows}
    assert found == _naive_candidates(routes, vrps)
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    for row in rows:
        assert (row["score"] == 0) == bool(row["cleared"])
        assert ("own_vrp" in row["cleared"]) == (row["reason"] == "length")


@given(worlds(), st.sets(st.tuples(st.integers(1, 3), st.integers(1, 3))))
def test_a_relation_clears_a_candidate(world: World, pairs: set[tuple[int, int]]) -> None:
    family, routes, vrps = world
    both = frozenset(pairs | {(b, a) for a, b in pairs})
    for row in hijacks_table(_verdicts(family, routes, vrps), Evidence(relations=both)).to_pylist():
        known = any((row["origin"], asn) in both for asn in row["expected_origins"])
        assert ("related" in row["cleared"]) == known
