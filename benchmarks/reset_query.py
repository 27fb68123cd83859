"""How long do one router and many take for a full synchronization? Ours beside StayRTR, on the same set.

    python -m benchmarks.reset_query [--vrps FILE] [--routers 1 --routers 2] [--rounds 5]

Both serve the same JSON file (its times of expiry moved ahead, since StayRTR drops what has expired), in
version 1, one at a time, their rounds in turn. Before anything is timed, the sets that both hand out are
compared by the mirror client. The routers of the load are one process that only counts octets.
"""

from __future__ import annotations

import bz2
import contextlib
import json
import multiprocessing
import os
import platform
import re
import resource
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from rov import synth
from rtr_server.endpoint import Endpoint
from rtr_server.tools.dump import Dump, DumpError, fetch

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ROVKIT_DATA") or ROOT.parent / "shared" / "data")
REAL_SET = DATA / "vrp" / "rpki-client_global_20250720T093133Z.json.bz2"
RESULTS = ROOT / "build" / "benchmarks" / "reset_query.json"

RESET_QUERY = bytes.fromhex("0102000000000008")
END_OF_DATA = bytes.fromhex("0107")
END_OF_DATA_OCTETS = 24
VERSION = 1

START_TIMEOUT = 120.0
"""Seconds until a server must have its set; StayRTR needs six or more."""

FAR_AHEAD = 365 * 86_400


def moved_ahead(path: Path, target: Path) -> None:
    """A copy of an rpki-client JSON file in which nothing expires within a year."""
    content = path.read_bytes()
    data = json.loads(bz2.decompress(content) if path.suffix == ".bz2" else content)
    until = int(time.time()) + FAR_AHEAD
    for section in ("roas", "aspas", "bgpsec_keys"):
        for row in data.get(section, []):
            row["expires"] = until
    target.write_text(json.dumps(data))


def synthetic(target: Path, count: int) -> None:
    """A synthetic set as JSON, where the real one is missing."""
    snapshot = synth.vrps(count, 1)
    roas = [
        {"asn": vrp.asn, "prefix": str(vrp.prefix), "maxLength": vrp.max_length, "ta": "synthetic",
         "expires": int(time.time()) + FAR_AHEAD}
        for vrp in snapshot.vrps()
    ]  # fmt: skip
    target.write_text(json.dumps({"metadata": {"generated": int(time.time())}, "roas": roas}))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ours(vrps: Path, where: Endpoint) -> list[str]:
    """The command that starts our server."""
    return [sys.executable, "-m", "rtr_server", "serve", "--vrps", str(vrps), "--listen", str(where)]


def stayrtr(vrps: Path, where: Endpoint) -> list[str]:
    """The command that starts StayRTR; quiet, since logging would cost it time."""
    quiet = ["-loglevel", "error", "-log.verbose=false", "-metrics.addr", f"127.0.0.1:{free_port()}"]
    return ["stayrtr", "-cache", str(vrps), "-bind", str(where), "-checktime=false", "-protocol", "1", *quiet]


def stayrtr_version() -> str:
    """The version of Debian's package; empty where there is none."""
    command = ["dpkg-query", "-W", "-f", "${Version}", "stayrtr"]
    return subprocess.run(command, capture_output=True, text=True).stdout


SERVERS = {"rtr-server": ours, "StayRTR": stayrtr}


class Running:
    """A server that has its set."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], where: Endpoint, first: Dump, ready: float
    ):
        self.name = name
        self.where = where
        self.first = first
        self.ready = ready
        self.pid = process.pid

    @property
    def resident(self) -> int:
        """Resident memory, its peak, in octets."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0


@contextlib.contextmanager
def running(name: str, vrps: Path) -> Iterator[Running]:
    """Start a server, wait until it hands out a set, end it afterwards."""
    where = Endpoint("127.0.0.1", free_port())
    began = time.monotonic()
    with subprocess.Popen(
        SERVERS[name](vrps, where), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            first = _first_set(process, where, began + START_TIMEOUT)
            yield Running(name, process, where, first, time.monotonic() - began - first.seconds)
        finally:
            process.terminate()
            process.wait(10)


def _first_set(process: subprocess.Popen[bytes], where: Endpoint, until: float) -> Dump:
    while True:
        try:
            found = fetch(where, version=VERSION, timeout=max(1.0, until - time.monotonic()))
            if found.snapshot:
                return found
        except DumpError:
            if process.poll() is not None or time.monotonic() > until:
                raise
        time.sleep(0.05)


SPARE_FILES = 200
"""Descriptors beside those of the routers."""


def allow_many_files(routers: int) -> None:
    """Raise the limit of open files, ours and that of the servers, to what the routers need."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < routers + SPARE_FILES:
        raise SystemExit(f"{hard} open files are allowed: expected {routers + SPARE_FILES}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def synchronize(where: Endpoint, routers: int, octets: int) -> float:
    """Seconds until that many routers, all asking at once, have each got so many octets and End of Data."""
    seconds, sockets = synchronized(where, routers, octets)
    for router in sockets:
        router.close()
    return seconds


def synchronized(where: Endpoint, routers: int, octets: int) -> tuple[float, list[socket.socket]]:
    """The same, and the connections, which stay."""
    selector = selectors.DefaultSelector()
    buffer = bytearray(1 << 20)
    sockets = [socket.create_connection(where) for _ in range(routers)]
    left = dict.fromkeys(sockets, octets)
    began = time.monotonic()
    for router in sockets:
        router.sendall(RESET_QUERY)
        router.setblocking(False)
        selector.register(router, selectors.EVENT_READ)
    while left:
        for key, _ in selector.select():
            router = key.fileobj
            assert isinstance(router, socket.socket)
            count = router.recv_into(buffer)
            if not count:
                raise SystemExit("a server closed the connection before End of Data")
            left[router] -= count
            if left[router] <= 0:
                _check_end(buffer[:count], left.pop(router))
                selector.unregister(router)
    return time.monotonic() - began, sockets


def _check_end(tail: bytearray, left: int) -> None:
    """The last octets must be an End of Data, as far as they came together."""
    if left or (len(tail) >= END_OF_DATA_OCTETS and tail[-END_OF_DATA_OCTETS:][:2] != END_OF_DATA):
        raise SystemExit("a response had another length than that of the first set")


def load(where: Endpoint, routers: int, octets: int) -> float:
    """``synchronize`` in a process of its own."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(synchronize, (where, routers, octets))


def check_agreement(servers: list[Running]) -> None:
    """All servers must hand out the same VRPs and router keys."""
    for other in servers[1:]:
        if other.first.snapshot != servers[0].first.snapshot:
            different = f"{servers[0].first.snapshot!r} and {other.first.snapshot!r}"
            raise SystemExit(f"{servers[0].name} and {other.name} disagree: {different}")


def measure(vrps: Path, names: list[str], routers: tuple[int, ...], rounds: int) -> list[dict[str, object]]:
    """One row for each server and number of routers."""
    rows: list[dict[str, object]] = []
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(name, vrps)) for name in names]
        check_agreement(servers)
        for count in routers:
            times: dict[str, list[float]] = {server.name: [] for server in servers}
            for _ in range(rounds):
                for server in servers:
                    times[server.name].append(load(server.where, count, server.first.octets))
            rows += [_row(server, count, times[server.name]) for server in servers]
    return rows


def _row(server: Running, routers: int, times: list[float]) -> dict[str, object]:
    median = statistics.median(times)
    return {
        "server": server.name,
        "routers": routers,
        "seconds": median,
        "fastest": min(times),
        "slowest": max(times),
        "megabytes_per_second": routers * server.first.octets / median / 1e6,
        "start_seconds": server.ready,
        "resident_megabytes": server.resident / 1e6,
        "octets": server.first.octets,
        "vrps": len(server.first.snapshot),
    }


def show(rows: list[dict[str, object]]) -> None:
    """The table."""
    click.echo(
        f"{'server':<12}{'routers':>8}{'median s':>10}{'min':>9}{'max':>9}{'MB/s':>9}{'start s':>9}{'MB':>7}"
    )
    for row in rows:
        click.echo(
            f"{row['server']:<12}{row['routers']:>8}{row['seconds']:>10.3f}{row['fastest']:>9.3f}"
            f"{row['slowest']:>9.3f}{row['megabytes_per_second']:>9.1f}{row['start_seconds']:>9.2f}"
            f"{row['resident_megabytes']:>7.0f}"
        )


@click.command()
@click.option("--vrps", type=click.Path(exists=True, path_type=Path), help="rpki-client JSON, plain or .bz2.")
@click.option("--count", default=700_000, show_default=True, help="Size of the synthetic set.")
@click.option("--routers", multiple=True, type=int, default=(1, 2), show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(vrps: Path | None, count: int, routers: tuple[int, ...], rounds: int) -> None:
    """Measure, print a table, write build/benchmarks/reset_query.json."""
    names = [name for name in SERVERS if name != "StayRTR" or shutil.which("stayrtr")]
    if len(names) < len(SERVERS):
        click.echo("stayrtr is not installed: ours alone", err=True)
    source = vrps or (REAL_SET if REAL_SET.is_file() else None)
    with tempfile.TemporaryDirectory() as directory:
        served = Path(directory) / "vrps.json"
        if source:
            moved_ahead(source, served)
        else:
            click.echo("the real set is missing: a synthetic one", err=True)
            synthetic(served, count)
        rows = measure(served, names, routers, rounds)
    show(rows)
    result = {
        "data": source.name if source else f"synthetic {count}",
        "rounds": rounds,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "stayrtr": stayrtr_version(),
        "rows": rows,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    click.echo(f"written to {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
