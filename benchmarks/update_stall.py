"""What an update does to the event loop that serves routers: stalls, time to the Serial Notify, memory.

    python -m benchmarks.update_stall [--rounds 5] [--routers 1] [--count 0]

A file of 75 MB is replaced by one with 15 changes, again and again, by rename; at last 15 VRPs of it expire.
Two ways in turn: the loader process (how the daemon works), and the same file read by a thread of the daemon
(what it would be without). A timer of one millisecond in the loop that serves says how late it fires, and the
kernel why: how long the loop's thread ran, how long it and the threads beside it waited for a processor that
others had, and whether it gave its processor up for anything but the timer, as it does to wait for the GIL or
for a file. What others cause is no stall. At the same time a bare loop in a process of its own, which does
nothing, tells what the machine does to anyone. Linux only. Routers are another process. ``--count``: a
synthetic set of so many VRPs instead of the real ones. Fails if a router does not end up with what the file
says.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop

import rov
from benchmarks.measure import load_average, write
from benchmarks.reset_query import DATA, REAL_SET, free_port, moved_ahead, synthetic
from benchmarks.stalls import Watch
from rtr_server.app import Cache
from rtr_server.config import Config, build_config
from rtr_server.feed.feed import Feed
from rtr_server.feed.file import FileFeed
from rtr_server.feed.process import ProcessFeed
from rtr_server.feed.settings import Settings
from rtr_server.protocol.serial import add

SECOND_SET = DATA / "vrp" / "rpki-client_global_20250720T100143Z.json.bz2"

CHANGES = 15
"""VRPs in which the two sets differ, and that expire."""

IDLE = 3.0
"""Seconds for which an idle loop is watched."""

EXPIRY = 10.0
"""Seconds from now until VRPs of a file that is written now expire, and several times what an update took."""

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
    watch = Watch()
    await watch.start()
    assert client.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            await client.stdout.readline()
        await asyncio.sleep(2.0)
        await watch.begin()
        await asyncio.sleep(IDLE)
        idle = await watch.end()
        found, seconds = [], []
        for number in range(rounds):
            await watch.begin()
            before = cache.history.serial
            began = _replaced(files[(number + 1) % 2], file)
            seconds.append(await _told(client.stdout, add(before)) - began)
            await asyncio.sleep(2.0)  # what follows on an update belongs to it
            found.append(await watch.end())
        memory = [resident(os.getpid()), resident(chosen.pid if isinstance(chosen, ProcessFeed) else None)]
        if cache.history.snapshot != rov.read(files[rounds % 2]):
            raise SystemExit(f"{way}: what is served is not what the file says")
        expiring = directory / "expiring.json"
        due = int(time.time() + EXPIRY + 6 * max(seconds))
        script = [sys.executable, "-m", "benchmarks.update_stall", "--expiring", f"{files[rounds % 2]}:{due}"]
        with expiring.open("wb") as out:
            await (await asyncio.create_subprocess_exec(*script, stdout=out)).wait()
        before, served = cache.history.serial, cache.updates.served
        _replaced(expiring, file)
        await asyncio.sleep(max(0.0, due - 1.0 - time.time()))
        if cache.updates.served is served or cache.history.serial != before:
            raise SystemExit(f"{way}: what is to expire is not served, or has a serial of its own")
        await watch.begin()
        late = await _told(client.stdout, add(before)) - time.monotonic() + time.time() - due
        await asyncio.sleep(2.0)
        expiry = await watch.end()
        if len(cache.history.snapshot) != len(rov.read(expiring)) - CHANGES:
            raise SystemExit(f"{way}: what has expired is still served")
    finally:
        await watch.stop()
        client.kill()
        await client.wait()
        cache.stop("shutdown")
        await running
    return {
        "way": way,
        "idle_ms": idle,
        "update_ms": found,
        "expiry_ms": expiry,
        "notify_seconds": seconds,
        "expiry_seconds": late,
        "memory": {"daemon": memory[0], "loader": memory[1]},
    }


def _replaced(by: Path, file: Path) -> float:
    """Put a file in the place of another; the time of it."""
    fresh = file.with_name("fresh.json")
    os.link(by, fresh)
    began = time.monotonic()
    os.replace(fresh, file)
    return began


async def _told(router: asyncio.StreamReader, serial: int) -> float:
    """When the router heard of a serial."""
    async with asyncio.timeout(PATIENCE):
        at, found = (await router.readline()).split()
    if int(found) != serial:
        raise SystemExit(f"serial {found.decode()}, expected {serial}")
    return float(at)


def run(way: str, files: list[Path], rounds: int, routers: int) -> dict[str, Any]:
    folder = tempfile.TemporaryDirectory(dir=files[0].parent)
    with folder as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(one_way(way, files, Path(directory), rounds, routers))


def show(rows: list[dict[str, Any]]) -> None:
    click.echo(
        "milliseconds; late: worst tick, by any cause; stall: by what the daemon does; bare: another process"
    )
    click.echo(
        f"{'way':7} {'what':8} {'late':>6} {'1 in 1000':>9} {'stall':>6} {'>5 ms':>6} {'callback':>8} "
        f"{'bare: late':>10} {'1 in 1000':>9} {'notify':>8} {'memory':>12}"
    )
    for row in rows:
        memory = "+".join(f"{octets >> 20}" for octets in row["memory"].values()) + " MB"
        notify = f"{statistics.median(row['notify_seconds']):.2f} s"
        click.echo(_line(row["way"], "idle", [row["idle_ms"]]))
        click.echo(_line(row["way"], "update", row["update_ms"]) + f" {notify:>8} {memory:>12}")
        click.echo(_line(row["way"], "expiry", [row["expiry_ms"]]) + f" {row['expiry_seconds']:6.2f} s")


def _line(way: str, what: str, found: list[dict[str, Any]]) -> str:
    """The worst of all rounds."""
    worst = {name: max(each[name] for each in found) for name in found[0] if name != "bare"}
    others = {name: max(each["bare"][name] for each in found) for name in ("late", "late_permille")}
    return (
        f"{way:7} {what:8} {worst['late']:6.1f} {worst['late_permille']:9.1f} {worst['stall']:6.1f} "
        f"{sum(each['over'] for each in found):6.0f} {worst['worked']:8.1f} "
        f"{others['late']:10.1f} {others['late_permille']:9.1f}"
    )


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--routers", default=1, show_default=True)
@click.option("--count", default=0, help="Of a synthetic set, in place of the real ones.")
@click.option("--way", "ways", multiple=True, type=click.Choice(["loader", "thread"]))
@click.option("--child", hidden=True, type=click.Path(path_type=Path))
@click.option("--expiring", hidden=True)
def main(
    rounds: int,
    routers: int,
    count: int,
    ways: tuple[str, ...],
    child: Path | None,
    expiring: str | None,
) -> None:
    """What an update does to the event loop that serves routers."""
    if expiring is not None:
        path, _, due = expiring.rpartition(":")
        click.echo(_changed(Path(path), "expires", int(due)), nl=False)
        return
    if child is not None:  # a process for each way, so that none inherits the memory of the other
        click.echo(msgspec.json.encode(run(ways[0], [child / "a.json", child / "b.json"], rounds, routers)))
        return
    began = load_average()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        if count or not REAL_SET.exists():
            synthetic(made / "a.json", count or 700_000)
            (made / "b.json").write_bytes(_changed(made / "a.json", "asn", 64_511))
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


def _changed(path: Path, key: str, value: int) -> bytes:
    """A set with another value in its first VRPs."""
    data = msgspec.json.decode(path.read_bytes())
    for row in data["roas"][:CHANGES]:
        row[key] = value
    return msgspec.json.encode(data)


if __name__ == "__main__":
    main()
