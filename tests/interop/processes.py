"""Child processes of the interop tests: how they are started, watched and ended; our own cache among them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import rov

START_SECONDS = 60
"""A full set is read and encoded before the first query is answered."""

STOP_SECONDS = 15

RESET_QUERY_V1 = struct.pack("!BBHI", 1, 2, 0, 8)
CACHE_RESPONSE = 3


def wait_until(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Poll until the condition holds; an assertion error that says what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


class Process:
    """A child process with its output in a file; stopped by SIGTERM, killed where that does not help."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command = command
        self.log = log
        self.start()

    def start(self) -> None:
        """Run the command, at first or again after its end."""
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(self.command, stdout=output, stderr=subprocess.STDOUT)

    def running(self) -> bool:
        """True; an assertion error with the end of its log where it has ended."""
        assert self.popen.poll() is None, f"ended with {self.popen.returncode}:\n{self.log_tail()}"
        return True

    def log_tail(self) -> str:
        """The last lines that it logged."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def kill(self) -> None:
        """End it as a crash does."""
        self.popen.kill()
        self.popen.wait()

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


def vrp_text(address: str, length: str | int, max_length: str | int, asn: str | int) -> str:
    """One spelling for every source of VRPs; the address in the form of inet_ntop."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if family == socket.AF_INET6:
        address = socket.inet_ntop(family, socket.inet_pton(family, address))
    return f"{address}/{length}-{max_length} AS{asn}"


def parse_vrp(text: str) -> rov.Vrp:
    """The way back from ``vrp_text``."""
    prefix, max_length, asn = re.split("-| AS", text)
    return rov.Vrp(rov.Prefix.parse(prefix), int(max_length), int(asn))
