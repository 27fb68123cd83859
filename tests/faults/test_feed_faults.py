"""What can happen to a feed: routers keep the last good set, and the log tells. The rows are in ``cases``."""

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
from typing import NamedTuple

import pytest
import trustme

from tests.faults.cases import FILE_CASES, STEP_CASES, URL_CASES
from tests.faults.conftest import GOOD, PATIENCE, replace, vrps

MEMORY = 900 << 20
"""What a loader may take at most when it meets a file that is too long: a file may have 512 MB."""


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
    world.daemon.logged(case.pattern, since)
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
    site.daemon.logged(case.pattern, since)
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


@pytest.mark.parametrize("case", STEP_CASES, ids=lambda case: case.harm)
def test_loader_killed_in_each_step(stepped, case):
    """Routers hold the old set or the new one, whole; the next loader goes on by itself."""
    daemon, file = stepped
    found = daemon.held()
    since = len(daemon.log())
    daemon.hold(case.harm)
    replace(file, vrps(found + 1))
    daemon.held_in(case.harm)
    daemon.hold(None)
    daemon.kill_loader()
    daemon.logged(case.pattern, since)
    assert daemon.held() in (found, found + 1)
    daemon.reload()  # does not wait for the time to try again
    daemon.holds(found + 1)
    assert "Traceback" not in daemon.log()


@pytest.mark.fault("HTTPS server with a certificate of another authority, at the start")
def test_https(start, tmp_path, free_port, case):
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
        refused.logged(case.pattern)
        assert refused.has_no_data()
    finally:
        site.shutdown()
        site.server_close()


@pytest.mark.fault("daemon killed")
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


@pytest.mark.fault("disk of the state directory full")
def test_disk_full(start, tmp_path, missing, case):
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
    daemon.logged(case.pattern, since)
    assert daemon.held() == GOOD
    filler.unlink()
    daemon.holds(GOOD + 1)
    assert daemon.end()


@pytest.mark.fault("data from the future, or our clock is behind")
def test_data_from_the_future(world, case):
    since = len(world.daemon.log())
    replace(world.vrps, vrps(GOOD + 1, generated=int(time.time()) + 7_200))
    world.daemon.logged(case.pattern, since)
    world.daemon.holds(GOOD)
    restored(world)


@pytest.mark.fault("loader that stands still")
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
