"""History: the current snapshot under its serial, and the steps that led to it. A Source for all sessions.

A serial is looked up exactly, never compared (RFC 1982 leaves half of all pairs without order): one of
the retained serials has a diff, any other gets a Cache Reset. To join k steps takes log k compositions,
since steps are composed ahead in aligned blocks of 2, 4, 8 ... as they come in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from random import Random

import msgspec

from rov import ArgumentError, Delta, Snapshot
from rtr_server.cache import wire
from rtr_server.protocol.pdu import VERSIONS
from rtr_server.protocol.serial import SERIALS, add
from rtr_server.protocol.source import Response, SourceState, Timing

MAX_SESSION_ID = 0xFFFF

MAX_CACHED_DIFFS = 64
"""Encoded diffs kept: routers of one version mostly ask from the same one or two serials."""

MAX_CACHED_OCTETS = 64 << 20
"""Of all of them: one may be as large as what is kept of history, and each serial may be asked for."""

VRP_OCTETS = 32
"""What a VRP in a retained delta is counted as: its columns, and a PDU of IPv6."""


class Keep(msgspec.Struct, frozen=True):
    """How much history is kept: whatever limit is reached first.

    >>> Keep(deltas=10).seconds
    86400.0
    """

    seconds: float = 86_400.0
    """A router that was away for a night comes back with a diff; its own expiry is two days at most."""

    deltas: int = 1_024
    """A change each minute and a half, for a day."""

    octets: int = 64 << 20
    """Beyond four full sets of changes, everything anew is cheaper for both ends."""


class _Step(msgspec.Struct, frozen=True):
    """One serial to the next: the serial before, when it was made, its size in octets."""

    before: int
    made_at: float
    octets: int


class _View:
    """What one serial stands for, and what has been encoded of it; replaced as a whole."""

    def __init__(self, snapshot: Snapshot, serial: int) -> None:
        self.snapshot = snapshot
        self.serial = serial
        self.full: dict[int, Response] = {}
        self.diffs: dict[tuple[int, int], Response] = {}


class History:
    """The data of the cache under serials; implements ``protocol.source.Source``.

    ``session_ids``: one for each version, distinct (8210bis §5.1); ``serial``: where to begin, a random
    number or the one that was saved; ``snapshot``: what was saved under that serial, if anything.
    ArgumentError: ids or serial out of range, or ids that are not distinct.

    >>> history = History({0: 11, 1: 12, 2: 13}, serial=5)
    >>> history.ready()
    False
    """

    def __init__(
        self,
        session_ids: Mapping[int, int],
        serial: int,
        *,
        snapshot: Snapshot | None = None,
        timing: Timing | None = None,
        keep: Keep | None = None,
    ) -> None:
        if sorted(session_ids) != list(VERSIONS) or len(set(session_ids.values())) != len(VERSIONS):
            raise ArgumentError(f"session ids {dict(session_ids)}: expected distinct ones for 0, 1 and 2")
        if not all(0 <= number <= MAX_SESSION_ID for number in session_ids.values()):
            raise ArgumentError(f"session ids {dict(session_ids)}: expected 0 to {MAX_SESSION_ID}")
        if not 0 <= serial < SERIALS:
            raise ArgumentError(f"serial {serial}: expected 0 to {SERIALS - 1}")
        self.session_ids = dict(session_ids)
        self._first_serial = serial
        self._timing = timing or Timing()
        self._keep = keep or Keep()
        self._steps: list[_Step] = []
        self._dropped = 0
        self._blocks: dict[tuple[int, int], Delta | None] = {}
        self._view = None if snapshot is None else _View(snapshot, serial)

    # What the owner does

    def update(self, snapshot: Snapshot, now: float) -> Delta | None:
        """Make snapshot the current one; the step to it, None if its payload is the current one already.

        The first snapshot gets the serial that the history began with, each later one the next. ``now``
        in seconds, by any clock that does not go back. Nothing of it is visible until all is built.

        >>> history = History({0: 11, 1: 12, 2: 13}, serial=0xFFFFFFFF, snapshot=Snapshot.empty())
        >>> delta = history.update(Snapshot.build(wire.VrpColumns.ipv4([0], [0], [8], [64496])), now=0.0)
        >>> len(delta.announced), history.serial
        (1, 0)
        """
        view = self._view
        if view is None:
            self._view = _View(snapshot, self._first_serial)
            return Delta.between(Snapshot.empty(), snapshot)
        delta = Delta.between(view.snapshot, snapshot)
        if delta is None:
            view.snapshot = snapshot
            return None
        position = self._dropped + len(self._steps)
        blocks = self._blocks_ending(position, delta)
        self._blocks.update(blocks)
        self._steps.append(_Step(view.serial, now, _octets(delta)))
        self._view = _View(snapshot, add(view.serial))
        self._drop(now)
        return delta

    @property
    def snapshot(self) -> Snapshot | None:
        """The current snapshot, None before the first."""
        return self._view.snapshot if self._view else None

    @property
    def serial(self) -> int:
        """The current serial; before the first snapshot, the one that it will get."""
        return self._view.serial if self._view else self._first_serial

    @property
    def serials(self) -> list[int]:
        """The serials that have a diff to the current one, oldest first, without the current one."""
        return [step.before for step in self._steps]

    def superseded(self, serial: int) -> tuple[int, float] | None:
        """How many steps behind a retained serial is, and when it ceased to be current (``update``'s clock).

        None for the current serial and for one that is not retained.

        >>> History({0: 11, 1: 12, 2: 13}, 5, snapshot=Snapshot.empty()).superseded(5) is None
        True
        """
        index = self._index(serial) if self._view else None
        if index is None or index == len(self._steps):
            return None
        return len(self._steps) - index, self._steps[index].made_at

    def adopt(self, version: int, payload: wire.Payload) -> None:
        """Use PDUs that were encoded elsewhere as the full set of a version; ValueError: of another size.

        >>> history = History({0: 11, 1: 12, 2: 13}, 5, snapshot=Snapshot.empty())
        >>> history.adopt(1, wire.NOTHING)
        >>> history.full(1).count
        0
        """
        view = self._current
        least = len(view.snapshot.ipv4) * 20 + len(view.snapshot.ipv6) * 32
        objects = version > 0 and bool(view.snapshot.router_keys or view.snapshot.aspas)
        if payload.octets.nbytes < least or (payload.octets.nbytes != least and not objects):
            raise ValueError(f"{payload.octets.nbytes} octets of PDUs: expected {least} for the prefixes")
        view.full[version] = self._response(payload, version)

    def delta_since(self, serial: int) -> Delta | None:
        """All steps since serial as one; None if they cancel out. KeyError: no such serial is retained.

        >>> History({0: 11, 1: 12, 2: 13}, 5, snapshot=Snapshot.empty()).delta_since(5) is None
        True
        """
        index = self._index(serial)
        if index is None:
            raise KeyError(serial)
        return self._compose(self._dropped + index, self._dropped + len(self._steps))

    # What the store does

    def steps(self) -> Iterator[tuple[int, float, Delta]]:
        """The retained steps, oldest first: the serial before, when it was made, what changed.

        >>> list(History({0: 11, 1: 12, 2: 13}, 5, snapshot=Snapshot.empty()).steps())
        []
        """
        for position, step in enumerate(self._steps, self._dropped):
            delta = self._blocks[1, position]
            if delta is not None:
                yield step.before, step.made_at, delta

    def resume(
        self, steps: Sequence[tuple[int, float, Delta]], snapshot: Snapshot, steps_before: int
    ) -> None:
        """Take up saved steps; ``snapshot`` is what the first ``steps_before`` of them led to.

        For a history without a snapshot; its first serial becomes the current one. DeltaError: a step
        does not follow the one before. ValueError: the steps do not end at that serial.

        >>> history = History({0: 11, 1: 12, 2: 13}, serial=5)
        >>> history.resume([], Snapshot.empty(), 0)
        >>> history.ready()
        True
        """
        if not 0 <= steps_before <= len(steps):
            raise ValueError(f"{steps_before} steps before the set: expected 0 to {len(steps)}")
        for position, (before, made_at, delta) in enumerate(steps):
            if add(before, len(steps) - position) != self._first_serial:
                raise ValueError(f"step {position} is from serial {before}: not in line")
            self._blocks.update(self._blocks_ending(position, delta))
            self._steps.append(_Step(before, made_at, _octets(delta)))
        later = self._compose(steps_before, len(steps))
        self._view = _View(later.apply(snapshot) if later else snapshot, self._first_serial)

    def renamed(self, session_ids: Mapping[int, int]) -> History:
        """The same set under other session ids, without the steps, which those ids never had.

        >>> History({0: 11, 1: 12, 2: 13}, serial=5).renamed({0: 1, 1: 2, 2: 3}).session_ids[0]
        1
        """
        return History(session_ids, self.serial, snapshot=self.snapshot, timing=self._timing, keep=self._keep)

    # Source

    def ready(self) -> bool:
        """Whether there is a snapshot."""
        return self._view is not None

    def state(self, version: int) -> SourceState:
        """The session id of the version and the current serial."""
        return SourceState(self.session_ids[version], self._current.serial)

    def timing(self) -> Timing:
        """The intervals that were configured."""
        return self._timing

    def full(self, version: int) -> Response:
        """The current snapshot, encoded at the first call for its version."""
        view = self._current
        if version not in view.full:
            view.full[version] = self._response(wire.encode_snapshot(view.snapshot, version), version)
        return view.full[version]

    def diff(self, version: int, serial: int) -> Response | None:
        """The minimal change since serial, empty for the current one; None if serial is not retained."""
        view = self._current
        key = (version, serial)
        if key in view.diffs:
            return view.diffs[key]
        if self._index(serial) is None:
            return None
        delta = self.delta_since(serial)
        payload = wire.encode_delta(delta, version) if delta else wire.NOTHING
        response = self._response(payload, version)
        room = MAX_CACHED_OCTETS - response.payload.nbytes
        while view.diffs and (len(view.diffs) >= MAX_CACHED_DIFFS or _octets_in(view.diffs) > room):
            del view.diffs[next(iter(view.diffs))]
        view.diffs[key] = response
        return response

    # Inside

    @property
    def _current(self) -> _View:
        if self._view is None:
            raise LookupError("no snapshot yet: ask ready() first")
        return self._view

    def _response(self, payload: wire.Payload, version: int) -> Response:
        return Response(self.session_ids[version], self._current.serial, payload.octets, payload.count)

    def _index(self, serial: int) -> int | None:
        """How many retained steps come before serial; None if it is not retained.

        Each step adds one to the serial, so that the distance modulo 2^32 is the number of steps.
        """
        back = (self._current.serial - serial) % SERIALS
        return len(self._steps) - back if back <= len(self._steps) else None

    def _blocks_ending(self, position: int, delta: Delta) -> dict[tuple[int, int], Delta | None]:
        """The aligned blocks that the step at position completes: (size, first position) -> their delta."""
        blocks: dict[tuple[int, int], Delta | None] = {(1, position): delta}
        size, end = 2, position + 1
        while end % size == 0 and end - size >= self._dropped:
            half = size // 2
            earlier = self._blocks[half, end - size]
            blocks[size, end - size] = _join(earlier, blocks[half, end - half])
            size *= 2
        return blocks

    def _compose(self, start: int, end: int) -> Delta | None:
        """The steps from position start to before end as one, by the largest blocks that fit."""
        delta: Delta | None = None
        while start < end:
            size = 1
            while start % (size * 2) == 0 and start + size * 2 <= end:
                size *= 2
            delta = _join(delta, self._blocks[size, start])
            start += size
        return delta

    def _drop(self, now: float) -> None:
        """Forget the oldest steps until what is left is within the limits."""
        keep, octets, gone = self._keep, sum(step.octets for step in self._steps), 0
        for left, step in zip(range(len(self._steps), 0, -1), self._steps, strict=True):
            if left <= keep.deltas and octets <= keep.octets and now - step.made_at <= keep.seconds:
                break
            octets -= step.octets
            gone += 1
        if gone:
            del self._steps[:gone]
            self._dropped += gone
            self._blocks = {key: block for key, block in self._blocks.items() if key[1] >= self._dropped}


def new_ids(chosen: Random, avoid: Collection[int] = ()) -> dict[int, int]:
    """Random session ids, one for each version, none of those to avoid.

    >>> set(new_ids(Random(), avoid=range(65_000)).values()) & set(range(65_000))
    set()
    """
    taken = set(avoid)
    if len(taken) > MAX_SESSION_ID + 1 - len(VERSIONS):
        raise ValueError(f"{len(taken):,} session ids to avoid leave none for {len(VERSIONS)} versions")
    ids: dict[int, int] = {}
    for version in VERSIONS:
        while (drawn := chosen.randrange(MAX_SESSION_ID + 1)) in taken:
            pass
        ids[version] = drawn
        taken.add(drawn)
    return ids


def new_history(chosen: Random, timing: Timing, avoid: Collection[int] = ()) -> History:
    """A history without data, under random session ids and a random serial, so that none is met twice.

    >>> new_history(Random(), Timing()).ready()
    False
    """
    return History(new_ids(chosen, avoid), chosen.randrange(1, SERIALS), timing=timing)


def _join(earlier: Delta | None, later: Delta | None) -> Delta | None:
    if earlier is None or later is None:
        return earlier or later
    return earlier.compose(later)


def _octets_in(diffs: Mapping[tuple[int, int], Response]) -> int:
    return sum(response.payload.nbytes for response in diffs.values())


def _octets(delta: Delta) -> int:
    """What a delta weighs in memory, roughly: rows of columns, keys, providers."""
    parts = (delta.announced, delta.withdrawn)
    rows = sum(len(part) for part in parts) * VRP_OCTETS
    keys = sum(len(key.spki) + VRP_OCTETS for part in parts for key in part.router_keys)
    return rows + keys + sum(4 * len(aspa.providers) + VRP_OCTETS for part in parts for aspa in part.aspas)
