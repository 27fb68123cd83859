"""``rov watch`` as the BMP station of GoBGP: its routes are judged, and gone when its session ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rov import Prefix, Snapshot, Vrp
from tests.interop.processes import Process, wait_until
from tests.interop.routers import Daemon
from tests.ports import free_port

pytestmark = pytest.mark.interop

CONFIG = """
[global.config]
  as = 64499
  router-id = "192.0.2.1"
  port = {bgp}
  local-address-list = ["127.0.0.1"]
[[bmp-servers]]
  [bmp-servers.config]
    address = "127.0.0.1"
    port = {bmp}
    route-monitoring-policy = "{policy}"
"""

ADD_PATH_PEER = """
[[neighbors]]
  [neighbors.config]
    neighbor-address = "127.0.0.2"
    peer-as = 64507
  [neighbors.transport.config]
    passive-mode = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
    [neighbors.afi-safis.add-paths.config]
      receive = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv6-unicast"
"""

PEER = """
router id 192.0.2.2;
protocol device {{}}
protocol static one {{ ipv4; route 1.2.0.0/16 blackhole {{ bgp_path.prepend(64512); }}; }}
protocol static two {{ ipv4; route 1.2.0.0/16 blackhole {{ bgp_path.prepend(64512); }}; }}
protocol static three {{ ipv4; route 1.2.0.0/16 blackhole {{ bgp_path.prepend(64511); }}; }}
protocol static six {{ ipv6; route 2001:db8:1::/48 blackhole {{ bgp_path.prepend(64512); }}; }}
protocol bgp up {{
  local 127.0.0.2 as 64507; neighbor 127.0.0.1 port {bgp} as 64499; multihop; connect delay time 1;
  connect retry time 1;
  ipv4 {{ add paths tx; import none; export all; next hop address 192.0.2.2; }};
  ipv6 {{ import none; export all; next hop address 2001:db8::2; }};
}}
"""
"""Three paths to one prefix, of which only the last is valid; IPv6 without path ids."""

Row = tuple[str, str, int, str]


class Station:
    """``rov watch``, GoBGP that reports to it, and what else has to be ended."""

    def __init__(self, directory: Path, program: Callable[[str], str]) -> None:
        self._directory, self._program = directory, program
        self._port, self._api, self.bgp = free_port(), free_port(), free_port()
        self.processes: list[Process] = []
        vrps = [Vrp(Prefix.parse("1.0.0.0/8"), 16, 64511), Vrp(Prefix.parse("2001:db8::/32"), 32, 64511)]
        Snapshot.from_vrps(vrps).save(directory / "vrps")
        main = "import sys; from rov.cli import main; sys.exit(main(sys.argv[1:]))"
        words = ["watch", "--vrps", str(directory / "vrps"), "--bmp", f"127.0.0.1:{self._port}"]
        self._log = directory / "watch.log"
        self.processes.append(Process([sys.executable, "-c", main, *words], self._log))
        wait_until(lambda: "waiting for BMP" in self._log.read_text(), "the station listens")

    def router(self, policy: str, port: int = -1, more: str = "") -> Process:
        """GoBGP, once it can be asked."""
        config = self._directory / "gobgp.toml"
        config.write_text(CONFIG.format(bmp=self._port, bgp=port, policy=policy) + more)
        command = [self._program("gobgpd"), "-f", str(config), "--api-hosts", f"127.0.0.1:{self._api}"]
        found = Process([*command, "--pprof-disable"], self._directory / "gobgp.log")
        self.processes.append(found)
        wait_until(lambda: self.gobgp("global"), "GoBGP can be asked")
        return found

    def _ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [self._program("gobgp"), "-p", str(self._api), *words]
        return subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)

    def gobgp(self, *words: str) -> bool:
        """Whether GoBGP did so."""
        return self._ask(*words).returncode == 0

    def adj_in(self, prefix: str) -> int:
        """How many paths to a prefix GoBGP has from BIRD."""
        return self._ask("neighbor", "127.0.0.2", "adj-in").stdout.count(f" {prefix} ")

    def alerts(self) -> list[Row]:
        """What was told so far."""
        rows = [json.loads(line) for line in re.findall(r"^\{.*\}$", self._log.read_text(), re.MULTILINE)]
        return sorted((row["event"], row["prefix"], row["origin"], row["state"]) for row in rows)


@pytest.fixture
def station(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Station]:
    found = Station(tmp_path, program)
    try:
        yield found
    finally:
        for process in reversed(found.processes):
            process.stop()


def test_routes_of_gobgp_are_judged(station: Station) -> None:
    router = station.router("local-rib")
    for family, prefix, path, hop in (
        ("ipv4", "1.1.0.0/16", "64501 64511", "192.0.2.9"),
        ("ipv4", "1.2.0.0/16", "64501 64512", "192.0.2.9"),
        ("ipv4", "1.3.3.0/24", "64511", "192.0.2.9"),
        ("ipv6", "2001:db8:1::/48", "64511", "2001:db8:f::9"),
    ):
        assert station.gobgp("global", "rib", "add", prefix, "aspath", path, "nexthop", hop, "-a", family)
    expected = [
        ("invalid", "1.2.0.0/16", 64512, "invalid"),
        ("invalid", "1.3.3.0/24", 64511, "invalid"),
        ("invalid", "2001:db8:1::/48", 64511, "invalid"),
    ]
    wait_until(lambda: station.alerts() == expected, "what is invalid is told, the rest is not")
    assert station.gobgp("global", "rib", "del", "1.2.0.0/16", "-a", "ipv4")
    gone = [("cleared", "1.2.0.0/16", 64512, "gone")]
    wait_until(lambda: station.alerts() == sorted(expected + gone), "a withdrawal clears it")
    router.stop()
    station.processes.remove(router)
    gone += [("cleared", prefix, origin, "gone") for _, prefix, origin, _ in expected[1:]]
    wait_until(lambda: station.alerts() == sorted(expected + gone), "the end of the session clears the rest")


def test_each_path_of_a_prefix_counts(
    station: Station, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """ADD-PATH (RFC 7911) from BIRD by way of GoBGP: a prefix is invalid until its last such path is gone."""
    station.router("pre-policy", station.bgp, ADD_PATH_PEER)
    peer = Daemon("peer", PEER.format(bgp=station.bgp), tmp_path, program)
    station.processes.append(peer)
    told = [("invalid", "1.2.0.0/16", 64512, "invalid"), ("invalid", "2001:db8:1::/48", 64512, "invalid")]
    wait_until(lambda: station.alerts() == told, "both families, one of them with path ids")
    assert station.adj_in("1.2.0.0/16") == 3
    peer.ask("disable one")
    wait_until(lambda: station.adj_in("1.2.0.0/16") == 2, "GoBGP has lost one path")
    peer.ask("disable six")
    told += [("cleared", "2001:db8:1::/48", 64512, "gone")]
    wait_until(lambda: station.alerts() == sorted(told), "one of two invalid paths says nothing")
    peer.ask("disable two")
    told += [("cleared", "1.2.0.0/16", 64512, "gone")]
    wait_until(lambda: station.alerts() == sorted(told), "the last invalid path clears, the valid one stays")
