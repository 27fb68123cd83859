"""BIRD 2 as the router: it holds exactly what we serve, follows a delta, and judges routes as we do."""

import random
from ipaddress import ip_network

import pytest

import rov

pytestmark = pytest.mark.interop

REFRESH = 1
"""BIRD asks again after a second; a Serial Notify may come only once a minute (RFC 8210 §8.2)."""

PAIRS = 8000
SEED = 6811


@pytest.mark.realdata
def test_holds_the_full_set_and_follows_the_delta(
    start_cache, start_bird, wait_until, first_set, second_set, first_texts, second_texts, same_vrps
):
    cache = start_cache(first_set, "--ignore-expiry")
    bird = start_bird(cache.port, REFRESH)
    wait_until(lambda: bird.count() == len(first_texts), "BIRD holds as many VRPs as the first set")
    same_vrps(bird.table(), first_texts)
    assert bird.received() == (len(first_texts), 0)
    serial, session = bird.status("Serial number"), bird.status("Session ID")

    cache.replace(second_set)
    wait_until(lambda: bird.status("Serial number") != serial, "BIRD has a new serial")
    wait_until(lambda: bird.count() == len(second_texts), "BIRD holds as many VRPs as the second set")
    same_vrps(bird.table(), second_texts)
    assert bird.received() == (len(first_texts) + 9, 6)
    assert bird.status("Session ID") == session
    assert int(bird.status("Serial number")) == (int(serial) + 1) % 2**32


@pytest.mark.realdata
def test_roa_check_agrees_with_validate(start_cache, start_bird, wait_until, first_set, first_snapshot):
    cache = start_cache(first_set, "--ignore-expiry")
    bird = start_bird(cache.port)
    wait_until(lambda: bird.count() == len(first_snapshot), "BIRD holds the full set")
    index = rov.VrpIndex(first_snapshot)
    pairs = list(routes_near(list(first_snapshot.vrps()), random.Random(SEED)))
    ours = [int(index.validate(prefix, origin)) for prefix, origin in pairs]
    assert {*ours} == {0, 1, 2}, "the pairs try every state"
    assert any(origin == 0 for _, origin in pairs), "AS 0, which never matches, is among the origins"
    theirs = [bird.roa_check(prefix, origin) for prefix, origin in pairs]
    wrong = [(pair, our, their) for pair, our, their in zip(pairs, ours, theirs, strict=True) if our != their]
    assert wrong == []


def routes_near(vrps, dice):
    """Routes at, below and above random VRPs with their origin or another, and some anywhere."""
    for _ in range(PAIRS):
        vrp, other = dice.choice(vrps), dice.choice(vrps)
        prefix = ip_network(str(vrp.prefix))
        length = dice.choice((prefix.prefixlen, vrp.max_length, vrp.max_length + 1, prefix.prefixlen - 1))
        length = min(max(length, 0), prefix.max_prefixlen)
        address = int(prefix.network_address) | dice.getrandbits(prefix.max_prefixlen - prefix.prefixlen)
        if dice.random() < 0.1:
            address = dice.getrandbits(prefix.max_prefixlen)
        mask = (1 << prefix.max_prefixlen) - (1 << (prefix.max_prefixlen - length))
        network = type(prefix)((address & mask, length))
        yield str(network), dice.choice((vrp.asn, vrp.asn, other.asn))


def test_small_set_with_the_extremes(vrp_file, start_cache, start_bird, wait_until, same_vrps):
    # Of addresses that cannot be unicast, BIRD takes no VRP ("bogus route"): the last ones here can.
    vrps = {
        "0.0.0.0/0-32 AS4294967295",
        "0.0.0.0/0-0 AS0",
        "223.255.255.255/32-32 AS2147483648",
        "192.0.2.0/24-24 AS64496",
        "::/0-128 AS1",
        "2001:db8::/32-48 AS23456",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128-128 AS64496",
    }
    cache = start_cache(vrp_file(vrps))
    bird = start_bird(cache.port, REFRESH)
    wait_until(lambda: bird.count() == len(vrps), "BIRD holds the small set")
    same_vrps(bird.table(), vrps)

    rest = {vrp for vrp in vrps if ":" in vrp} | {"198.51.100.0/24-25 AS64497"}
    cache.replace(vrp_file(rest))
    wait_until(lambda: bird.count() == len(rest), "BIRD has followed")
    same_vrps(bird.table(), rest)
    assert bird.received() == (len(vrps) + 1, 4)
