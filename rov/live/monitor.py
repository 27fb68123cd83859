"""Monitor: the routes of all peers with their states, judged as they come, and again when VRPs change."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, NamedTuple
from zipfile import BadZipFile

import msgspec
import numpy as np
import numpy.typing as npt

from rov._checks import as_kind
from rov._prefix import format_prefix
from rov.audit.verdicts import REASON_WORDS, STATE_WORDS
from rov.delta import Delta
from rov.errors import ArgumentError
from rov.formats.compression import write_file
from rov.index import VrpIndex, reason_of
from rov.live.table import GONE, PEER_BITS, Changes, Routes
from rov.rib import Dump, Flag, Peer, RibBatch
from rov.rib.columns import Columns
from rov.routes import RouteBatch
from rov.snapshot import Snapshot
from rov.types import IPV4_BITS, IPV6_BITS, Family, Prefix, State, Vrp

MAX_PEERS = 1 << 24
"""Peers, each with its path ids (RFC 7911): what a key of the table holds."""

STATE_VERSION = 1
"""Of the file that ``save`` writes."""

AT_ONCE = 1 << 17
"""Updates of a file that are taken at once."""

MAX_KNOWN = 1 << 18
"""Routes whose words are kept for the next alert: the invalid ones of five full tables."""


class Update(NamedTuple):
    """One announcement, or a withdrawal (origin None); origin 0: none (AS_SET, empty path)."""

    prefix: Prefix
    origin: int | None
    peer: Peer
    time: int


class Alert(NamedTuple):
    """A route that became invalid at the first of its peers, or is invalid at none any more.

    event: invalid or cleared; cause: update or vrps; state and reason: what it is now (cleared by a
    withdrawal: gone). peer: the first, or last; vrps: those that cover the prefix.
    """

    event: str
    cause: str
    time: int
    prefix: str
    origin: int
    state: str
    reason: str
    peer: str
    peer_as: int
    vrps: tuple[str, ...]


class _Told(NamedTuple):
    """What alerts of a route say of it."""

    prefix: str
    state: str
    reason: str
    vrps: tuple[str, ...]


class Monitor:
    """All routes that peers have now, and whether they are invalid.

    >>> from rov.types import Vrp
    >>> monitor = Monitor(VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("1.0.0.0/8"), 8, 64496)])))
    >>> [alert.event for alert in monitor.take([Update(Prefix.parse("1.0.0.0/9"), 64496, Peer(None, 1), 7)])]
    ['invalid']
    """

    def __init__(self, index: VrpIndex) -> None:
        self.index = as_kind(index, VrpIndex, "index")
        self._tables: dict[Family, Routes] = {4: Routes(4), 6: Routes(6)}
        self._peers: dict[tuple[Peer, int], int] = {}
        self._names: list[tuple[Peer, int]] = []
        self._invalid: dict[tuple[Family, int, int], int] = {}
        self._known: dict[tuple[Family, int, int, int], _Told] = {}
        self._sessions: set[int] = set()
        self._free: list[int] = []
        self.updates = 0
        self.stale: list[int] = []
        """Peers of sessions before a restart: the same ones are counted anew as they come back."""

    def __len__(self) -> int:
        return sum(len(table) for table in self._tables.values())

    @property
    def invalid(self) -> int:
        """How many routes (prefix and origin) are invalid at one peer at least."""
        return len(self._invalid)

    def take(self, updates: Iterable[Update]) -> list[Alert]:
        """Updates in their order, and what each changed, IPv4 first."""
        given = list(updates)
        alerts: list[Alert] = []
        for family in (4, 6):
            own = [update for update in given if update.prefix.family == family]
            if own:
                alerts += self._take(*_columns(family, own, [self._number(one.peer, 0) for one in own]))
        return alerts

    def take_batch(
        self, batch: RibBatch | tuple[Family, Columns], peers: Sequence[Peer], *, session: bool = False
    ) -> list[Alert]:
        """A batch of a dump, or columns of the reader of MRT, whose peers are numbered so.

        session: they were heard in one that a restart ends.
        """
        routes, gone, numbers, times = self._of_batches([batch], peers)
        if session:
            self._sessions.update(np.unique(numbers).tolist())
        return self._take(routes, gone, numbers, times)

    def take_dump(self, dump: Dump) -> Iterator[list[Alert]]:
        """All of a dump, as it is read, and what many updates at once changed.

        What a batch costs grows with all routes that are known: of a file so many are taken that this is
        little. The order within a family is that of the dump.
        """
        waiting: dict[Family, list[RibBatch]] = {4: [], 6: []}
        for batch in dump:
            own = waiting[batch.routes.family]
            own.append(batch)
            if sum(map(len, own)) >= AT_ONCE:
                yield self._take(*self._of_batches(own, dump.peers))
                own.clear()
        for own in waiting.values():
            if own:
                yield self._take(*self._of_batches(own, dump.peers))

    def _of_batches(
        self, batches: Sequence[RibBatch | tuple[Family, Columns]], peers: Sequence[Peer]
    ) -> tuple[RouteBatch, Any, Any, Any]:
        """Routes, which of them are gone, the numbers of their peers, times: of batches of one family."""
        family: Family = 4
        parts = []
        for batch in batches:
            family, read = (batch.routes.family, batch) if isinstance(batch, RibBatch) else batch
            routes = read.routes if isinstance(read, RibBatch) else read
            parts.append((
                routes.addresses, routes.lengths, routes.origins, read.has(Flag.WITHDRAWN), read.times,
                read.peers.astype(np.uint64) << np.uint64(32) | read.path_ids,
            ))  # fmt: skip
        addresses, lengths, origins, gone, times, keys = (
            column[0] if len(column) == 1 else np.concatenate(column) for column in zip(*parts, strict=True)
        )
        pairs, place = np.unique(keys, return_inverse=True)
        numbers = np.array(
            [self._number(peers[pair >> 32], pair & 0xFFFFFFFF) for pair in pairs.tolist()], np.uint64
        )
        routes = RouteBatch(family, addresses, lengths, origins)
        return routes, gone, numbers[place] if len(numbers) else place, times

    def _number(self, peer: Peer, path_id: int) -> int:
        key = peer, path_id
        number = self._peers.setdefault(key, self._free[-1] if self._free else len(self._names))
        if self._free and number == self._free[-1]:
            self._names[self._free.pop()] = key
        elif number == len(self._names):
            if number >= MAX_PEERS:
                raise ArgumentError(f"more than {MAX_PEERS:,} peers and path ids")
            self._names.append(key)
        return number

    def _take(self, routes: RouteBatch, gone: Any, peers: Any, times: Any) -> list[Alert]:
        self.updates += len(routes)
        states = self.index.validate_batch(routes)
        states = np.where(gone, GONE, states).astype(np.uint8)
        changed = self._tables[routes.family].put(routes, states, peers)
        return self._alerts(routes.family, changed, np.asarray(times)[changed.order], "update")

    def drop(self, address: str, asn: int, time: int) -> list[Alert]:
        """A peer whose session ended (RFC 7854 §4.9): all its routes are gone."""
        numbers = [
            number for number, (peer, _) in enumerate(self._names)
            if peer.asn == asn and (peer.address is None or str(peer.address).partition("/")[0] == address)
        ]  # fmt: skip
        return self._gone(numbers, time)

    def _gone(self, numbers: list[int], time: int) -> list[Alert]:
        alerts: list[Alert] = []
        for family, table in self._tables.items():
            alerts += self._alerts(family, table.drop(numbers), time, "update")
        return alerts

    def drop_stale(self, time: int) -> list[Alert]:
        """What sessions before a restart had, and nobody has sent since, is gone."""
        alerts = self._gone(self.stale, time)
        for table in self._tables.values():
            table.forget(self.stale)
        self._sessions.difference_update(self.stale)
        self._free += self.stale
        self.stale = []
        return alerts

    def replace(self, index: VrpIndex, time: int) -> list[Alert]:
        """Other VRPs: only routes under a VRP that came or went are judged again (RFC 6811 §2)."""
        as_kind(index, VrpIndex, "index")
        delta = Delta.between(self.index.snapshot, index.snapshot)
        self.index = index
        self._known.clear()
        alerts: list[Alert] = []
        if delta is None:
            return alerts
        over = VrpIndex(_prefixes(delta))
        for family, table in self._tables.items():
            rows = np.flatnonzero(over.validate_batch(table.routes()) != State.NOT_FOUND)
            rows = rows[table.states[rows] != GONE]
            after = index.validate_batch(table.routes(rows))
            alerts += self._alerts(family, table.judge(rows, after), time, "vrps")
        return alerts

    def _alerts(self, family: Family, changed: Changes, times: Any, cause: str) -> list[Alert]:
        """Who became invalid, or is no more, from what changed and when."""
        table = self._tables[family]
        alerts: list[Alert] = []
        moments = np.broadcast_to(times, len(changed.keys)).tolist()
        for key, old, before, state, origin, time in zip(
            *(column.tolist() for column in changed[:-1]), moments, strict=True
        ):
            number, peer = key >> PEER_BITS, key & (1 << PEER_BITS) - 1
            left = old == State.INVALID and (state != State.INVALID or before != origin)
            came = state == State.INVALID and (old != State.INVALID or before != origin)
            if left and self._count((family, number, before), -1) == 0:
                now = state if before == origin else GONE
                told = self._told(table, number, before, now)
                alerts.append(self._alert("cleared", cause, time, told, before, peer))
            if came and self._count((family, number, origin), 1) == 1:
                told = self._told(table, number, origin, state)
                alerts.append(self._alert("invalid", cause, time, told, origin, peer))
        return alerts

    def _count(self, route: tuple[Family, int, int], step: int) -> int:
        count = self._invalid.get(route, 0) + step
        if count > 0:
            self._invalid[route] = count
        else:
            self._invalid.pop(route, None)
        return count

    def _told(self, table: Routes, number: int, origin: int, state: int) -> _Told:
        """What an alert says of a route; kept, as routes that flap come often."""
        key = table.family, number, origin, state
        told = self._known.get(key)
        if told is None:
            told = self._new_told(table, number, origin, state)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = told
        return told

    def _new_told(self, table: Routes, number: int, origin: int, state: int) -> _Told:
        family, (address, length) = table.family, table.prefix_of(number)
        text, bits = format_prefix(family, address, length), IPV4_BITS if family == 4 else IPV6_BITS
        _, _, found = self.index.covering_keys(text)
        vrps = tuple(
            f"{format_prefix(family, address >> (bits - size) << (bits - size), size)}-{most} AS{asn}"
            for size, most, asn in found
        )
        if state == GONE:
            return _Told(text, "gone", "gone", vrps)
        reason = reason_of(State(state), (asn for _, _, asn in found), origin)
        return _Told(text, STATE_WORDS[state], REASON_WORDS[reason], vrps)

    def _alert(self, event: str, cause: str, time: int, told: _Told, origin: int, number: int) -> Alert:
        peer = self._names[number][0]
        where = "" if peer.address is None else str(peer.address).partition("/")[0]
        return Alert(
            event, cause, time, told.prefix, origin, told.state, told.reason, where, peer.asn, told.vrps
        )

    def save(self, path: str | os.PathLike[str], done: Sequence[str] = ()) -> None:
        """Write all routes, and names of files that were read, so that a restart goes on from there."""
        peers = [
            (None if peer.address is None else str(peer.address), peer.asn, path_id)
            for peer, path_id in self._names
        ]
        about = msgspec.json.encode(
            _About(STATE_VERSION, peers, list(done), sorted(self._sessions), self.stale)
        )
        columns = {"about": np.frombuffer(about, np.uint8)}
        for family, table in self._tables.items():
            columns |= {f"{name}{family}": column for name, column in table.columns().items()}
        octets = io.BytesIO()
        np.savez(octets, allow_pickle=False, **columns)
        write_file(path, [octets.getvalue()])

    def load(self, path: str | os.PathLike[str], time: int) -> tuple[list[str], list[Alert]]:
        """What ``save`` wrote; names of files that were read, and alerts of what VRPs changed meanwhile.

        ArgumentError: it is no such file.
        """
        try:
            with open(path, "rb") as file, np.load(_archive(file), allow_pickle=False) as columns:
                about = msgspec.json.decode(columns["about"].tobytes(), type=_About)
                if about.version != STATE_VERSION:
                    raise ArgumentError(f"version {about.version}, expected {STATE_VERSION}")
                self._name(about)
                for family in self._tables:
                    names = ("keys", "origins", "states", "high", "low", "lengths")
                    self._tables[family] = Routes.of(
                        family, {name: columns[f"{name}{family}"] for name in names}
                    )
                    peers = self._tables[family].keys & np.uint64((1 << PEER_BITS) - 1)
                    if (peers >= len(self._names)).any():
                        raise ArgumentError("routes of peers that are not named")
        except (
            ValueError,
            KeyError,
            IndexError,
            msgspec.DecodeError,
            RecursionError,
            EOFError,
            BadZipFile,
            MemoryError,
        ) as error:
            raise ArgumentError(f"{os.fspath(path)!r}: expected a state of rov watch: {error}") from error
        alerts: list[Alert] = []
        for family, table in self._tables.items():
            for row in np.flatnonzero(table.states == State.INVALID).tolist():
                number = int(table.keys[row]) >> PEER_BITS
                self._count((family, number, int(table.origins[row])), 1)
            rows = np.flatnonzero(table.states != GONE)
            after = self.index.validate_batch(table.routes(rows))
            alerts += self._alerts(family, table.judge(rows, after), time, "vrps")
        if about.stale:
            # they did not come back before the last end either
            self.stale = about.stale
            alerts += self.drop_stale(time)
        self.stale = sorted(self._sessions)
        return about.done, alerts

    def _name(self, about: _About) -> None:
        """The peers of a state; those of sessions under no number that a new one could take."""
        sessions = {*about.sessions}
        for number, (text, asn, path_id) in enumerate(about.peers):
            key = Peer(None if text is None else Prefix.parse(text), asn), path_id
            self._names.append(key)
            if number not in sessions:
                self._peers.setdefault(key, number)
        known = sessions.issuperset(about.stale) and sessions.issubset(range(len(self._names)))
        if len(self._names) > MAX_PEERS or not known:
            raise ArgumentError("too many peers, or sessions of peers that are not named")
        self._sessions = sessions


def _archive(file: IO[bytes]) -> IO[bytes]:
    """The file, if it begins as an archive does: of another, numpy says that pickle may load it."""
    if file.read(2) != b"PK":
        raise ArgumentError("it is another file")
    file.seek(0)
    return file


class _About(msgspec.Struct):
    version: int
    peers: list[tuple[str | None, int, int]]
    done: list[str]
    sessions: list[int] = []
    stale: list[int] = []


def _prefixes(delta: Delta) -> Snapshot:
    """The prefixes of the VRPs that came or went, as an index can find what lies under them."""
    changed = [*delta.announced.vrps(), *delta.withdrawn.vrps()]
    return Snapshot.from_vrps([Vrp(vrp.prefix, vrp.prefix.length, 0) for vrp in changed])


def _columns(
    family: int, updates: list[Update], peers: list[int]
) -> tuple[RouteBatch, npt.NDArray[np.bool_], npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    origins = [update.origin or 0 for update in updates]
    lengths = [update.prefix.length for update in updates]
    numbers = [update.prefix.address for update in updates]
    if family == 4:
        routes = RouteBatch.ipv4(np.array(numbers, np.uint32), lengths, origins)
    else:
        words = np.array([(n >> 64, n & (1 << 64) - 1) for n in numbers], np.uint64)
        routes = RouteBatch.ipv6(words, lengths, origins)
    gone = np.array([update.origin is None for update in updates], np.bool_)
    return routes, gone, np.array(peers, np.uint64), np.array([one.time for one in updates], np.uint32)
