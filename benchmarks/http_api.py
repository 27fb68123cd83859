"""What does the HTTP API judge in a second, and do routers feel it?

    python -m benchmarks.http_api [--routes 1000000] [--rounds 5] [--seconds 5]

The daemon runs on one processor, whoever asks on another. First POST /api/v1/validity: routes of the real
table in each form, until the last octet of the answer is there; beside it the rate by the processor time of
the daemon. Then a router asks a Serial Query every few milliseconds, alone at first and then beside each kind
of load on HTTP: how long until its End of Data. As load and router want processors as well, the same load is
then put on another daemon, on the same processor: what remains is what the machine does to anyone, and what
is more is the daemon's doing. Last, under the load again, for how long the event loop was held up by what the
daemon does (``benchmarks.stalls``). Linux only.
"""

from __future__ import annotations

import contextlib
import http.client
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgpack
import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.measure import SHUFFLE_SEED, load_average, real_or_own_routes, real_or_synthetic, write
from benchmarks.reset_query import free_port
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.decode import PduReader
from rtr_server.protocol.pdu import EndOfData, ResetQuery, SerialQuery

TYPES = {
    "ndjson": "application/x-ndjson",
    "msgpack": "application/msgpack",
    "arrow": "application/vnd.apache.arrow.stream",
}

VERSION = 1
PAUSE = 0.005
"""Seconds between two queries of the router."""

PATIENCE = 120.0

Felt = dict[str, dict[str, float]]
"""Of a load: the answers with it on "ours" and on the "other" daemon, and our "loop"."""


class Running(NamedTuple):
    """A daemon: its process, the ports of RTR and of HTTP."""

    process: subprocess.Popen[bytes]
    rtr: int
    web: int

    def stalls(self, work: Callable[[], object]) -> dict[str, float]:
        """How the event loop fared while this was done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for during in (work, lambda: None):
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()
            during()
        return msgspec.json.decode(self.process.stdout.readline(), type=dict[str, float])


@contextlib.contextmanager
def daemon(directory: Path, vrps: Path) -> Iterator[Running]:
    """A daemon on the first processor."""
    rtr, web = free_port(), free_port()
    command = [sys.executable, "-m", "benchmarks.watched", str(vrps), str(rtr), str(web)]
    log = (directory / "log").open("ab")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    try:
        until = time.monotonic() + PATIENCE
        while get(web, "/api/v1/status")[0] != 200:
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit((directory / "log").read_text())
            time.sleep(0.2)
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {0})
        yield Running(process, rtr, web)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def get(port: int, path: str, **headers: str) -> tuple[int, int]:
    """Status, and octets of the answer; 0 where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    except OSError:
        return 0, 0
    finally:
        connection.close()


def post(port: int, form: str, body: bytes) -> int:
    """Octets of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", "/api/v1/validity", body, {"Content-Type": TYPES[form]})
    answer = connection.getresponse()
    octets = len(answer.read())
    if answer.status != 200:
        raise SystemExit(f"{form}: {answer.status}")
    connection.close()
    return octets


def processor_time(pid: int) -> float:
    """Seconds that a process has run for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bodies(count: int) -> dict[str, bytes]:
    """The routes of the real table, in random order, in each form."""
    table = real_or_own_routes(real_or_synthetic()[0])
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(table.texts))[:count].tolist()
    order += order[: count - len(order)]
    rows = [(table.texts[row], table.origins[row]) for row in order]
    lines = (b'{"prefix":"%s","origin":%d}\n' % (prefix.encode(), origin) for prefix, origin in rows)
    columns = pa.table(
        {"prefix": [row[0] for row in rows], "origin": pa.array([row[1] for row in rows], pa.uint32())}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, columns.schema) as writer:
        writer.write_table(columns, max_chunksize=1 << 16)
    return {
        "ndjson": b"".join(lines),
        "msgpack": b"".join(msgpack.packb({"prefix": prefix, "origin": origin}) for prefix, origin in rows),
        "arrow": sink.getvalue().to_pybytes(),
    }


def follow(port: int, pipe: Any) -> None:
    """A router that asks again and again; tells the milliseconds of each answer when it is told to."""
    import socket

    router = socket.create_connection(Endpoint("127.0.0.1", port), timeout=PATIENCE)
    router.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = PduReader()

    def ask(query: bytes) -> EndOfData:
        router.sendall(query)
        while True:
            reader.receive_data(router.recv(1 << 20))
            while (pdu := reader.next_pdu()) is not None:
                if isinstance(pdu, EndOfData):
                    return pdu

    end = ask(ResetQuery(VERSION).encode())
    query = SerialQuery(VERSION, end.session_id, end.serial).encode()
    times: list[float] = []
    pipe.send("ready")
    while True:
        began = time.perf_counter()
        ask(query)
        times.append((time.perf_counter() - began) * 1_000)
        time.sleep(PAUSE)
        if pipe.poll():
            if pipe.recv() == "end":
                return
            pipe.send(times)
            times = []


def loads(web: int, made: dict[str, bytes]) -> dict[str, Callable[[], object]]:
    """What is asked beside the router, by name; each again and again."""
    counter = iter(range(10**9))

    def fresh(path: str) -> Callable[[], object]:
        # another selection each time: none is kept
        return lambda: get(web, f"{path}&select-asn={next(counter)}", **{"Accept-Encoding": "gzip"})

    return {
        "nothing": lambda: time.sleep(0.01),
        **{f"POST {form}": (lambda form=form: post(web, form, made[form])) for form in made},  # type: ignore[misc]
        "GET /json, gzip, kept": lambda: get(web, "/json", **{"Accept-Encoding": "gzip"}),
        "GET /csv, selections": fresh("/csv?select-prefix=::/0"),
        "GET /jsonext, IPv6": fresh("/jsonext?select-prefix=::/0&include=more-specifics"),
        "GET /metrics": lambda: get(web, "/metrics"),
    }


@contextlib.contextmanager
def under(work: Callable[[], object]) -> Iterator[None]:
    """Two clients do this, again and again."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            work()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def asked(pipe: Any, seconds: float) -> dict[str, float]:
    """What the router took, in milliseconds."""
    pipe.send("tell")
    pipe.recv()
    time.sleep(seconds)
    pipe.send("tell")
    times = sorted(pipe.recv())
    return {"median": statistics.median(times), "p99": times[int(len(times) * 0.99)], "worst": times[-1]}


def felt(ours: Running, other: Running, made: dict[str, bytes], seconds: float) -> dict[str, Felt]:
    """What the router of our daemon feels of each load, on ours and on the other one."""
    near, far = multiprocessing.Pipe()
    router = multiprocessing.get_context("fork").Process(target=follow, args=(ours.rtr, far))
    router.start()
    near.recv()
    found: dict[str, Felt] = {}
    for (load, work), elsewhere in zip(
        loads(ours.web, made).items(), loads(other.web, made).values(), strict=True
    ):
        found[load] = {}
        with under(elsewhere):
            found[load]["other"] = asked(near, seconds)
        with under(work):
            found[load]["ours"] = asked(near, seconds)
            found[load]["loop"] = ours.stalls(lambda: time.sleep(seconds))
    near.send("end")
    router.join()
    return found


@click.command()
@click.option("--routes", default=1_000_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="For each load.")
def main(routes: int, rounds: int, seconds: float) -> None:
    """Measure, print two tables, write build/benchmarks/http_api.json."""
    began = load_average()
    snapshot, name = real_or_synthetic()
    made = bodies(routes)
    rates: dict[str, float] = {}
    by_work: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        vrps = Path(directory) / "vrps.rov"
        snapshot.save(vrps)
        os.sched_setaffinity(0, set(os.sched_getaffinity(0)) - {0} or {0})
        with daemon(Path(directory), vrps) as ours, daemon(Path(directory), vrps) as other:
            pid = ours.process.pid
            for form, body in made.items():
                times, works = [], []
                for _ in range(rounds):
                    start, worked = time.perf_counter(), processor_time(pid)
                    post(ours.web, form, body)
                    times.append(time.perf_counter() - start)
                    works.append(processor_time(pid) - worked)
                rates[form] = routes / statistics.median(times)
                by_work[form] = routes / statistics.median(works)
            latencies = felt(ours, other, made, seconds)
    click.echo(f"{'POST /api/v1/validity':<24}{'routes/s':>12}{'by processor time':>20}")
    for form, rate in rates.items():
        click.echo(f"{form:<24}{rate:>12,.0f}{by_work[form]:>20,.0f}")
    click.echo(f"\n{'Serial Query, ms':<24}{'on this daemon':>22}{'on another':>22}{'loop held up':>14}")
    click.echo(f"{'beside':<24}" + f"{'median':>8}{'p99':>7}{'worst':>7}" * 2 + f"{'worst':>14}")
    for load, row in latencies.items():
        columns = (row[whose] for whose in ("ours", "other"))
        shown = "".join(f"{each['median']:>8.2f}{each['p99']:>7.2f}{each['worst']:>7.2f}" for each in columns)
        click.echo(f"{load:<24}{shown}{row['loop']['stall']:>14.2f}")
    write(
        "http_api",
        began,
        {
            "vrps": name,
            "routes": routes,
            "rates": rates,
            "by_processor_time": by_work,
            "latencies": latencies,
        },
    )


if __name__ == "__main__":
    main()
