"""Losses: what an update takes away, told apart by cause, so that a hole is not taken for news.

A VRP that goes because its time has come or because a local exception says so is no loss. What is left is
counted by trust anchor, by ASN and by what the operator watches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice

import numpy as np

from rov import Delta, Snapshot
from rtr_server.config.sources import Watch
from rtr_server.feed.messages import Losses

TOP_ASNS = 10
SAMPLE = 20
"""Rows that a person reads before deciding."""


def find(
    base: Snapshot,
    live: Snapshot,
    now: int,
    *,
    by_slurm: Snapshot | None = None,
    watch: Sequence[Watch] = (),
    sources: Mapping[str, Snapshot] | None = None,
) -> Losses:
    """What goes when ``live`` takes the place of ``base`` at ``now`` (unix seconds).

    ``by_slurm``: what local exceptions take out, or had put in; ``sources``: the sets of all sources, which
    are asked whether they lack the lost VRPs as well.

    >>> find(Snapshot.empty(), Snapshot.empty(), 0).lost
    0
    """
    delta = Delta.between(base, live)
    if delta is None:
        return Losses(before=len(base), trust_anchors=_anchors(base, Snapshot.empty(), Snapshot.empty()))
    gone = delta.withdrawn
    unexpired = gone.unexpired(now)
    lost = unexpired if by_slurm is None or not by_slurm else unexpired - by_slurm
    return Losses(
        before=len(base),
        withdrawn=len(gone),
        announced=len(delta.announced),
        expired=len(gone) - len(unexpired),
        by_slurm=len(unexpired) - len(lost),
        lost=len(lost),
        trust_anchors=_anchors(base, gone, lost),
        watched=tuple(_watched(base, lost, watch)),
        asns=_top_asns(lost),
        sample=tuple(str(vrp) for vrp in islice(lost.vrps(), SAMPLE)),
        lacking=tuple(_lacking(lost, sources or {})),
    )


def _anchors(base: Snapshot, gone: Snapshot, lost: Snapshot) -> tuple[tuple[str, int, int, int], ...]:
    """Name, VRPs before, gone, lost of each trust anchor; by the names that the served set has."""
    parts = [by_trust_anchor(part) for part in (base, gone, lost)]
    counts = [{name: sum(families) for name, families in part.items()} for part in parts]
    return tuple(
        (name, *(count.get(name, 0) for count in counts))  # type: ignore[misc]  # three counts
        for name in base.trust_anchors
        if counts[0].get(name, 0)
    )


def by_trust_anchor(snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """VRPs of IPv4 and of IPv6 by trust anchor, those that it names without any among them.

    >>> from rov import Prefix, Vrp
    >>> by_trust_anchor(Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)]))
    {'': (1, 0)}
    """
    names = snapshot.trust_anchors
    four, six = (
        np.bincount(columns.ta, minlength=len(names)).tolist() for columns in (snapshot.ipv4, snapshot.ipv6)
    )
    return dict(zip(names, zip(four, six, strict=True), strict=True))


def _watched(base: Snapshot, lost: Snapshot, watch: Sequence[Watch]) -> list[tuple[str, int, int]]:
    found = []
    for watched in watch:
        if watched.asn is not None:
            parts = [part.by_asn(watched.asn) for part in (base, lost)]
            text = f"AS{watched.asn}"
        else:
            text = str(watched.prefix)
            parts = [part.within(text) for part in (base, lost)]
        found.append((text, len(parts[0]), len(parts[1])))
    return found


def _top_asns(lost: Snapshot) -> tuple[tuple[int, int], ...]:
    asns, counts = np.unique(np.concatenate((lost.ipv4.asn, lost.ipv6.asn)), return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:TOP_ASNS]
    return tuple(zip(asns[largest].tolist(), counts[largest].tolist(), strict=True))


def _lacking(lost: Snapshot, sources: Mapping[str, Snapshot]) -> list[tuple[str, float]]:
    """How much of what is lost each source lacks, too."""
    if not len(lost):
        return []
    return [(name, 1 - len(lost & snapshot) / len(lost)) for name, snapshot in sources.items()]


def text(losses: Losses) -> str:
    """The losses as a person reads them before deciding.

    >>> print(text(Losses(before=10, withdrawn=4, expired=1, lost=3, asns=((64496, 3),))))
    10 VRPs are served; the update withdraws 4 and announces 0
    of those: 1 expired, 0 by local exceptions, 3 lost
    by ASN: AS64496 3
    """
    anchors = ", ".join(f"{name or '-'} {lost} of {before}" for name, before, _, lost in losses.trust_anchors)
    watched = ", ".join(f"{name} {lost} of {before}" for name, before, lost in losses.watched)
    lacking = ", ".join(f"{name} {share:.0%}" for name, share in losses.lacking)
    lines = [
        f"{losses.before:,} VRPs are served; the update withdraws {losses.withdrawn:,} "
        f"and announces {losses.announced:,}",
        f"of those: {losses.expired:,} expired, {losses.by_slurm:,} by local exceptions, "
        f"{losses.lost:,} lost",
    ]
    parts = {
        "by trust anchor": anchors,
        "by ASN": ", ".join(f"AS{asn} {count}" for asn, count in losses.asns),
        "watched": watched,
        "lacked by the sources as well": lacking,
    }
    lines += [f"{name}: {part}" for name, part in parts.items() if part]
    return "\n".join(chain(lines, (f"  {vrp}" for vrp in losses.sample)))
