"""/api/v1/history of a prefix or a route: the updates that changed it, from the archive."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rov import ArchiveError, Prefix, Snapshot, State, Vrp, VrpIndex, archive
from rtr_server.web.compare import plain
from rtr_server.web.daemon import Daemon, Recorded, Served
from rtr_server.web.problems import Problem


def folder(daemon: Daemon) -> Path | None:
    """Where the daemon records its updates, None if it does not."""
    config = daemon.config
    if config.state.directory is None or not config.history.enabled:
        return None
    found = config.state.directory / "history"
    return found if found.is_dir() else None


def of_route(
    archived: Path | None,
    served: Served,
    updates: list[Recorded],
    prefix: Prefix,
    asn: int | None,
    limit: int,
) -> dict[str, Any]:
    """What covers a prefix now, the state of the route, and the last changes of either; in a thread.

    From the archive ``archived``, else of the updates since the start. 503 where the archive cannot be read.
    """
    covering = served.index.covering(prefix)
    answer: dict[str, Any] = {"prefix": str(prefix), "covering": [plain(vrp) for vrp in covering]}
    if asn is not None:
        answer |= {"asn": asn, "state": served.index.validate(prefix, asn).label}
    try:
        changes = (
            _archived(archived, prefix, asn, limit)
            if archived
            else _since_start(covering, updates, prefix, asn)
        )
    except ArchiveError as error:
        raise Problem(503, f"the archive cannot be read: {error}") from error
    return answer | {"from": "archive" if archived else "start", "changes": changes[:limit]}


def _archived(folder: Path, prefix: Prefix, asn: int | None, limit: int) -> list[dict[str, Any]]:
    """Newest first."""
    last = deque(archive.History(folder).changes(prefix, asn), maxlen=limit)
    return [_archived_change(change) for change in reversed(last)]


def _archived_change(change: Any) -> dict[str, Any]:
    states = None if change.before is None else (change.before, change.after)
    update = change.update
    found = _change(update.time, update.serial, update.why, change.withdrawn, change.announced, states)
    return found | {"source": update.source}


def _change(
    time: int,
    serial: int,
    why: str,
    withdrawn: Iterable[Vrp],
    announced: Iterable[Vrp],
    states: tuple[State, State] | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "time": time,
        "serial": serial,
        "why": why,
        "withdrawn": [plain(vrp) for vrp in withdrawn],
        "announced": [plain(vrp) for vrp in announced],
    }
    if states is not None:
        found |= {"before": states[0].label, "after": states[1].label}
    return found


def _since_start(
    covering: tuple[Vrp, ...], updates: list[Recorded], prefix: Prefix, asn: int | None
) -> list[dict[str, Any]]:
    """Back from what covers the prefix now; newest first. The first update begins the story."""
    return list(_back(frozenset(covering), updates[:-1], prefix, asn))


def _back(
    after: frozenset[Vrp], updates: list[Recorded], prefix: Prefix, asn: int | None
) -> Iterator[dict[str, Any]]:
    for update in updates:
        if update.delta is None:
            continue
        come = frozenset(update.delta.announced.covering(prefix))
        gone = frozenset(update.delta.withdrawn.covering(prefix))
        before = after - come | gone
        states = None if asn is None else (_state(prefix, asn, before), _state(prefix, asn, after))
        changed = before != after if states is None else states[0] != states[1]
        if changed:
            parts = sorted(gone), sorted(come)
            yield _change(update.time, update.serial, update.why, *parts, states)
        after = before


def _state(prefix: Prefix, asn: int, covering: frozenset[Vrp]) -> State:
    return VrpIndex(Snapshot.from_vrps(covering)).validate(prefix, asn)
