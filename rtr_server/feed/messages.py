"""What the daemon and its loader process say to each other: msgpack in frames over a socket pair.

A frame is four octets of length, big-endian, then one message. Data sets never travel in it: they are files
in a directory that both know, and a message names them.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Literal, TypeAlias

import msgspec

MAX_FRAME = 4 << 20
"""Octets of one message: names and counts, and lists that are cut to a thousand rows."""

_LENGTH = struct.Struct(">I")


class ChannelError(Exception):
    """The other end sent what is no message; the message says what."""


class Start(msgspec.Struct, frozen=True, tag=True):
    """First of all: the configuration as tables, where files go, whether expired VRPs are served.

    ``archive``: where accepted updates are recorded, None: nowhere; how many seconds and octets of them.
    """

    config: dict[str, Any]
    directory: str
    ignore_expiry: bool
    archive: str | None = None
    archive_keep: int = 0
    archive_octets: int = 0


class Serving(msgspec.Struct, frozen=True, tag=True):
    """What the daemon serves now: the set of a file, without what had expired at a time; None: nothing.

    ``number``: the Prepared that it came by, 0 for a set from before; ``versions``: what to encode first;
    ``serial``, ``why``: for the archive, None where it is nothing new.
    """

    path: str | None
    at: int
    number: int
    versions: tuple[int, ...]
    serial: int | None = None
    source: str = ""
    why: str = ""


class Reload(msgspec.Struct, frozen=True, tag=True):
    """Ask all sources now."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """A question: the differences between sources, with up to ``limit`` rows of each.

    ``covering``: in place of that, a prefix; which sources have the VRPs that cover it, of ``asn`` if given.
    """

    number: int
    limit: int
    covering: str | None = None
    asn: int | None = None


class Logged(msgspec.Struct, frozen=True, tag=True):
    """A line for the daemon's log."""

    level: int
    name: str
    fields: dict[str, Any]


class SourceStatus(msgspec.Struct, frozen=True):
    """How a source stands. ``as_of``: the data's own time; times in unix seconds.

    ``answers``: of a URL, its HTTP answers since the loader began, by status.
    """

    name: str
    state: str
    """starting, usable, failing (its last set, if there is one, is still used), lapsed (it is not)."""

    vrps: int = 0
    aspas: int = 0
    router_keys: int = 0
    skipped: int = 0
    as_of: int | None = None
    loaded_at: int | None = None
    in_use: bool = False
    error: str = ""
    answers: dict[str, int] = {}


StepName = Literal["read", "merge", "compare", "save", "encode", "encode others", "keep sources", "record"]
"""What the loader does one after the other with an update."""


class Step(msgspec.Struct, frozen=True, tag=True):
    """What the loader does now, most often one thing; of one that ends, the log says where it was."""

    names: tuple[StepName, ...]


class Status(msgspec.Struct, frozen=True, tag=True):
    """How all sources stand, after each thing that happened to one."""

    sources: tuple[SourceStatus, ...]


class Losses(msgspec.Struct, frozen=True):
    """What an update takes away from the set that is served, told apart by cause; lists are the largest.

    ``trust_anchors``: name, VRPs before, of them gone for whatever cause, of these lost. ``watched``: text,
    VRPs before, lost. ``asns``: ASN, lost. ``lacking``: source, share of the lost that it lacks too.
    """

    before: int = 0
    withdrawn: int = 0
    announced: int = 0
    expired: int = 0
    by_slurm: int = 0
    lost: int = 0
    trust_anchors: tuple[tuple[str, int, int, int], ...] = ()
    watched: tuple[tuple[str, int, int], ...] = ()
    asns: tuple[tuple[int, int], ...] = ()
    sample: tuple[str, ...] = ()
    lacking: tuple[tuple[str, float], ...] = ()


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """A new set is in the directory. ``encoded``: protocol version to file and number of PDUs.

    ``losses``: against what Serving said last, None where that was nothing. ``seconds``: by stage.
    ``filtered``: VRPs that local exceptions took out, IPv4 and IPv6, by trust anchor.
    """

    number: int
    path: str
    encoded: dict[int, tuple[str, int]]
    sources: tuple[str, ...]
    losses: Losses | None
    as_of: int | None
    skipped: int
    expired: int
    slurm: dict[str, int]
    filtered: dict[str, tuple[int, int]]
    seconds: dict[str, float]


class Encoded(msgspec.Struct, frozen=True, tag=True):
    """A prepared set in one more protocol version."""

    number: int
    version: int
    path: str
    count: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """No new set; whatever is served stays."""

    error: str
    temporary: bool


class Answer(msgspec.Struct, frozen=True, tag=True):
    """To an Ask."""

    number: int
    body: dict[str, Any]


ToLoader: TypeAlias = Start | Serving | Reload | Ask
FromLoader: TypeAlias = Logged | Step | Status | Prepared | Encoded | Failed | Answer
Message: TypeAlias = ToLoader | FromLoader

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """A message as a frame; ChannelError if it is too long.

    >>> len(encode(Reload()))
    17
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ChannelError(
            f"{type(message).__name__} of {len(body):,} octets: expected {MAX_FRAME:,} at most"
        )
    return _LENGTH.pack(len(body)) + body


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """The next message, None at the end; ChannelError where the octets are none."""
    try:
        head = await reader.readexactly(_LENGTH.size)
        (length,) = _LENGTH.unpack(head)
        if length > MAX_FRAME:
            raise ChannelError(f"frame of {length:,} octets: expected {MAX_FRAME:,} at most")
        return _decoder.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ChannelError(f"no message: {error}") from error
