"""The whole chain: a cache whose source is another cache, and updates that an operator decides about."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time

import pytest
import trustme
from click.testing import CliRunner

from rtr_server.cli import main
from tests.faults.conftest import GOOD, PATIENCE, replace, vrps
from tests.pids import runs


def rtr(*arguments):
    """The command ``rtr-server``, ended; in this process, as starting Python takes longer than all else."""
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.fault("cache upstream killed")
def test_rtr_in_rtr_out(start, tmp_path, case):
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
    cache.logged(case.pattern, since)
    assert cache.held() == GOOD + 3


def test_tls_upstream(start, tmp_path, free_port):
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
    port = free_port()
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
def test_stayrtr_as_upstream(start, program, tmp_path, free_port):
    """Another implementation at the other end, which loads its file again each second."""
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    port, metrics = free_port(), free_port()
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
    assert (refused.exit_code, refused.stderr) == (2, "rtr-server: no update is held\n")

    since = len(daemon.log())
    replace(file, vrps(GOOD // 2))
    daemon.logged("UPDATE HELD", since)
    shown = rtr("update", "show", *where)
    assert shown.exit_code == 1
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


def test_sources_that_agree_are_believed(start, tmp_path):
    """Whichever comes first: the loss passes the guard once both have it, and the log says why."""
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    sources = "".join(f'[[source]]\ntype = "file"\nname = "{path.stem}"\npath = "{path}"\n' for path in files)
    for file in files:
        file.write_bytes(vrps())
    daemon = start(f"[guard]\naccept_agreeing = 2\n{sources}")
    daemon.holds(GOOD)
    for file in files:
        replace(file, vrps(GOOD // 2))
    daemon.holds(GOOD // 2)
    daemon.logged('set loaded .*why="one, two agree"')


@pytest.mark.fault("daemon started while its file is missing")
def test_a_saved_set_is_served_and_what_is_missing_said(start, tmp_path, case):
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    config = f'[state]\ndirectory = "{tmp_path}/state"\n[[source]]\ntype = "file"\npath = "{file}"\n'
    daemon = start(config)
    daemon.holds(GOOD)
    deadline = time.monotonic() + PATIENCE
    while not list((tmp_path / "state" / "feed").glob("source-*.state")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert daemon.end()
    file.unlink()
    again = start(config)
    assert "No such file" in again.logged(case.pattern)
    assert again.held() == GOOD


def test_each_vrp_knows_its_sources(start, tmp_path):
    """Of two sources, one of which has more; local exceptions are no source."""
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    files[0].write_bytes(vrps())
    files[1].write_bytes(vrps(GOOD + 1))
    extra = {"asn": 64500, "prefix": "10.0.0.0/24", "maxPrefixLength": 24}
    slurm = tmp_path / "slurm.json"
    filters = {"prefixFilters": [], "bgpsecFilters": []}
    added = {"prefixAssertions": [extra], "bgpsecAssertions": []}
    exceptions = {"slurmVersion": 1, "validationOutputFilters": filters, "locallyAddedAssertions": added}
    slurm.write_text(json.dumps(exceptions))
    sources = "".join(f'[[source]]\ntype = "file"\nname = "{path.stem}"\npath = "{path}"\n' for path in files)
    daemon = start(f'[policy]\ncombine = "intersection"\n[slurm]\nfiles = ["{slurm}"]\n{sources}')
    where = ("--control", daemon.control)
    daemon.holds(GOOD + 1)
    assert rtr("sources", *where, "--vrp", "10.0.0.0/24").stdout.splitlines() == [
        "10.0.0.0/24-24 AS64496  (served, x)  from: one, two",
        "10.0.0.0/24-24 AS64500  (served, slurm)  from: local exceptions",
    ]
    last = f"10.{GOOD >> 8}.{GOOD & 255}.0/24"
    shown = json.loads(rtr("sources", *where, "--json", "--vrp", last, "AS64496").stdout)
    assert shown["vrps"] == [{"vrp": f"{last}-24 AS64496", "sources": ["two"], "served": None}]
    assert rtr("sources", *where, "--vrp", "192.0.2.0/24").stdout.startswith("no source has")
    assert rtr("sources", *where, "--vrp", "nonsense").exit_code == 2
    assert rtr("sources", *where, "64496").exit_code == 2


def test_a_program_ends_with_the_loader_that_runs_it(start, tmp_path):
    """However that ends: the kernel tells what stands between the two."""
    pids = tmp_path / "pids"
    script = tmp_path / "validator"
    script.write_text(f"#!/bin/sh\nsleep 600 & echo $$ $! > {pids}\nwait\n")
    script.chmod(0o755)
    static = '[[source]]\ntype = "static"\nvrps = [{ prefix = "192.0.2.0/24", asn = 1 }]\n'
    daemon = start(f'[policy]\ncombine = "any"\n{static}[[source]]\ntype = "command"\nargv = ["{script}"]\n')
    deadline = time.monotonic() + PATIENCE
    while not pids.exists() or not pids.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running = pids.read_text().split()
    daemon.kill_loader()
    for pid in running:
        while runs(pid):
            assert time.monotonic() < deadline, f"{pid} outlived the loader"
            time.sleep(0.02)
