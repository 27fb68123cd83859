"""BIRD as we configure it, fed by our cache: it rejects exactly the routes that we call invalid."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rov.cli import main
from rov.routers import configure
from tests.interop.processes import Cache, wait_until
from tests.interop.routers import Daemon
from tests.interop.speaker import AS_SEQUENCE, AS_SET, Speaker

pytestmark = pytest.mark.interop

VRPS = {
    "10.0.0.0/8-16 AS64496",
    "10.9.0.0/16-16 AS64499",
    "172.16.0.0/12-12 AS0",
    "192.168.0.0/16-24 AS64500",
    "2001:db8::/32-48 AS64496",
    "2001:db8:f000::/36-36 AS0",
}
NEIGHBOR, US = 64507, 64500


class Route(NamedTuple):
    """A prefix and its path behind the neighbour; the last AS may be an AS_SET, which has no origin."""

    prefix: str
    origin: int
    as_set: bool = False


ROUTES = [
    Route("10.0.0.0/8", 64496),
    Route("10.1.0.0/16", 64496),
    Route("10.1.1.0/24", 64496),
    Route("10.2.0.0/16", 64497),
    Route("10.9.0.0/16", 64499),
    Route("10.9.9.0/24", 64499),
    Route("172.16.0.0/12", 64496),
    Route("172.17.0.0/16", NEIGHBOR),
    Route("192.168.1.0/24", 64500 + 2**17),
    Route("100.64.0.0/10", 64496),
    Route("10.3.0.0/16", 64496, as_set=True),
    Route("100.65.0.0/16", 64496, as_set=True),
    Route("2001:db8::/32", 64496),
    Route("2001:db8:1::/48", 64496),
    Route("2001:db8:1:1::/64", 64496),
    Route("2001:db8:2::/48", 4_200_000_000),
    Route("2001:db8:f000::/36", 64496),
    Route("2001:db9::/32", 64497),
    Route("2001:db8:3::/48", 64496, as_set=True),
    Route("2001:db9:1::/48", 64496, as_set=True),
]

OURS = """
log "{directory}/{name}.log" all;
router id 192.0.2.1;
include "rov.conf";
protocol bgp client_bird from rov_neighbor {{
  local 127.0.0.1 port {port} as 64500; neighbor 127.0.0.2 as 64507; multihop; passive on;
}}
protocol bgp client_speaker from rov_neighbor {{
  local 127.0.0.1 port {port} as 64500; neighbor 127.0.0.3 as 64507; multihop; passive on;
}}
protocol static own4 {{ ipv4; route 192.168.7.0/24 unreachable; route 10.77.0.0/16 unreachable; }}
"""
THEIRS = """
log "{directory}/{name}.log" all;
router id 192.0.2.2;
{routes}
protocol bgp customer {{
  local 127.0.0.2 as 64507; neighbor 127.0.0.1 port {port} as 64500; multihop; connect delay time 1;
  connect retry time 1;
  ipv4 {{ import all; export all; next hop address 192.0.2.2; }};
  ipv6 {{ import all; export all; next hop address 2001:db8:ffff::2; }};
}}
"""
STATIC = """protocol static {{ ipv{family} {{ import filter {{ bgp_path.prepend({origin}); accept; }}; }};
  route {prefix} unreachable; }}
"""


@pytest.fixture
def birds(
    tmp_path: Path, program: Callable[[str], str], free_port: Callable[[], int]
) -> Iterator[Callable[[int, str], tuple[Daemon, Daemon, Speaker]]]:
    """BIRD as we configure it for a cache and a role, with the neighbours that announce ROUTES."""
    started: list[Daemon] = []
    speakers: list[Speaker] = []

    def start(cache: int, role: str) -> tuple[Daemon, Daemon, Speaker]:
        port = free_port()
        made = configure("bird2", US, caches=[f"127.0.0.1:{cache}"], role=role)
        (tmp_path / "rov.conf").write_text(made["bird.conf"])
        us = Daemon("us", OURS.format(directory=tmp_path, name="us", port=port), tmp_path, program)
        started.append(us)
        wait_until(lambda: "2001:db8::/32-48" in us.ask("show route table rpki6"), "BIRD has the VRPs")
        statics = "".join(
            STATIC.format(family=6 if ":" in route.prefix else 4, origin=route.origin, prefix=route.prefix)
            if route.origin != NEIGHBOR
            else STATIC.format(family=4, origin=NEIGHBOR, prefix=route.prefix).replace(
                f"bgp_path.prepend({NEIGHBOR}); ", ""
            )
            for route in ROUTES
            if not route.as_set
        )
        config = THEIRS.format(directory=tmp_path, name="them", port=port, routes=statics)
        them = Daemon("them", config, tmp_path, program)
        started.append(them)
        speaker = Speaker("127.0.0.3", port, NEIGHBOR)
        speakers.append(speaker)
        for route in ROUTES:
            if route.as_set:
                path = [(AS_SEQUENCE, [NEIGHBOR]), (AS_SET, [route.origin, 64498])]
                speaker.announce(route.prefix, path)
        return us, them, speaker

    yield start
    for speaker in speakers:
        speaker.close()
    for daemon in started:
        daemon.stop()


@pytest.fixture
def judged(
    tmp_path: Path, vrp_file: Callable[[set[str]], Path]
) -> Callable[[set[str]], tuple[set[str], set[str]]]:
    """The prefixes of ROUTES that ``rov audit`` calls valid or not found, and those that it calls invalid."""

    def audited(vrps: set[str]) -> tuple[set[str], set[str]]:
        rib, rows = tmp_path / "routes.txt", tmp_path / "verdicts.csv"
        origins = [f"{{{route.origin},64498}}" if route.as_set else route.origin for route in ROUTES]
        rib.write_text("".join(f"{o}\t{r.prefix}\t9\n" for o, r in zip(origins, ROUTES, strict=True)))
        words = ["audit", str(rib), "--vrps", str(vrp_file(vrps)), "--output", str(rows)]
        assert main(words) == 0
        with rows.open() as lines:
            states = {row["prefix"]: row["state"] for row in csv.DictReader(lines)}
        assert len(states) == len(ROUTES)
        invalid = {prefix for prefix, state in states.items() if state == "invalid"}
        return {*states} - invalid, invalid

    return audited


@pytest.mark.parametrize("role", ["transit", "route-server"])
def test_bird_rejects_what_we_call_invalid(
    role: str,
    start_cache: Callable[..., Cache],
    vrp_file: Callable[[set[str]], Path],
    birds: Callable[[int, str], tuple[Daemon, Daemon, Speaker]],
    judged: Callable[[set[str]], tuple[set[str], set[str]]],
) -> None:
    cache = start_cache(vrp_file(VRPS))
    us, them, _ = birds(cache.port, role)
    accepted, invalid = judged(VRPS)
    assert len(invalid) == 10
    own = {"192.168.7.0/24", "10.77.0.0/16"}

    def settled(good: set[str], bad: set[str]) -> bool:
        return us.prefixes("filtered") == bad and us.prefixes("") == good | own

    wait_until(lambda: settled(accepted, invalid), "BIRD accepts and rejects what our verdicts say")

    # what we send is validated too (RFC 8893): of our own routes one is covered by a VRP of another AS
    wait_until(lambda: "192.168.7.0/24" in them.prefixes("protocol customer"), "our own route arrives")
    received = them.prefixes("protocol customer")
    assert "10.77.0.0/16" not in received
    assert not received & invalid
    if role == "transit":
        assert received == {"192.168.7.0/24"}

    # a change of VRPs is applied to the routes that are there
    changed = VRPS - {"10.0.0.0/8-16 AS64496"} | {"2001:db9::/32-32 AS64496", "10.2.0.0/16-16 AS64497"}
    cache.replace(vrp_file(changed))
    accepted, invalid = judged(changed)
    wait_until(lambda: settled(accepted, invalid), "BIRD follows the change of VRPs")
