"""What does a router cost that is connected and idle? Memory of the server, from one router to 10,000.

    python -m benchmarks.idle_sessions [--sessions 10000] [--rounds 5]

Real connections over loopback to our own daemon's server of routers, in a process of its own: each router has
got its End of Data and stays. The memory is the growth of resident memory (PSS) over the process before the
first of them, so that the set itself does not count.

Beside that, the whole: `rtr-server serve` with a synthetic set of 1,000,000 VRPs and 1,000 routers that have
synchronized and stay, all its processes together.
"""

from __future__ import annotations

import multiprocessing
import socket
import statistics
import struct
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import click

from benchmarks import charts
from benchmarks.measure import CHARTS, Row, load_average, write
from benchmarks.reset_query import allow_many_files, running, synchronized, synthetic

RESET_QUERY = bytes.fromhex("0102000000000008")
END_OF_DATA_OCTETS = 24

FEW = 3
"""VRPs that are served: the question is what a session costs, not a set."""

TARGET = 20_000
"""Octets that an idle session may cost."""

SESSIONS = (1, 10, 100, 1_000, 10_000)
WHOLE_VRPS, WHOLE_ROUTERS = 1_000_000, 1_000

WHOLE_TARGET = 250_000_000
"""Octets that the daemon may have resident then, in all its processes."""

SETTLE_SECONDS = 2.0
"""After the last router has its set; the loader process has ended its work long before."""

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: close by a reset. Ports that wait for their end would be used up after a few rounds."""


def proportional(pid: int) -> int:
    """Resident memory of a process in octets, pages that are shared counted in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no Pss in smaps_rollup")


def serve(pipe: Connection) -> None:
    """A server of routers on a free port; ends when the pipe does."""
    import asyncio

    import uvloop

    from rov import Snapshot, VrpColumns
    from rtr_server.cache.history import History
    from rtr_server.config.transport import Listen, Transport
    from rtr_server.endpoint import Endpoint
    from rtr_server.transport.server import Server

    async def main() -> None:
        rows = list(range(FEW))
        data = Snapshot.build(VrpColumns.ipv4([row << 8 for row in rows], [24] * FEW, [24] * FEW, rows))
        history = History({0: 1, 1: 2, 2: 3}, 7, snapshot=data)
        server = Server(history, Transport((Listen(Endpoint("127.0.0.1", 0)),)))
        server.open()
        server.start()
        pipe.send(server.endpoints[0].port)
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def connect(port: int) -> socket.socket:
    """A router that has synchronized, and stays; its port is free again as soon as it is closed."""
    router = socket.create_connection(("127.0.0.1", port))
    router.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    router.sendall(RESET_QUERY)
    left = 8 + FEW * 20 + END_OF_DATA_OCTETS
    while left:
        octets = router.recv(left)
        if not octets:
            raise SystemExit("the server closed a connection before End of Data")
        left -= len(octets)
    return router


def measure(sessions: int) -> tuple[float, float]:
    """Octets that so many sessions take in all, and seconds until the last of them has its set; once."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    try:
        port = ours.recv()
        warm = [connect(port) for _ in range(20)]
        before, began = proportional(process.pid or 0), time.monotonic()
        routers = [connect(port) for _ in range(sessions)]
        seconds = time.monotonic() - began
        octets = proportional(process.pid or 0) - before
        for router in (*warm, *routers):
            router.close()
    finally:
        ours.send("end")
        process.join(20)
    return octets, seconds


def whole() -> Row:
    """The daemon with a large set and many routers: octets resident in all its processes."""
    with tempfile.TemporaryDirectory() as directory:
        vrps = Path(directory) / "vrps.json"
        synthetic(vrps, WHOLE_VRPS)
        with running("rtr-server", vrps) as server:
            seconds, routers = synchronized(server.where, WHOLE_ROUTERS, server.first.octets)
            time.sleep(SETTLE_SECONDS)
            octets = [proportional(pid) for pid in family(server.pid)]
            for router in routers:
                router.close()
    count = len(server.first.snapshot)
    return {"vrps": count, "routers": len(routers), "octets": octets, "sync_seconds": seconds}


def family(pid: int) -> list[int]:
    """A process and those that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def draw(rows: list[Row]) -> None:
    """Memory, and the time to connect and synchronize one after the other, by number of sessions."""
    panels = [
        (title, unit, {"rtr-server": [row[key] / scale for row in rows]})
        for title, unit, key, scale in (
            ("Memory for all sessions", "MB", "octets", 1e6),
            ("One after the other, until the last has its set", "seconds", "seconds", 1),
        )
    ]
    charts.lines(CHARTS / "idle_sessions.png", panels, [row["sessions"] for row in rows], "sessions")


@click.command()
@click.option("--sessions", multiple=True, type=int, default=SESSIONS, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(sessions: tuple[int, ...], rounds: int) -> None:
    """Measure, print a table, write JSON and a chart."""
    allow_many_files(max(sessions))
    began = load_average()
    rows: list[Row] = []
    for count in sessions:
        runs = [measure(count) for _ in range(rounds)]
        octets, seconds = (statistics.median(column) for column in zip(*runs, strict=True))
        rows.append({"sessions": count, "octets": octets, "seconds": seconds, "rounds": runs})
        each = octets / count
        click.echo(
            f"{count:>7,} idle sessions: {octets / 1e6:7.2f} MB, {each / 1e3:5.1f} kB each, {seconds:6.3f} s"
        )
    all_of_it = whole()
    resident = sum(all_of_it["octets"])
    parts = " + ".join(f"{octets / 1e6:.0f}" for octets in all_of_it["octets"])
    what = f"{all_of_it['vrps']:,} VRPs, {all_of_it['routers']:,} routers"
    click.echo(f"{what}: {resident / 1e6:.0f} MB resident in all processes ({parts})")
    write("idle_sessions", began, {"rounds": rounds, "rows": rows, "whole": all_of_it})
    draw(rows)
    if rows[-1]["octets"] / rows[-1]["sessions"] > TARGET:
        raise SystemExit(f"more than {TARGET:,} octets for each session")
    if resident > WHOLE_TARGET:
        raise SystemExit(f"more than {WHOLE_TARGET:,} octets in all processes")


if __name__ == "__main__":
    main()
