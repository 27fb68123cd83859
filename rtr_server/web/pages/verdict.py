"""What the served set says of a route, in words: its state, and why each covering VRP matches or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rov import NO_EXPIRY, Prefix, Reason, Snapshot, State, Validity, Vrp, slurm
from rtr_server.web.daemon import Served
from rtr_server.web.selection import covering

VALID, INVALID, NOT_FOUND = (state.label for state in (State.VALID, State.INVALID, State.NOT_FOUND))


class Verdict(NamedTuple):
    """A state in words. ``state``: its label, or "depends"; ``title`` and ``text`` for people."""

    state: str
    title: str
    text: str


class Covering(NamedTuple):
    """A VRP that covers what was asked for, and what it says of it.

    ``speaks``: "for" or "against" the route, "open" where no AS number was asked for. ``expires``: unix
    seconds, None: not stated. ``sources``: which of them have it, None: not known.
    """

    vrp: Vrp
    speaks: str
    why: str
    trust_anchor: str
    expires: int | None
    sources: tuple[str, ...] | None

    @property
    def local(self) -> bool:
        """Whether a local exception (RFC 8416) added it, and no source."""
        return self.trust_anchor == slurm.TRUST_ANCHOR and not self.sources


class Lengths(NamedTuple):
    """Announcements of an address by prefix lengths that are judged alike; ``origins`` would be valid."""

    first: int
    last: int
    covered: bool
    origins: tuple[int, ...]


def verdict(prefix: Prefix, asn: int | None, rows: Sequence[Covering], validity: Validity | None) -> Verdict:
    """The state of a route; without an AS number, what the state depends on."""
    if validity is None or asn is None:
        return _of_prefix(prefix, [row.vrp for row in rows])
    route = f"{prefix} from AS{asn}"
    text = {
        Reason.MATCHED: f"AS{asn} may announce {prefix}: a VRP has this origin and allows this length.",
        Reason.NOT_COVERED: f"No VRP covers {prefix}. Nothing is known of who may announce it.",
        Reason.AS: f"VRPs cover {prefix}, and none of them is for AS{asn}.",
        Reason.LENGTH: f"AS{asn} may announce less specific prefixes, but none of length /{prefix.length}.",
        Reason.AS0: f"The VRPs over {prefix} are for AS 0: its holder says that nobody may announce it.",
    }[validity.reason]
    if not asn and validity.state is State.INVALID:
        text = f"VRPs cover {prefix}, and AS 0 stands for no origin: it never matches (RFC 6811, RFC 7607)."
    titles = {State.VALID: "Valid", State.INVALID: "Invalid", State.NOT_FOUND: "Not found"}
    return Verdict(validity.state.label, f"{titles[validity.state]}: {route}", text)


def _of_prefix(prefix: Prefix, vrps: Sequence[Vrp]) -> Verdict:
    if not vrps:
        text = f"No VRP covers {prefix}. Nothing is known of who may announce it."
        return Verdict(NOT_FOUND, f"Not found: {prefix} from any AS", text)
    origins = allowed(vrps, prefix.length)
    if not origins:
        text = f"VRPs cover {prefix}, and none of them allows any AS to announce it at this length."
        return Verdict(INVALID, f"Invalid: {prefix} from any AS", text)
    names = spoken([f"AS{asn}" for asn in origins])
    return Verdict(
        "depends", f"{prefix} depends on the origin", f"Valid from {names}, invalid from any other AS."
    )


def spoken(names: Sequence[str], most: int = 6) -> str:
    """Names as a sentence has them, the first ones.

    >>> spoken(["a", "b", "c"]), spoken(["a", "b", "c"], 1)
    ('a, b or c', 'a or 2 others')
    """
    if len(names) > most:
        rest = len(names) - most
        return f"{', '.join(names[:most])} or {rest} other{'s' if rest > 1 else ''}"
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def allowed(vrps: Iterable[Vrp], length: int) -> tuple[int, ...]:
    """The ASes that some of the VRPs, all over one address, let announce it at a prefix length.

    >>> allowed([Vrp(Prefix.parse("10.0.0.0/8"), 9, 64496)], 9)
    (64496,)
    """
    fitting = {vrp.asn for vrp in vrps if vrp.prefix.length <= length <= vrp.max_length}
    return tuple(sorted(fitting - {0}))


def by_length(vrps: Sequence[Vrp], bits: int) -> list[Lengths]:
    """The prefix lengths of an address, joined where they are judged alike.

    >>> [found[:2] for found in by_length([Vrp(Prefix.parse("10.0.0.0/8"), 9, 64496)], 32)]
    [(0, 7), (8, 9), (10, 32)]
    """
    found: list[Lengths] = []
    for length in range(bits + 1):
        covered = any(vrp.prefix.length <= length for vrp in vrps)
        origins = allowed(vrps, length)
        if found and (found[-1].covered, found[-1].origins) == (covered, origins):
            found[-1] = found[-1]._replace(last=length)
        else:
            found.append(Lengths(length, length, covered, origins))
    return found


def covering_rows(
    served: Served,
    prefix: Prefix,
    asn: int | None,
    sources: dict[str, tuple[str, ...]] | None,
    *,
    address: bool = False,
) -> list[Covering]:
    """Every VRP that covers a prefix, shortest first; ``sources`` by the VRP as text. In a thread.

    ``address``: it stands for an address, which may be announced at any length.
    """
    return [
        Covering(
            vrp,
            *_speaks(vrp, prefix, asn, address=address),
            anchor,
            expires,
            None if sources is None else sources.get(str(vrp), ()),
        )
        for vrp, anchor, expires in rows_of(covering(served.index, prefix))
    ]


def rows_of(snapshot: Snapshot) -> Iterable[tuple[Vrp, str, int | None]]:
    """The VRPs of a set with trust anchor and time of expiry, None where none is stated."""
    for columns in (snapshot.ipv4, snapshot.ipv6):
        told = zip(columns.vrps(), columns.ta.tolist(), columns.expires.tolist(), strict=True)
        for vrp, place, expires in told:
            yield vrp, snapshot.trust_anchors[place], None if expires == NO_EXPIRY else expires


def _speaks(vrp: Vrp, prefix: Prefix, asn: int | None, *, address: bool) -> tuple[str, str]:
    """Whether a VRP speaks for a route, and why."""
    least, most = vrp.prefix.length, vrp.max_length
    upto = f"/{least} to /{most}" if most > least else f"/{least} only"
    if vrp.asn == 0:
        return "against", "For AS 0: nobody may announce it."
    if address:
        if asn is None or asn == vrp.asn:
            return "open" if asn is None else "for", f"Lets AS{vrp.asn} announce it as {upto}."
        return "against", f"Origin differs: for AS{vrp.asn}, not AS{asn}."
    too_long = prefix.length > vrp.max_length
    length = f"too specific: /{prefix.length}, and it allows {upto}"
    if asn is None:
        if too_long:
            return "against", f"T{length[1:]}."
        return "open", f"Makes it valid from AS{vrp.asn}: allows {upto}."
    if vrp.asn == asn:
        if too_long:
            return "against", f"Origin matches, but {length}."
        exactly = f"/{most} exactly" if most == least else f"/{prefix.length} lies within {upto}"
        return "for", f"Matches: AS{asn}, and {exactly}."
    return "against", f"Origin differs: for AS{vrp.asn}, not AS{asn}{'; and ' + length if too_long else ''}."
