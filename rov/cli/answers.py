"""How the subcommands that ask one question of a RIB answer: a table, JSON, or the rows in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from rich.text import Text

from rov._render import iso, printed
from rov.audit.output import write_table
from rov.audit.schemas import Schema
from rov.cli.shared import busy, json_text
from rov.report import Grid, Subject
from rov.report.terminal import grid, heading

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 50
"""Rows on a terminal, unless --limit tells otherwise; JSON and files have all."""

AS_COLUMNS = frozenset({
    "origin", "asn", "expected_origin", "cover_origin", "peer_as", "customer", "via_asn", "victim_as",
    "culprit_as",
})  # fmt: skip
"""Columns whose numbers are ASes."""

TIME_COLUMNS = frozenset({"start", "end", "last"})
"""Columns whose numbers are unix seconds."""

limit_option = click.option(
    "--limit", type=click.IntRange(0), default=SHOWN, show_default=True, help="Rows shown on a terminal."
)


class Reply(NamedTuple):
    """An answer: its rows, what sums them up, the columns that a terminal shows, words for no rows.

    ``more`` is what a terminal shows between the summary and the rows.
    """

    rows: pa.Table
    schema: Schema
    summary: Mapping[str, Any]
    lines: Sequence[str]
    shown: Sequence[str]
    none: str
    more: Sequence[Any] = ()


def answer(reply: Reply, facts: Mapping[str, Any], head: Sequence[Any], **how: Any) -> None:
    """Write a Reply: to ``how["output"]`` if it names a file; then JSON if ``as_json``, else for people.

    ``facts`` is what it was made from, ``head`` the lines above it on a terminal, ``limit`` the rows there.
    """
    output, as_json, limit = how["output"], how["as_json"], how["limit"]
    if output:
        with busy(f"writing {output}"):
            write_table(reply.rows, output, reply.schema.name, facts)
    if as_json:
        document = {"schema": reply.schema.name, **facts, "summary": reply.summary}
        click.echo(json_text({**document, "rows": reply.rows.to_pylist()}), nl=False)
    elif output != "-":
        click.echo(printed(*head, *_for_people(reply, limit)), nl=False)


def answer_about(reply: Reply, subject: Subject, **how: Any) -> None:
    """As ``answer``, of the routes of a RIB: min_peers and what was read stand above the figures."""
    answer(reply, subject.facts(), heading(subject), **how)


def _for_people(reply: Reply, limit: int) -> list[Any]:
    items: list[Any] = ["", *(Text(line) for line in reply.lines), *reply.more]
    if not reply.rows.num_rows:
        return [*items, Text(reply.none)]
    if limit:
        items += ["", table_grid(reply.rows, reply.shown, limit)]
    if reply.rows.num_rows > limit:
        items.append(Text(f"... and {reply.rows.num_rows - limit:,} more (--limit, --json, --output)"))
    return items


def table_grid(rows: pa.Table, shown: Sequence[str], limit: int) -> Any:
    """The first rows of a table, some of its columns, for a terminal."""
    picked = rows.select(list(shown)).slice(0, limit).to_pylist()
    cells = [[cell(name, row[name]) for name in shown] for row in picked]
    return grid(Grid("", [name.replace("_", " ") for name in shown], cells))


def counted(column: pa.ChunkedArray) -> Counter[Any]:
    """How many rows have each value, without a Python object for a row.

    >>> import pyarrow
    >>> counted(pyarrow.chunked_array([["a", "b", "a"]]))
    Counter({'a': 2, 'b': 1})
    """
    found = column.value_counts()
    values, counts = (found.field(name).to_pylist() for name in ("values", "counts"))
    return Counter(dict(zip(values, counts, strict=True)))


def count_lines(counts: Mapping[str, int]) -> list[str]:
    """How many there are of each word, a line each.

    >>> count_lines({"no_data_available": 1000})
    ['1,000 no data available']
    """
    return [f"{count:,} {word.replace('_', ' ')}" for word, count in sorted(counts.items())]


def cell(name: str, value: Any) -> str:
    """A value as a terminal shows it; AS numbers and times are told by the name of their column.

    >>> cell("origin", 64496), cell("peers", 1000), cell("share", 0.5), cell("cover", None)
    ('AS64496', '1,000', '0.5000', '-')
    >>> cell("start", 1_750_000_000)
    '2025-06-15T15:06:40Z'
    """
    if value is None or value == []:
        return "-"
    if isinstance(value, list):
        return ", ".join(cell(name.removesuffix("s"), item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in AS_COLUMNS:
        return f"AS{value}"
    if name == "year":
        return str(value)
    if isinstance(value, int):
        return str(iso(value)) if name in TIME_COLUMNS else f"{value:,}"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
