"""Our cache and real router software as processes on free ports, each with its files in tmp_path."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

START_SECONDS = 60
"""A full set is read and encoded before the first query is answered."""

STOP_SECONDS = 15

RESET_QUERY_V1 = struct.pack("!BBHI", 1, 2, 0, 8)
CACHE_RESPONSE = 3

BIRD_CONFIG = """
log "{log}" all;
router id 192.0.2.1;
roa4 table rpki4;
roa6 table rpki6;
protocol rpki cache {{
  roa4 {{ table rpki4; }};
  roa6 {{ table rpki6; }};
  remote "127.0.0.1" port {port};
  transport tcp;
  retry keep 1;
  refresh keep {refresh};
  expire keep 600;
}}
"""

BIRD_ROA = re.compile(r"^(?:\d{4}-| )?([0-9a-f.:]+)/(\d+)-(\d+) AS(\d+) ", re.MULTILINE)
BIRD_LAST_LINE = re.compile(rb"(?:^|\n)(\d{4}) [^\n]*\n$")


def _wait_until(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Poll until the condition holds; an assertion error that says what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


class Process:
    """A child process with its output in a file; stopped by SIGTERM, killed where that does not help."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def running(self) -> bool:
        """True; an assertion error with the end of its log where it has ended."""
        assert self.popen.poll() is None, f"ended with {self.popen.returncode}:\n{self.log_tail()}"
        return True

    def log_tail(self) -> str:
        """The last lines that it logged."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def stop(self) -> int:
        """Its exit code after SIGTERM."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"did not stop on SIGTERM:\n{self.log_tail()}") from None


class Cache(Process):
    """`rtr-server serve` with a file of its own that a test can replace."""

    def __init__(self, source: Path, port: int, directory: Path, *options: str) -> None:
        self.port = port
        self.file = directory / f"served-{port}.{source.name.split('.', 1)[1]}"
        self.replace(source)
        command = [sys.executable, "-m", "rtr_server", "serve", "--vrps", str(self.file)]
        command += ["--listen", f"127.0.0.1:{port}", *options]
        super().__init__(command, directory / f"cache-{port}.log")

    def replace(self, source: Path) -> None:
        """Serve the content of source from now on: one rename, as a validator does it."""
        fresh = self.file.with_name("fresh")
        shutil.copyfile(source, fresh)
        os.replace(fresh, self.file)

    def ready(self) -> bool:
        """Whether it answers a Reset Query with data."""
        self.running()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as router:
                router.sendall(RESET_QUERY_V1)
                header = router.recv(8, socket.MSG_WAITALL)
        except (ConnectionError, TimeoutError):
            return False
        return len(header) == 8 and header[1] == CACHE_RESPONSE


class Bird(Process):
    """BIRD 2 as an RTR client, with its control socket."""

    def __init__(self, executable: str, port: int, refresh: int, directory: Path) -> None:
        config, self.control = directory / "bird.conf", directory / "bird.ctl"
        config.write_text(BIRD_CONFIG.format(log=directory / "bird.log", port=port, refresh=refresh))
        command = [executable, "-f", "-c", str(config), "-s", str(self.control)]
        super().__init__([*command, "-P", str(directory / "bird.pid")], directory / "bird.log")
        self._socket: socket.socket | None = None

    def ready(self) -> bool:
        """Whether its control socket takes connections: the file is there a moment earlier."""
        self.running()
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.control))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def ask(self, command: str) -> str:
        """The answer to one command. One at a time: BIRD drops a socket with about eight in its queue."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(START_SECONDS)
            self._socket.connect(str(self.control))
            self._answer()
        self._socket.sendall(command.encode() + b"\n")
        return self._answer()

    def _answer(self) -> str:
        assert self._socket is not None
        chunks: list[bytes] = []
        tail = b""
        while not BIRD_LAST_LINE.search(tail):
            chunk = self._socket.recv(1 << 20)
            assert chunk, f"BIRD closed its control socket:\n{self.log_tail()}"
            chunks.append(chunk)
            tail = (tail + chunk)[-4096:]
        return b"".join(chunks).decode()

    def table(self) -> set[str]:
        """Both ROA tables as texts ADDRESS/LENGTH-MAX_LENGTH ASn."""
        return {vrp_text(*row) for name in ("rpki4", "rpki6") for row in self._rows(name)}

    def _rows(self, name: str) -> Iterator[tuple[str, str, str, str]]:
        for match in BIRD_ROA.finditer(self.ask(f"show route table {name}")):
            address, length, max_length, asn = match.groups()
            yield address, length, max_length, asn

    def count(self) -> int:
        """How many VRPs both tables hold."""
        answers = (self.ask(f"show route count table {name}") for name in ("rpki4", "rpki6"))
        return sum(int(answer.split("-", 1)[1].split()[0]) for answer in answers)

    def status(self, field: str) -> str:
        """A line of `show protocols all`, such as "Serial number"; empty where it is not shown."""
        found = re.search(rf"{field}:\s*(.*)", self.ask("show protocols all cache"))
        return found.group(1).strip() if found else ""

    def received(self) -> tuple[int, int]:
        """How many announcements and withdrawals it has received since it started, both families."""
        answer = self.ask("show protocols all cache")
        counted = [
            sum(map(int, re.findall(rf"Import {kind}:\s+(\d+)", answer))) for kind in ("updates", "withdraws")
        ]
        return counted[0], counted[1]

    def roa_check(self, prefix: str, asn: int) -> int:
        """BIRD's own verdict: 0 unknown, 1 valid, 2 invalid."""
        table = "rpki6" if ":" in prefix else "rpki4"
        answer = self.ask(f"eval roa_check({table}, {prefix}, {asn})")
        found = re.search(r"\(enum \w+\)(\d)", answer)
        assert found, f"roa_check({table}, {prefix}, {asn}): {answer}"
        return int(found.group(1))

    def stop(self) -> int:
        """Its exit code after SIGTERM, with the control socket closed before."""
        if self._socket is not None:
            self._socket.close()
        return super().stop()


def vrp_text(address: str, length: str | int, max_length: str | int, asn: str | int) -> str:
    """One spelling for every source of VRPs; the address in the form of inet_ntop."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if family == socket.AF_INET6:
        address = socket.inet_ntop(family, socket.inet_pton(family, address))
    return f"{address}/{length}-{max_length} AS{asn}"


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """wait_until(condition, what, seconds): poll until the condition holds, else fail and say what."""
    return _wait_until


@pytest.fixture
def start_cache(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Cache]]:
    """Start our cache on a file, wait until it serves; at the end of the test it must stop with code 0."""
    started: list[Cache] = []

    def start(source: Path, *options: str) -> Cache:
        cache = Cache(source, free_port(), tmp_path, *options)
        started.append(cache)
        _wait_until(cache.ready, "the cache serves data")
        return cache

    yield start
    codes = [cache.stop() for cache in started]
    assert not any(codes), f"exit codes {codes}:\n{started[-1].log_tail()}"


@pytest.fixture
def start_bird(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Callable[..., Bird]]:
    """Start BIRD against a port of 127.0.0.1, wait until it can be asked."""
    started: list[Bird] = []

    def start(port: int, refresh: int = 3600) -> Bird:
        bird = Bird(program("bird"), port, refresh, tmp_path)
        started.append(bird)
        _wait_until(bird.ready, "BIRD opens its control socket")
        return bird

    yield start
    for bird in started:
        bird.stop()


@pytest.fixture
def vrp_file(tmp_path: Path) -> Callable[[set[str]], Path]:
    """Write VRP texts as a file in the form of rpki-client."""

    def write(texts: set[str]) -> Path:
        rows = [re.split("-| AS", text) for text in sorted(texts)]
        roas = [
            {"prefix": row[0], "maxLength": int(row[1]), "asn": int(row[2]), "ta": "test"} for row in rows
        ]
        path = tmp_path / "vrps.json"
        path.write_text(json.dumps({"metadata": {"buildtime": "2026-01-01T00:00:00Z"}, "roas": roas}))
        return path

    return write


@pytest.fixture
def rtrclient(tmp_path: Path, program: Callable[[str], str]) -> Callable[[int], set[str]]:
    """What rtrclient of rtr-tools exports from a port of 127.0.0.1."""

    def export(port: int) -> set[str]:
        output = tmp_path / "rtrclient.csv"
        command = [program("rtrclient"), "-e", "-o", str(output), "-t", "csv", "tcp", "127.0.0.1", str(port)]
        ended = subprocess.run(command, capture_output=True, timeout=START_SECONDS, check=False)
        assert ended.returncode == 0, ended.stderr.decode(errors="replace")[-2000:]
        rows = [line.split(", ") for line in output.read_text().splitlines() if line.strip()]
        texts = [vrp_text(*row[:3], int(row[3]) % 2**32) for row in rows]
        assert len(set(texts)) == len(texts), "a VRP is exported twice"
        return set(texts)

    return export


@pytest.fixture
def same_vrps() -> Callable[[set[str], set[str]], None]:
    """Compare two sets of VRP texts; on a difference show its size and some members, not all."""

    def compare(found: set[str], expected: set[str]) -> None:
        missing, surplus = expected - found, found - expected
        assert missing | surplus == set(), (
            f"{len(missing):,} missing, such as {sorted(missing)[:3]}; "
            f"{len(surplus):,} too many, such as {sorted(surplus)[:3]}"
        )

    return compare
