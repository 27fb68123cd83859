"""Our cache and real router software as processes on free ports, each with its files in tmp_path."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop import processes
from tests.interop.processes import START_SECONDS, Cache, vrp_text
from tests.interop.routers import Bird


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """wait_until(condition, what, seconds): poll until the condition holds, else fail and say what."""
    return processes.wait_until


@pytest.fixture
def start_cache(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Cache]]:
    """Start our cache on a file, wait until it serves; at the end of the test it must stop with code 0."""
    started: list[Cache] = []

    def start(source: Path, *options: str) -> Cache:
        cache = Cache(source, free_port(), tmp_path, *options)
        started.append(cache)
        processes.wait_until(cache.ready, "the cache serves data")
        return cache

    yield start
    codes = [cache.stop() for cache in started]
    assert not any(codes), f"exit codes {codes}:\n{started[-1].log_tail()}"


@pytest.fixture
def start_bird(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Callable[..., Bird]]:
    """Start BIRD against a port of 127.0.0.1, wait until it can be asked."""
    started: list[Bird] = []

    def start(port: int, refresh: int = 3600) -> Bird:
        bird = Bird(program, port, tmp_path, refresh)
        started.append(bird)
        processes.wait_until(bird.ready, "BIRD opens its control socket")
        return bird

    yield start
    for bird in started:
        bird.stop()


@pytest.fixture
def vrp_file(tmp_path: Path) -> Callable[[set[str]], Path]:
    """Write VRP texts as a file in the form of rpki-client; ``expires`` says when some of them do."""

    def write(texts: set[str], expires: dict[str, int] | None = None) -> Path:
        roas = []
        for text in sorted(texts):
            prefix, max_length, asn = re.split("-| AS", text)
            roas.append({"prefix": prefix, "maxLength": int(max_length), "asn": int(asn), "ta": "test"})
            if expires and text in expires:
                roas[-1]["expires"] = expires[text]
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
