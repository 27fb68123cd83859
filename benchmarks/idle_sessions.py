"""What does a router cost that is connected and idle? Memory of the server for each of many sessions.

    python -m benchmarks.idle_sessions [--sessions 10000] [--rounds 5]

Real connections over loopback to our own daemon's server of routers, in a process of its own: each router has
got its End of Data and stays. The memory is the growth of resident memory (PSS) over the process before the
first of them, so that the set itself does not count.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import socket
import statistics
import struct
from multiprocessing.connection import Connection
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "benchmarks" / "idle_sessions.json"

RESET_QUERY = bytes.fromhex("0102000000000008")
END_OF_DATA_OCTETS = 24

FEW = 3
"""VRPs that are served: the question is what a session costs, not a set."""

TARGET = 20_000
"""Octets that an idle session may cost."""

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: close by a reset. Ports that wait for their end would be used up after a few rounds."""

SPARE = 200
"""Descriptors beside those of the routers."""


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


def measure(sessions: int) -> float:
    """Octets for each session, once."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    try:
        port = ours.recv()
        warm = [connect(port) for _ in range(20)]
        before = proportional(process.pid or 0)
        routers = [connect(port) for _ in range(sessions)]
        octets = (proportional(process.pid or 0) - before) / sessions
        for router in (*warm, *routers):
            router.close()
    finally:
        ours.send("end")
        process.join(20)
    return octets


@click.command()
@click.option("--sessions", default=10_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(sessions: int, rounds: int) -> None:
    """Measure, print, write build/benchmarks/idle_sessions.json."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < sessions + SPARE:
        raise SystemExit(
            f"{hard} open files are allowed: expected {sessions + SPARE} for {sessions} sessions"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    each = [measure(sessions) for _ in range(rounds)]
    median = statistics.median(each)
    click.echo(
        f"{sessions:,} idle sessions: {median / 1000:.1f} kB each (from {min(each):,.0f} to {max(each):,.0f})"
    )
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(
        json.dumps({"sessions": sessions, "octets_each": median, "rounds": each}, indent=2) + "\n"
    )
    click.echo(f"written to {RESULTS.relative_to(ROOT)}")
    if median > TARGET:
        raise SystemExit(f"more than {TARGET:,} octets for each")


if __name__ == "__main__":
    main()
