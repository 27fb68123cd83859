"""Monitor: the routes of all peers with their states, judged as they come, and again when VRPs change."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from zipfile import BadZipFile

import msgspec
import numpy as np
import numpy.typing as npt

from rov._checks import as_kind
from rov.audit.verdicts import REASON_WORDS
from rov.delta import Delta
from rov.errors import ArgumentError
from rov.formats.compression import write_file
from rov.index import VrpIndex
from rov.live.table import GONE, Routes
from rov.rib import Flag, Peer, RibBatch
from rov.rib.columns import Columns
from rov.routes import RouteBatch
from rov.snapshot import Snapshot
from rov.types import Family, Prefix, State, Vrp

MAX_PEERS = 1 << 24
"""Peers, each with its path ids (RFC 7911): what a key of the table holds."""


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
        self._invalid: dict[tuple[Family, int, int, int], int] = {}
        self.updates = 0

    def __len__(self) -> int:
        return sum(len(table) for table in self._tables.values())

    @property
    def invalid(self) -> int:
        """How many routes (prefix and origin) are invalid at one peer at least."""
        return len(self._invalid)

    def take(self, updates: Iterable[Update]) -> list[Alert]:
        """Updates in their order; what they changed, when all are taken."""
        given = list(updates)
        alerts: list[Alert] = []
        for family in (4, 6):
            own = [update for update in given if update.prefix.family == family]
            if own:
                alerts += self._take(*_columns(family, own, [self._number(one.peer, 0) for one in own]))
        return alerts

    def take_batch(self, batch: RibBatch | tuple[Family, Columns], peers: Sequence[Peer]) -> list[Alert]:
        """A batch of a dump, or columns of the reader of MRT, whose peers are numbered so."""
        if isinstance(batch, RibBatch):
            routes, columns = batch.routes, batch
            gone = batch.has(Flag.WITHDRAWN)
        else:
            family, read = batch
            routes, columns = RouteBatch(family, read.addresses, read.lengths, read.origins), read  # type: ignore[assignment]
            gone = read.has(Flag.WITHDRAWN)
        pairs, place = np.unique(
            columns.peers.astype(np.uint64) << np.uint64(32) | columns.path_ids, return_inverse=True
        )
        numbers = np.array(
            [self._number(peers[pair >> 32], pair & 0xFFFFFFFF) for pair in pairs.tolist()], np.uint64
        )
        return self._take(routes, gone, numbers[place] if len(numbers) else place, columns.times)

    def _number(self, peer: Peer, path_id: int) -> int:
        key = peer, path_id
        number = self._peers.setdefault(key, len(self._names))
        if number == len(self._names):
            if number >= MAX_PEERS:
                raise ArgumentError(f"more than {MAX_PEERS:,} peers and path ids")
            self._names.append(key)
        return number

    def _take(self, routes: RouteBatch, gone: Any, peers: Any, times: Any) -> list[Alert]:
        self.updates += len(routes)
        states = self.index.validate_batch(routes)
        states = np.where(gone, GONE, states).astype(np.uint8)
        table = self._tables[routes.family]
        changed = table.put(routes, states, peers)
        now = int(times.max()) if len(times) else 0
        return self._alerts(routes.family, changed, now, "update")

    def drop(self, address: str, asn: int, time: int) -> list[Alert]:
        """A peer whose session ended (RFC 7854 §4.9): all its routes are gone."""
        numbers = [
            number for number, (peer, _) in enumerate(self._names)
            if peer.asn == asn and (peer.address is None or str(peer.address).partition("/")[0] == address)
        ]  # fmt: skip
        alerts: list[Alert] = []
        for family, table in self._tables.items():
            alerts += self._alerts(family, table.drop(numbers), time, "update")
        return alerts

    def replace(self, index: VrpIndex, time: int) -> list[Alert]:
        """Other VRPs: only routes under a VRP that came or went are judged again (RFC 6811 §2)."""
        as_kind(index, VrpIndex, "index")
        delta = Delta.between(self.index.snapshot, index.snapshot)
        self.index = index
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

    def _alerts(self, family: Family, changed: npt.NDArray[Any], time: int, cause: str) -> list[Alert]:
        """From rows of (row of the table, old state, old origin): who became invalid, or is no more."""
        table = self._tables[family]
        alerts: list[Alert] = []
        for row, old, before in changed.tolist():
            state, origin = int(table.states[row]), int(table.origins[row])
            address, length, number = table.key(row)
            left = old == State.INVALID and (state != State.INVALID or before != origin)
            came = state == State.INVALID and (old != State.INVALID or before != origin)
            if left and self._count(family, address, length, before, -1) == 0:
                now = state if before == origin else GONE
                alerts.append(
                    self._alert("cleared", cause, time, family, address, length, before, number, now)
                )
            if came and self._count(family, address, length, origin, 1) == 1:
                alerts.append(
                    self._alert("invalid", cause, time, family, address, length, origin, number, state)
                )
        return alerts

    def _count(self, family: Family, address: int, length: int, origin: int, step: int) -> int:
        key = family, address, length, origin
        count = self._invalid.get(key, 0) + step
        if count > 0:
            self._invalid[key] = count
        else:
            self._invalid.pop(key, None)
        return count

    def _alert(
        self, event: str, cause: str, time: int, family: Family, address: int, length: int, origin: int,
        number: int, state: int,
    ) -> Alert:  # fmt: skip
        prefix = Prefix(family, address, length)
        peer = self._names[number][0]
        found = self.index.explain(prefix, origin)
        covering = (*found.matched, *found.unmatched_as, *found.unmatched_length)
        where = "" if peer.address is None else str(peer.address).partition("/")[0]
        label = "gone" if state == GONE else State(state).label
        reason = "gone" if state == GONE else REASON_WORDS[found.reason]
        return Alert(event, cause, time, str(prefix), origin, label, reason, where, peer.asn,
                     tuple(f"{vrp.prefix}-{vrp.max_length} AS{vrp.asn}" for vrp in covering))  # fmt: skip

    def save(self, path: str | os.PathLike[str], done: Sequence[str] = ()) -> None:
        """Write all routes, and names of files that were read, so that a restart goes on from there."""
        peers = [
            (None if peer.address is None else str(peer.address), peer.asn, path_id)
            for peer, path_id in self._names
        ]
        about = msgspec.json.encode({"version": 1, "peers": peers, "done": list(done)})
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
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as columns:
                about = msgspec.json.decode(columns["about"].tobytes(), type=_About)
                for text, asn, path_id in about.peers:
                    self._number(Peer(None if text is None else Prefix.parse(text), asn), path_id)
                for family in self._tables:
                    names = ("keys", "origins", "states", "high", "low", "lengths")
                    self._tables[family] = Routes.of(
                        family, {name: columns[f"{name}{family}"] for name in names}
                    )
        except (ValueError, KeyError, IndexError, msgspec.DecodeError, EOFError, BadZipFile) as error:
            raise ArgumentError(f"{os.fspath(path)!r}: expected a state of rov watch: {error}") from error
        alerts: list[Alert] = []
        for family, table in self._tables.items():
            for row in np.flatnonzero(table.states == State.INVALID).tolist():
                address, length, _ = table.key(row)
                self._count(family, address, length, int(table.origins[row]), 1)
            rows = np.flatnonzero(table.states != GONE)
            after = self.index.validate_batch(table.routes(rows))
            alerts += self._alerts(family, table.judge(rows, after), time, "vrps")
        return about.done, alerts


class _About(msgspec.Struct):
    version: int
    peers: list[tuple[str | None, int, int]]
    done: list[str]


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
