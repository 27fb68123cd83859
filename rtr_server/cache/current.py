"""Current: the history that sessions see, replaced as a whole by one that was built in a thread.

A History is not safe to share between threads: a session that asks while a step is added could be told
the new serial with the old data. So a step is added to a fork, and what is new is encoded there; the
event loop then puts the fork in place of the original between two events.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from rov import Delta, Snapshot
from rtr_server.cache.history import History
from rtr_server.cache.wire import Payload
from rtr_server.protocol.source import Response, SourceState, Timing


def fork(history: History) -> History:
    """A history that can be updated without the original seeing it; what both hold is shared.

    >>> original = History({0: 11, 1: 12, 2: 13}, serial=5)
    >>> forked = fork(original)
    >>> forked.update(Snapshot.empty(), now=0.0) is None, forked.ready(), original.ready()
    (True, True, False)
    """
    forked = copy.copy(history)
    forked._steps = list(history._steps)
    forked._blocks = dict(history._blocks)
    return forked


def advanced(
    history: History,
    snapshot: Snapshot,
    now: float,
    versions: Iterable[int],
    prepared: Mapping[int, Payload] | None = None,
) -> tuple[History, Delta | None]:
    """The history after snapshot, and the step to it, None if nothing changed; safe to call in a thread.

    What routers of these protocol versions will ask for first is encoded: the set, and the step.
    ``prepared``: the set as it was encoded elsewhere, by version.

    >>> before = History({0: 11, 1: 12, 2: 13}, serial=5, snapshot=Snapshot.empty())
    >>> advanced(before, Snapshot.empty(), 0.0, [1])[0].serial
    5
    """
    known = history.serial if history.ready() else None
    after = fork(history)
    delta = after.update(snapshot, now)
    if delta is not None:
        for version, payload in (prepared or {}).items():
            after.adopt(version, payload)
        for version in versions:
            after.full(version)
            if known is not None:
                after.diff(version, known)
    return after, delta


class Current:
    """A Source that asks whichever history is current; set ``history`` from the event loop only.

    ``told``: intervals for End of Data in place of the history's, where they changed since it began;
    ``withheld``: whether to have no data for anyone, though there are some.

    >>> Current(History({0: 11, 1: 12, 2: 13}, serial=5)).ready()
    False
    """

    def __init__(self, history: History, told: Timing | None = None) -> None:
        self.history = history
        self.told = told
        self.withheld = False

    def ready(self) -> bool:
        """Whether there is a snapshot that routers may have."""
        return self.history.ready() and not self.withheld

    def state(self, version: int) -> SourceState:
        """The session id of the version and the current serial."""
        return self.history.state(version)

    def full(self, version: int) -> Response:
        """The current snapshot."""
        return self.history.full(version)

    def diff(self, version: int, serial: int) -> Response | None:
        """The minimal change since serial; None if it is not retained."""
        return self.history.diff(version, serial)

    def timing(self) -> Timing:
        """The intervals that were configured."""
        return self.told or self.history.timing()
