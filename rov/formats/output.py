"""VRP files out: every format by its name, and the dialect of the validator that it has to equal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from rov._checks import as_index, as_kind, as_rows, shown
from rov._packed import pack
from rov.errors import ArgumentError
from rov.formats import routinator, rpki_client
from rov.formats.lines import PARTS, Request
from rov.formats.parquet import write_parquet
from rov.snapshot import Snapshot

Writer = Callable[[Request], Iterator[bytes]]

MAX_TIME = 253_402_300_799
"""The end of the year 9999, the last that ISO 8601 writes with four digits."""


def _msgpack(request: Request) -> Iterator[bytes]:
    snapshot = request.snapshot
    four, six = request.columns() or (Snapshot.empty().ipv4, Snapshot.empty().ipv6)
    yield pack(
        Snapshot.build(
            four,
            six,
            aspas=[aspa for aspa, _ in request.aspas()],
            aspa_expires=[until for _, until in request.aspas()],
            router_keys=[key for key, _ in request.router_keys()],
            router_key_expires=[until for _, until in request.router_keys()],
            trust_anchors=snapshot.trust_anchors,
            generated=snapshot.generated,
        )
    )


OUTPUTS: dict[str, dict[str, Writer]] = {
    "json": {
        "rpki-client": rpki_client.json,
        "routinator": routinator.json,
        "arouteserver": rpki_client.arouteserver,
    },
    "csv": {"rpki-client": rpki_client.csv, "routinator": routinator.csv},
    "csvcompat": {"routinator": routinator.csvcompat},
    "csvext": {"routinator": routinator.csvext},
    "jsonext": {"routinator": routinator.jsonext},
    "openbgpd": {"rpki-client": rpki_client.openbgpd, "routinator": routinator.openbgpd},
    "bird1": {"routinator": routinator.bird1},
    "bird2": {"rpki-client": rpki_client.bird, "routinator": routinator.bird2},
    "rpsl": {"routinator": routinator.rpsl},
    "slurm": {"routinator": routinator.slurm},
    "slurm2": {"routinator": routinator.slurm2},
    "msgpack": {"rovkit": _msgpack},
    "parquet": {"rovkit": write_parquet},
}
"""Each format with its dialects, of which the first is the default."""


def encode(
    snapshot: Snapshot,
    to: str,
    dialect: str | None = None,
    *,
    at: int,
    exclude: Collection[str] = (),
) -> Iterator[bytes]:
    """A Snapshot as a file of another program, in pieces of some megabytes.

    to: a key of OUTPUTS; dialect: one of its dialects, the first if None. at: the time in unix seconds
    that metadata states where the format has such. exclude: parts of the payload to leave out, of
    "vrps", "router_keys", "aspas". ArgumentError: another name, or a time beyond the year 9999.
    RovError, at the first piece: what the format needs is not installed.

    >>> b"".join(encode(Snapshot.empty(), "openbgpd", "routinator", at=0))
    b'roa-set {\\n}\\n'
    """
    if as_kind(to, str, "to") not in OUTPUTS:
        raise ArgumentError(f"format {shown(to)}: expected one of {', '.join(OUTPUTS)}")
    dialects = OUTPUTS[to]
    name = next(iter(dialects)) if dialect is None else as_kind(dialect, str, "dialect")
    if name not in dialects:
        raise ArgumentError(f"dialect {shown(name)} of {to}: expected one of {', '.join(dialects)}")
    left_out = frozenset(as_rows(exclude, str, "exclude"))
    unknown = sorted(left_out - set(PARTS))
    if unknown:
        raise ArgumentError(f"exclude {shown(unknown[0])}: expected one of {', '.join(PARTS)}")
    seconds = as_index(at)
    if seconds is None or not 0 <= seconds <= MAX_TIME:
        raise ArgumentError(f"at {shown(at)}: expected unix seconds from 0 to {MAX_TIME}")
    snapshot = as_kind(snapshot, Snapshot, "snapshot")
    return dialects[name](Request(snapshot, seconds, frozenset(PARTS) - left_out))
