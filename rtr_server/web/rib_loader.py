"""The process that reads RIB dumps for the HTTP side: ``python -m rtr_server.web.rib_loader FOLDER FILE ...``

It leaves the distinct routes as numpy files in FOLDER, which the daemon maps into its memory, and says on
standard output what it met. A process of its own gives back what reading takes, several times the table, and
holds nobody's interpreter lock.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from rov import RovError, rib
from rtr_server.child import settle

MAX_DATA = 6 << 30
"""Octets of memory that reading dumps may take: a table of all collectors takes half of it."""

NICE = 10
"""Routers come first."""

COLUMNS = ("addresses", "lengths", "origins", "peers")
BY_ORIGIN = "by_origin"
"""Row numbers in the order of origins."""

BAD_DUMP = 3
"""Exit code where a dump cannot be read; the reason is on standard error."""


class Read(msgspec.Struct, frozen=True):
    """What was read: peers of the dumps, entries, bad records left out, and the first warnings.

    >>> Read(1, 2, 0, ()).entries
    2
    """

    peers: int
    entries: int
    skipped: int
    warnings: tuple[str, ...]


def write(table: rib.RouteTable, folder: Path) -> Read:
    """The table as files.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> empty = rib.RouteTable(rib.RouteColumns.empty(4), rib.RouteColumns.empty(6))
    >>> write(empty, folder).peers
    0
    >>> sorted(path.name for path in folder.iterdir())[0]
    '4.addresses.npy'
    """
    for routes in (table.ipv4, table.ipv6):
        for name in COLUMNS:
            np.save(folder / f"{routes.family}.{name}.npy", getattr(routes, name))
        order = np.argsort(routes.origins, kind="stable").astype(np.uint32)
        np.save(folder / f"{routes.family}.{BY_ORIGIN}.npy", order)
    counts = table.counts
    skipped = counts.skipped + counts.malformed
    return Read(len(table.peers) - 1, counts.entries, skipped, table.warnings)


def main(folder: str, files: Sequence[str]) -> int:
    """Read, write, say; the exit code."""
    settle(MAX_DATA, nice=NICE)
    try:
        found = write(rib.read_table(list(files)), Path(folder))
    except RovError as error:
        print(error, file=sys.stderr)
        return BAD_DUMP
    except MemoryError:
        print(f"the dumps take more than {MAX_DATA >> 30} GiB of memory to read", file=sys.stderr)
        return BAD_DUMP
    sys.stdout.buffer.write(msgspec.json.encode(found))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1], sys.argv[2:]))
