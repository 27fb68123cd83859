"""``rov synth``: made-up data with the proportions of the real."""

from __future__ import annotations

import sys
from typing import Any

import click

from rov import synth
from rov.cli.shared import busy
from rov.formats.compression import write_file
from rov.formats.rpki_client import encode
from rov.snapshot import Snapshot


@click.group("synth")
def synth_group() -> None:
    """Make synthetic data with the proportions of the real."""


@synth_group.command("vrps")
@click.option("--count", type=click.IntRange(1, synth.MAX_COUNT), default=700_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Same seed, same set.")
@click.option(
    "--output", required=True, metavar="FILE", help="- is stdout; .gz .bz2 .xz .zst are compressed."
)
def synth_vrps(count: int, seed: int, output: str) -> None:
    """Write a synthetic VRP set as rpki-client JSON; its metadata says that it is synthetic."""
    with busy(f"making {count:,} VRPs"):
        snapshot = synth.vrps(count, seed)
        chunks = encode(snapshot, _metadata(snapshot, seed))
        if output == "-":
            sys.stdout.buffer.writelines(chunks)
            sys.stdout.buffer.flush()
        else:
            write_file(output, chunks)


def _metadata(snapshot: Snapshot, seed: int) -> dict[str, Any]:
    """As rpki-client's, without times: the same seed writes the same file."""
    return {
        "buildmachine": "synthetic",
        "synthetic": True,
        "seed": seed,
        "vrps": len(snapshot),
        "uniquevrps": len(snapshot),
        "aspas": len(snapshot.aspas),
        "bgpsec_pubkeys": len(snapshot.router_keys),
    }
