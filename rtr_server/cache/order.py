"""The order of payload within a response (8210bis §11.2): a MUST in version 2, where routers check it.

By type; within a type announcements before withdrawals; prefixes fall by address, max_length, length, asn
in announcements and rise in withdrawals; router keys rise by SKI, SPKI, asn; ASPAs by customer. Equal
neighbours are duplicates, which is another fault than a wrong order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rtr_server.cache.wire import PrefixRows, router_key_order
from rtr_server.protocol.pdu import AspaPdu, RouterKeyPdu

Mask = npt.NDArray[np.bool_]


def compare_neighbors(columns: Sequence[npt.NDArray[Any]]) -> tuple[Mask, Mask]:
    """For each row but the last: whether the next one is greater, and whether it is equal.

    ``columns`` are of one length, the most significant first.

    >>> [mask.tolist() for mask in compare_neighbors([np.array([1, 1, 2]), np.array([5, 5, 0])])]
    [[False, True], [True, False]]
    """
    count = max(0, len(columns[0]) - 1)
    greater, equal = np.zeros(count, np.bool_), np.ones(count, np.bool_)
    for column in columns:
        before, after = column[:-1], column[1:]
        greater |= equal & (after > before)
        equal &= after == before
    return greater, equal


def misplaced_prefix(rows: PrefixRows) -> int | None:
    """The first row that should stand before its predecessor; None if all stand well.

    >>> from rov import VrpColumns
    >>> columns = VrpColumns.ipv4([0, 256], [24, 24], [24, 24], [1, 1])
    >>> misplaced_prefix(PrefixRows(np.array([True, True]), columns))
    1
    """
    announce, columns = rows
    address = columns.address
    parts = [address] if columns.family == 4 else [address[:, 0], address[:, 1]]
    greater, equal = compare_neighbors([*parts, columns.max_length, columns.length, columns.asn])
    before, after = announce[:-1], announce[1:]
    wrong = np.where(before, after & greater, after | ~(greater | equal))
    return int(wrong.argmax()) + 1 if wrong.any() else None


def misplaced_object(pdus: Sequence[RouterKeyPdu | AspaPdu]) -> int | None:
    """The same for router keys and ASPAs.

    >>> from rov import Aspa
    >>> misplaced_object([AspaPdu(2, True, Aspa(2, (1,))), AspaPdu(2, True, Aspa(1, (2,)))])
    1
    """
    keys = map(_object_key, pdus)
    return next(
        (number for number, (a, b) in enumerate(itertools.pairwise(keys), start=1) if a > b),
        None,
    )


def _object_key(pdu: RouterKeyPdu | AspaPdu) -> tuple[Any, ...]:
    """Router keys come before ASPAs, whose keys are not compared with theirs."""
    if isinstance(pdu, RouterKeyPdu):
        return (False, not pdu.announce, *router_key_order(pdu.key))
    return (True, not pdu.announce, pdu.aspa.customer)
