"""`rtr-server serve` as an operator meets it: what it refuses, and how it says so."""

import json
import subprocess
import sys
import time

import pytest

from rtr_server.endpoint import Endpoint
from rtr_server.tools.dump import fetch

START_SECONDS = 60


@pytest.fixture
def serve(free_port):
    """Run `rtr-server serve` on a file that it should refuse: its exit code and all that it printed."""

    def run(path, *options):
        command = [sys.executable, "-m", "rtr_server", "serve", "--vrps", str(path)]
        command += ["--listen", f"127.0.0.1:{free_port()}", *options]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        return ended.returncode, ended.stdout + ended.stderr

    return run


def write_set(path, expires):
    roas = [
        {"prefix": f"192.0.2.{row * 16}/28", "maxLength": 28, "asn": 64496 + row, "expires": at}
        for row, at in enumerate(expires)
    ]
    path.write_text(json.dumps({"metadata": {"buildtime": "2026-01-01T00:00:00Z"}, "roas": roas}))
    return path


def test_a_set_in_which_all_has_expired_is_refused(serve, tmp_path):
    code, printed = serve(write_set(tmp_path / "expired.json", [1, 2]))
    assert code != 0
    assert "expired" in printed
    assert "--ignore-expiry" in printed
    assert "Traceback" not in printed


def test_a_missing_file_is_named(serve, tmp_path):
    code, printed = serve(tmp_path / "absent.json")
    assert code != 0
    assert "absent.json" in printed
    assert "Traceback" not in printed


@pytest.mark.interop
def test_only_what_has_not_expired_is_served(start_cache, rtrclient, tmp_path):
    later = int(time.time()) + 3600
    cache = start_cache(write_set(tmp_path / "half.json", [1, later]))
    assert rtrclient(cache.port) == {"192.0.2.16/28-28 AS64497"}


@pytest.mark.interop
@pytest.mark.parametrize("options", [[], ["::1"]])
def test_c47_plain_tcp_on_any_port_of_either_family(start_cache, vrp_file, free_port, options):
    """What `--listen` names is served; `start_cache` listens on an IPv4 port of its choice."""
    more = [(host, free_port()) for host in options]
    listen = [word for host, port in more for word in ("--listen", f"[{host}]:{port}")]
    cache = start_cache(vrp_file({"192.0.2.0/24-24 AS64496"}), *listen)
    for host, port in [("127.0.0.1", cache.port), *more]:
        assert len(fetch(Endpoint(host, port)).snapshot) == 1
