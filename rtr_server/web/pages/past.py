"""What became of a route and of the set: from the archive, and from the updates since the start.

The archive is read by processes of their own: a global set a day is unpacked, and routers must not feel it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from rov import Prefix, Snapshot, State, Vrp, VrpIndex
from rov.causes import causes
from rtr_server.threads import in_thread
from rtr_server.web.daemon import Daemon, Recorded, Served
from rtr_server.web.past_reader import Counted, Event, Told
from rtr_server.web.problems import Problem

WAIT = 60.0
"""Seconds for one question of an archive: 90 days take a third of it on a slow core."""

DAYS = (7, 30, 90)
"""How far back a page can be asked to look; the first is what it looks at by itself."""

MAX_OCTETS = 16 << 20
"""Of an answer: a hundred thousand events."""


MAX_KEPT = 256
"""Answers of the archive that are kept: a few kB each."""


class Story(NamedTuple):
    """What became of a route since ``begins`` (unix seconds), newest first; whether the archive was read."""

    begins: int
    events: list[Event]
    archive: bool
    error: str = ""


class Piece(NamedTuple):
    """A span of a route's story in one state, in thousandths of the whole."""

    x: float
    width: float
    state: str
    begin: int
    end: int


def archive_of(daemon: Daemon) -> Path | None:
    """The directory of the archive, None where none is kept."""
    state = daemon.config.state.directory
    if state is None or not daemon.config.history.enabled:
        return None
    return state / "history"


class Kept:
    """The last answers of the archive, for as long as the same set is served and it is the same day."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[object, ...], Told] = OrderedDict()

    async def get(self, directory: Path, served: Served, prefix: Prefix, asn: int | None, since: int) -> Told:
        """What the archive says of a route since a time; PastError."""
        name = (served.name, prefix, asn, since // 86_400)
        found = self._answers.get(name)
        if found is None:
            question = [str(since), str(prefix), *([] if asn is None else [str(asn)])]
            found = msgspec.json.decode(await ask(directory, "changes", *question), type=Told)
        self._answers[name] = found
        self._answers.move_to_end(name)
        while len(self._answers) > MAX_KEPT:
            self._answers.popitem(last=False)
        return found


async def story(
    daemon: Daemon, kept: Kept, served: Served, prefix: Prefix, asn: int | None, days: int
) -> Story:
    """What became of a route, or of the VRPs over a prefix, in the last days."""
    began, changes = int(daemon.began), tuple(daemon.changes)
    recent = await in_thread(lambda: since_start(served, changes, prefix, asn))
    directory = archive_of(daemon)
    if directory is None:
        return Story(began, recent, False)
    since = int(daemon.clock()) - days * 86_400
    try:
        found = await kept.get(directory, served, prefix, asn, since)
    except PastError as error:
        return Story(began, recent, False, str(error))
    if found.begins is None:
        return Story(began, recent, False)
    known = {event.serial for event in found.events if event.time >= began - 1}
    fresh = [event for event in recent if event.time > found.last and event.serial not in known]
    return Story(max(found.begins, since), [*fresh, *found.events], True)


class PastError(Exception):
    """The archive gave no answer; the text says why."""


async def ask(directory: Path, *question: str) -> bytes:
    """One question to the archive, as ``past_reader`` takes it; PastError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rtr_server.web.past_reader",
        str(directory),
        *question,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=MAX_OCTETS,
    )
    try:
        async with asyncio.timeout(WAIT):
            said, wrong = await process.communicate()
    except TimeoutError:
        raise PastError(f"the archive did not answer in {WAIT:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
    if process.returncode != 0:
        lines = wrong.decode("utf-8", "replace").strip().splitlines()
        raise PastError(lines[-1][:300] if lines else f"its reader ended with {process.returncode}")
    return said


def since_start(served: Served, changes: Sequence[Recorded], prefix: Prefix, asn: int | None) -> list[Event]:
    """The changes since the start, newest first, found backwards from what is served. In a thread."""
    after = frozenset(served.index.covering(prefix))
    found = []
    for change in changes:
        if change.delta is None:
            continue
        gone = frozenset(change.delta.withdrawn.covering(prefix))
        come = frozenset(change.delta.announced.covering(prefix))
        whole = begins(change)
        before = (after - come) | gone
        if before != after and not whole:
            event = event_of(change, prefix, asn, before, after)
            if asn is None or event.before != event.after:
                found.append(event)
        after = before
        if whole:
            break
    return found


def begins(change: Recorded) -> bool:
    """Whether it is the first set of all: there was nothing before it."""
    delta = change.delta
    return delta is not None and not delta.withdrawn and len(delta.announced) == change.vrps


def event_of(
    change: Recorded, prefix: Prefix, asn: int | None, before: frozenset[Vrp], after: frozenset[Vrp]
) -> Event:
    """One change of what covers a prefix."""
    gone, come = sorted(before - after), sorted(after - before)
    if asn is None:
        return Event(change.time, change.serial, change.why, _texts(gone), _texts(come))
    old, new = (_state(prefix, asn, vrps) for vrps in (before, after))
    by = causes(old, new, (prefix.length, asn), gone, come)
    return Event(
        change.time, change.serial, change.why, _texts(gone), _texts(come), old.label, new.label, _texts(by)
    )


def _state(prefix: Prefix, asn: int, vrps: Iterable[Vrp]) -> State:
    return VrpIndex(Snapshot.from_vrps(vrps)).validate(prefix, asn)


def _texts(vrps: Iterable[Vrp]) -> tuple[str, ...]:
    return tuple(map(str, vrps))


def strip(story: Story, now: int, state: str) -> list[Piece]:
    """The states of a route over the time that is known, oldest first; ``state`` is that of now.

    >>> strip(Story(0, [Event(25, 1, "", (), (), "not_found", "valid", ())], True), 100, "valid")[0][:3]
    (0.0, 250.0, 'not_found')
    """
    begin, end = story.begins, max(now, story.begins + 1)
    marks = [(event.time, event.before, event.after) for event in reversed(story.events)]
    times = [begin, *(min(max(time, begin), end) for time, _, _ in marks), end]
    states = [marks[0][1] or state if marks else state, *(after or state for _, _, after in marks)]
    wide = end - begin
    return [
        Piece(1_000 * (first - begin) / wide, 1_000 * (last - first) / wide, each, first, last)
        for first, last, each in zip(times[:-1], times[1:], states, strict=True)
        if last > first
    ]


def days_of(text: str) -> int:
    """How far back is asked for; Problem 400."""
    if text not in map(str, DAYS):
        raise Problem(400, f"days: expected {', '.join(map(str, DAYS))}")
    return int(text)


async def counted(daemon: Daemon) -> list[Counted]:
    """The VRPs by trust anchor that the archive knows of before the start, oldest first; PastError."""
    directory = archive_of(daemon)
    if directory is None:
        return []
    found = msgspec.json.decode(await ask(directory, "counts"), type=list[Counted])
    return [each for each in found if each.time < daemon.began]
