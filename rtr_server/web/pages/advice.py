"""What would make a route valid, who could do it, and what else it would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from rov import Prefix, Reason, State, Validity, Vrp
from rtr_server.web.pages.render import moment
from rtr_server.web.pages.verdict import Covering, spoken
from rtr_server.web.table import Route

SHOWN = 20
"""Routes that a page names of those that a VRP would make invalid."""

LOOKED_AT = 10_000
"""Routes under a prefix that are looked at: a page waits for a fraction of a second at most."""


class Advice(NamedTuple):
    """``lines``: what to do, each a sentence. ``vrp``: what the ROA would say, None: none would help.

    ``slurm``: the same as a local assertion (RFC 8416), as JSON. ``harmed``: routes that the VRP would make
    invalid, the first ones; ``harmed_count``: how many, None where no RIB is loaded.
    """

    title: str
    lines: list[str]
    vrp: Vrp | None = None
    slurm: str = ""
    harmed: Sequence[Route] = ()
    harmed_count: int | None = None


def advice(prefix: Prefix, asn: int, rows: Sequence[Covering], validity: Validity) -> Advice:
    """For a route by its verdict; ``with_rib`` adds what else would change."""
    if validity.state is State.VALID:
        return Advice("How long it stays valid", [_lasting(rows)])
    if asn == 0:
        line = "Nothing: AS 0 stands for no origin, as after an AS_SET, and no VRP can match that."
        return Advice("What would make it valid", [line])
    vrp = Vrp(prefix, prefix.length, asn)
    lines = [f"A ROA for {prefix} by AS{asn}, without a longer maximum length (RFC 9319), made {_by(rows)}."]
    if validity.reason is Reason.LENGTH:
        own = [row.vrp for row in rows if row.vrp.asn == asn]
        known = spoken([f"{each.prefix} (up to /{each.max_length})" for each in own], 3)
        lines.append(f"Or AS{asn} announces what it may: {known}.")
    elif validity.reason is Reason.AS:
        others = sorted({row.vrp.asn for row in rows if row.vrp.asn})
        names = spoken([f"AS{each}" for each in others])
        lines.append(
            f"Only the holder can say whether AS{asn} is right: it allows {names}. "
            f"If AS{asn} should not announce it, the route is a mistake or a hijack, and has to go."
        )
    elif validity.reason is Reason.AS0:
        lines.append("The VRP for AS 0 may stay: a VRP that matches counts for more (RFC 6483 section 4).")
    return Advice("What would make it valid", lines, vrp, _slurm(vrp))


def with_rib(found: Advice, under: Sequence[Route]) -> Advice:
    """With the routes at and under the prefix: those without any VRP so far that would be invalid."""
    if found.vrp is None:
        return found
    vrp = found.vrp
    harmed = [
        route
        for route in under
        if route.state == State.NOT_FOUND.label
        and (route.origin != vrp.asn or Prefix.parse(route.prefix).length > vrp.max_length)
    ]
    return found._replace(harmed=harmed[:SHOWN], harmed_count=len(harmed))


def _by(rows: Sequence[Covering]) -> str:
    """Who can make it."""
    anchors = sorted({row.trust_anchor for row in rows if not row.local} - {""})
    return f"by the holder of the prefix ({', '.join(anchors)})" if anchors else "by the holder of the prefix"


def _lasting(rows: Sequence[Covering]) -> str:
    matched = [row for row in rows if row.speaks == "for"]
    times = [row.expires for row in matched]
    stated = [time for time in times if time is not None]
    many = f"{len(matched)} VRPs match" if len(matched) > 1 else "One VRP matches"
    if any(row.local for row in matched):
        return f"{many}. A local exception of this cache makes it valid, for as long as it is there."
    if len(stated) < len(times):
        return f"{many}. No time of expiry is stated: it stays valid until the holder withdraws."
    until = moment(max(stated))
    return f"{many}. It stays valid until {until} UTC, or for longer if the ROA is renewed as usual."


def _slurm(vrp: Vrp) -> str:
    document = {
        "slurmVersion": 1,
        "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": []},
        "locallyAddedAssertions": {
            "prefixAssertions": [
                {"asn": vrp.asn, "prefix": str(vrp.prefix), "maxPrefixLength": vrp.max_length}
            ],
            "bgpsecAssertions": [],
        },
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
