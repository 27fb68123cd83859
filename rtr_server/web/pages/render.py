"""Templates to octets: how numbers, times and states are written on pages."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jinja2
from markupsafe import Markup

from rov import NO_EXPIRY

VERSION = importlib.metadata.version("rovkit")

STATES = {"valid": "Valid", "invalid": "Invalid", "not_found": "Not found"}
"""The states of a route by their labels (RFC 6811 §2), as pages write them."""

TONES = {"valid": "good", "invalid": "bad", "not_found": "open"}
"""Their colours, by the names that the style sheet has."""

REASONS = {
    "matched": "a VRP matches",
    "not_covered": "no VRP covers it",
    "as": "VRPs of other ASes only",
    "length": "too specific",
    "as0": "for AS 0: nobody may",
}
"""Why, in a few words, by the labels of the library."""

_UNITS = ((2 * 86_400, 86_400, "d"), (2 * 3_600, 3_600, "h"), (60, 60, "min"), (0, 1, "s"))
"""From how many seconds on which unit is used, and how many it has."""


def count(number: float) -> str:
    """A number in groups of three.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,.0f}"


def signed(number: int) -> str:
    """A change, with its sign.

    >>> signed(-1234), signed(5), signed(0)
    ('−1,234', '+5', '±0')
    """
    return f"{'+' if number > 0 else '−' if number else '±'}{abs(number):,}"


def span(seconds: float) -> str:
    """A span of time in one unit, coarse enough that it does not change at every look.

    >>> span(59), span(7_199), span(200_000)
    ('59 s', '119 min', '2 d')
    """
    size, unit = next((size, unit) for least, size, unit in _UNITS if seconds >= least or not least)
    return f"{int(seconds // size):,} {unit}"


def moment(seconds: float | None) -> str:
    """Unix seconds as date and time in UTC, to the second; "not stated" for None.

    >>> moment(1700000000)
    '2023-11-14 22:13:20'
    """
    if seconds is None or seconds == NO_EXPIRY:
        return "not stated"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s"


def time_tag(seconds: float | None) -> Markup:
    """The same as an element that says which moment it is.

    >>> print(time_tag(1700000000))
    <time datetime="2023-11-14T22:13:20Z">2023-11-14 22:13:20</time>
    """
    text = moment(seconds)
    if not text.startswith(("1", "2")):
        return Markup("{}").format(text)
    return Markup('<time datetime="{}Z">{}</time>').format(text.replace(" ", "T"), text)


def octets(number: float) -> str:
    """A size in one unit.

    >>> octets(999), octets(16_000_000)
    ('999 B', '16.0 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1_000 or unit == "GB":
            break
        number /= 1_000
    return f"{number:.0f} B" if unit == "B" else f"{number:,.1f} {unit}"


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """One for the process: to compile the templates takes a third of a second."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rtr_server.web.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "count": count,
        "signed": signed,
        "span": span,
        "moment": moment,
        "when": time_tag,
        "octets": octets,
    }
    environment.globals |= {
        "STATES": STATES,
        "TONES": TONES,
        "REASONS": REASONS,
        "VERSION": VERSION,
    }
    return environment


class Renderer:
    """The templates of the package. ``page`` and ``part`` may be called from any thread."""

    def __init__(self) -> None:
        self._environment = _environment()

    def compile(self) -> None:
        """Compile all templates, which else is done when one is first asked for."""
        for name in self._environment.list_templates(["html"]):
            self._environment.get_template(name)

    def page(self, name: str, values: Mapping[str, Any]) -> bytes:
        """A template, made with values."""
        return self._environment.get_template(name).render(values).encode("utf-8", "replace")

    def part(self, name: str, values: Mapping[str, Any]) -> str:
        """The same as text, for a part of a page."""
        return self._environment.get_template(name).render(values)
