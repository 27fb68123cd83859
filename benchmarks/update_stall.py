"""What an update does to the event loop that serves routers: lag, time to the Serial Notify, memory.

    python -m benchmarks.update_stall [--rounds 5] [--routers 1] [--count 0]

A file of 75 MB is replaced by one with 15 changes, again and again, by rename. Two ways in turn: the loader
process (how the daemon works), and the same file read by a thread of the daemon (what it would be without).
A timer of one millisecond in the loop that serves says how late it fires, and the kernel, how much of that
the loop waited for a processor that others had: the rest is ours. The same for three seconds with nothing to
do is what the machine itself does to it. Linux only. Routers are another process. ``--count``: a synthetic
set of so many VRPs instead of the real ones. Fails if a router does not end up with what the file says.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import uvloop

import rov
from benchmarks.measure import load_average, write
from benchmarks.reset_query import DATA, REAL_SET, free_port, moved_ahead, synthetic
from rtr_server.app import Cache
from rtr_server.config import Config, build_config
from rtr_server.feed.feed import Feed
from rtr_server.feed.file import FileFeed
from rtr_server.feed.process import ProcessFeed
from rtr_server.feed.settings import Settings
from rtr_server.protocol.serial import add

SECOND_SET = DATA / "vrp" / "rpki-client_global_20250720T100143Z.json.bz2"

STEP = 0.001
"""Seconds between two ticks of the timer."""

IDLE = 3.0
"""Seconds for which an idle loop is watched."""

LIMIT = 5.0
"""Milliseconds that an update may hold up the loop."""

PATIENCE = 120.0

ROUTERS = """
import socket, sys, time
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sessions = []
def pdus(connection):
    rest = b""
    while True:
        data = connection.recv(1 << 20)
        if not data:
            return
        rest += data
        start = 0
        while len(rest) - start >= 8:
            length = int.from_bytes(rest[start + 4 : start + 8], "big")
            if len(rest) - start < length:
                break
            yield rest[start : start + length]
            start += length
        rest = rest[start:]
for number in range(count):
    connection = socket.create_connection((host, port))
    connection.sendall(bytes.fromhex("0102000000000008"))
    stream, tail = pdus(connection), b""
    while number and tail[:2] != b"\\1\\7":  # all but the first router only count octets
        tail = (tail + connection.recv(1 << 20))[-24:]
    for pdu in () if number else stream:
        if pdu[1] == 7:
            held = pdu[8:12]
            break
    sessions.append((connection, stream))
print("ready", flush=True)
connection, stream = sessions[0]
for pdu in stream:
    if pdu[1] == 0:
        print(time.monotonic(), int.from_bytes(pdu[8:12], "big"), flush=True)
        connection.sendall(bytes.fromhex("0101") + pdu[2:4] + bytes.fromhex("0000000c") + held)
    elif pdu[1] == 7:
        held = pdu[8:12]
"""


class Tick(NamedTuple):
    """How late a timer of the loop fired, and why, in milliseconds.

    ``queued``: the loop could have run, but the machine had no processor for it. ``worked``: it ran, so no
    callback since the tick before took longer. What is left of ``late`` it waited for us: for a lock of
    another thread (the GIL), for a page or a file.
    """

    late: float
    queued: float
    worked: float

    @property
    def ours(self) -> float:
        """By how much it was late because of what the daemon does, not of what else the machine does."""
        return max(0.0, self.late - self.queued)


class Lag:
    """Ticks of a timer of the loop, each with what the kernel says of the loop's thread."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self._file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        worked, queued = self._seen()
        while True:
            due = time.monotonic() + STEP
            await asyncio.sleep(STEP)
            late = time.monotonic() - due
            before, (worked, queued) = (worked, queued), self._seen()
            self.ticks.append(Tick(late * 1e3, (queued - before[1]) / 1e6, (worked - before[0]) / 1e6))

    def _seen(self) -> tuple[int, int]:
        """Nanoseconds that this thread has run, and that it could have but for others."""
        worked, queued = os.pread(self._file, 100, 0).split()[:2]
        return int(worked), int(queued)

    def end(self) -> list[Tick]:
        self._task.cancel()
        os.close(self._file)
        return self.ticks


def summary(ticks: list[Tick]) -> dict[str, float]:
    """Milliseconds of the worst tick, by any cause and by ours; the longest work; ticks that we made late."""
    return {
        "late": max(tick.late for tick in ticks),
        "ours": max(tick.ours for tick in ticks),
        "worked": max(tick.worked for tick in ticks),
        "over": sum(tick.ours > LIMIT for tick in ticks),
    }


def config(port: int, directory: Path) -> Config:
    tables = {
        "listen": [{"address": f"127.0.0.1:{port}"}],
        "state": {"directory": str(directory / "state")},
        "limits": {"notify_interval": 0.01, "notify_spread": 0},
    }
    return build_config(tables)


def feed(way: str, file: Path, directory: Path) -> Feed:
    if way == "thread":
        return FileFeed(file)
    source = build_config({"source": [{"type": "file", "path": str(file)}]})
    return ProcessFeed(Settings.of(source), directory / "feed")


def resident(pid: int | None) -> int:
    """Octets of memory that a process has to itself or shares with others, in proportion."""
    if pid is None:
        return 0
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10


async def one_way(way: str, files: list[Path], directory: Path, rounds: int, routers: int) -> dict[str, Any]:
    """All rounds of one way, in a daemon of its own."""
    port, file = free_port(), directory / "vrps.json"
    os.link(files[0], file)
    ready = asyncio.Event()
    chosen = feed(way, file, directory)
    cache = Cache(chosen, config(port, directory), started=lambda _: ready.set())
    running = asyncio.create_task(cache.run())
    await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when="FIRST_COMPLETED")
    if running.done():
        await running
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ROUTERS, "127.0.0.1", str(port), str(routers), stdout=subprocess.PIPE
    )
    assert client.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            await client.stdout.readline()
        await asyncio.sleep(2.0)
        watch = Lag()
        await asyncio.sleep(IDLE)
        idle = summary(watch.end())
        found, seconds = [], []
        for number in range(rounds):
            watch = Lag()
            fresh = directory / "fresh.json"
            os.link(files[(number + 1) % 2], fresh)
            before = cache.history.serial
            began = time.monotonic()
            os.replace(fresh, file)
            async with asyncio.timeout(PATIENCE):
                at, serial = (await client.stdout.readline()).split()
            if int(serial) != add(before):
                raise SystemExit(f"{way}: serial {serial.decode()}, expected the one after {before}")
            seconds.append(float(at) - began)
            await asyncio.sleep(2.0)  # what follows on an update belongs to it
            found.append(summary(watch.end()))
        memory = [resident(os.getpid()), resident(chosen.pid if isinstance(chosen, ProcessFeed) else None)]
        if cache.history.snapshot != rov.read(files[rounds % 2]):
            raise SystemExit(f"{way}: what is served is not what the file says")
    finally:
        client.kill()
        await client.wait()
        cache.stop("shutdown")
        await running
    return {
        "way": way,
        "idle_ms": idle,
        "update_ms": found,
        "notify_seconds": seconds,
        "memory": {"daemon": memory[0], "loader": memory[1]},
    }


def run(way: str, files: list[Path], rounds: int, routers: int) -> dict[str, Any]:
    folder = tempfile.TemporaryDirectory(dir=files[0].parent)
    with folder as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(one_way(way, files, Path(directory), rounds, routers))


def show(rows: list[dict[str, Any]]) -> None:
    click.echo("worst tick of all rounds, milliseconds late; ours: without waiting for a processor")
    click.echo(
        f"{'way':8} {'idle: late':>10} {'ours':>6} {'update: late':>13} {'ours':>6} {'median':>7} "
        f"{'>5 ms':>6} {'one callback':>13} {'notify':>8} {'memory':>13}"
    )
    for row in rows:
        idle, update = row["idle_ms"], row["update_ms"]
        worst = {name: max(each[name] for each in update) for name in ("late", "ours", "worked")}
        memory = "+".join(f"{octets >> 20}" for octets in row["memory"].values())
        click.echo(
            f"{row['way']:8} {idle['late']:10.1f} {idle['ours']:6.1f} {worst['late']:13.1f} "
            f"{worst['ours']:6.1f} {statistics.median(each['ours'] for each in update):7.1f} "
            f"{sum(each['over'] for each in update):6.0f} {worst['worked']:13.1f} "
            f"{statistics.median(row['notify_seconds']):6.2f} s {memory:>10} MB"
        )


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--routers", default=1, show_default=True)
@click.option("--count", default=0, help="Of a synthetic set, in place of the real ones.")
@click.option("--way", "ways", multiple=True, type=click.Choice(["loader", "thread"]))
@click.option("--child", hidden=True, type=click.Path(path_type=Path))
def main(rounds: int, routers: int, count: int, ways: tuple[str, ...], child: Path | None) -> None:
    """What an update does to the event loop that serves routers."""
    if child is not None:  # a process for each way, so that none inherits the memory of the other
        click.echo(msgspec.json.encode(run(ways[0], [child / "a.json", child / "b.json"], rounds, routers)))
        return
    began = load_average()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        if count or not REAL_SET.exists():
            synthetic(made / "a.json", count or 700_000)
            _change(made / "a.json", made / "b.json")
        else:
            moved_ahead(REAL_SET, made / "a.json")
            moved_ahead(SECOND_SET, made / "b.json")
        rows = []
        for way in ways or ("thread", "loader"):
            command = [sys.executable, "-m", "benchmarks.update_stall", "--child", folder, "--way", way]
            command += ["--rounds", str(rounds), "--routers", str(routers)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            rows.append(msgspec.json.decode(done.stdout))
    show(rows)
    write("update_stall", began, {"routers": routers, "count": count, "rows": rows})


def _change(path: Path, target: Path) -> None:
    """Another ASN in the first 15 VRPs of a synthetic set."""
    data = msgspec.json.decode(path.read_bytes())
    for row in data["roas"][:15]:
        row["asn"] = 64_511
    target.write_bytes(msgspec.json.encode(data))


if __name__ == "__main__":
    main()
