"""RTRlib as a peer: built from rtrlib_lookup.c, loaded with VRPs, asked for the states of routes.

Debian: librtr-dev and a C compiler.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

SOURCE = Path(__file__).parent / "rtrlib_lookup.c"
PROGRAM = "rtrlib_lookup"

ROW = np.dtype(
    [("words", "u4", 4), ("asn", "u4"), ("family", "u1"), ("length", "u1"), ("most", "u1"), ("pad", "u1")]
)
"""The record of rtrlib_lookup.c."""


def build(directory: Path) -> bool:
    """Whether the program could be built, into the directory."""
    compiler = shutil.which("cc")
    if compiler is None:
        return False
    command = [compiler, "-O2", str(SOURCE), "-o", str(directory / PROGRAM), "-lrtr"]
    return subprocess.run(command, capture_output=True).returncode == 0


def version() -> str:
    """Debian's version of RTRlib, "" if there is none."""
    if not shutil.which("dpkg-query"):
        return ""
    command = ["dpkg-query", "-W", "-f", "${Version}", "librtr-dev"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def rows_of(family: int, address: Any, length: Any, most: Any, asn: Any) -> bytes:
    """Columns as records; RTRlib's addresses are words in host byte order."""
    rows = np.zeros(len(length), ROW)
    if family == 4:
        rows["words"][:, 0] = address
    else:
        shifts = np.array([32, 0], np.uint64)
        rows["words"] = ((address[:, :, None] >> shifts) & np.uint64(0xFFFFFFFF)).reshape(-1, 4)
    rows["family"], rows["length"], rows["most"], rows["asn"] = family, length, most, asn
    return rows.tobytes()


class Table:
    """RTRlib with VRPs loaded, and routes of one family to judge; a context manager that ends it.

    vrps: (family, address, length, max_length, asn) columns of each family; routes: family, address,
    length, origin. ``load_seconds`` and ``kilobytes`` are what loading took.
    """

    def __init__(self, directory: Path, vrps: Iterable[tuple[Any, ...]], routes: tuple[Any, ...]) -> None:
        held, asked, self._states = directory / "vrps", directory / "routes", directory / "states"
        held.write_bytes(b"".join(rows_of(*columns) for columns in vrps))
        family, address, length, origin = routes
        asked.write_bytes(rows_of(family, address, length, length, origin))
        command = [str(directory / PROGRAM), str(held), str(asked), str(self._states)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        seconds, kilobytes = self._answer().split()
        self.load_seconds, self.kilobytes = float(seconds), int(kilobytes)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{PROGRAM} ended with exit code {self._process.wait()}")
        return line

    def run(self) -> float:
        """Judge all routes once; the seconds that took."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer())

    def states(self) -> Any:
        """The states of the last round, as numbers of rov.State."""
        return np.fromfile(self._states, np.uint8)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
