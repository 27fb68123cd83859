"""What a feed is: something that can be loaded, and that can be waited for until loading is worth while."""

from __future__ import annotations

from typing import Protocol

import msgspec

from rov import Snapshot


class FeedError(Exception):
    """A feed gives no usable set; the message names the feed and says what is wrong.

    ``temporary``: the same feed may well give one later (a network that is down), so that a daemon that
    starts should wait rather than give up.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


class Loaded(msgspec.Struct, frozen=True):
    """A set as its feed gave it, expired rows included, and how many bad rows were left out."""

    snapshot: Snapshot
    skipped: int = 0


class Feed(Protocol):
    """A place where snapshots come from."""

    name: str
    """The path or URL, as logs show it."""

    synthetic: bool
    """Whether the set is made up."""

    def load(self) -> Loaded | None:
        """Read the set, in a thread: may block. None: not changed since. FeedError: not usable."""

    async def changed(self) -> None:
        """Return when it is worth while to load again."""

    def cancel(self) -> None:
        """Make a load that runs in a thread end soon, by FeedError; called from the event loop."""
