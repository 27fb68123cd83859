"""``rov convert``: a VRP set as a file of another program."""

from __future__ import annotations

import sys
import time

import click

from rov.cli.shared import busy, read_vrps, strict_option, warn_skipped
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
@click.option("--family", type=click.Choice(["4", "6"]), help="VRPs of this family only.")
@strict_option
def convert(
    source: str,
    to: str,
    dialect: str | None,
    output: str,
    exclude: tuple[str, ...],
    family: str | None,
    strict: bool,
) -> None:
    """Write the VRPs of SOURCE, a VRP file of any kind, in another format.

    The time in metadata is that of the data, or the present where the source states none.
    """
    if output == "-" and to in _BINARY and sys.stdout.isatty():
        raise click.UsageError(f"{to} is no text: expected --output FILE, or stdout into a file or a pipe")
    report = read_vrps(source, strict)
    warn_skipped(source, report)
    snapshot = _of_family(report.snapshot, family)
    at = int(time.time()) if snapshot.generated is None else snapshot.generated
    left_out = [part.replace("-", "_") for part in exclude]
    chunks = encode(snapshot, to, dialect, at=at, exclude=left_out)
    with busy(f"writing {output}"):
        if output == "-":
            sys.stdout.buffer.writelines(chunks)
            sys.stdout.buffer.flush()
        else:
            write_file(output, chunks)


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
