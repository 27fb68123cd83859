"""The look-up: a prefix or an address, with an AS number or without, and all that is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from rov import Prefix, State
from rtr_server.control.codec import ControlError
from rtr_server.threads import in_thread
from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.pages import past
from rtr_server.web.pages.advice import LOOKED_AT, Advice, advice, with_rib
from rtr_server.web.pages.asked import Asked
from rtr_server.web.pages.verdict import (
    Covering,
    Verdict,
    allowed,
    by_length,
    covering_rows,
    verdict,
)
from rtr_server.web.table import Route, Table

MAX_ROUTES = 50
"""Routes of a RIB below a prefix that a page names."""

MAX_VRPS = 200
"""Covering VRPs that a page names, those that match first."""

MAX_EVENTS = 100

ORIGINS_WAIT = 2.0
"""Seconds that the loader gets to say which sources have a VRP; it may be busy with an update."""


class Related(NamedTuple):
    """Routes of the loaded RIB: those to the prefix itself, to what covers it, to what lies below it."""

    exact: list[Route]
    above: list[Route]
    below: list[Route]
    below_count: int


async def values(daemon: Daemon, kept: past.Kept, served: Served, asked: Asked, days: int) -> dict[str, Any]:
    """What the template shows."""
    assert asked.prefix is not None, "an AS number alone has a page of its own"
    prefix = asked.prefix
    told = past.story(daemon, kept, served, prefix, None if asked.address else asked.asn, days)
    sources, story = await asyncio.gather(sources_of(daemon, prefix), told)
    found = await in_thread(lambda: _found(daemon, served, asked, sources))
    state = found["validity"].state.label if found["validity"] is not None else ""
    now = int(daemon.clock())
    with_states = asked.asn is not None and not asked.address
    return {
        **found,
        "asked": asked,
        "days": days,
        "choices": past.DAYS,
        "story": story._replace(events=story.events[:MAX_EVENTS]),
        "event_count": len(story.events),
        "strip": past.strip(story, now, state) if with_states else [],
        "now": now,
        "served": served,
        "max_vrps": MAX_VRPS,
    }


def _found(
    daemon: Daemon, served: Served, asked: Asked, sources: dict[str, tuple[str, ...]] | None
) -> dict[str, Any]:
    """What the set and the RIB say; in a thread."""
    prefix, asn = asked.prefix, asked.asn
    assert prefix is not None
    rows = covering_rows(served, prefix, asn, sources, address=asked.address)
    rows.sort(key=lambda row: (row.speaks != "for", row.vrp.asn != asn))
    validity = None if asn is None or asked.address else served.index.explain(prefix, asn)
    table = daemon.rib.table
    related = None if table is None else related_routes(table, prefix)
    found: Advice | None = None
    if validity is not None and asn is not None:
        found = advice(prefix, asn, rows, validity)
        if table is not None and found.vrp is not None:
            found = with_rib(found, table.under(prefix, LOOKED_AT).routes)
    lengths = by_length([row.vrp for row in rows], prefix.bits) if asked.address and rows else []
    return {
        "rows": rows[:MAX_VRPS],
        "row_count": len(rows),
        "verdict": _verdict(asked, rows, related) if asked.address else verdict(prefix, asn, rows, validity),
        "validity": validity,
        "lengths": lengths,
        "origins": [] if asked.address else allowed([row.vrp for row in rows], prefix.length),
        "advice": found,
        "related": related,
        "rib": daemon.rib.status() if daemon.rib.files else None,
    }


def related_routes(table: Table, prefix: Prefix) -> Related:
    """The routes around a prefix."""
    over = table.covering(prefix)
    text = str(prefix)
    exact = [route for route in over if route.prefix == text]
    above = [route for route in over if route.prefix != text][::-1]
    under = table.under(prefix, MAX_ROUTES + len(exact))
    below = [route for route in under.routes if route.prefix != text]
    return Related(exact, above, below, under.total - len(exact))


def _verdict(asked: Asked, rows: Sequence[Covering], related: Related | None) -> Verdict:
    """Of an address: the state of the route that packets to it take, or what that would depend on."""
    prefix = asked.prefix
    assert prefix is not None
    address = str(prefix).partition("/")[0]
    taken = [] if related is None else [*related.exact, *related.above]
    if taken:
        best = [route for route in taken if route.prefix == taken[0].prefix]
        if asked.asn is not None:
            best = [route for route in best if route.origin == asked.asn] or best
        words = {"valid": "Valid", "invalid": "Invalid", "not_found": "Not found"}
        route = best[0]
        by = "an AS_SET" if route.origin is None else f"AS{route.origin}"
        title = f"{words[route.state]}: {route.prefix} from {by}"
        return Verdict(route.state, title, f"This is the most specific route to {address} in the loaded RIB.")
    if not rows:
        text = f"No VRP covers {address}. Nothing is known of who may announce it."
        return Verdict(State.NOT_FOUND.label, f"Not found: {address}", text)
    text = "An address is no route: the state depends on which prefix is announced, and by whom."
    return Verdict("depends", f"{address} depends on the announcement", text)


async def sources_of(daemon: Daemon, prefix: Prefix) -> dict[str, tuple[str, ...]] | None:
    """Which sources have each VRP that covers a prefix, by the VRP as text; None: nobody answers in time."""
    try:
        async with asyncio.timeout(ORIGINS_WAIT):
            found = await daemon.sources_of(prefix)
    except (ControlError, TimeoutError):
        return None
    return {row["vrp"]: tuple(row["sources"]) for row in found["vrps"]}
