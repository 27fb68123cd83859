"""How much of a table the VRPs cover, and how well: by origin AS, country or registry, routes and addresses.

Addresses are counted once: each belongs to the most specific route over it, in equal parts to the origins
that announce the same prefix. Default routes take no addresses. So the rows of a table add up to its total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from rov._checks import as_kind, as_optional, shown
from rov.audit.nesting import group_starts, nesting
from rov.audit.tables import arrow, as_names, name_column, number_column, prefix_texts
from rov.audit.verdicts import Judged, Verdicts
from rov.errors import ArgumentError
from rov.reference import Delegations
from rov.types import Family, State

if TYPE_CHECKING:
    import pyarrow as pa

By = Literal["as", "country", "registry"]
Numbers = npt.NDArray[np.float64]

SPACE_BITS = {4: 24, 6: 48}
"""Addresses are counted in prefixes of this length: /24 and /48, the longest that are routed widely."""


class Share(NamedTuple):
    """The routes of one key and family: how many of each state, and how many addresses they hold.

    ``space`` counts /24 in IPv4, /48 in IPv6; it is no whole number where routes are longer. Both are
    float64 [keys, 3], a column for each State by its number.
    """

    family: Family
    keys: npt.NDArray[np.int64]
    routes: Numbers
    space: Numbers


def space_of(judged: Judged) -> Numbers:
    """The addresses of each route that are its own, in /24 or /48, as float64 [n].

    >>> from rov.rib import RouteColumns
    >>> routes = RouteColumns(4, [0, 0], [8, 9], [64496, 64497], [1, 1])
    >>> space_of(Judged(routes, np.zeros(2, np.uint8), np.zeros(2, np.uint8))).tolist()
    [32768.0, 32768.0]
    """
    routes = judged.routes
    counted = routes.lengths > 0
    nested = nesting(routes.family, routes.addresses, routes.lengths, counted)
    starts = group_starts(routes.addresses, routes.lengths)
    sizes = np.diff(np.append(starts, len(routes)))
    own = np.exp2(SPACE_BITS[routes.family] - routes.lengths.astype(np.float64)) * (1 - nested.inside)
    space: Numbers = np.where(counted, own / np.repeat(sizes, sizes), 0.0)
    return space


def shares(judged: Judged, keys: npt.NDArray[np.int64]) -> Share:
    """Routes and addresses by key; ``keys`` is a number for each route of the family.

    >>> from rov.rib import RouteColumns
    >>> routes = RouteColumns(4, [0], [8], [64496], [1])
    >>> shares(Judged(routes, np.zeros(1, np.uint8), np.zeros(1, np.uint8)), np.array([7])).keys.tolist()
    [7]
    """
    found, place = np.unique(keys, return_inverse=True)
    cell = place * len(State) + judged.states
    size = len(found) * len(State)
    routes: Numbers = np.bincount(cell, minlength=size).astype(np.float64)
    space: Numbers = np.bincount(cell, weights=space_of(judged), minlength=size).astype(np.float64)
    shape = (len(found), len(State))
    return Share(judged.family, found, routes.reshape(shape), space.reshape(shape))


def coverage_table(
    verdicts: Verdicts,
    by: By = "as",
    delegations: Delegations | None = None,
    names: Mapping[int, str] | None = None,
) -> pa.Table:
    """One row a key and family, most routes first, and one for each family in all (key null).

    Columns: the key (``asn``, ``country`` or ``registry``; null in the total, "" or 0 where unknown),
    ``total`` (bool), family, routes, valid, invalid, not_found, coverage ((valid + invalid) / routes),
    accuracy (valid / (valid + invalid), null where nothing is covered), and the same of addresses:
    space, space_valid, space_invalid, space_not_found, space_coverage. With ``names`` (read_names), and by
    AS only, name (null: not known) after asn. ArgumentError: by country or registry without delegations, or
    with names.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit.verdicts import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> coverage_table(judge(table, VrpIndex(Snapshot.empty())))["routes"].to_pylist()
    [1, 0, 1]
    """
    as_kind(verdicts, Verdicts, "verdicts")
    if as_kind(by, str, "by") not in ("as", "country", "registry"):
        raise ArgumentError(f"by {shown(by)}: expected as, country or registry")
    called = as_names(names)
    if called is not None and by != "as":
        raise ArgumentError(f"coverage by {by}: expected no names of ASes")
    words, columns = _keys(verdicts, by, as_optional(delegations, Delegations, "delegations"))
    parts = [shares(judged, keys) for judged, keys in zip(verdicts.families(), columns, strict=True)]
    totals = [_total(part) for part in parts]
    table = _table(by, words, parts, totals)
    if called is None:
        return table
    asns = table["asn"].fill_null(0).to_numpy()
    return table.add_column(1, "name", name_column(asns, called))


def _keys(
    verdicts: Verdicts, by: By, delegations: Delegations | None
) -> tuple[Sequence[str] | None, list[npt.NDArray[np.int64]]]:
    """A key number for each route, and the words that the numbers stand for; None: they are ASNs."""
    if by == "as":
        return None, [judged.routes.origins.astype(np.int64) for judged in verdicts.families()]
    if delegations is None:
        raise ArgumentError(f"coverage by {by}: expected the delegated files of the registries")
    of_kind = [getattr(kind, by) for kind in delegations.kinds]
    words = sorted(set(of_kind))
    number = np.array([words.index(word) for word in of_kind], np.int64)
    found = (delegations.of_prefixes(prefix_texts(judged.routes)) for judged in verdicts.families())
    return words, [number[kinds] for kinds in found]


def _total(part: Share) -> Share:
    """All keys as one, without routes where there are none."""
    sums = (part.routes.sum(axis=0, keepdims=True), part.space.sum(axis=0, keepdims=True))
    return Share(part.family, np.zeros(1, np.int64), *sums)


def _table(by: By, words: Sequence[str] | None, parts: list[Share], totals: list[Share]) -> pa.Table:
    pyarrow = arrow()
    everything = [*parts, *totals]
    routes = np.concatenate([part.routes for part in everything])
    space = np.concatenate([part.space for part in everything])
    keys = np.concatenate([part.keys for part in everything])
    total = np.concatenate(
        [np.full(len(part.keys), place >= len(parts)) for place, part in enumerate(everything)]
    )
    family = np.concatenate([np.full(len(part.keys), part.family, np.uint8) for part in everything])
    order = np.lexsort((keys, family, -routes.sum(axis=1), ~total))
    routes, space, keys, total, family = (column[order] for column in (routes, space, keys, total, family))
    if words is None:
        key = number_column(keys.astype(np.uint32), total)
    else:
        key = pyarrow.array(
            [None if t else words[k] for k, t in zip(keys, total, strict=True)], pyarrow.string()
        )
    columns = {
        "asn" if by == "as" else by: key,
        "total": pyarrow.array(total),
        "family": number_column(family),
    }
    columns |= _counts(routes.astype(np.int64), "routes", "")
    columns |= _counts(space, "space", "space_")
    return pyarrow.table(columns)


def _counts(states: npt.NDArray[Any], name: str, before: str) -> dict[str, pa.Array]:
    """The columns of one measure: all, each state, coverage, accuracy."""
    every = states.sum(axis=1)
    valid, invalid = states[:, State.VALID], states[:, State.INVALID]
    covered = valid + invalid
    columns = {name: number_column(every)}
    for state in (State.VALID, State.INVALID, State.NOT_FOUND):
        columns[f"{before}{state.label}"] = number_column(states[:, state])
    with np.errstate(invalid="ignore", divide="ignore"):
        columns[f"{before}coverage"] = number_column(covered / every, every == 0)
        columns[f"{before}accuracy"] = number_column(valid / covered, covered == 0)
    return columns
