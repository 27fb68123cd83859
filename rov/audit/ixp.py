"""What a route server passed on: invalid routes, marked as such or not, and routes to its own peering LAN."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_optional, as_rows, shown
from rov.audit.covering import covering_column
from rov.audit.entries import Entries, entries, finders
from rov.audit.impact import IMPACT_WORDS, impact
from rov.audit.ixp_listed import LARGE_PARTS, Listed, family_at
from rov.audit.nesting import distinct
from rov.audit.nesting import words as words_of
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, number_column, origins, prefixes, taken, words
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

PARTS = 2
"""Numbers of a community (RFC 1997)."""


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
    listed: Listed
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
    listed: list[Listed] = []
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
        listed.append(Listed.of(given, chosen[: max(MAX_LISTED - found, 0)], of_entry, marked))
        found += len(chosen)
    every = Listed.joined(listed)
    return Passed(
        verdicts, sessions.peers(), _joined(carried), _joined(unmarked), blocks, inside, every, found
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
    high, low = words_of(judged.family, judged.routes.addresses)
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
    from pyarrow import compute

    pyarrow = arrow()
    listed, verdicts = as_kind(passed, Passed, "passed").listed, passed.verdicts
    by_asn = as_optional(names, dict, "names") or {}
    first_ipv6 = len(verdicts.ipv4)
    numbers = listed.numbers(first_ipv6)
    # what is told of a route is made once, however many entries it has
    shown = distinct(numbers)
    parts = [
        taken(judged, rows)
        for judged, (_, rows) in zip(verdicts.families(), family_at(first_ipv6, shown), strict=True)
    ]
    inside = np.concatenate([passed.inside[4], passed.inside[6]])[numbers]
    places = np.searchsorted(shown, numbers)
    at, states = number_column(places), np.concatenate([part.states for part in parts])[places]
    expected = (states == State.INVALID) & listed.marked
    states = np.where(expected, len(STATE_WORDS), states).astype(np.uint8)
    text = pyarrow.string()
    lans = number_column(inside, inside < 0)
    peers = number_column(listed.sessions)
    columns = {
        "prefix": prefixes(part.routes for part in parts).take(at),
        "origin": origins(part.routes.origins for part in parts).take(at),
        "status": words([states], [*STATE_WORDS, "invalid_expected"]).cast(text),
        "reason": words((part.reasons for part in parts), REASON_WORDS).cast(text).take(at),
        "peer": pyarrow.array([address_of(session) for session in passed.sessions], text).take(peers),
        "peer_as": number_column(np.array([s.asn for s in passed.sessions], np.uint32)[listed.sessions]),
        "member": pyarrow.array([by_asn.get(s.asn) for s in passed.sessions], text).take(peers),
        "as_path": listed.path_lists(),
        "communities": listed.community_texts(),
        "class": _classes(verdicts, shown).take(at),
        "vrps": _over_invalid(parts, verdicts).take(at),
        "peering_lan": pyarrow.array([str(lan) for lan in passed.lans], text).take(lans),
    }
    table: pa.Table = pyarrow.table(columns)
    keys = {
        "marked": number_column((states != State.INVALID).astype(np.uint8)),
        "peer_as": table["peer_as"],
        "peer": compute.fill_null(table["peer"], ""),
        "prefix": table["prefix"],
    }
    order = compute.sort_indices(pyarrow.table(keys), [(name, "ascending") for name in keys])
    return table.take(order)


def _classes(verdicts: Verdicts, shown: Pairs) -> pa.Array:
    """The Impact of each of some routes, counted through both families; null where it is not invalid."""
    codes = np.full(len(verdicts), len(IMPACT_WORDS), np.uint8)
    before = 0
    for part in impact(verdicts):
        codes[part.rows + before] = part.classes
        before += len(part.judged)
    codes = codes[shown]
    pyarrow = arrow()
    return pyarrow.array(IMPACT_WORDS, pyarrow.string()).take(
        number_column(codes.astype(np.int64), codes == len(IMPACT_WORDS))
    )


def _over_invalid(parts: list[Judged], verdicts: Verdicts) -> pa.Array:
    """The VRPs over each route that is invalid, as texts; an empty list for the others."""
    pyarrow = arrow()
    masks = [part.having(State.INVALID) for part in parts]
    invalid = tuple(taken(part, np.flatnonzero(mask)) for part, mask in zip(parts, masks, strict=True))
    found = covering_column(invalid, verdicts.index.snapshot)
    none = pyarrow.array([[]], found.type)
    mask = np.concatenate(masks)
    rows = np.where(mask, np.cumsum(mask) - 1, len(found))
    return pyarrow.concat_arrays([*found.chunks, none]).take(number_column(rows))
