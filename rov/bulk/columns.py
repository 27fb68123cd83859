"""Routes as texts and numbers, judged: what every form is read into and written from."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from rov._texts import Routes, TextColumn
from rov.index import VrpIndex

Octets = npt.NDArray[np.uint8]


class Columns(msgspec.Struct, frozen=True):
    """Judged routes: texts of prefixes as Arrow has them, origins (0: none), Reasons by their numbers."""

    offsets: npt.NDArray[np.int32]
    text: Octets
    origins: npt.NDArray[np.uint32]
    reasons: Octets


def judged(index: VrpIndex, texts: TextColumn, origins: npt.NDArray[np.uint32], before: int) -> Octets:
    """The reason of each route; PrefixError that names the row, ``before`` rows standing above these.

    >>> from rov.snapshot import Snapshot
    >>> texts = TextColumn(0, 1, 0, None, np.array([0, 4], "i4").view("u1"), [np.frombuffer(b"::/0", "u1")])
    >>> judged(VrpIndex(Snapshot.empty()), texts, np.zeros(1, "u4"), 0).tolist()
    [0]
    """
    ipv4, ipv6 = index._ipv4, index._ipv6
    routes, known = Routes(len(origins)), np.zeros(len(origins), np.uint8)
    fault = routes.fill(texts, None, 0, origins, known, True)
    if fault is not None:
        row, error = fault
        raise type(error)(f"row {before + row}: {error}")
    ipv4.judge_ipv4(*routes.ipv4(), True)
    ipv6.judge_ipv6(*routes.ipv6(), True)
    reasons = np.zeros(len(origins), np.uint8)
    routes.scatter(reasons)
    return reasons
