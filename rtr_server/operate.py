"""The operator's view of the data: the commands ``update ...`` and ``sources`` of the control socket."""

from __future__ import annotations

from typing import Any

import msgspec

from rov import Prefix, RovError
from rtr_server.control.codec import ControlError
from rtr_server.control.commands import Command
from rtr_server.feed.feed import FeedError
from rtr_server.feed.losses import text
from rtr_server.feed.messages import Losses
from rtr_server.feed.process import ProcessFeed
from rtr_server.updates import Updates

MAX_ROWS = 1_000
"""VRPs of each difference that are listed at most."""


class HeldUpdate(msgspec.Struct, frozen=True):
    """An update that the guard holds back; times in unix seconds. ``accepted_at``: by itself, None: never."""

    reasons: tuple[str, ...]
    since: int
    rejected: bool
    accepted_at: int | None
    losses: Losses
    text: str


class Operate:
    """What operators may ask of the data and do to them."""

    def __init__(self, updates: Updates) -> None:
        self._updates = updates

    def commands(self) -> list[Command]:
        """For the daemon's table."""
        return [
            Command("update show", self.show),
            Command("update accept", self.accept, changes=True),
            Command("update reject", self.reject, changes=True),
            Command("sources", self.sources),
            Command("sources of", self.sources_of),
        ]

    def show(self) -> dict[str, Any]:
        """The update that is held, None if there is none, and how often that has happened."""
        guard = self._updates.guard
        if self._updates.held is None or guard.held is None or guard.episode is None:
            return {"held": None, "holds": guard.holds}
        held = HeldUpdate(
            guard.held.reasons,
            guard.episode.since,
            guard.episode.rejected,
            guard.due(),
            guard.held.losses,
            text(guard.held.losses),
        )
        return {"held": msgspec.to_builtins(held), "holds": guard.holds}

    async def accept(self) -> dict[str, Any]:
        """Serve the update that is held."""
        try:
            serial = await self._updates.accept()
        except FeedError as error:
            raise ControlError(str(error)) from error
        if serial is None:
            raise ControlError("no update is held")
        return {"serial": serial}

    def reject(self) -> dict[str, Any]:
        """Keep the last set until the sources give something that loses little."""
        if not self._updates.reject():
            raise ControlError("no update is held")
        return {"serial": self._updates.history.serial}

    async def sources(self, diff: bool = False, limit: int = 20) -> dict[str, Any]:
        """How the sources stand; with ``diff`` also how they differ, ``limit`` VRPs of each."""
        _check_limit(limit)
        feed = self._updates.feed
        if not isinstance(feed, ProcessFeed):
            return {"policy": "any", "sources": [{"name": feed.name, "state": "usable"}]}
        answer: dict[str, Any] = {
            "policy": feed.settings.policy.combine,
            "quorum": feed.settings.policy.quorum,
            "as_of": self._updates.as_of,
            "loader_failures": feed.restarts,
            "sources": msgspec.to_builtins(feed.status),
        }
        if diff:
            answer["differences"] = (await _asked(feed, limit))["sources"]
        return answer

    async def sources_of(self, prefix: str, asn: int | None = None, limit: int = 20) -> dict[str, Any]:
        """Which sources have the VRPs that cover a prefix, and whether these are served; by the loader."""
        _check_limit(limit)
        if asn is not None and (not isinstance(asn, int) or not 0 <= asn < 1 << 32):
            raise ControlError(f"asn {asn!r}: expected 0 to {(1 << 32) - 1}")
        try:
            wanted = Prefix.of(prefix)
        except RovError as error:
            raise ControlError(str(error)) from error
        feed = self._updates.feed
        if not isinstance(feed, ProcessFeed):
            raise ControlError("the set is made up: it has no sources")
        return {"prefix": str(wanted), "asn": asn} | await _asked(feed, limit, str(wanted), asn)


def _check_limit(limit: object) -> None:
    if not isinstance(limit, int) or not 0 <= limit <= MAX_ROWS:
        raise ControlError(f"limit {limit!r}: expected 0 to {MAX_ROWS}")


async def _asked(
    feed: ProcessFeed, limit: int, covering: str | None = None, asn: int | None = None
) -> dict[str, Any]:
    try:
        return await feed.ask(limit, covering, asn)
    except FeedError as error:
        raise ControlError(str(error)) from error
