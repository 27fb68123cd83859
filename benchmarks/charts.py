"""The charts of docs/, drawn from the rows of a benchmark; matplotlib comes with the extra ``bench``."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

OURS, PEERS = "#1f6feb", ["#8c959f", "#b9c0c7", "#d8dde2"]
WIDTH_INCHES = 8


def available() -> bool:
    """Whether charts can be drawn; where not, that is said."""
    if importlib.util.find_spec("matplotlib"):
        return True
    click.echo("no charts without matplotlib: pip install 'rovkit[bench]'", err=True)
    return False


def _figure(rows: int = 1, columns: int = 1, height: float = 4) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    return plt.subplots(rows, columns, figsize=(WIDTH_INCHES, height), squeeze=False)


def _save(figure: Any, target: Path) -> None:
    figure.tight_layout()
    figure.savefig(target, dpi=110, metadata={"Software": None})
    click.echo(f"drawn: {target.name}")


def bars(target: Path, title: str, unit: str, rows: Sequence[tuple[str, str, float]]) -> None:
    """Horizontal bars on a logarithmic scale: (question, by, value); ours are those whose name begins rov."""
    if not available():
        return
    figure, axes = _figure(height=0.9 + 0.27 * len(rows))
    axis = axes[0][0]
    peers = list(dict.fromkeys(by for _, by, _ in rows if not by.startswith("rov")))
    shown = rows[::-1]
    colours = [OURS if by.startswith("rov") else PEERS[peers.index(by) % len(PEERS)] for _, by, _ in shown]
    bar = axis.barh(range(len(shown)), [value for *_, value in shown], color=colours)
    axis.bar_label(
        bar, [f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for *_, value in shown], padding=3
    )
    axis.set_yticks(range(len(shown)), [f"{question} · {by}" for question, by, _ in shown])
    axis.set_xscale("log")
    axis.margins(x=0.12)
    axis.set_xlabel(unit)
    axis.set_title(title, loc="left")
    _save(figure, target)


def lines(
    target: Path,
    panels: Sequence[tuple[str, str, Mapping[str, Sequence[float]]]],
    x: Sequence[float],
    label: str,
    *,
    decades: bool = False,
) -> None:
    """Panels (title, unit, name to values) over the same x: from zero, but logarithmic beside a peer.

    A series may end early. ``decades``: x is logarithmic, too.
    """
    if not available():
        return
    figure, axes = _figure((len(panels) + 1) // 2, 2, height=2.7 * ((len(panels) + 1) // 2))
    for axis, (title, unit, series) in zip(axes.flat, panels, strict=False):
        for name, values in series.items():
            colour = OURS if name.startswith("rtr-server") else None
            axis.plot(x[: len(values)], values, marker="o", markersize=3, label=name, color=colour)
        if len(series) > 1:
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
        if decades:
            axis.set_xscale("log")
        else:
            axis.set_xlim(left=0)
        axis.set_title(title, loc="left")
        axis.set_ylabel(unit)
        axis.set_xlabel(label)
        axis.legend(frameon=False, fontsize=8)
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_visible(False)
    _save(figure, target)
