"""``rov slurm``: whether SLURM files may be used, and what they do to a VRP set."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table
from rich.text import Text

from rov import slurm
from rov._render import printed
from rov.cli.shared import (
    EXIT_ERROR,
    busy,
    json_option,
    json_text,
    plain,
    read_vrps,
    strict_option,
    warn_skipped,
)
from rov.errors import SlurmError
from rov.slurm import Applied, Assertion, Effect, Filter, Slurm

EXAMPLES = 3
"""Elements that are named of those that a filter removes."""


@click.group("slurm")
def slurm_group() -> None:
    """Local exceptions to validated data (RFC 8416)."""


@slurm_group.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--vrps", "path", metavar="FILE", help="Tell what each entry does to this VRP file.")
@click.option("--allow-overlap", is_flag=True, help="Let files speak of the same addresses or ASNs.")
@json_option
@strict_option
def check(files: tuple[str, ...], path: str | None, allow_overlap: bool, as_json: bool, strict: bool) -> int:
    """Check SLURM files of version 1 and 2 and show their entries.

    Every fault is listed with its file and path; the exit code is 2 then.
    """
    try:
        loaded = slurm.read(*files, allow_overlap=allow_overlap)
    except SlurmError as error:
        _tell_faults(error, as_json)
        return EXIT_ERROR
    applied = None
    if path is not None:
        report = read_vrps(path, strict)
        warn_skipped(path, report)
        with busy("applying"):
            applied = loaded.apply(report.snapshot, examples=EXAMPLES)
    if as_json:
        click.echo(json_text(_answer(loaded, applied)), nl=False)
        return 0
    for warning in loaded.warnings:
        click.echo(f"rov: warning: {warning}", err=True)
    click.echo(_text(loaded, applied), nl=False)
    return 0


def _tell_faults(error: SlurmError, as_json: bool) -> None:
    """All faults, a line each; as JSON on stdout if that is asked for."""
    if as_json:
        faults = [{"file": file, "path": path, "fault": what} for file, path, what in error.faults]
        click.echo(json_text({"valid": False, "count": error.count, "faults": faults}), nl=False)
        return
    for file, path, what in error.faults:
        place = f"{file}: {path}" if path else file
        click.echo(f"rov: error: {' '.join(f'{place}: {what}'.split())}", err=True)
    if error.count > len(error.faults):
        click.echo(f"rov: error: and {error.count - len(error.faults)} more", err=True)


def _entry(entry: Filter | Assertion) -> dict[str, Any]:
    return {"file": entry.file, "path": entry.path, "entry": str(entry), "comment": entry.comment}


def _effect(effect: Effect, name: str) -> dict[str, Any]:
    shown = {**_entry(effect.entry), name: effect.count}
    if name == "removes":
        shown["examples"] = [plain(element) for element in effect.examples]
    return shown


def _sizes(applied: Applied) -> dict[str, Any]:
    parts = {"removed": applied.removed, "added": applied.added, "result": applied.snapshot}
    return {
        name: {"vrps": len(part), "router_keys": len(part.router_keys), "aspas": len(part.aspas)}
        for name, part in parts.items()
    }


def _answer(loaded: Slurm, applied: Applied | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"valid": True, "files": loaded.files, "warnings": loaded.warnings}
    if applied is None:
        answer["filters"] = [_entry(entry) for entry in loaded.filters]
        answer["assertions"] = [_entry(entry) for entry in loaded.assertions]
        return answer
    answer["filters"] = [_effect(effect, "removes") for effect in applied.filters]
    answer["assertions"] = [_effect(effect, "adds") for effect in applied.assertions]
    return {**answer, **_sizes(applied)}


def _row(entry: Filter | Assertion, *cells: str) -> list[Text]:
    place = f"{entry.file}: {entry.path.rsplit('.', 1)[-1]}"
    return [Text(cell) for cell in (str(entry), *cells, entry.comment or "", place)]


def _examples(effect: Effect) -> str:
    shown = ", ".join(slurm.shown(element) for element in effect.examples)
    return f"{shown}, ..." if effect.count > len(effect.examples) > 0 else shown


def _text(loaded: Slurm, applied: Applied | None) -> str:
    """Tables of filters and assertions; a filter that removes nothing stands out."""
    items: list[Any] = []
    if applied is None:
        for title, entries in (("filter", loaded.filters), ("assertion", loaded.assertions)):
            table = Table(title, "comment", "where", box=None, pad_edge=False)
            for entry in entries:
                table.add_row(*_row(entry))
            items += [table, ""] if table.row_count else []
    else:
        table = Table("filter", "removes", "such as", "comment", "where", box=None, pad_edge=False)
        for effect in applied.filters:
            style = None if effect.count else "yellow"
            table.add_row(*_row(effect.entry, f"{effect.count:,}", _examples(effect)), style=style)
        items += [table, ""] if table.row_count else []
        table = Table("assertion", "adds", "comment", "where", box=None, pad_edge=False)
        for effect in applied.assertions:
            told = "yes" if effect.count else "no, is there already"
            table.add_row(*_row(effect.entry, told), style=None if effect.count else "yellow")
        items += [table, ""] if table.row_count else []
    items.append(Text(_summary(loaded, applied)))
    return printed(*items)


def _summary(loaded: Slurm, applied: Applied | None) -> str:
    filters, assertions = len(loaded.filters), len(loaded.assertions)
    line = f"files: {len(loaded.files)}, filters: {filters:,}, assertions: {assertions:,}"
    if applied is None:
        return f"{line}; no fault"
    sizes = _sizes(applied)
    parts = [
        f"{name}: {counts['vrps']:,} VRPs, {counts['router_keys']:,} router keys, {counts['aspas']:,} ASPAs"
        for name, counts in sizes.items()
    ]
    return "; ".join([line, *parts])
