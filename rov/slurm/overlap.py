"""Whether several SLURM files speak of the same addresses or ASNs (RFC 8416 §4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rov.slurm.entries import AspaFilter, Assertion, Filter, PrefixFilter, RouterKeyFilter
from rov.types import Aspa, Prefix, Vrp


class _Claim(NamedTuple):
    """What an entry speaks of: a prefix, or an ASN in one of two roles."""

    on: Prefix | tuple[str, int]
    file: str
    path: str


def _claim(entry: Filter | Assertion) -> _Claim | None:
    on: Prefix | tuple[str, int] | None = None
    if isinstance(entry, PrefixFilter):
        on = entry.prefix
    elif isinstance(entry, RouterKeyFilter):
        on = None if entry.asn is None else ("router keys of AS", entry.asn)
    elif isinstance(entry, AspaFilter):
        on = ("ASPA of AS", entry.customer)
    elif isinstance(entry.element, Vrp):
        on = entry.element.prefix
    elif isinstance(entry.element, Aspa):
        on = ("ASPA of AS", entry.element.customer)
    else:
        on = ("router keys of AS", entry.element.asn)
    return None if on is None else _Claim(on, entry.file, entry.path)


def overlaps(entries: Iterable[Filter | Assertion]) -> Iterator[tuple[str, str, str]]:
    """Faults (file, path, what), one for each entry that meets an entry of another file.

    Filters that name no prefix, or no ASN, take no part, as they name no address. The draft on ASPA
    is silent: customers are treated as the ASNs of router keys are.
    """
    claims = [claim for claim in map(_claim, entries) if claim is not None]
    prefixes = sorted((claim for claim in claims if isinstance(claim.on, Prefix)), key=lambda c: c.on)
    yield from _prefix_overlaps(prefixes)
    yield from _asn_overlaps([claim for claim in claims if isinstance(claim.on, tuple)])


def _prefix_overlaps(claims: Sequence[_Claim]) -> Iterator[tuple[str, str, str]]:
    """Sorted prefixes against those that cover them: a stack of nested prefixes, one pass.

    Beside each prefix on the stack stands the nearest one of another file above it, so that one look
    at the top is enough.
    """
    stack: list[tuple[_Claim, _Claim | None]] = []
    for claim in claims:
        while stack and not _covers(stack[-1][0], claim):
            stack.pop()
        foreign: _Claim | None = None
        if stack:
            above, beyond = stack[-1]
            foreign = above if above.file != claim.file else beyond
        if foreign is not None:
            what = f"{claim.on} lies in {foreign.on} of {foreign.file}: {foreign.path}"
            yield claim.file, claim.path, f"{what} (RFC 8416 §4.2)"
        stack.append((claim, foreign))


def _covers(above: _Claim, claim: _Claim) -> bool:
    assert isinstance(above.on, Prefix)
    assert isinstance(claim.on, Prefix)
    return above.on.covers(claim.on)


def _asn_overlaps(claims: Sequence[_Claim]) -> Iterator[tuple[str, str, str]]:
    first: dict[tuple[str, int], _Claim] = {}
    for claim in claims:
        assert isinstance(claim.on, tuple)
        other = first.setdefault(claim.on, claim)
        if other.file != claim.file:
            role, asn = claim.on
            what = f"{role}{asn} are spoken of in {other.file}: {other.path} too"
            yield claim.file, claim.path, f"{what} (RFC 8416 §4.2)"
