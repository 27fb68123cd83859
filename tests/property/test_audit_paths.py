"""What audits tell of paths, against naive definitions, over random dumps in MRT."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import rov
from rov import rib
from rov.audit import Verdicts, impact_table, judge
from rov.audit.bogon_paths import bogon_paths
from rov.audit.invalid_paths import invalid_paths
from rov.audit.leaks import as_leaks_table
from rov.reference.special import ASNS
from tests import mrt_writer as mrt

PEERS = [("192.0.2.1", 10), ("192.0.2.2", 11), ("2001:db8::3", 10)]
PREFIXES = [f"10.0.{third}.0/{length}" for third in (0, 2) for length in (23, 24)] + ["2a00::/32"]
ASNS_OF_PATHS = [1, 2, 3, 10, 11, 23456, 64512, 458752, 131072]

Entry = tuple[str, int, tuple[int, ...]]
"""Prefix, number of the peer, path."""

paths = st.lists(st.sampled_from(ASNS_OF_PATHS), max_size=5).map(tuple)
dumps = st.lists(st.tuples(st.sampled_from(PREFIXES), st.integers(0, 2), paths), max_size=12)
vrps = st.lists(st.tuples(st.sampled_from(PREFIXES), st.sampled_from([1, 2, 64512])), max_size=4)


def octets(entries: list[Entry]) -> bytes:
    """The entries as TABLE_DUMP_V2, a record each."""
    records = [
        mrt.rib(2 if "." in prefix else 4, prefix, mrt.entry(peer, mrt.path(*path)))
        for prefix, peer, path in entries
    ]
    return mrt.peer_table(*PEERS) + b"".join(records)


def _read(directory: str, entries: list[Entry], made: list[tuple[str, int]]) -> tuple[Verdicts, str]:
    return _read_octets(directory, octets(entries), made)


def _read_octets(directory: str, dump: bytes, made: list[tuple[str, int]]) -> tuple[Verdicts, str]:
    name = str(Path(directory) / "rib.mrt")
    Path(name).write_bytes(dump)
    known = [rov.Vrp(rov.Prefix.parse(text), rov.Prefix.parse(text).length, asn) for text, asn in made]
    return judge(rib.read_table(name), rov.VrpIndex(rov.Snapshot.from_vrps(known))), name


def _opened(name: str) -> Iterator[rib.Dump]:
    with rib.open(name, paths=True) as dump:
        yield dump


def _routes(verdicts: Verdicts) -> dict[tuple[int, int], tuple[str, int]]:
    """Prefix and origin of each row of each family."""
    found = {}
    for judged in verdicts.families():
        for row in range(len(judged)):
            routes = judged.routes
            address = routes.addresses[row]
            number = int(address) if judged.family == 4 else int(address[0]) << 64 | int(address[1])
            prefix = rov.Prefix(judged.family, number, int(routes.lengths[row]))
            found[judged.family, row] = str(prefix), int(routes.origins[row])
    return found


def _origin(path: tuple[int, ...]) -> int:
    return path[-1] if path else 0


@given(dumps, vrps, st.sampled_from([None, 10, 11]))
def test_paths_of_invalid_routes_are_those_of_their_entries(
    entries: list[Entry], made: list[tuple[str, int]], neighbor: int | None
) -> None:
    expected: dict[tuple[str, int], set[tuple[int, ...]]] = defaultdict(set)
    with tempfile.TemporaryDirectory() as directory:
        verdicts, name = _read(directory, entries, made)
        found = invalid_paths(_opened(name), verdicts, neighbor)
    for prefix, peer, path in entries:
        if neighbor in (None, PEERS[peer][1]):
            state = verdicts.index.validate(prefix, _origin(path))
            if state == rov.State.INVALID:
                short = tuple(asn for at, asn in enumerate(path) if at == 0 or path[at - 1] != asn)
                expected[prefix, _origin(path)].add(short)
    of = _routes(verdicts)
    assert {of[key]: own for key, own in found.items()} == expected
    passed: Counter[int] = Counter()
    for own in expected.values():
        passed.update({asn for path in own for asn in path[:-1]} - {path[-1] for path in own if path})
    table = as_leaks_table(verdicts, found).to_pylist()
    assert {row["asn"]: row["propagated"] for row in table} == passed


@given(dumps)
def test_bogons_in_paths_are_those_of_the_entries(entries: list[Entry]) -> None:
    expected: Counter[tuple[str, int, int]] = Counter()
    for prefix, _, path in entries:
        for asn in {*path} - {_origin(path)}:
            if any(first <= asn <= last for first, last, _ in ASNS):
                expected[prefix, _origin(path), asn] += 1
    with tempfile.TemporaryDirectory() as directory:
        verdicts, name = _read(directory, entries, [])
        found = bogon_paths(_opened(name), verdicts.table)
    of = _routes(verdicts)
    rows = {(*of[family, b.row], b.asn): b.entries for family, own in found.items() for b in own}
    assert rows == expected
    for own in found.values():
        assert [bogon.row for bogon in own] == sorted(bogon.row for bogon in own)


Segments = list[tuple[int, list[int]]]
"""Kind of each segment and its members."""

NESTED = ["10.0.0.0/23", "10.0.0.0/24", "2a00::/31", "2a00::/32"]
"""A prefix of each family and one under it."""

segments = st.lists(
    st.tuples(
        st.sampled_from([mrt.SEQUENCE] * 3 + [mrt.SET]),
        st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4),
    ),
    max_size=3,
)


def _hops(path: Segments, cover: int) -> int | None:
    """From the origin on, one AS after the other, prepended ones once; a last AS_SET is the origin."""
    hops, last = 0, _ends(path)
    for asn in reversed([asn for kind, members in path if kind == mrt.SEQUENCE for asn in members]):
        hops += asn != last
        last = asn
        if asn == cover:
            return hops
    return None


def _ends(path: Segments) -> int:
    return path[-1][1][-1] if path and path[-1][0] == mrt.SEQUENCE else 0


@given(
    st.lists(st.tuples(st.sampled_from(NESTED), st.integers(0, 2), segments), min_size=6, max_size=20),
    st.sampled_from([None, 10]),
)
def test_hops_to_what_takes_over_are_those_of_the_paths(
    entries: list[tuple[str, int, Segments]], neighbor: int | None
) -> None:
    """The more specific prefixes are AS 4's: those of others are invalid, and the shorter one takes over."""
    records = [
        mrt.rib(
            2 if "." in prefix else 4,
            prefix,
            mrt.entry(peer, mrt.attributes(b"".join(mrt.segment(kind, *own) for kind, own in path))),
        )
        for prefix, peer, path in entries
    ]
    with tempfile.TemporaryDirectory() as directory:
        own = [(prefix, 4) for prefix in NESTED[1::2]]
        verdicts, name = _read_octets(directory, mrt.peer_table(*PEERS) + b"".join(records), own)
        table = impact_table(verdicts, paths=invalid_paths(_opened(name), verdicts, neighbor))
    assert impact_table(verdicts)["cover_hops"].null_count == table.num_rows
    for row in table.to_pylist():
        found = [
            _hops(path, row["cover_origin"])
            for prefix, peer, path in entries
            if (prefix, _ends(path)) == (row["prefix"], row["origin"] or 0)
            and neighbor in (None, PEERS[peer][1])
        ]
        known = [hops for hops in found if hops is not None]
        diverted = row["class"].startswith("diverted") and row["cover_origin"]
        assert row["cover_hops"] == (min(known, default=None) if diverted else None), row


def test_the_writer_is_read_back() -> None:
    with tempfile.TemporaryDirectory() as directory:
        verdicts, _ = _read(directory, [("2a00::/32", 2, (10, 1))], [])
    assert _routes(verdicts) == {(6, 0): ("2a00::/32", 1)}
