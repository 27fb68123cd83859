"""What a route server passed on: invalid routes, marked as such or not, and routes to its own peering LAN."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_optional, as_rows, shown
from rov.audit.covering import covering_column
from rov.audit.entries import Entries, distinct, entries, finders
from rov.audit.impact import IMPACT_WORDS, impact
from rov.audit.nesting import words
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, prefix_texts, taken
from rov.audit.verdicts import REASON_WORDS, STATE_WORDS, Judged, Verdicts
from rov.errors import ArgumentError
from rov.rib import Dump, Peer, Ragged
from rov.types import MAX_ASN, Prefix, State

if TYPE_CHECKING:
    import pyarrow as pa

VERIFY = Schema("rov.ixp.verify/1", "verify_table")

MAX_LISTED = 200_000
"""Entries that are listed one by one: a route server that drops invalid routes has some hundreds at most."""

Community: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

AS_TRANS = 23456
"""What stands for a number of 32 bits where there is room for 16 (RFC 6793)."""

PARTS, LARGE_PARTS = 2, 3
"""Numbers of a community (RFC 1997) and of a large one (RFC 8092)."""


class Entry(NamedTuple):
    """An entry that is listed: its family and row in the Verdicts, its session, what came with it."""

    family: int
    row: int
    session: int
    marked: bool
    path: list[int]
    communities: list[str]


class Passed(NamedTuple):
    """What the sessions of a route server carry.

    ``sessions`` are the Peers, ``carried`` by family the distinct session << 32 | row of the Verdicts,
    ``unmarked`` those of invalid routes that came without an expected community at least once. ``lans`` are
    the peering LANs that were looked for, ``inside`` by family the LAN of each route by its number, -1: in
    none. ``listed`` are the entries of invalid routes and of routes in a LAN, MAX_LISTED at most, and
    ``found`` how many of them there were.
    """

    verdicts: Verdicts
    sessions: list[Peer]
    carried: Mapping[int, Pairs]
    unmarked: Mapping[int, Pairs]
    lans: tuple[Prefix, ...]
    inside: Mapping[int, npt.NDArray[np.int32]]
    listed: list[Entry]
    found: int


def as_community(text: str) -> Community:
    """The numbers of a community, 64500:1, or of a large one, 64500:1:2; ArgumentError: it is none.

    >>> as_community("64500:1101:14")
    (64500, 1101, 14)
    """
    fields = as_kind(text, str, "community").split(":")
    most = {PARTS: 0xFFFF, LARGE_PARTS: MAX_ASN}.get(len(fields), -1)
    if all(
        field.isascii() and field.isdigit() and len(field) <= 10 and int(field) <= most for field in fields
    ):
        return tuple(map(int, fields))
    raise ArgumentError(f"community {shown(text)}: expected two numbers, 64500:1, or three, 64500:1:2")


def passed_on(
    verdicts: Verdicts,
    dumps: Iterable[Dump],
    *,
    expected: Collection[Community] = (),
    lans: Collection[Prefix] = (),
    members: dict[str, int] | None = None,
) -> Passed:
    """What each session carries, from the dumps of the verdicts, opened once more with their paths.

    expected: communities with which an exchange marks invalid routes that it passes on knowingly. lans:
    prefixes of the peering LAN, which nobody should announce, nor parts of them. members: the AS of each
    address on it; for other addresses that of the dump, or, if that is AS_TRANS, the first of the paths.
    ArgumentError: a dump has no paths.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> passed_on(judge(table, VrpIndex(Snapshot.empty())), []).found
    0
    """
    as_kind(verdicts, Verdicts, "verdicts")
    blocks = as_rows(lans, Prefix, "lans")
    wanted = tuple(as_community(":".join(map(str, row))) for row in as_rows(expected, tuple, "expected"))
    inside: dict[int, npt.NDArray[np.int32]] = {}
    invalid: dict[int, Bools] = {}
    for judged in verdicts.families():
        inside[judged.family] = _inside(judged, blocks)
        invalid[judged.family] = judged.having(State.INVALID)
    sessions = _Sessions(as_optional(members, dict, "members") or {})
    carried: dict[int, list[Pairs]] = {4: [], 6: []}
    unmarked: dict[int, list[Pairs]] = {4: [], 6: []}
    listed: list[Entry] = []
    found = 0
    for dump, given in entries(dumps, finders(verdicts.table)):
        family = given.batch.routes.family
        of_entry = sessions.of(dump.peers, given)
        pairs = of_entry << 32 | given.rows
        marked = _marked(given, wanted)[given.paths_at]
        bad = invalid[family][given.rows]
        carried[family].append(distinct(pairs))
        unmarked[family].append(distinct(pairs[bad & ~marked]))
        chosen = np.flatnonzero(bad | (inside[family][given.rows] >= 0))
        found += len(chosen)
        listed += _listed(given, chosen[: MAX_LISTED - len(listed)], of_entry, marked)
    return Passed(
        verdicts, sessions.peers(), _joined(carried), _joined(unmarked), blocks, inside, listed, found
    )


class _Sessions:
    """The sessions of several dumps by number, each with the AS of its member."""

    def __init__(self, members: Mapping[str, int]) -> None:
        self._members = members
        self._numbers: dict[Peer, int] = {}
        self._asns: list[int] = []

    def of(self, peers: tuple[Peer, ...], given: Entries) -> Pairs:
        """The session of each entry."""
        numbers = np.array([self._number(peer) for peer in peers], np.int64)
        found: Pairs = numbers[given.batch.peers[given.at]]
        for number in [number for number, asn in enumerate(self._asns) if asn == AS_TRANS]:
            # a dump with 16-bit numbers of peers: the path has the whole one, by AS4_PATH
            places = given.paths_at[found == number]
            paths = given.attributes.paths
            firsts = paths.offsets[places][paths.offsets[places] < paths.offsets[places + 1]]
            if len(firsts):
                self._asns[number] = int(paths.asns[firsts[0]])
        return found

    def _number(self, peer: Peer) -> int:
        number = self._numbers.setdefault(peer, len(self._asns))
        if number == len(self._asns):
            self._asns.append(self._members.get(address_of(peer) or "", peer.asn))
        return number

    def peers(self) -> list[Peer]:
        """The sessions by number, with the AS of their member."""
        return [Peer(peer.address, asn) for peer, asn in zip(self._numbers, self._asns, strict=True)]


def address_of(peer: Peer) -> str | None:
    """The address of a peer as text, None where the dump does not name it.

    >>> address_of(Peer(Prefix.parse("192.0.2.1/32"), 64496))
    '192.0.2.1'
    """
    return str(peer.address).partition("/")[0] if peer.address else None


def _joined(parts: Mapping[int, list[Pairs]]) -> dict[int, Pairs]:
    return {
        family: distinct(np.concatenate([np.empty(0, np.int64), *pairs])) for family, pairs in parts.items()
    }


def _inside(judged: Judged, lans: tuple[Prefix, ...]) -> npt.NDArray[np.int32]:
    """The LAN that each route lies in, by its number; -1: in none."""
    found = np.full(len(judged), -1, np.int32)
    high, low = words(judged.family, judged.routes.addresses)
    for number, lan in enumerate(lans):
        if lan.family == judged.family:
            value = lan.address << (128 - (32 if lan.family == 4 else 128))
            first, second = value >> 64, value & (1 << 64) - 1
            upper = ~np.uint64((1 << max(64 - lan.length, 0)) - 1)
            lower = ~np.uint64((1 << min(128 - lan.length, 64)) - 1)
            same = ((high ^ np.uint64(first)) & upper == 0) & ((low ^ np.uint64(second)) & lower == 0)
            found[same & (judged.routes.lengths >= lan.length)] = number
    return found


def _marked(given: Entries, expected: tuple[Community, ...]) -> Bools:
    """Which attributes of a batch have one of the communities."""
    communities, large = given.attributes.communities, given.attributes.large_communities
    has = np.zeros(len(communities.offsets) - 1, np.bool_)
    plain = [community[0] << 16 | community[1] for community in expected if len(community) == PARTS]
    has |= _any(communities, np.isin(communities.values, np.array(plain, np.uint32)))
    for community in expected:
        if len(community) == LARGE_PARTS:
            has |= _any(large, (large.values == np.array(community, np.uint32)).all(axis=1))
    return has


def _any(column: Ragged, hits: Bools) -> Bools:
    """Which rows have a hit among their values."""
    sums = np.concatenate([[0], np.cumsum(hits)])
    found: Bools = sums[column.offsets[1:]] > sums[column.offsets[:-1]]
    return found


def _listed(given: Entries, at: Pairs, sessions: Pairs, marked: Bools) -> list[Entry]:
    """Some entries of a batch, with their paths, and their communities as texts."""
    family, attributes = given.batch.routes.family, given.attributes
    places = given.paths_at[at]
    paths = attributes.paths
    ends = zip(paths.offsets[places].tolist(), paths.offsets[places + 1].tolist(), strict=True)
    plain = _rows_of(attributes.communities, places)
    large = _rows_of(attributes.large_communities, places)
    columns = zip(
        given.rows[at].tolist(), sessions[at].tolist(), marked[at].tolist(), ends, plain, large, strict=True
    )
    return [
        Entry(
            family,
            row,
            session,
            mark,
            paths.asns[first:end].tolist(),
            [f"{value >> 16}:{value & 0xFFFF}" for value in few]
            + [":".join(map(str, more)) for more in wide],
        )
        for row, session, mark, (first, end), few, wide in columns
    ]


def _rows_of(column: Ragged, places: npt.NDArray[np.uint32]) -> list[list[Any]]:
    """The values of some rows, most of which have none."""
    ends = zip(column.offsets[places].tolist(), column.offsets[places + 1].tolist(), strict=True)
    return [column.values[first:end].tolist() if first < end else [] for first, end in ends]


class Invalid(NamedTuple):
    """An invalid route in words: prefix, origin (0: none), why, its Impact, the VRPs over it."""

    prefix: str
    origin: int
    reason: str
    impact: str
    vrps: list[str]


def invalid_routes(verdicts: Verdicts) -> dict[tuple[int, int], Invalid]:
    """The invalid routes by (family, row of the Verdicts).

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> invalid_routes(judge(table, VrpIndex(Snapshot.empty())))
    {}
    """
    found: dict[tuple[int, int], Invalid] = {}
    for part in impact(verdicts):
        invalid = taken(part.judged, part.rows)
        columns: Any = (
            part.rows.tolist(),
            prefix_texts(invalid.routes),
            invalid.routes.origins.tolist(),
            invalid.reasons.tolist(),
            part.classes.tolist(),
            covering_column((invalid,), verdicts.index.snapshot).to_pylist(),
        )
        for row, prefix, origin, reason, kind, vrps in zip(*columns, strict=True):
            found[part.judged.family, row] = Invalid(
                prefix, origin, REASON_WORDS[reason], IMPACT_WORDS[kind], vrps
            )
    return found


def verify_table(passed: Passed, names: dict[int, str] | None = None) -> pa.Table:
    """One row a listed entry: prefix, origin (null: none), status (valid, invalid, invalid_expected,
    not_found), reason, peer (its address), peer_as, member (its name, by ``names``), as_path (list of uint32,
    without members of AS_SETs), communities (list), class (impact; null: not invalid), vrps (list),
    peering_lan (null: not in one).

    Unmarked invalid ones first, then by peer.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> verdicts = judge(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)), VrpIndex(Snapshot.empty()))
    >>> verify_table(passed_on(verdicts, [])).num_rows
    0
    """
    known = invalid_routes(as_kind(passed, Passed, "passed").verdicts)
    by_asn = as_optional(names, dict, "names") or {}
    routes, addresses = _routes(passed), [address_of(session) for session in passed.sessions]
    lans = {row: str(lan) for row, lan in enumerate(passed.lans)}
    rows = []
    for entry in passed.listed:
        invalid, asn = known.get((entry.family, entry.row)), passed.sessions[entry.session].asn
        prefix, origin, status, reason, lan = routes[entry.family, entry.row]
        rows.append(
            {
                "prefix": prefix,
                "origin": origin or None,
                "status": "invalid_expected" if invalid and entry.marked else status,
                "reason": reason,
                "peer": addresses[entry.session],
                "peer_as": asn,
                "member": by_asn.get(asn),
                "as_path": entry.path,
                "communities": entry.communities,
                "class": invalid.impact if invalid else None,
                "vrps": invalid.vrps if invalid else [],
                "peering_lan": lans.get(lan),
            }
        )
    rows.sort(key=lambda row: (row["status"] != "invalid", row["peer_as"], row["peer"] or "", row["prefix"]))
    pyarrow = arrow()
    text, number = pyarrow.string(), pyarrow.uint32()
    types = {
        "prefix": text,
        "origin": number,
        "status": text,
        "reason": text,
        "peer": text,
        "peer_as": number,
        "member": text,
        "as_path": pyarrow.list_(number),
        "communities": pyarrow.list_(text),
        "class": text,
        "vrps": pyarrow.list_(text),
        "peering_lan": text,
    }
    table: pa.Table = pyarrow.Table.from_pylist(rows, pyarrow.schema(types))
    return table


def _routes(passed: Passed) -> dict[tuple[int, int], tuple[str, int, str, str, int]]:
    """Prefix, origin, state, reason and LAN of all listed entries by family and row."""
    found: dict[tuple[int, int], tuple[str, int, str, str, int]] = {}
    for judged in passed.verdicts.families():
        rows = np.array(sorted({e.row for e in passed.listed if e.family == judged.family}), np.int64)
        part = taken(judged, rows)
        columns = zip(
            rows.tolist(),
            prefix_texts(part.routes),
            part.routes.origins.tolist(),
            part.states.tolist(),
            part.reasons.tolist(),
            passed.inside[judged.family][rows].tolist(),
            strict=True,
        )
        for row, prefix, origin, state, reason, lan in columns:
            found[judged.family, row] = prefix, origin, STATE_WORDS[state], REASON_WORDS[reason], lan
    return found
