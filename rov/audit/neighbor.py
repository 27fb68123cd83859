"""Routes that a neighbour should have filtered before it passed them on, and why."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_optional
from rov.aspa import AspaState
from rov.audit.allow import LONGEST_IPV4, LONGEST_IPV6
from rov.audit.bogons import reserved
from rov.audit.covering import covering_column
from rov.audit.entries import Entries, entries, finders
from rov.audit.paths import PathVerdicts
from rov.audit.schemas import Schema
from rov.audit.tables import arrow, number_column, route_columns, taken
from rov.audit.verdicts import Judged, Verdicts
from rov.errors import ArgumentError
from rov.index import VrpIndex
from rov.reference.special import special_asns
from rov.rib import Dump
from rov.snapshot import Snapshot
from rov.types import Reason, State, as_asn

if TYPE_CHECKING:
    import pyarrow as pa

UNFILTERED = Schema("rov.audit.unfiltered/1", "unfiltered_table")

LONGEST_PATH = 100
"""ASes, prepending included: real paths have some tens."""

Flags: TypeAlias = npt.NDArray[np.uint16]


class Unfiltered(IntFlag):
    """Why a route should have been filtered; it may be for several reasons.

    >>> Unfiltered.BOGON_PREFIX.label
    'bogon_prefix'
    """

    RPKI_INVALID_ASN = 1
    RPKI_INVALID_LEN = 2
    RPKI_INVALID_AS0 = 4
    BOGON_PREFIX = 8
    BOGON_ASN = 16
    TOO_SPECIFIC = 32
    PATH_TOO_LONG = 64
    ASPA_INVALID = 128
    NOT_IN_ALLOWLIST = 256

    @property
    def label(self) -> str:
        """The reason as tables write it."""
        return str(self.name).lower()


class Reasons(NamedTuple):
    """Unfiltered of each route, 0 for no reason: uint16 [n] for each family."""

    ipv4: Flags
    ipv6: Flags


_INVALID = {
    Reason.AS: Unfiltered.RPKI_INVALID_ASN,
    Reason.LENGTH: Unfiltered.RPKI_INVALID_LEN,
    Reason.AS0: Unfiltered.RPKI_INVALID_AS0,
}


def path_faults(dumps: Iterable[Dump], verdicts: Verdicts, neighbor: int) -> Reasons:
    """BOGON_ASN and PATH_TOO_LONG of each route, from the paths by which a neighbour sent it.

    The dumps are those that the verdicts came from, opened once more with their paths. The neighbour's own
    AS is none of its faults. ArgumentError: a dump has no paths.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> path_faults([], judge(table, VrpIndex(Snapshot.empty())), 64496).ipv4.tolist()
    []
    """
    as_kind(verdicts, Verdicts, "verdicts")
    own = as_asn(neighbor, "neighbor")
    found: dict[int, Flags] = {
        judged.family: np.zeros(len(judged), np.uint16) for judged in verdicts.families()
    }
    for _, part in entries(dumps, finders(verdicts.table), own):
        flags = _of_paths(part, own)[part.paths_at]
        np.bitwise_or.at(found[part.batch.routes.family], part.rows, flags)
    return Reasons(found[4], found[6])


def _of_paths(part: Entries, own: int) -> Flags:
    """The faults of each path of a batch."""
    paths = part.attributes.paths
    flags = np.where(np.diff(paths.offsets) > LONGEST_PATH, Unfiltered.PATH_TOO_LONG, 0).astype(np.uint16)
    bad = np.flatnonzero(special_asns(paths.asns) & (paths.asns != own))
    flags[np.searchsorted(paths.offsets, bad, "right") - 1] |= np.uint16(Unfiltered.BOGON_ASN)
    return flags


def unfiltered(
    verdicts: Verdicts,
    in_paths: Reasons | None = None,
    paths: PathVerdicts | None = None,
    allowed: Snapshot | None = None,
) -> Reasons:
    """Why each route should have been filtered.

    verdicts: those of one neighbour, as ``rov audit --neighbor`` has them. in_paths: of ``path_faults``;
    paths: of ``judge_paths``. Without these nothing is known of paths but the origin. allowed: the list of
    the neighbour, of ``read_allowed``. ArgumentError: paths are of other verdicts.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [10 << 24], [25], [13335], [1]), RouteColumns.empty(6))
    >>> Unfiltered(int(unfiltered(judge(table, VrpIndex(Snapshot.empty()))).ipv4[0]))
    <Unfiltered.BOGON_PREFIX|TOO_SPECIFIC: 40>
    """
    as_kind(verdicts, Verdicts, "verdicts")
    known = as_optional(in_paths, Reasons, "in_paths") or (None, None)
    aspa = as_optional(paths, PathVerdicts, "paths")
    of = (None, None) if aspa is None else (aspa.ipv4, aspa.ipv6)
    listed = as_optional(allowed, Snapshot, "allowed")
    index = None if listed is None else VrpIndex(listed)
    return Reasons(
        _of_family(verdicts.ipv4, known[0], of[0], index), _of_family(verdicts.ipv6, known[1], of[1], index)
    )


def _of_family(
    judged: Judged,
    in_paths: Flags | None,
    aspa: npt.NDArray[np.uint32] | None,
    allowed: VrpIndex | None,
) -> Flags:
    routes = judged.routes
    if any(part is not None and len(part) != len(judged) for part in (in_paths, aspa)):
        raise ArgumentError(f"paths: expected those of the {len(judged)} IPv{judged.family} routes")
    flags = np.zeros(len(judged), np.uint16) if in_paths is None else in_paths.copy()
    longest = LONGEST_IPV4 if judged.family == 4 else LONGEST_IPV6
    faults = {why: judged.reasons == reason for reason, why in _INVALID.items()}
    faults[Unfiltered.BOGON_PREFIX] = reserved(routes)
    # 0 stands for no origin here
    faults[Unfiltered.BOGON_ASN] = special_asns(routes.origins) & (routes.origins != 0)
    faults[Unfiltered.TOO_SPECIFIC] = routes.lengths > longest
    if aspa is not None:
        faults[Unfiltered.ASPA_INVALID] = aspa[:, AspaState.INVALID] > 0
    if allowed is not None:
        faults[Unfiltered.NOT_IN_ALLOWLIST] = allowed.validate_batch(routes.routes) != State.VALID
    for why, rows in faults.items():
        flags[rows] |= np.uint16(why)
    return flags


def reasons_column(reasons: Reasons) -> pa.Array:
    """The reasons of each route as a list of words.

    >>> reasons_column(Reasons(np.array([0, 33], np.uint16), np.zeros(0, np.uint16))).to_pylist()
    [[], ['rpki_invalid_asn', 'too_specific']]
    """
    pyarrow = arrow()
    words = [
        [why.label for why in Unfiltered if number & why] for number in range(2 * Unfiltered.NOT_IN_ALLOWLIST)
    ]
    texts = pyarrow.array(words, pyarrow.list_(pyarrow.string()))
    return texts.take(number_column(np.concatenate(reasons)))


def unfiltered_table(verdicts: Verdicts, reasons: Reasons) -> pa.Table:
    """One row a route that should have been filtered: the columns of verdict_table, then why and vrps.

    reasons: of ``unfiltered``. why is a list of words, vrps those that cover it, as texts. ArgumentError:
    they are of other verdicts.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [0], [25], [13335], [1]), RouteColumns.empty(6))
    >>> verdicts = judge(table, VrpIndex(Snapshot.empty()))
    >>> unfiltered_table(verdicts, unfiltered(verdicts))["why"].to_pylist()
    [['bogon_prefix', 'too_specific']]
    """
    as_kind(verdicts, Verdicts, "verdicts")
    of = as_kind(reasons, Reasons, "reasons")
    judged = (verdicts.ipv4, verdicts.ipv6)
    if any(len(flags) != len(part) for flags, part in zip(of, judged, strict=True)):
        raise ArgumentError("reasons: expected those of these verdicts")
    rows = [np.flatnonzero(flags) for flags in of]
    parts = tuple(taken(part, at) for part, at in zip(judged, rows, strict=True))
    columns = route_columns(parts)
    columns["why"] = reasons_column(Reasons(of.ipv4[rows[0]], of.ipv6[rows[1]]))
    columns["vrps"] = covering_column(parts, verdicts.index.snapshot)
    table: pa.Table = arrow().table(columns)
    return table
