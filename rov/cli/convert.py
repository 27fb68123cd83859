"""``rov convert``: a VRP set as a file of another program."""

from __future__ import annotations

import os
import sys
import time

import click

from rov.archive import History
from rov.cli.shared import InstantType, busy, read_vrps, strict_option, warn_skipped
from rov.errors import ArchiveError
from rov.formats.compression import write_file
from rov.formats.lines import PARTS
from rov.formats.output import OUTPUTS, encode
from rov.snapshot import Snapshot

_DIALECTS = sorted({dialect for dialects in OUTPUTS.values() for dialect in dialects})
_BINARY = ("msgpack", "parquet")


@click.command()
@click.argument("source")
@click.option("--to", "to", required=True, type=click.Choice([*OUTPUTS]), help="The format to write.")
@click.option(
    "--dialect",
    type=click.Choice(_DIALECTS),
    help="Whose files to equal; by default rpki-client's where it has the format.",
)
@click.option("--output", default="-", metavar="FILE", help="- is stdout; .gz .bz2 .xz .zst are compressed.")
@click.option(
    "--exclude",
    multiple=True,
    type=click.Choice([part.replace("_", "-") for part in PARTS]),
    help="Leave a part out; repeatable.",
)
@click.option("--at", type=InstantType(), metavar="TIME", help="Of an archive: what held then.")
@click.option("--family", type=click.Choice(["4", "6"]), help="VRPs of this family only.")
@strict_option
def convert(
    source: str,
    to: str,
    dialect: str | None,
    output: str,
    exclude: tuple[str, ...],
    at: int | None,
    family: str | None,
    strict: bool,
) -> None:
    """Write the VRPs of SOURCE in another format.

    SOURCE is a VRP file of any kind, a URL of one, - for standard input, or the archive of the daemon
    (its history directory): of that what was served last, or at TIME, in unix seconds or ISO 8601. What
    an RTR cache has, `rtr-server dump HOST:PORT` writes for standard input.

    The time in metadata is that of the data, or the present where the source states none.
    """
    if output == "-" and to in _BINARY and sys.stdout.isatty():
        raise click.UsageError(f"{to} is no text: expected --output FILE, or stdout into a file or a pipe")
    snapshot, dated = _read(source, at, strict)
    left_out = [part.replace("-", "_") for part in exclude]
    chunks = encode(_of_family(snapshot, family), to, dialect, at=dated, exclude=left_out)
    with busy(f"writing {output}"):
        if output == "-":
            sys.stdout.buffer.writelines(chunks)
            sys.stdout.buffer.flush()
        else:
            write_file(output, chunks)


def _read(source: str, at: int | None, strict: bool) -> tuple[Snapshot, int]:
    """The set, and its time."""
    if os.path.isdir(source):
        return _archived(source, at)
    if at is not None:
        raise click.UsageError(f"--at: {source} is no archive, which is a directory")
    report = read_vrps(source, strict)
    warn_skipped(source, report)
    generated = report.snapshot.generated
    return report.snapshot, int(time.time()) if generated is None else generated


def _archived(folder: str, at: int | None) -> tuple[Snapshot, int]:
    """The set that held at a time, None: at the end; and when it came to be served."""
    known = History(folder)
    with busy(f"reading {folder}"):
        times = [update.time for update in known.updates()]
        if not times:
            raise ArchiveError(f"{folder}: the archive is empty")
        snapshot = known.snapshot(at=times[-1] if at is None else at)
    return snapshot, max((time for time in times if at is None or time <= at), default=times[0])


def _of_family(snapshot: Snapshot, family: str | None) -> Snapshot:
    """The snapshot without the VRPs of the other family."""
    if family is None:
        return snapshot
    return Snapshot.build(
        snapshot.ipv4 if family == "4" else None,
        snapshot.ipv6 if family == "6" else None,
        aspas=snapshot.aspas,
        aspa_expires=snapshot.aspa_expires.tolist(),
        router_keys=snapshot.router_keys,
        router_key_expires=snapshot.router_key_expires.tolist(),
        trust_anchors=snapshot.trust_anchors,
        generated=snapshot.generated,
    )
