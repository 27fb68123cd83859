"""Routes of a dump that is still read, as soon as nothing that follows can change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from rov.rib.merge import Part, as_columns, merged
from rov.rib.table import RouteColumns
from rov.types import Family

SETTLED_ROWS = 1 << 16
"""Rows that wait until they are handed on together: what makes a piece of Parquet worth packing."""

Settled: TypeAlias = Callable[[RouteColumns | None], None]
"""Takes the routes of a table in its order, IPv4 first, piece by piece; None: what it was given is void,
since the dump turned out not to be in order, and all routes follow once more."""


class InOrder:
    """Hands on the distinct routes of one dump while it is read, as long as it is in the order of a table.

    >>> import numpy as np
    >>> given = []
    >>> watch = InOrder(given.append)
    >>> one, none = np.ones(2, np.uint32), np.zeros((2, 0), np.uint64)
    >>> watch.add(4, Part(np.array([4, 8], np.uint32), np.full(2, 30, np.uint8), one, one, none))
    >>> watch.end(), [len(columns) for columns in given]
    (True, [2])
    """

    def __init__(self, give: Settled) -> None:
        self._give = give
        self._sound = True
        self._waiting: dict[Family, list[Part]] = {4: [], 6: []}
        self._last: dict[Family, tuple[int, ...]] = {4: (), 6: ()}

    def add(self, family: Family, part: Part) -> None:
        """Take rows as the dump has them."""
        if not self._sound or not len(part.lengths):
            return
        if family == 4 and self._last[6]:
            self._void()
            return
        waiting = self._waiting[family]
        waiting.append(part)
        if sum(len(each.lengths) for each in waiting) >= SETTLED_ROWS:
            if family == 6:
                self._hand_on(4, at_end=True)
            self._hand_on(family, at_end=False)

    def end(self) -> bool:
        """Hand on what waits; whether all routes were handed on."""
        self._hand_on(4, at_end=True)
        self._hand_on(6, at_end=True)
        return self._sound

    def _hand_on(self, family: Family, *, at_end: bool) -> None:
        """Routes up to the last prefix, which may have more of them unless the family is at its end."""
        waiting, self._waiting[family] = self._waiting[family], []
        if not self._sound:
            return
        if not waiting:
            return
        rows = merged(waiting)
        if _prefix(rows, 0) <= self._last[family]:
            self._void()
            return
        if not at_end:
            count = _before_last_prefix(rows)
            self._waiting[family] = [rows.picked(slice(count, None))]
            rows = rows.picked(slice(count))
        if len(rows.lengths):
            self._last[family] = _prefix(rows, -1)
            self._give(as_columns(family, rows))

    def _void(self) -> None:
        self._sound = False
        self._waiting = {4: [], 6: []}
        self._give(None)


def _prefix(rows: Part, at: int) -> tuple[int, ...]:
    """A prefix as numbers that compare as prefixes in a table do."""
    address = rows.addresses[at].tolist()
    return (*(address if isinstance(address, list) else [address]), int(rows.lengths[at]))


def _before_last_prefix(rows: Part) -> int:
    """How many sorted rows are of other prefixes than the last one."""
    same = rows.lengths == rows.lengths[-1]
    equal = rows.addresses == rows.addresses[-1]
    same &= equal if equal.ndim == 1 else equal.all(axis=1)
    return len(same) - int(same.sum())
