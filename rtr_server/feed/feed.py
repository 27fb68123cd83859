"""What a feed is: something that can be loaded, and that can be waited for until loading is worth while."""

from __future__ import annotations

from typing import Protocol

import msgspec

from rov import ReadReport, Snapshot


class FeedError(Exception):
    """A feed gives no usable set; the message names the feed and says what is wrong.

    ``temporary``: the same feed may well give one later (a network that is down), so that a daemon that
    starts should wait rather than give up.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


class Loaded(msgspec.Struct, frozen=True):
    """A set as its feed gave it, and how many bad rows were left out, the first of them in words.

    ``as_of``: the data's own time in unix seconds, None where nothing tells it; ``lapse``: seconds for
    which they may be used without word from the feed, where it says so itself; ``clock``: the feed's clock.
    """

    snapshot: Snapshot
    skipped: int = 0
    bad: tuple[str, ...] = ()
    as_of: int | None = None
    lapse: int | None = None
    clock: int | None = None


def tolerated(report: ReadReport, name: str, share: float) -> Loaded:
    """What a file holds; FeedError if more than a share of its rows are none.

    >>> tolerated(ReadReport(Snapshot.empty(), "JSON", 1_000, (), 1), "vrps.json", 0.001).skipped
    1
    """
    rows = report.rows + len(report.snapshot.aspas) + len(report.snapshot.router_keys)
    if report.skipped_count > share * rows:
        raise FeedError(
            f"{name}: {report.skipped_count:,} of {rows:,} rows are bad, at most {share * 100:g}% are borne; "
            f"the first: {report.skipped[0] if report.skipped else 'not known'}"
        )
    bad = tuple(map(str, report.skipped))
    return Loaded(report.snapshot, report.skipped_count, bad, report.snapshot.generated)


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
