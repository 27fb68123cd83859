"""SLURM by searches in sorted columns against the definition, entry by entry."""

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from rov import Aspa, Prefix, RouterKey, SlurmError, Snapshot, Vrp, slurm
from rov.slurm import AspaFilter, Assertion, PrefixFilter, RouterKeyFilter, Slurm

ASNS = st.integers(0, 4)


@st.composite
def prefixes(draw):
    """Prefixes of a small world, so that they often nest: at the bottom and the top of both families."""
    family = draw(st.sampled_from([4, 6]))
    bits = 32 if family == 4 else 128
    length = draw(st.one_of(st.integers(0, 6), st.integers(bits - 3, bits)))
    base = draw(st.sampled_from([0, 2**bits - 1, 1 << bits // 2, 0b0110 << bits - 4]))
    noise = draw(st.integers(0, 7)) << draw(st.sampled_from([0, bits - 6]))
    return Prefix(family, (base ^ noise) % 2**bits >> bits - length << bits - length, length)


@st.composite
def vrps(draw):
    prefix = draw(prefixes())
    return Vrp(prefix, draw(st.integers(prefix.length, prefix.bits)), draw(ASNS))


skis = st.sampled_from([bytes(20), b"\xff" * 20])
keys = st.builds(RouterKey, ASNS, skis, st.sampled_from([b"a", b"b"]))
aspas = st.builds(
    Aspa, st.integers(1, 4), st.sets(st.integers(5, 8), min_size=1).map(lambda s: tuple(sorted(s)))
)
filters = st.one_of(
    st.tuples(st.none() | prefixes(), st.none() | ASNS)
    .filter(any_given := lambda pair: pair != (None, None))
    .map(lambda pair: PrefixFilter("x", "$", *pair)),
    st.tuples(st.none() | ASNS, st.none() | skis)
    .filter(any_given)
    .map(lambda pair: RouterKeyFilter("x", "$", *pair)),
    st.builds(AspaFilter, st.just("x"), st.just("$"), st.integers(1, 4)),
)
assertions = st.builds(Assertion, st.just("x"), st.just("$"), st.one_of(vrps(), keys, aspas))
worlds = st.builds(
    lambda v, k, a: Snapshot.from_vrps(v, router_keys=k, aspas=a),
    st.lists(vrps(), max_size=30),
    st.lists(keys, max_size=5),
    st.lists(aspas, max_size=5),
)


def matches(entry, element):
    """RFC 8416 §3.3, as it is written."""
    if isinstance(entry, PrefixFilter):
        return (
            isinstance(element, Vrp)
            and (entry.prefix is None or entry.prefix.covers(element.prefix))
            and entry.asn in (None, element.asn)
        )
    if isinstance(entry, RouterKeyFilter):
        return (
            isinstance(element, RouterKey)
            and entry.asn in (None, element.asn)
            and entry.ski in (None, element.ski)
        )
    return isinstance(element, Aspa) and entry.customer == element.customer


def elements(snapshot):
    return [*snapshot, *snapshot.router_keys, *snapshot.aspas]


def snapshot_of(found):
    def kind(wanted):
        return [element for element in found if isinstance(element, wanted)]

    return Snapshot.from_vrps(kind(Vrp), router_keys=kind(RouterKey), aspas=kind(Aspa))


@given(worlds, st.lists(filters, max_size=8), st.lists(assertions, max_size=5))
def test_searches_give_what_the_definition_says(world, some_filters, some_assertions):
    applied = Slurm(("x",), tuple(some_filters), tuple(some_assertions), ()).apply(world, examples=2)
    there = elements(world)
    removed = [e for e in there if any(matches(entry, e) for entry in some_filters)]
    rest = [e for e in there if e not in removed]
    assert applied.snapshot == snapshot_of([*rest, *(entry.element for entry in some_assertions)])
    assert applied.removed == snapshot_of(removed)
    assert len(applied.filters) == len(some_filters)
    for effect in applied.filters:
        hits = [e for e in there if matches(effect.entry, e)]
        assert effect.count == len(hits)
        assert set(effect.examples) <= set(hits)
        assert len(effect.examples) == min(2, len(hits))
    for effect in applied.assertions:
        added = snapshot_of([*rest, effect.entry.element]) != snapshot_of(rest)
        # AS 0 beside other providers says nothing, but nothing here asserts AS 0
        assert effect.count == int(added)


def document(entries):
    listed = [{"prefix": str(prefix)} for prefix in entries]
    return json.dumps(
        {
            "slurmVersion": 1,
            "validationOutputFilters": {"prefixFilters": listed, "bgpsecFilters": []},
            "locallyAddedAssertions": {"prefixAssertions": [], "bgpsecAssertions": []},
        }
    ).encode()


@given(st.lists(st.lists(prefixes(), max_size=6), min_size=2, max_size=3))
def test_files_are_refused_where_an_address_stands_in_two(lists):
    shared = any(
        p.covers(q) or q.covers(p) for n, a in enumerate(lists) for b in lists[n + 1 :] for p in a for q in b
    )
    files = [(str(n), document(entries)) for n, entries in enumerate(lists)]
    try:
        slurm.read_bytes(files)
    except SlurmError:
        assert shared
    else:
        assert not shared


@given(
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5) | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "slurmVersion",
                        "validationOutputFilters",
                        "locallyAddedAssertions",
                        "prefixFilters",
                        "asn",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_stands_in_a_file_it_is_read_or_refused(data):
    with contextlib.suppress(SlurmError):
        slurm.read_bytes([("x", data)])
