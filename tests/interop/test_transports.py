"""TLS and SSH with the software that operators have: s_client of OpenSSL, ssh of OpenSSH, rtrclient."""

import os
import subprocess
import sys
import time

import asyncssh
import pytest
import trustme

from rtr_server.cache.mirror import Mirror, SnapshotReceived
from rtr_server.protocol.client import RouterSession
from rtr_server.transport.passwords import hash_password
from tests.interop.processes import wait_until
from tests.interop.routers import Bird

pytestmark = pytest.mark.interop

VRPS = ["192.0.2.0/24-25 AS64496", "198.51.100.0/24-24 AS4200000000", "2001:db8::/32-48 AS64497"]

CONFIG = """
[[source]]
type = "file"
path = "vrps.csv"

[[listen]]
address = "127.0.0.1:{tls}"
[listen.tls]
certificate = "cert.pem"
key = "key.pem"
client_ca = "ca.pem"

[[listen]]
address = "127.0.0.1:{ssh}"
[listen.ssh]
host_keys = ["host_key"]
authorized_keys = "routers"
passwords = "passwords"
"""


class Paths:
    """The files of a cache and of its routers, and the ports."""

    def __init__(self, directory, free_port):
        self.directory = directory
        self.tls, self.ssh = free_port(), free_port()
        rows = (vrp.replace("-", ",").split(" AS") for vrp in VRPS)
        lines = [f"AS{asn},{prefix},x" for prefix, asn in rows]
        (directory / "vrps.csv").write_text(
            "ASN,IP Prefix,Max Length,Trust Anchor\n" + "\n".join(lines) + "\n"
        )
        (directory / "config.toml").write_text(CONFIG.format(tls=self.tls, ssh=self.ssh))
        self.certificates()
        self.keys()

    def certificates(self):
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(self / "ca.pem"))
        for name, certificate in (
            ("cert", ca.issue_cert("127.0.0.1")),
            ("router", ca.issue_cert("127.0.0.1")),
        ):
            certificate.cert_chain_pems[0].write_to_path(str(self / f"{name}.pem"))
            key = "key.pem" if name == "cert" else "router-key.pem"
            certificate.private_key_pem.write_to_path(str(self / key))

    def keys(self):
        host, router = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        (self / "host_key").write_bytes(host.export_private_key())
        (self / "router_key").write_bytes(router.export_private_key())
        (self / "router_key").chmod(0o600)
        (self / "routers").write_bytes(router.export_public_key())
        public = host.export_public_key().decode().split()[:2]
        (self / "known_hosts").write_text(f"[127.0.0.1]:{self.ssh} {' '.join(public)}\n")
        (self / "passwords").write_text(hash_password("r2", "correct horse") + "\n")

    def __truediv__(self, name):
        return self.directory / name


@pytest.fixture
def cache(tmp_path, free_port):
    """Our cache with a TLS and an SSH endpoint, as its users start it."""
    paths = Paths(tmp_path, free_port)
    command = [sys.executable, "-m", "rtr_server", "serve", "--config", str(paths / "config.toml")]
    log = paths / "log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        deadline = time.monotonic() + 60
        while b"Serving" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        try:
            yield paths
        finally:
            process.terminate()
            code = process.wait(20)
        assert code == 0, log.read_text()


def through(command, version=2):
    """A full set through the standard input and output of a program."""
    mirror = Mirror(RouterSession(version=version, min_version=version, now=0.0))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            while True:
                process.stdin.write(mirror.session.data_to_send())
                octets = os.read(process.stdout.fileno(), 1 << 16)
                if not octets:
                    return process.stderr.read().decode()
                mirror.receive_data(octets, 0.0)
                for event in mirror.events():
                    if isinstance(event, SnapshotReceived):
                        return [str(vrp) for vrp in event.snapshot.vrps()]
        finally:
            process.kill()


def s_client(program, cache, *options):
    command = [program("openssl"), "s_client", "-quiet", "-verify_quiet", "-nocommands"]
    command += ["-connect", f"127.0.0.1:{cache.tls}", "-CAfile", str(cache / "ca.pem")]
    return [*command, "-verify_return_error", *options]


def ssh(program, cache, *options):
    command = [program("ssh"), "-F", "none", "-p", str(cache.ssh), "-i", str(cache / "router_key")]
    command += ["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
    return [*command, "-o", f"UserKnownHostsFile={cache / 'known_hosts'}", *options]


def test_openssl(cache, program):
    own = ["-cert", str(cache / "router.pem"), "-key", str(cache / "router-key.pem")]
    found = through(s_client(program, cache, *own))
    assert len(found) == len(VRPS), found
    assert isinstance(through(s_client(program, cache)), str), "no certificate, no data"
    assert isinstance(through(s_client(program, cache, *own, "-tls1_2")), str)
    log = (cache / "log").read_text()
    assert "no certificate of the router" in log
    assert "an older version of TLS: expected 1.3" in log


def test_openssh(cache, program):
    found = through(ssh(program, cache, "-s", "rpki@127.0.0.1", "rpki-rtr"))
    assert len(found) == len(VRPS), found
    for refused in (["rpki@127.0.0.1", "id"], ["-s", "rpki@127.0.0.1", "sftp"], ["-T", "rpki@127.0.0.1"]):
        ended = subprocess.run(
            ssh(program, cache, *refused),
            capture_output=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert ended.returncode, ended
        assert ended.stdout == b""


def test_bird_over_ssh(cache, program, tmp_path):
    """By key; it knows the key of the cache, and follows a change over the same connection."""
    keys = {"bird private key": cache / "router_key", "remote public key": cache / "known_hosts"}
    words = "".join(f'{name} "{path}"; ' for name, path in keys.items())
    bird = Bird(program, cache.ssh, tmp_path, transport=f'ssh {{ {words} user "rpki"; }}')
    try:
        wait_until(bird.ready, "BIRD can be asked")
        wait_until(lambda: bird.holds(set(VRPS)), "BIRD holds the set")
        assert bird.status("Transport").startswith("SSHv2")
        vrps = cache / "vrps.csv"
        fresh = vrps.with_suffix(".fresh")
        fresh.write_text("\n".join(vrps.read_text().splitlines()[:-1]) + "\n")
        os.replace(fresh, vrps)
        wait_until(lambda: bird.holds(set(VRPS[:-1])), "BIRD follows")
    finally:
        bird.stop()


def test_rtrclient_over_ssh(cache, program):
    """By password: given a key or host keys, version 0.8 often reads freed memory and gives up."""
    output = cache / "out.csv"
    command = [program("rtrclient"), "-e", "-o", str(output), "-t", "csv"]
    command += ["ssh", "127.0.0.1", str(cache.ssh), "r2", "correct horse"]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    rows = [line for line in output.read_text().splitlines() if line.strip()]
    assert len(rows) == len(VRPS), (cache / "log").read_text()
