"""What all tests share: real data, real programs, free ports, and how hard hypothesis tries.

ROVKIT_DATA         where the real data sets are; ../shared/data beside the checkout if unset
ROVKIT_STRICT=1     a missing data set or program fails the test that needs it, instead of skipping it
ROVKIT_WHOLE=1      the RIB of four million entries is compared with bgpdump to its end: a minute of one core
HYPOTHESIS_PROFILE  dev (default: quick), ci (four times the examples) or long (forty times)
"""

from __future__ import annotations

import bz2
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

import rov
from tests import ports

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ROVKIT_DATA") or ROOT.parent / "shared" / "data")
STRICT = os.environ.get("ROVKIT_STRICT") == "1"

FIRST_SET = "vrp/rpki-client_global_20250720T093133Z.json.bz2"
SECOND_SET = "vrp/rpki-client_global_20250720T100143Z.json.bz2"

ADMIN_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/sbin"))
"""Debian puts daemons where an ordinary user's PATH does not look."""

BGPD = {"bgpd of FRR": "/usr/lib/frr/bgpd", "bgpd of OpenBGPD": "/usr/sbin/bgpd"}

# No deadline: the machines that run the tests are shared, and a slow moment is no fault.
hypothesis.settings.register_profile("dev", max_examples=50, deadline=None)
for name, examples in {"ci": 200, "long": 2_000}.items():
    hypothesis.settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def _missing(what: str) -> None:
    if STRICT:
        pytest.fail(f"ROVKIT_STRICT=1: {what}", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def missing() -> Callable[[str], None]:
    """Skip the test, or fail it in strict mode, since something that it needs is missing."""
    return _missing


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """The path of a real data file; the test is skipped, or fails in strict mode, where it is missing."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.is_file():
            _missing(f"real data set {name} is not in {DATA} (set ROVKIT_DATA)")
        return path

    return find


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """The path of a program; the test is skipped, or fails in strict mode, where it is not installed.

    Two projects have a ``bgpd``: ask for "bgpd of FRR" or "bgpd of OpenBGPD".
    """

    def find(name: str) -> str:
        path = shutil.which(BGPD.get(name, name), path=ADMIN_PATH)
        if path is None:
            _missing(f"program {name} is not installed")
        return str(path)

    return find


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A TCP port that nobody listens on, another one at each call."""
    return ports.free_port


@pytest.fixture(scope="session")
def first_set(data: Callable[[str], Path]) -> Path:
    """The file of the real global set of 2025-07-20 09:31 UTC, 723,521 VRPs."""
    return data(FIRST_SET)


@pytest.fixture(scope="session")
def second_set(data: Callable[[str], Path]) -> Path:
    """The file of the real global set half an hour later: 6 VRPs fewer and 9 more."""
    return data(SECOND_SET)


@pytest.fixture(scope="session")
def first_snapshot(first_set: Path) -> rov.Snapshot:
    """The first real set, read once per test process."""
    return rov.read(first_set)


@pytest.fixture(scope="session")
def second_snapshot(second_set: Path) -> rov.Snapshot:
    """The second real set, read once per test process."""
    return rov.read(second_set)


def _texts(path: Path) -> set[str]:
    """The VRPs of an rpki-client JSON file, read with the standard library only, as texts."""
    roas = json.loads(bz2.decompress(path.read_bytes()))["roas"]
    return {f"{_canonical(roa['prefix'])}-{roa['maxLength']} AS{roa['asn']}" for roa in roas}


def _canonical(prefix: str) -> str:
    address, length = prefix.split("/")
    if ":" in address:
        address = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))
    return f"{address}/{length}"


@pytest.fixture(scope="session")
def first_texts(first_set: Path) -> set[str]:
    """The first real set as texts ADDRESS/LENGTH-MAX_LENGTH ASn, read without our own reader."""
    return _texts(first_set)


@pytest.fixture(scope="session")
def second_texts(second_set: Path) -> set[str]:
    """The second real set as texts, read without our own reader."""
    return _texts(second_set)
