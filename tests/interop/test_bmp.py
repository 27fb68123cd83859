"""``rov watch`` as the BMP station of GoBGP: its routes are judged, and gone when its session ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rov import Prefix, Snapshot, Vrp
from tests.interop.processes import Process, wait_until
from tests.ports import free_port

pytestmark = pytest.mark.interop

CONFIG = """
[global.config]
  as = 64499
  router-id = "192.0.2.1"
  port = -1
[[bmp-servers]]
  [bmp-servers.config]
    address = "127.0.0.1"
    port = {bmp}
    route-monitoring-policy = "local-rib"
"""


def test_routes_of_gobgp_are_judged(tmp_path: Path, program: Callable[[str], str]) -> None:
    vrps = [Vrp(Prefix.parse("1.0.0.0/8"), 16, 64511), Vrp(Prefix.parse("2001:db8::/32"), 32, 64511)]
    Snapshot.from_vrps(vrps).save(tmp_path / "vrps")
    port, api = free_port(), free_port()
    main = "import sys; from rov.cli import main; sys.exit(main(sys.argv[1:]))"
    watch = Process(
        [sys.executable, "-c", main, "watch", "--vrps", str(tmp_path / "vrps"), "--bmp", f"127.0.0.1:{port}"],
        tmp_path / "watch.log",
    )
    (tmp_path / "gobgp.toml").write_text(CONFIG.format(bmp=port))
    router = None

    def alerts() -> list[tuple[str, str, int, str]]:
        lines = re.findall(r"^\{.*\}$", (tmp_path / "watch.log").read_text(), re.MULTILINE)
        rows = [json.loads(line) for line in lines]
        return sorted((row["event"], row["prefix"], row["origin"], row["state"]) for row in rows)

    def gobgp(*words: str) -> bool:
        command = [program("gobgp"), "-p", str(api), *words]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0

    try:
        wait_until(lambda: "waiting for BMP" in (tmp_path / "watch.log").read_text(), "the station listens")
        command = [program("gobgpd"), "-f", str(tmp_path / "gobgp.toml"), "--api-hosts", f"127.0.0.1:{api}"]
        router = Process([*command, "--pprof-disable"], tmp_path / "gobgp.log")
        wait_until(lambda: gobgp("global"), "GoBGP can be asked")
        for family, prefix, path, hop in (
            ("ipv4", "1.1.0.0/16", "64501 64511", "192.0.2.9"),
            ("ipv4", "1.2.0.0/16", "64501 64512", "192.0.2.9"),
            ("ipv4", "1.3.3.0/24", "64511", "192.0.2.9"),
            ("ipv6", "2001:db8:1::/48", "64511", "2001:db8:f::9"),
        ):
            assert gobgp("global", "rib", "add", prefix, "aspath", path, "nexthop", hop, "-a", family)
        expected = [
            ("invalid", "1.2.0.0/16", 64512, "invalid"),
            ("invalid", "1.3.3.0/24", 64511, "invalid"),
            ("invalid", "2001:db8:1::/48", 64511, "invalid"),
        ]
        wait_until(lambda: alerts() == expected, "what is invalid is told, the rest is not")
        assert gobgp("global", "rib", "del", "1.2.0.0/16", "-a", "ipv4")
        gone = [("cleared", "1.2.0.0/16", 64512, "gone")]
        wait_until(lambda: alerts() == sorted(expected + gone), "a withdrawal clears it")
        router.stop()
        router = None
        gone += [("cleared", prefix, origin, "gone") for _, prefix, origin, _ in expected[1:]]
        wait_until(lambda: alerts() == sorted(expected + gone), "the end of the session clears the rest")
    finally:
        if router is not None:
            router.stop()
        watch.stop()
