"""The section on how much of the table the VRPs cover, and how well: by country, registry and AS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rov.audit.coverage import By, coverage_table
from rov.report.blocks import Answer, Bars, Block, Grid, Note, percent
from rov.report.subject import Subject
from rov.report.verdicts import SPACE_UNIT, STATE_PARTS, STATES

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 15
"""Of each table: the largest first."""

COUNTRIES = 25
"""That are compared: those with most routes."""

KEYS: tuple[By, ...] = ("registry", "country", "as")


def coverage_answer(subject: Subject) -> Answer:
    """Coverage and accuracy in all, and of the largest registries, countries and ASes.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns(4, [0], [8], [64496], [1]), RouteColumns.empty(6))
    >>> coverage_answer(Subject(judge(table, VrpIndex(Snapshot.empty())), (), "")).summary["ipv4"]["coverage"]
    0.0
    """
    summary: dict[str, Any] = {}
    blocks: list[Block] = []
    for by in KEYS if subject.delegations else KEYS[-1:]:
        table = coverage_table(subject.verdicts, by, subject.delegations)
        if not summary:
            summary = _totals(table)
        largest = {family: _rows(table, family) for family in (4, 6)}
        if by == "country":
            compared = compare(table)
            blocks += _comparison(compared)
            summary["countries"] = compared
        for family, rows in largest.items():
            if rows:
                blocks += _blocks(by, family, rows)
        summary[by] = [row for rows in largest.values() for row in rows]
    blocks.append(
        Note(
            "Coverage: routes that VRPs cover, valid or not, of all. Accuracy: valid ones of those covered. "
            "An address counts once, with the most specific route over it; routes and addresses of all keys "
            "add up to the total."
        )
    )
    shares = ", ".join(
        f"{percent(row['coverage'] or 0, 1)} of the IPv{family} routes "
        f"({percent(row['accuracy'] or 0, 1)} of these validly)"
        for family in (4, 6)
        if (row := summary[f"ipv{family}"])["routes"]
    )
    return Answer("Coverage and accuracy", f"VRPs cover {shares or 'nothing'}.", summary, blocks)


def compare(table: pa.Table) -> list[dict[str, Any]]:
    """The countries with most routes, IPv4 and IPv6 together, the best covered first.

    Of a coverage_table by country: country, routes, valid, invalid, not_found, coverage, accuracy (null:
    nothing is covered), ipv4_coverage and ipv6_coverage (null: no routes).

    >>> import pyarrow
    >>> rows = {"country": ["JP"], "total": [False], "family": [4], "routes": [2], "valid": [1]}
    >>> compare(pyarrow.table(rows | {"invalid": [0], "not_found": [1]}))[0]["coverage"]
    0.5
    """
    found: dict[str, dict[str, Any]] = {}
    for row in table.filter(_not_total(table)).to_pylist():
        if row["country"]:
            sums = found.setdefault(row["country"], {"country": row["country"], **dict.fromkeys(_SUMS, 0)})
            for name in _SUMS:
                sums[name] += row[name]
            sums[f"ipv{row['family']}_coverage"] = _share(row["valid"] + row["invalid"], row["routes"])
    largest = sorted(found.values(), key=lambda sums: (-sums["routes"], sums["country"]))[:COUNTRIES]
    for sums in largest:
        covered = sums["valid"] + sums["invalid"]
        sums["coverage"], sums["accuracy"] = _share(covered, sums["routes"]), _share(sums["valid"], covered)
        for name in ("ipv4_coverage", "ipv6_coverage"):
            sums.setdefault(name, None)
    return sorted(largest, key=lambda sums: (-sums["coverage"], sums["country"]))


_SUMS = ("routes", "valid", "invalid", "not_found")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _comparison(compared: list[dict[str, Any]]) -> list[Block]:
    if not compared:
        return []
    bars = [(row["country"], [float(row[state.label]) for state in STATES], "routes") for row in compared]
    rows = [
        [
            str(place),
            row["country"],
            f"{row['routes']:,}",
            *(
                "-" if row[name] is None else percent(row[name], 1)
                for name in ("coverage", "accuracy", "ipv4_coverage", "ipv6_coverage")
            ),
        ]
        for place, row in enumerate(compared, 1)
    ]
    title = f"Countries compared: the {len(compared)} with most routes, the best covered first"
    head = ["rank", "country", "routes", "coverage", "accuracy", "coverage IPv4", "coverage IPv6"]
    return [Bars(title, STATE_PARTS, bars), Grid("The same in numbers", head, rows)]


def _not_total(table: pa.Table) -> Any:
    from pyarrow import compute

    return compute.invert(table["total"])


def _rows(table: pa.Table, family: int) -> list[dict[str, Any]]:
    """The largest keys of a family."""
    from pyarrow import compute

    mask = compute.and_(compute.equal(table["family"], family), _not_total(table))
    return [_plain(row, ("total",)) for row in table.filter(mask).slice(0, ROWS).to_pylist()]


def _totals(table: pa.Table) -> dict[str, Any]:
    keys = ("total", "family", "asn", "country", "registry")
    rows = table.filter(table["total"]).to_pylist()
    return {f"ipv{row['family']}": _plain(row, keys) for row in rows}


def _plain(row: dict[str, Any], left_out: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in left_out}


def _blocks(by: By, family: int, rows: list[dict[str, Any]]) -> list[Block]:
    name = "asn" if by == "as" else by
    head = {"as": "AS", "country": "country", "registry": "registry"}[by]
    labels = [_label(by, row[name]) for row in rows]
    grid = Grid(
        f"IPv{family} by {head}",
        [head, "routes", "coverage", "accuracy", SPACE_UNIT[family], "coverage of addresses"],
        [
            [
                label,
                f"{row['routes']:,}",
                percent(row["coverage"] or 0, 1),
                "-" if row["accuracy"] is None else percent(row["accuracy"], 1),
                f"{row['space']:,.0f}",
                percent(row["space_coverage"] or 0, 1),
            ]
            for label, row in zip(labels, rows, strict=True)
        ],
    )
    if by != "registry":
        return [grid]
    bars = [
        (label, [float(row[state.label]) for state in STATES], "routes")
        for label, row in zip(labels, rows, strict=True)
    ]
    return [Bars(f"IPv{family} routes by {head}", STATE_PARTS, bars), grid]


def _label(by: By, key: Any) -> str:
    if by == "as":
        return f"AS{key}" if key else "no origin"
    return key or "not known"
