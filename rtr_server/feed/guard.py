"""The guard: holds an update back that takes away too much, until somebody or something says it is right.

An episode begins with the first update that loses too much. While it lasts, each newer update that still
does takes the place of the one before it, and the clock of ``accept_after`` runs on; an update that loses
little ends it, as does acceptance. ``reject`` means: not by itself, whatever the time or other sources say.
The episode is written to disk, so that a restart neither forgets a rejection nor starts the clock anew. The
held set itself is not: the sources still have it, and what is served is compared again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from rtr_server.config.sources import Guard as Policy
from rtr_server.feed.messages import Losses

AGREES = 0.99
"""Share of the lost VRPs that a source must lack to agree: two validators never finish at one moment."""

FILE = "held"


class Episode(msgspec.Struct, frozen=True):
    """Since when updates are held (unix seconds), and whether an operator has refused them."""

    since: int
    rejected: bool = False


class Held(msgspec.Struct, frozen=True):
    """An update that is held: why, and what it would take away."""

    reasons: tuple[str, ...]
    losses: Losses


class Guard:
    """Judges each update against the policy. ``file`` keeps the episode over a restart.

    >>> guard = Guard(Policy(least=1))
    >>> guard.judge(Losses(before=10, withdrawn=5, lost=5), now=0)
    False
    >>> guard.held.reasons
    ('5 of 10 VRPs lost, 50.0%: at most 10%',)
    """

    def __init__(self, policy: Policy, file: Path | None = None) -> None:
        self.policy = policy
        self.episode: Episode | None = None
        self.held: Held | None = None
        self.holds = 0
        """Episodes so far."""
        self._file = file
        if file is not None:
            with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                self.episode = msgspec.msgpack.decode(file.read_bytes(), type=Episode)

    def judge(self, losses: Losses | None, now: int) -> bool:
        """Whether an update may be served now; if not, it is ``held``. None: there is nothing to lose."""
        reasons = () if losses is None or not self.policy.enabled else _reasons(losses, self.policy)
        if losses is None or not reasons:
            self.end()
            return True
        if self.episode is None:
            self._keep(Episode(now))
            self.holds += 1
        self.held = Held(reasons, losses)
        return self.passes(now) is not None

    def passes(self, now: int) -> str | None:
        """Why the held update is accepted by itself now, None if it is not."""
        if self.episode is None or self.held is None or self.episode.rejected:
            return None
        wanted = self.policy.accept_agreeing
        agreeing = [name for name, share in self.held.losses.lacking if share >= AGREES]
        if wanted is not None and len(agreeing) >= wanted:
            return f"{', '.join(agreeing)} agree"
        due = self.due()
        return f"held for {self.policy.accept_after}" if due is not None and now >= due else None

    def due(self) -> int | None:
        """When the held update is accepted by itself (unix seconds), None if time does nothing."""
        if self.held is None or self.episode is None or self.episode.rejected:
            return None
        after = self.policy.accept_after
        return None if after is None else self.episode.since + int(after)

    def reject(self) -> None:
        """Keep holding, and never accept by itself, until an update loses little or is accepted."""
        if self.episode is not None:
            self._keep(Episode(self.episode.since, rejected=True))

    def drop(self) -> None:
        """What is held cannot be had any more; the episode goes on."""
        self.held = None

    def end(self) -> None:
        """The episode is over."""
        self.held = None
        if self.episode is not None:
            self._keep(None)

    def _keep(self, episode: Episode | None) -> None:
        """Remember it on disk as far as that is possible: a full disk must not stop the guard."""
        self.episode = episode
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            if episode is None:
                self._file.unlink(missing_ok=True)
                return
            unfinished = self._file.with_name(self._file.name + ".new")
            unfinished.write_bytes(msgspec.msgpack.encode(episode))
            os.replace(unfinished, self._file)


def _reasons(losses: Losses, policy: Policy) -> tuple[str, ...]:
    """In which ways an update takes away too much."""
    reasons = []
    judged = losses.before >= policy.least
    if judged and losses.lost > policy.max_loss * losses.before:
        reasons.append(_words("VRPs", losses.lost, losses.before, policy.max_loss))
    for name, before, gone, lost in losses.trust_anchors if judged else ():
        what = f"VRPs of trust anchor {name or '-'}"
        if policy.empty_trust_anchor and lost and gone == before:
            reasons.append(f"all {before:,} {what} would be gone")
        elif before >= policy.least and lost > policy.max_loss_trust_anchor * before:
            reasons.append(_words(what, lost, before, policy.max_loss_trust_anchor))
    for watch, (name, before, lost) in zip(policy.watch, losses.watched, strict=False):
        if lost > watch.max_loss * before:
            reasons.append(_words(f"VRPs of {name}", lost, before, watch.max_loss))
    return tuple(reasons)


def _words(what: str, lost: int, before: int, limit: float) -> str:
    return f"{lost:,} of {before:,} {what} lost, {lost / before:.1%}: at most {limit * 100:g}%"
