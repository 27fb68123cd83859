"""How long from a new file to the last router having the change? Ours beside StayRTR.

    python -m benchmarks.delta_fanout [--vrps FILE] [--routers 60] [--changes 50] [--rounds 5]

Each round starts both servers in turn on the same JSON file, connects the routers in version 1, lets them
synchronize, replaces the file by one rename, and tells the server (SIGHUP), as an operator would. Measured:
until the first Serial Notify, and until the last router has its End of Data for the new serial. A new server
each round, since ours sends one notify a minute. All routers must get the same, and both serve the same.
Beyond 64 routers ours spreads the notifies over `notify_spread` (4 s), on purpose: that is measured then.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import selectors
import shutil
import signal
import socket
import statistics
import struct
import tempfile
import time
from pathlib import Path

import click

from benchmarks.reset_query import REAL_SET, ROOT, SERVERS, VERSION, moved_ahead, running, synthetic
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.decode import PduReader
from rtr_server.protocol.pdu import EndOfData, PrefixPdu, ResetQuery, SerialNotify, SerialQuery
from rtr_server.tools.dump import fetch

RESULTS = ROOT / "build" / "benchmarks" / "delta_fanout.json"

TIMEOUT = 300.0
"""Seconds for everything in a round."""

END = struct.pack("!BB", VERSION, 7)


def synchronized(where: Endpoint, octets: int) -> tuple[socket.socket, int, int]:
    """A router with its set, the session id and the serial it was told; octets of a response are known."""
    router = socket.create_connection(where, timeout=TIMEOUT)
    router.sendall(ResetQuery(VERSION).encode())
    tail, left = b"", octets
    while left:
        piece = router.recv(min(left, 1 << 20))
        if not piece:
            raise SystemExit("a server closed the connection before End of Data")
        left -= len(piece)
        tail = (tail + piece)[-24:]
    if not tail.startswith(END):
        raise SystemExit("a response had another length than that of the first set")
    session_id, serial = struct.unpack("!2xH4xI", tail[:12])
    return router, session_id, serial


def follow(where: Endpoint, routers: int, octets: int, pipe: multiprocessing.connection.Connection) -> None:
    """Connect the routers, say so, and tell when the first notify and the last End of Data came."""
    selector = selectors.DefaultSelector()
    asked = {}
    for _ in range(routers):
        router, session_id, serial = synchronized(where, octets)
        selector.register(router, selectors.EVENT_READ, (PduReader(), session_id, serial, []))
        asked[router] = False
    pipe.send("ready")
    first, left, payloads, until = None, routers, set(), time.monotonic() + TIMEOUT
    while left:
        if time.monotonic() > until:
            raise SystemExit(f"{left} routers have no change after {TIMEOUT:.0f} s")
        for key, _ in selector.select(1.0):
            reader, session_id, serial, payload = key.data
            received = key.fileobj.recv(1 << 16)
            if not received:
                raise SystemExit("a server closed a connection")
            reader.receive_data(received)
            while (pdu := reader.next_pdu()) is not None:
                if isinstance(pdu, SerialNotify) and not asked[key.fileobj]:
                    first = first or time.monotonic()
                    asked[key.fileobj] = True
                    key.fileobj.sendall(SerialQuery(VERSION, session_id, serial).encode())
                elif isinstance(pdu, PrefixPdu):
                    payload.append((pdu.announce, pdu.vrp))
                elif isinstance(pdu, EndOfData):
                    left -= 1
                    payloads.add(frozenset(payload))
                    selector.unregister(key.fileobj)
    if len(payloads) != 1:
        raise SystemExit(f"{len(payloads)} different deltas went out")
    pipe.send((first, time.monotonic(), len(next(iter(payloads)))))


def one_round(name: str, before: Path, after: Path, routers: int) -> tuple[float, float, object]:
    """Seconds to the first notify and to the last End of Data, and the set that is served then."""
    served = before.with_name("served.json")
    shutil.copyfile(before, served)
    fresh = before.with_name("fresh.json")
    shutil.copyfile(after, fresh)
    with running(name, served) as server:
        ours, theirs = multiprocessing.Pipe()
        clients = multiprocessing.get_context("fork").Process(
            target=follow, args=(server.where, routers, server.first.octets, theirs)
        )
        clients.start()
        theirs.close()
        ours.recv()
        began = time.monotonic()
        os.replace(fresh, served)
        os.kill(server.pid, signal.SIGHUP)
        first, last, changes = ours.recv()
        clients.join()
        snapshot = fetch(server.where, version=VERSION, timeout=TIMEOUT).snapshot
        return first - began, last - began, (changes, snapshot)


def changed(source: Path, target: Path, changes: int) -> None:
    """The same file without its first VRPs, half as many as changes, and with as many others."""
    data = json.loads(source.read_bytes())
    gone, rest = data["roas"][: changes // 2], data["roas"][changes // 2 :]
    extra = [{**row, "asn": 4_200_000_000 + number} for number, row in enumerate(gone)]
    data["roas"] = [*rest, *extra]
    target.write_text(json.dumps(data))


@click.command()
@click.option("--vrps", type=click.Path(exists=True, path_type=Path), help="rpki-client JSON, plain or .bz2.")
@click.option("--routers", default=60, show_default=True)
@click.option("--changes", default=50, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--count", default=20_000, show_default=True, help="Size of the synthetic set.")
@click.option("--real", is_flag=True, help="The real set; StayRTR takes minutes a round for many routers.")
def main(vrps: Path | None, routers: int, changes: int, rounds: int, count: int, real: bool) -> None:
    """Measure, print a table, write build/benchmarks/delta_fanout.json."""
    names = [name for name in SERVERS if name != "StayRTR" or shutil.which("stayrtr")]
    source = vrps or (REAL_SET if real else None)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as directory:
        before, after = Path(directory) / "before.json", Path(directory) / "after.json"
        if source:
            moved_ahead(source, before)
        else:
            synthetic(before, count)
        changed(before, after, changes)
        for _ in range(rounds):
            ends = []
            for name in names:
                first, last, end = one_round(name, before, after, routers)
                times[name].append((first, last))
                ends.append(end)
            if any(end != ends[0] for end in ends):
                raise SystemExit(f"{' and '.join(names)} disagree about the change")
    rows = [_row(name, routers, times[name]) for name in names]
    click.echo(f"{'server':<12}{'routers':>8}{'first notify s':>16}{'all have it s':>15}{'min':>8}{'max':>8}")
    for row in rows:
        click.echo(
            f"{row['server']:<12}{row['routers']:>8}{row['notify']:>16.3f}{row['seconds']:>15.3f}"
            f"{row['fastest']:>8.3f}{row['slowest']:>8.3f}"
        )
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    data = source.name if source else f"synthetic {count}"
    content = {"data": data, "changes": changes, "rounds": rounds, "rows": rows}
    RESULTS.write_text(json.dumps(content, indent=2) + "\n")
    click.echo(f"written to {RESULTS.relative_to(ROOT)}")


def _row(name: str, routers: int, times: list[tuple[float, float]]) -> dict[str, object]:
    ends = [last for _, last in times]
    return {
        "server": name,
        "routers": routers,
        "notify": statistics.median(first for first, _ in times),
        "seconds": statistics.median(ends),
        "fastest": min(ends),
        "slowest": max(ends),
    }


if __name__ == "__main__":
    main()
