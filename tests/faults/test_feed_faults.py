"""What can happen to a feed, a case a row of docs/faults.md: routers keep the last good set, the log tells.

ROVKIT_WRITE=1 writes the page anew from the cases below; without it the test fails if the page is another.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
import trustme

from rtr_server.feed.messages import StepName
from tests.faults.conftest import GOOD, PATIENCE, replace, vrps

PAGE = Path(__file__).parent.parent.parent / "docs" / "faults.md"

MEMORY = 900 << 20
"""What a loader may take at most when it meets a file that is too long: a file may have 512 MB."""


class Case(NamedTuple):
    """A fault, the line of the log that tells of it, and how it is done to the world of the test."""

    fault: str
    log: str
    harm: object


def spoil(octets):
    """The file is replaced by these octets."""
    return lambda world: replace(world.vrps, octets() if callable(octets) else octets)


def truncate(world):
    """The file is cut in place, as by a writer that died."""
    os.truncate(world.vrps, 5_000)


def grow(world):
    """A gigabyte of zeros, which takes no room on the disk."""
    garbage = world.vrps.with_name("garbage")
    with garbage.open("wb") as file:
        file.write(b'{"roas": [')
        file.truncate(1 << 30)
    os.replace(garbage, world.vrps)


def bad_rows():
    rows = json.loads(vrps())
    for row in rows["roas"][:20]:
        row["prefix"] = "192.0.2.0/99"
    return json.dumps(rows).encode()


def expired():
    rows = json.loads(vrps())
    for row in rows["roas"]:
        row["expires"] = int(time.time()) - 60
    return json.dumps(rows).encode()


FILE_CASES = [
    Case("file cut short in place", "set refused, the last one stays", truncate),
    Case("file replaced by an HTML page", "found an HTML page", spoil(b"<html>maintenance</html>")),
    Case("file emptied", "found nothing", spoil(b"")),
    Case("file of 1 GB of garbage", "set refused, the last one stays", grow),
    Case("file of another kind", "set refused, the last one stays", spoil(b'{"users": []}')),
    Case("file with 1 % bad rows", "at most 0.1% are borne", spoil(bad_rows)),
    Case("file without VRPs", "holds no VRPs", spoil(lambda: vrps(0))),
    Case("file in which all has expired", "have expired", spoil(expired)),
    Case("file removed", "No such file", lambda world: world.vrps.unlink()),
    Case("half of the VRPs gone", "UPDATE HELD, the last set stays", spoil(lambda: vrps(GOOD // 2))),
    Case(
        "local exceptions that are no SLURM",
        "local exceptions refused, the last good ones stay",
        lambda world: replace(world.slurm, b'{"slurmVersion": 7}'),
    ),
    Case("loader killed", "killed by signal 9", lambda world: world.daemon.kill_loader()),
]

URL_CASES = [
    Case("server answers 500", "HTTP status 500", "status"),
    Case("body shorter than Content-Length", "set refused, the last one stays", "short"),
    Case("connection reset in mid-body", "set refused, the last one stays", "reset"),
    Case("server drips a few octets a second", "not complete in", "drip"),
    Case("body that is no gzip though it says so", "set refused, the last one stays", "gzip"),
    Case("server gone", "Connection refused", "gone"),
]

STEPS = get_args(StepName)

OTHER_CASES = [
    *(
        Case(f"loader killed in the step {step!r}", f"killed by signal 9 ... step={step}", step)
        for step in STEPS
    ),
    Case("clock set two hours ahead", "CLOCK: ours has jumped forwards", None),
    Case("clock set back", "CLOCK: ours has jumped backwards", None),
    Case("HTTPS server with a certificate of another authority", "certificate verify failed", None),
    Case("loader that stands still", "loader failed, the last set stays ... silent for", None),
    Case("disk of the state directory full", "No space left on device", None),
    Case("data from the future, or our clock is behind", "CLOCK: ours or theirs is wrong", None),
    Case("daemon killed", "(the loader ends by itself)", None),
]


class World(NamedTuple):
    daemon: object
    vrps: Path
    slurm: Path


SLURM = {
    "slurmVersion": 1,
    "validationOutputFilters": {"prefixFilters": [{"prefix": "10.0.0.0/24"}], "bgpsecFilters": []},
    "locallyAddedAssertions": {"prefixAssertions": [], "bgpsecAssertions": []},
}
HELD = GOOD - 1
"""The exceptions take one VRP out."""


@pytest.fixture(scope="module")
def world(start, tmp_path_factory):
    directory = tmp_path_factory.mktemp("world")
    file, slurm = directory / "vrps.json", directory / "slurm.json"
    file.write_bytes(vrps())
    slurm.write_text(json.dumps(SLURM))
    config = f'[state]\ndirectory = "{directory}/state"\n'
    config += f'[[source]]\ntype = "file"\npath = "{file}"\n[slurm]\nfiles = ["{slurm}"]\n'
    world = World(start(config), file, slurm)
    world.daemon.holds(HELD)
    return world


def restored(world):
    """The world as it was; an update shows that all works again."""
    world.slurm.write_text(json.dumps(SLURM))
    replace(world.vrps, vrps(GOOD + 1))
    world.daemon.holds(GOOD)
    replace(world.vrps, vrps())
    world.daemon.holds(HELD)


@pytest.mark.parametrize("case", FILE_CASES, ids=lambda case: case.fault)
def test_file(world, case):
    since = len(world.daemon.log())
    case.harm(world)
    world.daemon.logged(case.log, since)
    assert world.daemon.held() == HELD
    pid = world.daemon.loader()
    if pid is not None:
        status = Path(f"/proc/{pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) << 10
        assert peak < MEMORY, f"{peak:,} octets"
    restored(world)


class Site(http.server.ThreadingHTTPServer):
    """A server whose next answers are spoiled as ``harm`` says."""

    harm = ""
    body = b""

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        harm, body = self.server.harm, self.server.body
        self.send_response(500 if harm == "status" else 200)
        self.send_header("Content-Length", str(len(body)))
        if harm == "gzip":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if harm in ("short", "reset", "drip"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
        if harm == "reset":
            self.connection.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER 0: a reset
        until = time.monotonic() + 8
        while harm == "drip" and time.monotonic() < until:
            try:
                self.wfile.write(b" ")
                self.wfile.flush()
            except OSError:
                break
            time.sleep(0.2)
        if not harm or harm == "gzip":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(start, free_port):
    port = free_port()
    site = Site(port)
    site.body = vrps()
    config = f'[[source]]\ntype = "url"\nurl = "http://127.0.0.1:{port}/vrps.json"\ntimeout = "2s"\n'
    site.daemon = start(config)
    yield site
    site.shutdown()
    site.server_close()


@pytest.mark.parametrize("case", URL_CASES, ids=lambda case: case.fault)
def test_url(site, case):
    since = len(site.daemon.log())
    site.body = vrps(GOOD + 5)
    site.harm = case.harm
    if case.harm == "gone":
        site.shutdown()
        site.server_close()
    site.daemon.reload()
    site.daemon.logged(case.log, since)
    assert site.daemon.held() == GOOD
    if case.harm != "gone":
        site.harm = ""
        site.daemon.reload()
        site.daemon.holds(GOOD + 5)
        site.body = vrps()
        site.daemon.reload()
        site.daemon.holds(GOOD)


@pytest.fixture(scope="module")
def stepped(start, tmp_path_factory):
    """A daemon with a record of its updates, and its file."""
    directory = tmp_path_factory.mktemp("stepped")
    file = directory / "vrps.json"
    file.write_bytes(vrps())
    state = f'[state]\ndirectory = "{directory}/state"\n'
    return start(f'{state}[[source]]\ntype = "file"\npath = "{file}"\n'), file


@pytest.mark.parametrize("number", range(len(STEPS)), ids=STEPS)
def test_loader_killed_in_each_step(stepped, number):
    """Routers hold the old set or the new one, whole; the next loader goes on by itself."""
    daemon, file = stepped
    step = STEPS[number]
    found = daemon.held()
    since = len(daemon.log())
    daemon.hold(step)
    replace(file, vrps(found + 1))
    daemon.held_in(step)
    daemon.hold(None)
    daemon.kill_loader()
    line = daemon.logged("loader failed, the last set stays", since)
    assert "killed by signal 9" in line
    assert step in line.partition("step=")[2]
    assert daemon.held() in (found, found + 1)
    daemon.reload()  # does not wait for the time to try again
    daemon.holds(found + 1)
    assert "Traceback" not in daemon.log()


def test_clock_jumps(start, tmp_path):
    """What expires by a clock that is ahead goes, and is back with the right time; the rest stays."""
    file = tmp_path / "vrps.json"
    rows = json.loads(vrps())
    for row in rows["roas"][:10]:
        row["expires"] = int(time.time()) + 3_600
    file.write_text(json.dumps(rows))
    daemon = start(f'[[source]]\ntype = "file"\npath = "{file}"\n')
    daemon.holds(GOOD)
    daemon.jump(7_200)
    daemon.logged("CLOCK: ours has jumped forwards .*seconds=7200")
    daemon.holds(GOOD - 10)
    daemon.jump(0)
    daemon.logged("CLOCK: ours has jumped backwards .*seconds=-7200")
    daemon.holds(GOOD)
    replace(file, vrps(GOOD + 1))
    daemon.holds(GOOD + 1)


def test_https(start, tmp_path, free_port):
    """An authority from ``ca_file`` is taken; a certificate of another one is refused, in words."""
    authority, other = trustme.CA(), trustme.CA()
    for name, issuer in (("ca", authority), ("other", other)):
        issuer.cert_pem.write_to_path(tmp_path / f"{name}.pem")
    site = Site(free_port())
    site.body = vrps()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    url = f'[[source]]\ntype = "url"\nurl = "https://127.0.0.1:{site.server_port}/vrps.json"\n'
    try:
        start(f'{url}ca_file = "{tmp_path}/ca.pem"\n').holds(GOOD)
        refused = start(f'{url}ca_file = "{tmp_path}/other.pem"\n')
        assert "certificate verify failed" in refused.logged("no data yet")
    finally:
        site.shutdown()
        site.server_close()


def test_daemon_killed(start, tmp_path):
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    daemon = start(f'[[source]]\ntype = "file"\npath = "{file}"\n')
    pid = daemon.loader()
    assert pid is not None
    daemon.process.kill()
    daemon.process.wait(PATIENCE)
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until, "the loader outlived its daemon"
        time.sleep(0.05)


def small_disk(directory, missing):
    """A command that runs another one with a file system of 8 MB at ``directory``.

    It is mounted in a namespace of its own, so it goes with the last process that sees it: a test run that is
    killed leaves nothing behind.
    """
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        unshare[1:1] = ["--user", "--map-root-user"]
    mount = ["sh", "-c", 'mount -t tmpfs -o size=8m none "$0" && exec "$@"', str(directory)]
    if shutil.which("unshare") is None or subprocess.run([*unshare, *mount, "true"], check=False).returncode:
        missing("no permission to mount a tmpfs in a namespace")
    return [*unshare, *mount]


def test_disk_full(start, tmp_path, missing):
    state, file = tmp_path / "state", tmp_path / "vrps.json"
    state.mkdir()
    file.write_bytes(vrps())
    config = f'[state]\ndirectory = "{state}"\n[[source]]\ntype = "file"\npath = "{file}"\n'
    daemon = start(config, small_disk(state, missing))
    daemon.holds(GOOD)
    assert not list(state.iterdir()), "the small disk is the daemon's alone"
    filler = daemon.sees(state) / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as out:
        while out.write(b"x" * 4096):
            pass
    since = len(daemon.log())
    replace(file, vrps(GOOD + 1))
    daemon.logged("No space left on device", since)
    assert daemon.held() == GOOD
    filler.unlink()
    daemon.holds(GOOD + 1)
    assert daemon.end()


def test_data_from_the_future(world):
    since = len(world.daemon.log())
    replace(world.vrps, vrps(GOOD + 1, generated=int(time.time()) + 7_200))
    world.daemon.logged("CLOCK: ours or theirs is wrong", since)
    restored(world)


def test_loader_stopped(world):
    """A loader that stands still costs nothing but news."""
    pid = world.daemon.loader()
    os.kill(pid, signal.SIGSTOP)
    try:
        replace(world.vrps, vrps(GOOD + 1))
        assert world.daemon.held() == HELD
    finally:
        os.kill(pid, signal.SIGCONT)
    world.daemon.holds(GOOD)
    restored(world)


HEAD = """# What happens when something goes wrong

Each row is a test with a real daemon and its loader process (`tests/faults/`): the fault is done to it, the
line is found in its log, and a router that asks then gets the last good set, whole. Afterwards an update
shows that all works again. The table is made of the test cases.

| fault | routers hold | the log says |
|---|---|---|
"""


def page():
    rows = [*FILE_CASES, *URL_CASES, *OTHER_CASES]
    return HEAD + "".join(f"| {case.fault} | the last good set | {case.log} |\n" for case in rows)


def test_the_page_tells_what_is_tested():
    if os.environ.get("ROVKIT_WRITE") == "1":
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "run this test with ROVKIT_WRITE=1"
