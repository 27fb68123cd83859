"""What every text format does: rows of both families by a template, in the order of a validator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._lines import Field, lines
from rov.columns import VrpColumns
from rov.snapshot import Snapshot

ROWS_PER_CHUNK = 16_384
"""Rows between two writes: 1 to 3 MB, so that a whole set never stands in memory as text."""

PARTS = ("vrps", "router_keys", "aspas")
"""The parts of a payload, each of which may be left out."""

Steps = tuple[tuple[bytes, Field], ...]
Order = Callable[[VrpColumns], npt.NDArray[Any]]

_NO_IPV4, _NO_IPV6 = np.zeros(0, np.uint32), np.zeros((0, 2), np.uint64)


class Request(NamedTuple):
    """What is to be written: the set, the time that metadata states (unix seconds), the parts wanted."""

    snapshot: Snapshot
    at: int
    parts: frozenset[str]

    def columns(self) -> tuple[VrpColumns, ...]:
        """The VRPs of both families; none where they are left out."""
        return (self.snapshot.ipv4, self.snapshot.ipv6) if "vrps" in self.parts else ()

    def router_keys(self) -> Iterator[tuple[Any, int]]:
        """Each router key with its expiry; none where they are left out."""
        snapshot = self.snapshot
        if "router_keys" in self.parts:
            yield from zip(snapshot.router_keys, snapshot.router_key_expires.tolist(), strict=True)

    def aspas(self) -> Iterator[tuple[Any, int]]:
        """Each ASPA with its expiry; none where they are left out."""
        if "aspas" in self.parts:
            yield from zip(self.snapshot.aspas, self.snapshot.aspa_expires.tolist(), strict=True)


class Layout(NamedTuple):
    """How a row looks: its steps, the text of each trust anchor, what stands between rows, their order."""

    steps: Steps
    names: tuple[bytes, ...] = ()
    separator: bytes = b""
    order: Order | None = None


def iso_time(seconds: int) -> str:
    """UTC as 2025-07-20T09:31:33Z.

    >>> iso_time(1753003893)
    '2025-07-20T09:31:33Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rows(families: Sequence[VrpColumns], layout: Layout) -> Iterator[bytes]:
    """The rows of all families by a layout, many at a time.

    >>> columns = VrpColumns.ipv4([0, 0], [0, 0], [8, 9], [1, 1])
    >>> b"".join(rows([columns], Layout(((b"", Field.MAX_LENGTH),), (b"",), b";")))
    b'8;9'
    """
    names = layout.names or (b"",) * 256
    begun = False
    for columns in families:
        order = layout.order(columns) if layout.order is not None and len(columns) else None
        for first in range(0, len(columns), ROWS_PER_CHUNK):
            part = slice(first, first + ROWS_PER_CHUNK)
            picked = columns.take(part if order is None else order[part])
            if begun and layout.separator:
                yield layout.separator
            begun = True
            yield _lines(picked, layout, names)


def _lines(columns: VrpColumns, layout: Layout, names: tuple[bytes, ...]) -> bytes:
    four, six = (columns.address, _NO_IPV6) if columns.family == 4 else (_NO_IPV4, columns.address)
    rest = columns.length, columns.max_length, columns.asn, columns.expires, columns.ta
    return lines(columns.family, four, six, *rest, layout.steps, names, layout.separator)


_OCTET = np.uint64(255)


def rpki_client_order(columns: VrpColumns) -> npt.NDArray[Any]:
    """By address, then the longest prefix and maxLength first, then ASN: ties stand in that order already.

    >>> rpki_client_order(VrpColumns.ipv4([0, 0], [8, 9], [9, 9], [1, 1])).tolist()
    [1, 0]
    """
    length, most = _OCTET - columns.length, _OCTET - columns.max_length
    if columns.family == 4:
        key = columns.address.astype(np.uint64) << np.uint64(16) | length << np.uint64(8) | most
        return np.argsort(key, kind="stable")
    return np.lexsort((most, length, columns.address[:, 1], columns.address[:, 0]))


def routinator_order(columns: VrpColumns) -> npt.NDArray[Any]:
    """By the last address, so that what lies under a prefix stands before it; then maxLength and ASN.

    >>> routinator_order(VrpColumns.ipv4([0, 0], [8, 9], [9, 9], [1, 1])).tolist()
    [1, 0]
    """
    length = columns.length.astype(np.uint64)
    ones = np.uint64(2**64 - 1)
    if columns.family == 4:
        last = columns.address | (np.uint64(2**32 - 1) >> length)
        return np.argsort(last << np.uint64(8) | _OCTET - length, kind="stable")
    high = columns.address[:, 0] | np.where(length < 64, ones >> np.minimum(length, np.uint64(63)), 0)
    shift = np.clip(length.astype(np.int64) - 64, 0, 63).astype(np.uint64)
    low = columns.address[:, 1] | np.where(length < 128, ones >> shift, 0)
    return np.lexsort((_OCTET - length, low, high))
