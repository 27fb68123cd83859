"""Two sets as lines of difference: what the second has and the first has not (+), and the other way (-)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import rov
from rov import ArgumentError, Delta, Snapshot
from rtr_server.endpoint import Endpoint
from rtr_server.tools.dump import fetch


def other_set(name: str, timeout: float) -> Snapshot:
    """The set of a VRP file, or of the RTR cache at HOST:PORT, where there is no such file.

    DumpError if the cache gives none, RovError or OSError if the file does not.
    """
    if not Path(name).exists():
        try:
            endpoint = Endpoint.parse(name)
        except ArgumentError:
            pass  # then it is the file that is missing
        else:
            return fetch(endpoint, timeout=timeout).snapshot
    return rov.read(name)


def lines(first: Snapshot, second: Snapshot) -> Iterator[str]:
    """One line for each VRP, router key and ASPA that only one of them has; none if they are equal.

    >>> from rov import Prefix, Vrp
    >>> list(lines(Snapshot.empty(), Snapshot.from_vrps([Vrp(Prefix.parse("10.0.0.0/8"), 8, 64496)])))
    ['+ 10.0.0.0/8-8 AS64496']
    """
    delta = Delta.between(first, second)
    if delta is not None:
        yield from signed(delta.announced, delta.withdrawn)


def signed(announced: Snapshot, withdrawn: Snapshot) -> Iterator[str]:
    """The lines of a change: what went, then what came.

    >>> list(signed(Snapshot.empty(), Snapshot.empty()))
    []
    """
    for sign, part in (("-", withdrawn), ("+", announced)):
        for vrp in part.vrps():
            yield f"{sign} {vrp}"
        for key in part.router_keys:
            yield f"{sign} router key AS{key.asn} {key.ski.hex()}"
        for aspa in part.aspas:
            yield f"{sign} ASPA AS{aspa.customer} {' '.join(f'AS{provider}' for provider in aspa.providers)}"
