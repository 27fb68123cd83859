"""Which VRPs made the state of a route change (RFC 6811 §2)."""

from __future__ import annotations

from collections.abc import Iterable

from rov.types import State, Vrp


def causes(
    before: State,
    after: State,
    route: tuple[int, int],
    withdrawn: Iterable[Vrp],
    announced: Iterable[Vrp],
) -> tuple[Vrp, ...]:
    """Of the VRPs that cover a route (prefix length, origin) and came or went: those that did it.

    A route becomes valid by a match that comes, and invalid from valid by the match that goes; it
    becomes not_found when the last VRP over it goes, and invalid from not_found when the first comes.

    >>> from rov.types import Prefix
    >>> vrp = Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)
    >>> causes(State.NOT_FOUND, State.VALID, (24, 64496), [], [vrp]) == (vrp,)
    True
    """
    if before == after:
        return ()
    length, origin = route
    found = announced if after is State.VALID or before is State.NOT_FOUND else withdrawn
    if after is State.VALID or (before, after) == (State.VALID, State.INVALID):
        found = (vrp for vrp in found if vrp.asn == origin != 0 and length <= vrp.max_length)
    return tuple(sorted(found))
