"""The process that reads the archive for pages: ``python -m rtr_server.web.past_reader DIR QUESTION ...``

``changes SINCE PREFIX [ASN]`` gives a Told, ``counts`` a list of Counted, as JSON on standard output.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import msgspec

from rov import RovError, archive
from rtr_server.child import settle

MAX_DATA = 2 << 30
"""Octets of memory that reading may take: two global sets and a day's changes take a tenth of it."""

NICE = 10
"""Routers come first."""

FAILED = 3
"""Exit code where the archive cannot be read; the reason is on standard error."""

MAX_EVENTS = 1_000
"""Changes of one route that are told, the newest: a page shows fewer."""


class Event(msgspec.Struct, frozen=True):
    """An update that changed which VRPs (as texts) cover a prefix; states where an AS number was given."""

    time: int
    serial: int
    why: str
    withdrawn: tuple[str, ...]
    announced: tuple[str, ...]
    before: str | None = None
    after: str | None = None
    causes: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """What an archive says of a route: ``begins``, ``last``: its first and last record of that time.

    ``events`` newest first; unix seconds. ``begins`` None: there are no records.
    """

    begins: int | None
    last: int
    events: list[Event]


class Counted(msgspec.Struct, frozen=True):
    """How many VRPs each trust anchor had from a time on (unix seconds)."""

    time: int
    vrps: dict[str, int]


def changes(history: archive.History, since: int, prefix: str, asn: int | None) -> Told:
    """The changes of a route since a time."""
    times = [update.time for update in history.updates(since=since)]
    if not times:
        return Told(None, 0, [])
    found = [
        Event(
            change.update.time,
            change.update.serial,
            change.update.why,
            tuple(map(str, change.withdrawn)),
            tuple(map(str, change.announced)),
            None if change.before is None else change.before.label,
            None if change.after is None else change.after.label,
            tuple(map(str, change.causes)),
        )
        for change in history.changes(prefix, asn, since=since)
        if change.update.time >= since
    ]
    return Told(times[0], times[-1], found[::-1][:MAX_EVENTS])


def counts(history: archive.History) -> list[Counted]:
    """The VRPs by trust anchor after each record."""
    return [Counted(each.update.time, each.vrps) for each in history.counts()]


def main(arguments: Sequence[str]) -> int:
    """Read, say; the exit code."""
    settle(MAX_DATA, nice=NICE)
    directory, question, *rest = arguments
    try:
        history = archive.History(directory)
        if question == "counts":
            found: object = counts(history)
        else:
            since, prefix, *asn = rest
            found = changes(history, int(since), prefix, int(asn[0]) if asn else None)
    except RovError as error:
        print(error, file=sys.stderr)
        return FAILED
    sys.stdout.buffer.write(msgspec.json.encode(found))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
