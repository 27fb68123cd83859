"""What happens to a cache in its life, as each router software lives through it with the cache.

A full set, a delta, a crash with saved state and another delta meanwhile, VRPs that expire, a start without
state: after each of them the router holds what is served, and by a Serial Query where that must do.
"""

import contextlib
import os
import random
import re
import shutil
import time
from functools import partial
from pathlib import Path

import pytest

from tests.interop.processes import wait_until
from tests.interop.routers import Bird, Frr, GoBgp, OpenBgpd, RtrClient, routes_about

pytestmark = pytest.mark.interop

REFRESH = {"OpenBGPD": 10}
"""Seconds between polls, 1 for the others: OpenBGPD puts off its new table while it polls each second."""


def timers(client):
    """Options of the cache that keep the test short."""
    return ["--refresh", str(REFRESH.get(client, 1)), "--retry", "1", "--expire", "600"]


COMMON = {
    "10.0.0.0/8-24 AS64496",
    "10.0.0.0/9-9 AS64497",
    "192.0.2.0/24-24 AS4294967295",
    "198.51.100.0/24-32 AS0",
    "2001:db8::/32-48 AS64498",
    "2001:db8:1::/48-128 AS64499",
}
FIRST = COMMON | {"203.0.113.0/24-25 AS64500", "2001:db8:2::/48-48 AS64501"}
SECOND = COMMON | {"203.0.113.0/25-25 AS64500", "3fff::/20-24 AS64502"}
THIRD = (SECOND - {"10.0.0.0/9-9 AS64497"}) | {"172.16.0.0/12-16 AS64503"}
MORTAL = {"100.64.0.0/10-10 AS64504", "2001:db8:ffff::/48-48 AS64504"}
FOURTH = FIRST | {"198.18.0.0/15-15 AS64505"}
ALL = FIRST | SECOND | THIRD | MORTAL | FOURTH

MORTAL_SECONDS = 6
"""Time for a router to be back before the VRPs expire; one that is late only misses them."""

QUERY = re.compile(r"DEBUG +query .*kind=(\w+)")

CLIENTS = ["BIRD", "FRR", "OpenBGPD", "GoBGP", "rtrclient"]


@pytest.fixture
def start(request, tmp_path, program):
    """Start a router software against a port of 127.0.0.1 and wait until it can be asked."""
    started = []

    def run(name, port, texts=ALL):
        if name == "OpenBGPD":
            need_root(request)
            router = OpenBgpd(program, port, tmp_path, routes_about(texts))
        else:
            kind = {"BIRD": Bird, "FRR": Frr, "GoBGP": GoBgp, "rtrclient": RtrClient}[name]
            router = kind(program, port, tmp_path)
        started.append(router)
        wait_until(router.ready, f"{name} can be asked")
        return router

    yield run
    for router in started:
        router.stop()


def need_root(request):
    """OpenBGPD runs as root and jails its children into the home of its user, which a boot makes."""
    if os.geteuid():
        request.getfixturevalue("missing")("OpenBGPD needs root")
    Path("/run/openbgpd").mkdir(mode=0o755, exist_ok=True)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_life_of_a_cache(client, start, start_cache, vrp_file, tmp_path):
    state = tmp_path / "state"
    cache = start_cache(vrp_file(FIRST), "-v", "--state-dir", str(state), *timers(client))
    router = start(client, cache.port)
    wait_until(lambda: router.holds(FIRST), "the full set is there")
    queries = len(cache.log.read_text())

    cache.replace(vrp_file(SECOND))
    wait_until(lambda: router.holds(SECOND), "the delta is there")
    assert "full" not in kinds(cache, queries), "the change came by a Serial Query"

    # GoBGP hears of one change a minute, so that what is served at the restart is what expires.
    dying = vrp_file(THIRD | MORTAL, dict.fromkeys(MORTAL, int(time.time()) + MORTAL_SECONDS))
    queries = restart(cache, dying, router)
    stages = (THIRD | MORTAL, THIRD)
    wait_until(lambda: any(holds_after_outage(router, SECOND, stage) for stage in stages), "it is back")
    assert "full" not in kinds(cache, queries) or isinstance(router, GoBgp), "the session went on"
    wait_until(lambda: holds_after_outage(router, SECOND, THIRD), "what expired is gone")

    queries = restart(cache, vrp_file(FOURTH), router, forget=state)
    wait_until(lambda: router.holds(FOURTH), "the set of a cache without memory is there")
    assert "full" in kinds(cache, queries)


SAMPLE = 1000

PATIENCE = 240
"""Seconds for three routers to take a set of this size each, at once, on a machine that others use, too."""


@pytest.mark.realdata
@pytest.mark.timeout(4 * PATIENCE)
def test_the_real_set_and_the_next(start, start_cache, first_set, second_set, first_texts, second_texts):
    """Three routers of one cache, side by side: their tables of this size are read once, as that is slow.

    BIRD and rtrclient hold it in tests of their own.
    """
    cache = start_cache(first_set, "--ignore-expiry", *timers("OpenBGPD"))
    changed = first_texts ^ second_texts
    sample = changed | set(random.Random(SAMPLE).sample(sorted(first_texts), SAMPLE))
    routers, absent = {}, None
    for client in ("FRR", "OpenBGPD", "GoBGP"):
        try:
            routers[client] = start(client, cache.port, sample)
        except pytest.skip.Exception as skipped:
            absent = skipped
    if not routers:
        raise absent
    for client, router in routers.items():
        wait_until(partial(router.has, first_texts), f"{client} has as many VRPs as the first set", PATIENCE)
        assert router.holds(first_texts), client
    cache.replace(second_set)
    for client, router in routers.items():
        wait_until(
            partial(router.has, second_texts), f"{client} has as many VRPs as the second set", PATIENCE
        )


def restart(cache, content, router, forget=None):
    """A crash, other content, a new start; the length of the log before it."""
    with router.frozen() if isinstance(router, GoBgp) else contextlib.nullcontext():
        cache.kill()
        if forget:
            for path in forget.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        cache.replace(content)
        before = len(cache.log.read_text())
        cache.start()
        wait_until(lambda: "Serving" in cache.log.read_text()[before:], "the cache is back")
    return before


def holds_after_outage(router, old, new):
    """Whether it holds the new set; GoBGP keeps what was withdrawn while it was not connected."""
    return router.table() == new | old if isinstance(router, GoBgp) else router.holds(new)


def kinds(cache, since):
    """The kinds of queries that the cache has logged after so many characters."""
    return QUERY.findall(cache.log.read_text()[since:])
