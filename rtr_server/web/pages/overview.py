"""The overview: what is served, what is wrong, how it came about, from where and to whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from rtr_server.control.codec import ControlError
from rtr_server.feed.messages import Losses
from rtr_server.feed.stale import WARN_FROM
from rtr_server.sessions import Listing, SessionRow
from rtr_server.threads import in_thread
from rtr_server.web.daemon import Daemon, Recorded, Served
from rtr_server.web.pages import chart
from rtr_server.web.pages.growth import Growth
from rtr_server.web.pages.render import Renderer, count, moment, span

MAX_SESSIONS = 100
"""Routers in the table; those that are behind come first, and /api/v1/sessions has all."""

MAX_UPDATES = 20
MAX_ENDED = 10

DIFFERING = 5
"""VRPs that are named of each difference between sources."""

DIFFERENCES_AGE = 60.0
"""Seconds for which the differences between sources are kept: they are found by comparing whole sets."""

PARTS = ("state", "growth", "updates", "sources", "sessions")
"""What a page shows and the live view renews, each a template ``part_NAME.html``."""


class Alert(NamedTuple):
    """Something that a person should see first. ``tone``: bad or warn."""

    tone: str
    title: str
    text: str
    command: str = ""


class Router(NamedTuple):
    """A session with where it stands: ``tone`` and ``standing`` in words."""

    row: SessionRow
    tone: str
    standing: str


class Overview:
    """Makes the parts of the overview, from any number of pages at once."""

    def __init__(self, daemon: Daemon, renderer: Renderer) -> None:
        self._daemon = daemon
        self._renderer = renderer
        self._growth = Growth(daemon)
        self._differences: tuple[float, int, list[dict[str, Any]]] = (-DIFFERENCES_AGE, 0, [])
        self._comparing = asyncio.Lock()

    async def values(self) -> dict[str, Any]:
        """What the templates show."""
        daemon, served = self._daemon, self._daemon.served
        sources = await daemon.sources()
        listing = await daemon.sessions()
        points = [] if served is None else await self._growth.points(served)
        differences = await self._compared(sources)
        now = daemon.clock()

        def charts() -> tuple[Any, Any]:
            if not points:
                return None, []
            few = chart.thinned(points, int(now))
            return chart.stacked(few, int(now)), chart.table(few, int(now))

        stack, rows = await in_thread(charts)
        return {
            "now": now,
            "served": served,
            "ready": daemon.ready(),
            "age": daemon.age(),
            "warnings": list(warnings(daemon, sources)),
            "routers": len(listing.sessions),
            "stack": stack,
            "anchors": rows,
            "chart_width": chart.WIDTH,
            "archive_read": not self._growth.reading,
            "archive_error": self._growth.error,
            "updates": [change for change in daemon.changes if change.delta is not None][:MAX_UPDATES],
            "renewals": sum(change.delta is None for change in daemon.changes),
            "summed": summed,
            "sources": sources["sources"],
            "policy": policy_text(sources),
            "differences": differences,
            "sessions": routers(listing),
            "more_sessions": max(0, len(listing.sessions) - MAX_SESSIONS),
            "ended": list(listing.ended)[-MAX_ENDED:][::-1],
            "ended_count": listing.ended_count,
            "said": said(daemon),
        }

    async def parts(self) -> dict[str, str]:
        """The parts as text, by name."""
        values = await self.values()
        return await in_thread(
            lambda: {
                **{name: self._renderer.part(f"part_{name}.html", values) for name in PARTS},
                "said": values["said"],
            }
        )

    async def _compared(self, sources: dict[str, Any]) -> list[dict[str, Any]]:
        """How the sources differ, by the loader, which is asked now and then and by one at a time."""
        if len(sources["sources"]) < 2 or self._comparing.locked():
            return self._differences[2]
        served = self._daemon.served
        generation = 0 if served is None else served.generation
        async with self._comparing:
            at, of, found = self._differences
            if generation != of or time.monotonic() - at >= DIFFERENCES_AGE:
                try:
                    async with asyncio.timeout(2.0):
                        found = (await self._daemon.sources(True, DIFFERING))["differences"]
                except (ControlError, TimeoutError):
                    return found
                self._differences = time.monotonic(), generation, found
        return found


def summed(change: Recorded, side: str) -> dict[str, int]:
    """What an update announced or withdrew, in numbers."""
    part = None if change.delta is None else getattr(change.delta, side)
    if part is None:
        return {"vrps": 0, "aspas": 0, "router keys": 0}
    return {"vrps": len(part), "aspas": len(part.aspas), "router keys": len(part.router_keys)}


def said(daemon: Daemon) -> str:
    """The last update in a sentence: what a screen reader says when it comes."""
    change = next((change for change in daemon.changes if change.delta is not None), None)
    if change is None:
        return ""
    come, gone = summed(change, "announced")["vrps"], summed(change, "withdrawn")["vrps"]
    return (
        f"Serial {change.serial} since {moment(change.time)} UTC: "
        f"VRPs: {count(come)} announced, {count(gone)} withdrawn, {count(change.vrps)} in all."
    )


def policy_text(sources: dict[str, Any]) -> str:
    """How several sources become one set."""
    policies = {
        "any": "the first that is usable",
        "union": "what any of them has",
        "intersection": "what all that are usable have",
        "quorum": f"what at least {sources.get('quorum')} of them have",
    }
    return policies[sources["policy"]]


def warnings(daemon: Daemon, sources: dict[str, Any]) -> Iterator[Alert]:
    """What is wrong, worst first."""
    served: Served | None = daemon.served
    if daemon.updates.feed.synthetic:
        yield Alert("bad", "Synthetic data", "This set is made up: never let a router filter by it.")
    if served is None:
        yield Alert("bad", "No data yet", "Routers are told so, and ask again.")
    elif not daemon.ready():
        yield Alert("bad", "Data are withheld", "They are too old, and [stale] action is close.")
    elif not served.snapshot:
        yield Alert("bad", "The set is empty", "All data have expired or were withdrawn.")
    yield from _held(daemon)
    yield from _stale(daemon)
    for source in sources["sources"]:
        if source["state"] in ("failing", "lapsed"):
            used = "its last set is still used" if source["state"] == "failing" else "it is not used any more"
            if source["loaded_at"] is None:
                used = "it has given no set yet"
            yield Alert("warn", f"Source {source['name']} fails", f"{source['error']} ({used})")
    rib = daemon.rib.status() if daemon.rib.files else None
    if rib is not None and rib.state == "failed":
        yield Alert("warn", "The RIB cannot be loaded", str(rib.error))
    elif rib is not None and rib.warnings:
        more = f" (and {len(rib.warnings) - 1} more, see /readyz)" if len(rib.warnings) > 1 else ""
        yield Alert("warn", "Part of the RIB is left out", f"{rib.warnings[0]}{more}")


def _held(daemon: Daemon) -> Iterator[Alert]:
    held = daemon.held()["held"]
    if held is None:
        return
    losses: Losses = daemon.updates.guard.held.losses  # type: ignore[union-attr]  # there is one
    due = held["accepted_at"]
    after = f" It is accepted by itself at {moment(due)} UTC." if due is not None else ""
    refused = " An operator has rejected it." if held["rejected"] else ""
    text = (
        f"Since {moment(held['since'])} UTC: {'; '.join(held['reasons'])}. It would take "
        f"{count(losses.lost)} of {count(losses.before)} VRPs away."
        f"{refused}{after} The last set stays in service."
    )
    yield Alert("bad", "An update is held by the guard", text, "rtr-server update show | accept | reject")


def _stale(daemon: Daemon) -> Iterator[Alert]:
    age, staleness = daemon.age(), daemon.updates.staleness
    if age is None or staleness is None:
        return
    limit = float(staleness.policy.after)
    then = {
        "keep": "they are served all the same",
        "withdraw": "routers withdraw all",
        "close": "routers get none",
        "exit": "the daemon ends",
    }[staleness.policy.action]
    told = f"They are {span(age)} old, and the limit is {span(limit)}; beyond it {then}."
    if age > limit:
        yield Alert("bad", "Data are stale", told)
    elif age > WARN_FROM * limit:
        yield Alert("warn", "Data are getting old", told)


def routers(listing: Listing) -> list[Router]:
    """The sessions, those that are furthest behind first."""
    found = [Router(row, *standing(row)) for row in listing.sessions]
    found.sort(key=lambda router: (router.tone == "good", -(router.row.lag or 0), router.row.number))
    return found[:MAX_SESSIONS]


def standing(row: SessionRow) -> tuple[str, str]:
    """Whether a router has what is served, and if not, for how long."""
    if row.behind is None:
        return "open", "no data yet"
    if row.behind == 0:
        return "good", "up to date"
    late = "" if row.lag is None else f", {span(row.lag)}"
    return "warn", f"{row.behind:,} serial{'s' if row.behind > 1 else ''} behind{late}"
