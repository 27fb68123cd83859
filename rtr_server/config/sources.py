"""The sections on where the data come from: sources, how they are joined, guard, staleness, history."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from rtr_server.config.faults import SectionError
from rtr_server.config.section import Section
from rtr_server.config.values import Network, Octets, Seconds, Share

Asn = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Url = Annotated[str, Meta(pattern=r"^https?://[!-~]+$", max_length=2_000)]

MAX_SOURCES = 32
"""Which sources have a VRP is a mask of 32 bits."""

MIN_INTERVAL = 10
"""Seconds between two fetches at least, out of courtesy to whoever serves them."""

MAX_OCTETS = Octets(512 << 20)
"""Of one VRP file: five times the largest one published; it is held in memory."""


class _Source(Section, frozen=True, kw_only=True):
    """What all sources have."""

    name: Text | None = None
    """What logs and commands call it; by default the path, URL or address."""

    bad_rows: Share = Share(0.001)
    """The share of rows that are no VRP which a file may have: more, and all of it is refused."""

    lapse: Seconds = Seconds(7_200)
    """How long the last set of a source that fails is used: what RTR's own Expire Interval is."""

    @property
    def label(self) -> str:
        """The name, or what stands for it."""
        return self.name or self._label()

    def _label(self) -> str:
        raise NotImplementedError


class FileSource(_Source, tag_field="type", tag="file", frozen=True, kw_only=True):
    """A VRP file that is read again when it changes.

    >>> FileSource(path=Path("/var/lib/rpki-client/json")).label
    '/var/lib/rpki-client/json'
    """

    path: Path
    """JSON or CSV in any format that ``rov`` reads, plain or compressed."""

    def _label(self) -> str:
        return str(self.path)


class UrlSource(_Source, tag_field="type", tag="url", frozen=True, kw_only=True):
    """A VRP file behind HTTP, asked for at an interval.

    >>> str(UrlSource(url="https://rpki.example/vrps.json").interval)
    '10m'
    """

    url: Url
    """http:// or https://."""

    interval: Seconds = Seconds(600)
    """Between two fetches, give or take a tenth."""

    timeout: Seconds = Seconds(300)
    """For a whole fetch."""

    max_octets: Octets = MAX_OCTETS
    """Of the body, after content decoding."""

    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""

    def __post_init__(self) -> None:
        _check_interval(self.interval)

    def check(self) -> Iterator[SectionError]:
        """The certificates must be there."""
        yield from _missing(ca_file=self.ca_file)

    def _label(self) -> str:
        return self.url


class RtrSource(_Source, tag_field="type", tag="rtr", frozen=True, kw_only=True):
    """Another RTR cache, whose session is kept.

    >>> RtrSource(host="192.0.2.1", tls=True).label
    'rtrs://192.0.2.1:324'
    """

    host: Text
    """Its name or address."""

    port: Port | None = None
    """By default 323, with TLS 324 (RFC 8210 §9)."""

    tls: bool = False
    """Whether it is spoken to under TLS."""

    ca_file: Path | None = None
    """Certificates that the cache's must descend from, instead of the system's."""

    cert_file: Path | None = None
    """Our own certificate, for caches that ask for one."""

    key_file: Path | None = None
    """Its private key."""

    server_name: Text | None = None
    """The name that the cache's certificate must have, if it is another than ``host``."""

    version: Annotated[int, Meta(ge=0, le=2)] = 2
    """The highest protocol version that is offered."""

    def __post_init__(self) -> None:
        for key in ("ca_file", "cert_file", "key_file", "server_name"):
            if getattr(self, key) is not None and not self.tls:
                raise SectionError(key, "expected tls = true beside it")
        if (self.cert_file is None) != (self.key_file is None):
            raise SectionError("cert_file", "expected cert_file and key_file together, or neither")

    def check(self) -> Iterator[SectionError]:
        """The certificates and the key must be there."""
        yield from _missing(ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file)

    @property
    def port_number(self) -> int:
        """The port, by default that of the transport."""
        return self.port or (324 if self.tls else 323)

    def _label(self) -> str:
        return f"rtr{'s' if self.tls else ''}://{self.host}:{self.port_number}"


class CommandSource(_Source, tag_field="type", tag="command", frozen=True, kw_only=True):
    """A program that is run on a timer, without a shell.

    >>> CommandSource(argv=("/usr/bin/rpki-client", "-j"), output=Path("/var/db/json")).label
    'rpki-client'
    """

    argv: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=256)]
    """The program and its arguments."""

    output: Path | None = None
    """The file that it leaves; without it, what it writes to standard output."""

    interval: Seconds = Seconds(1_800)
    """From the end of one run to the start of the next, give or take a tenth."""

    timeout: Seconds = Seconds(3_600)
    """After which it is killed, with all that it has started."""

    max_octets: Octets = MAX_OCTETS
    """Of the output."""

    env: dict[str, str] = field(default_factory=dict)
    """Its environment, beside PATH, HOME, LANG and TMPDIR."""

    def __post_init__(self) -> None:
        if not self.argv:
            raise SectionError("argv", "expected the program at least")
        _check_interval(self.interval)

    def _label(self) -> str:
        return self.argv[0].rpartition("/")[2]


class StaticVrp(Section, frozen=True):
    """A VRP written in the configuration."""

    prefix: Network
    """What may be originated."""

    asn: Asn
    """Who may originate it."""

    max_length: Annotated[int, Meta(ge=0, le=128)] | None = None
    """By default the prefix's own length."""

    def __post_init__(self) -> None:
        longest = self.prefix.max_prefixlen
        if self.max_length is not None and not self.prefix.prefixlen <= self.max_length <= longest:
            raise SectionError(
                "max_length", f"{self.max_length}: expected {self.prefix.prefixlen} to {longest}"
            )


class StaticSource(_Source, tag_field="type", tag="static", frozen=True, kw_only=True):
    """VRPs written in the configuration itself.

    >>> StaticSource(vrps=()).label
    'static'
    """

    vrps: tuple[StaticVrp, ...]

    def _label(self) -> str:
        return "static"


Source: TypeAlias = FileSource | UrlSource | RtrSource | CommandSource | StaticSource


class Policy(Section, frozen=True):
    """``[policy]``: how several sources become one set.

    >>> Policy("quorum", quorum=2).combine
    'quorum'
    """

    combine: Literal["any", "union", "intersection", "quorum"] = "any"
    """any: the first that is usable. union: what any of them has. intersection: what all that are usable
    have. quorum: what at least ``quorum`` of them have."""

    quorum: Annotated[int, Meta(ge=1, le=MAX_SOURCES)] | None = None
    """How many sources must have a VRP."""

    def __post_init__(self) -> None:
        if (self.combine == "quorum") != (self.quorum is not None):
            raise SectionError("quorum", 'expected beside combine = "quorum", and only there')


class Slurm(Section, frozen=True):
    """``[slurm]``: local exceptions (RFC 8416).

    >>> Slurm().files
    ()
    """

    files: tuple[Path, ...] = ()
    """Watched; a file that cannot be used leaves all exceptions as they were."""


class Watch(Section, frozen=True, kw_only=True):
    """``[[guard.watch]]``: an ASN, or a prefix with all below it, whose losses are judged by themselves.

    >>> Watch(asn=64496).max_loss == 0
    True
    """

    asn: Asn | None = None
    """The VRPs of this ASN; instead of a prefix."""

    prefix: Network | None = None
    """The VRPs at and below this prefix; instead of an ASN."""

    max_loss: Share = Share(0)
    """The share of its VRPs that may go; 0: none of them."""

    def __post_init__(self) -> None:
        if (self.asn is None) == (self.prefix is None):
            raise SectionError("", "expected either asn or prefix")


class Guard(Section, frozen=True, kw_only=True):
    """``[guard]``: which losses hold an update back, and what lets it pass after all.

    >>> str(Guard().max_loss)
    '10%'
    """

    enabled: bool = True
    """Whether updates are held at all."""

    max_loss: Share = Share(0.1)
    """The share of all VRPs that may go with an update."""

    max_loss_trust_anchor: Share = Share(0.25)
    """The share of each trust anchor's VRPs that may go."""

    empty_trust_anchor: bool = True
    """Whether an update that leaves a trust anchor without VRPs is held."""

    least: Annotated[int, Meta(ge=1)] = 1_000
    """Sets and trust anchors of fewer VRPs are not judged: a share of little says nothing."""

    watch: tuple[Watch, ...] = ()
    accept_after: Seconds | None = None
    """A held update is accepted by itself after this time; without it, never."""

    accept_agreeing: Annotated[int, Meta(ge=2, le=MAX_SOURCES)] | None = None
    """It is accepted when so many sources lack what would go; without it, however many."""


class Stale(Section, frozen=True):
    """``[stale]``: what is done when the newest data are too old.

    >>> Stale().action
    'keep'
    """

    after: Seconds = Seconds(21_600)
    """Too old; the log warns from half of it on."""

    action: Literal["keep", "withdraw", "close", "exit"] = "keep"
    """keep: serve them. withdraw: routers withdraw all. close: no data for any router until new ones come,
    so that they fail over. exit: end the daemon."""


class History(Section, frozen=True):
    """``[history]``: the record of accepted updates, in the state directory.

    >>> str(History().keep)
    '90d'
    """

    enabled: bool = True
    """Whether updates are recorded."""

    keep: Seconds = Seconds(90 * 86_400)
    """For how long."""

    max_octets: Octets = Octets(1 << 30)
    """At most so much; the oldest go first."""


def check_sources(sources: tuple[Source, ...], policy: Policy, guard: Guard) -> None:
    """SectionError: too many sources, two of one name, or a number of them that cannot be reached.

    >>> check_sources((FileSource(path=Path("a")),), Policy("quorum", quorum=2), Guard())
    Traceback (most recent call last):
    rtr_server.config.faults.SectionError: policy.quorum: 2: expected at most 1, the number of sources
    """
    if len(sources) > MAX_SOURCES:
        raise SectionError("source", f"{len(sources)} of them: expected at most {MAX_SOURCES}")
    labels = [source.label for source in sources]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise SectionError("source", f"{min(twice)!r} twice: expected a name of its own for each")
    wanted = {"policy.quorum": policy.quorum, "guard.accept_agreeing": guard.accept_agreeing}
    for key, number in wanted.items():
        if number is not None and number > len(sources):
            raise SectionError(key, f"{number}: expected at most {len(sources)}, the number of sources")


def _check_interval(interval: Seconds) -> None:
    if interval < MIN_INTERVAL:
        raise SectionError("interval", f"{interval}: expected {MIN_INTERVAL}s at least")


def _missing(**paths: Path | None) -> Iterator[SectionError]:
    for key, path in paths.items():
        if path is not None and not os.access(path, os.R_OK):
            yield SectionError(key, f"{path}: no such file, or not readable")
