"""The whole chain: a cache whose source is another cache, and updates that an operator decides about."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

import pytest
import trustme

from tests.faults.conftest import GOOD, PATIENCE, replace, vrps


def rtr(*arguments):
    """The command ``rtr-server``, ended."""
    return subprocess.run(
        [sys.executable, "-m", "rtr_server", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_rtr_in_rtr_out(start, tmp_path):
    """A loader that was killed goes on with Serial Query; an upstream that dies costs nothing but news."""
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    upstream = start(f'[limits]\nnotify_spread = 0\n[[source]]\ntype = "file"\npath = "{file}"\n')
    source = f'[[source]]\ntype = "rtr"\nhost = "127.0.0.1"\nport = {upstream.endpoint.port}\n'
    cache = start(f'[state]\ndirectory = "{tmp_path}/state"\n{source}')
    cache.holds(GOOD)
    replace(file, vrps(GOOD + 3))
    cache.holds(GOOD + 3)
    deadline = time.monotonic() + PATIENCE
    while not list((tmp_path / "state" / "feed").glob("source-*.state")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    since, said = len(cache.log()), len(upstream.log())
    cache.kill_loader()
    cache.logged("loader failed", since)
    upstream.logged(r"query .*kind=diff .*serial=\d", said)
    assert cache.held() == GOOD + 3
    since = len(cache.log())
    upstream.process.kill()
    cache.logged("set refused, the last one stays", since)
    assert cache.held() == GOOD + 3


def test_tls_upstream(start, tmp_path):
    """With certificates of both ends; one that our authority has not signed is refused, and the log tells."""
    authority, other = trustme.CA(), trustme.CA()
    paths = {}
    for name, issuer in (("ca", authority), ("other", other)):
        paths[name] = tmp_path / f"{name}.pem"
        issuer.cert_pem.write_to_path(paths[name])
    for name in ("server", "client"):
        issued = authority.issue_cert("127.0.0.1", "localhost")
        paths[name] = tmp_path / f"{name}.pem"
        paths[f"{name}.key"] = tmp_path / f"{name}.key"
        issued.private_key_pem.write_to_path(paths[f"{name}.key"])
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(paths[name], append=number > 0)
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start(
        f'[[listen]]\naddress = "127.0.0.1:{port}"\n[listen.tls]\ncertificate = "{paths["server"]}"\n'
        f'key = "{paths["server.key"]}"\nclient_ca = "{paths["ca"]}"\n'
        f'[[source]]\ntype = "file"\npath = "{file}"\n'
    )
    ours = f'cert_file = "{paths["client"]}"\nkey_file = "{paths["client.key"]}"\n'
    source = f'[[source]]\ntype = "rtr"\nhost = "127.0.0.1"\nport = {port}\ntls = true\n{ours}'
    start(f'{source}ca_file = "{paths["ca"]}"\n').holds(GOOD)
    refused = start(f'{source}ca_file = "{paths["other"]}"\n')
    refused.logged("certificate refused")


@pytest.mark.interop
def test_stayrtr_as_upstream(start, program, tmp_path, ports):
    """Another implementation at the other end, which loads its file again each second."""
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    port, metrics = ports(), ports()
    command = [program("stayrtr"), "-cache", str(file), "-bind", f"127.0.0.1:{port}", "-checktime=false"]
    command += ["-refresh", "1", "-metrics.addr", f"127.0.0.1:{metrics}"]
    with (tmp_path / "stayrtr.log").open("wb") as log:
        stayrtr = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        cache = start(f'[[source]]\ntype = "rtr"\nhost = "127.0.0.1"\nport = {port}\nversion = 1\n')
        cache.holds(GOOD)
        replace(file, vrps(GOOD + 2))
        cache.holds(GOOD + 2)
    finally:
        stayrtr.kill()
        stayrtr.wait()


def test_the_guard_asks_an_operator(start, tmp_path):
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    config = f'[state]\ndirectory = "{tmp_path}/state"\n[[source]]\ntype = "file"\npath = "{file}"\n'
    daemon = start(config)
    where = ("--control", daemon.control)
    assert rtr("update", "show", *where).stdout == "no update is held\n"
    refused = rtr("update", "accept", *where)
    assert (refused.returncode, refused.stderr) == (2, "rtr-server: no update is held\n")

    since = len(daemon.log())
    replace(file, vrps(GOOD // 2))
    daemon.logged("UPDATE HELD", since)
    shown = rtr("update", "show", *where)
    assert shown.returncode == 1
    for words in ("1,000 of 2,000 VRPs lost, 50.0%", "by trust anchor: x 1000 of 2000", "10.3.232.0/24-24"):
        assert words in shown.stdout
    assert json.loads(rtr("update", "show", "--json", *where).stdout)["held"]["losses"]["lost"] == GOOD // 2
    assert "stays" in rtr("update", "reject", *where).stdout
    assert "rejected" in rtr("update", "show", *where).stdout
    assert daemon.held() == GOOD

    assert daemon.end(), "the loader ends with its daemon"
    again = start(config)
    again.logged("UPDATE HELD")
    where = ("--control", again.control)
    assert "rejected: held" in rtr("update", "show", *where).stdout, "it survives a restart"
    assert again.held() == GOOD
    assert "accepted, serial" in rtr("update", "accept", *where).stdout
    assert again.held() == GOOD // 2
    again.logged("accepted by the operator")

    listed = rtr("sources", *where)
    assert "usable" in listed.stdout
    assert "1,000" in listed.stdout
    assert json.loads(rtr("sources", "--diff", "--json", *where).stdout)["sources"][0]["vrps"] == GOOD // 2
    with contextlib.suppress(FileNotFoundError):
        os.remove(file)


def test_stale_data_are_not_served_when_routers_shall_fail_over(start, tmp_path):
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    daemon = start(f'[stale]\nafter = "1h"\naction = "close"\n[[source]]\ntype = "file"\npath = "{file}"\n')
    daemon.holds(GOOD)
    since = len(daemon.log())
    replace(file, vrps(GOOD + 1, generated=int(time.time()) - 7_200))
    daemon.logged("DATA ARE STALE", since)
    with socket.create_connection(daemon.endpoint, timeout=PATIENCE) as router:
        router.sendall(bytes.fromhex("0102000000000008"))
        assert router.recv(4)[:4] == bytes.fromhex("010a0002"), "error 2: no data available"
    replace(file, vrps(GOOD + 2))
    daemon.logged("data are fresh again", since)
    daemon.holds(GOOD + 2)
