"""The lists of sources in the kernel: nft loads them, and packets from elsewhere do not pass.

A router, a customer and the rest of the world are network namespaces of their own, joined by cables.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rov.routers.sav import source_filters, source_list

pytestmark = pytest.mark.interop

ALLOWED, SPOOFED = ["192.0.2.1", "2001:db8::1"], ["203.0.113.1", "2001:db8:ffff::1"]

WORLD = """set -e
unshare -n sleep 60 & customer=$!
unshare -n sleep 60 & world=$!
trap 'kill $customer $world' EXIT
until [ "$(readlink /proc/$customer/ns/net)" != "$(readlink /proc/$$/ns/net)" ] &&
      [ "$(readlink /proc/$world/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
quick='echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad'
sh -c "$quick"; nsenter -n -t $customer sh -c "$quick"; nsenter -n -t $world sh -c "$quick"
ip link add eth1 type veth peer name eth0 netns $customer
ip link add eth9 type veth peer name eth0 netns $world
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
ip addr add 10.0.0.1/30 dev eth1; ip addr add 10.9.0.1/24 dev eth9
ip -6 addr add 2001:db8:a::1/64 dev eth1 nodad; ip -6 addr add 2001:db8:9::1/64 dev eth9 nodad
ip link set eth1 up; ip link set eth9 up
nsenter -n -t $customer sh -c 'ip addr add 10.0.0.2/30 dev eth0
  ip -6 addr add 2001:db8:a::2/64 dev eth0 nodad
  for a in 192.0.2.1 203.0.113.1 2001:db8::1 2001:db8:ffff::1; do ip addr add $a dev eth0 nodad; done
  ip link set eth0 up; ip route add default via 10.0.0.1; ip -6 route add default via 2001:db8:a::1'
nsenter -n -t $world sh -c 'ip addr add 10.9.0.2/24 dev eth0; ip -6 addr add 2001:db8:9::2/64 dev eth0 nodad
  ip link set eth0 up'
nft -f "$1"
nsenter -n -t $world "$2" "$3" hear & heard=$!
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  nsenter -n -t $customer "$2" "$3" say
  sleep 0.1
done
wait $heard
nft list chain inet rov_sav forward
"""

TALK = """import select, socket, sys, time
PORT, HOSTS = 9000, {4: "10.9.0.2", 6: "2001:db8:9::2"}
def opened(host):
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, PORT))
    return made
if sys.argv[1] == "say":
    for source in SOURCES:
        opened(source).sendto(b"x", (HOSTS[6 if ":" in source else 4], PORT))
else:
    sockets, seen, end = [opened(host) for host in HOSTS.values()], set(), time.monotonic() + 1.5
    while (left := end - time.monotonic()) > 0:
        for ready in select.select(sockets, [], [], left)[0]:
            seen.add(ready.recvfrom(9)[1][0])
    print("heard", *sorted(seen))
"""


@pytest.fixture
def world(
    tmp_path: Path, program: Callable[[str], str], missing: Callable[[str], None]
) -> Callable[[str], str]:
    """What is heard of the customer, and the counters, under a ruleset."""
    for name in ("nft", "ip", "unshare", "nsenter"):
        program(name)
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        missing("network namespaces cannot be made here")

    def under(rules: str) -> str:
        (tmp_path / "rules.nft").write_text(rules)
        (tmp_path / "talk.py").write_text(f"SOURCES = {ALLOWED + SPOOFED}\n{TALK}")
        command = ["unshare", "-rn", "sh", "-c", WORLD, "sh", str(tmp_path / "rules.nft"), sys.executable]
        ended = subprocess.run(
            [*command, str(tmp_path / "talk.py")], capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return under


def test_spoofed_packets_are_dropped_by_the_kernel(world: Callable[[str], str]) -> None:
    made = source_filters("nftables", [source_list("eth1", ["192.0.2.0/24", "2001:db8::/48"])])
    said = world(made)
    assert f"heard {' '.join(sorted(ALLOWED))}\n" in said
    assert said.count("counter packets 10 bytes") == 2, "and counted, each of both families ten times"
    # nothing but the list keeps them out
    said = world(made.replace("192.0.2.0/24", "0.0.0.0/0").replace("2001:db8::/48", "::/0"))
    assert f"heard {' '.join(sorted(ALLOWED + SPOOFED))}\n" in said
