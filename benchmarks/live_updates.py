"""How many BGP updates a second does ``rov watch`` take from a file, with reading, verdicts and alerts?

    python -m benchmarks.live_updates [--updates 2000000] [--rounds 3]

The file is made from the derived full table, of which 4 % are invalid by the real VRPs: BGP4MP messages
(RFC 6396 §4.4) of one prefix each, the costliest for a reader, in no order, by twenty peers; a fifth
withdraws. The command's own loop reads it twice: all routes are new at first, then they flap. Alerts
are JSON lines to /dev/null. Beside it the real update files, with the alerts of their old routes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

import rov
from benchmarks import audit_data, measure
from rov.cli.watch import _Out, _Watch
from rov.live.monitor import Monitor
from rov.rib import RouteColumns, RouteTable, read_table

SEED = 1

AT_ONCE = 1000
"""Messages of prefixes of as many octets that stand together."""

WITHDRAWN = 0.2

REAL = (
    "ris.rrc06.updates.1427846400.gz",
    "bgpdump_updates.20100722.2015.gz",
    "ris_rrc15_2010.02_updates.20100227.1610.gz",
)


def write_updates(columns: RouteColumns, path: Path, count: int) -> None:
    """So many messages about rows of a family's table (IPv4)."""
    random = np.random.default_rng(SEED)
    top = np.array(
        audit_data.busiest(RouteTable(columns, RouteColumns.empty(6)), audit_data.TRANSITS), np.uint32
    )
    blocks: list[bytes] = []
    octets = (columns.lengths.astype(np.int64) + 7) // 8
    for size in np.unique(octets).tolist():
        rows = np.flatnonzero(octets == size)
        chosen = random.choice(rows, round(count * len(rows) / len(columns)))
        for at in range(0, len(chosen), AT_ONCE):
            gone = random.random() < WITHDRAWN
            blocks.append(_messages(columns.take(chosen[at : at + AT_ONCE]), size, top, random, gone))
    random.shuffle(blocks)  # type: ignore[arg-type]
    path.write_bytes(b"".join(blocks))


def _messages(columns: RouteColumns, size: int, top: Any, random: Any, gone: bool) -> bytes:
    """BGP4MP_MESSAGE_AS4 of prefixes of so many octets, all announced or all withdrawn."""
    head = [("time", ">u4"), ("type", ">u2"), ("subtype", ">u2"), ("size", ">u4"), ("peer", ">u4"),
            ("local", ">u4"), ("interface", ">u2"), ("family", ">u2"), ("address", "u1", 4), ("own", "u1", 4),
            ("marker", "u1", 16), ("octets", ">u2"), ("kind", "u1"), ("withdrawn", ">u2")]  # fmt: skip
    prefix = [("length", "u1"), ("prefix", "u1", size)]
    way = [
        ("attributes", ">u2"),
        ("origin", "u1", 4),
        ("head", "u1", 5),
        ("path", ">u4", 3),
        ("next_hop", "u1", 7),
    ]
    kind = np.dtype([*head, *prefix, ("attributes", ">u2")] if gone else [*head, *way, *prefix])
    rows = np.zeros(len(columns), kind)
    peers = random.integers(0, audit_data.PEERS, len(columns))
    rows["time"], rows["type"], rows["subtype"], rows["size"] = 1_750_000_000, 16, 4, kind.itemsize - 12
    rows["peer"], rows["family"] = top[peers], 1
    rows["address"] = np.array([192, 0, 2, 0], np.uint8)
    rows["address"][:, 3] = peers + 1
    rows["marker"], rows["octets"], rows["kind"] = 255, kind.itemsize - 32, 2
    rows["length"] = columns.lengths
    rows["prefix"] = columns.addresses.astype(">u4").view(np.uint8).reshape(-1, 4)[:, :size]
    if gone:
        rows["withdrawn"] = 1 + size
        return rows.tobytes()
    rows["attributes"] = 4 + 5 + 12 + 7
    for name, text in (("origin", "40010100"), ("head", "40020e0203"), ("next_hop", "400304c0000201")):
        rows[name] = np.frombuffer(bytes.fromhex(text), np.uint8)
    rows["path"][:, 0], rows["path"][:, 2] = top[peers], columns.origins
    rows["path"][:, 1] = top[columns.origins % np.uint32(len(top))]
    return rows.tobytes()


def watched(index: rov.VrpIndex, path: Path, times: int) -> list[tuple[float, int]]:
    """Seconds and alerts of each pass of one watch over a file."""
    monitor, out = Monitor(index), _Out("json", None, (), ())
    loop = _Watch(monitor, out, str(path), False)
    found = []
    for _ in range(times):
        before, began = out.count, time.perf_counter()
        loop.files([str(path)])
        found.append((time.perf_counter() - began, out.count - before))
        loop.done.clear()
    return found


@click.command()
@click.option("--updates", default=2_000_000, show_default=True, type=click.IntRange(1000))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
def main(updates: int, rounds: int) -> None:
    """Measure, print, write JSON."""
    began = measure.load_average()
    snapshot, name = measure.real_or_synthetic()
    index = rov.VrpIndex(snapshot)
    columns = read_table(measure.REAL_ROUTES).ipv4
    columns = columns.take(columns.origins != 0)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "updates.mrt"
        write_updates(columns, made, updates)
        files = [made, *(path for path in (measure.DATA / "mrt" / real for real in REAL) if path.is_file())]
        for path in files:
            rounds_of = []
            for _ in range(rounds):
                out, sys.stdout = sys.stdout, open("/dev/null", "w")  # noqa: SIM115
                try:
                    rounds_of.append(watched(index, path, 2))
                finally:
                    sys.stdout.close()
                    sys.stdout = out
            monitor = Monitor(index)
            with rov.rib.open(str(path)) as dump:
                for batch in dump:
                    monitor.take_batch(batch, dump.peers)
            for at, what in enumerate(("first pass", "again")):
                seconds = sorted(one[at][0] for one in rounds_of)[rounds // 2]
                rate = monitor.updates / seconds
                found = {"updates": monitor.updates, "alerts": rounds_of[0][at][1]}
                rows.append({"file": path.name, "pass": what, "per_second": rate, **found})
                told = f"{found['updates']:>10,} updates {rate / 1e6:>6.2f} M/s, {found['alerts']:,} alerts"
                click.echo(f"{path.name[:40]:<42}{what:<12}{told}")
    measure.write("live_updates", began, {"vrps": name, "rounds": rounds, "rows": rows})


if __name__ == "__main__":
    main()
