"""rtrclient of rtr-tools (RTRlib) as the router: what it exports is exactly what we serve."""

import pytest

pytestmark = pytest.mark.interop


@pytest.mark.realdata
def test_exports_exactly_the_set(start_cache, rtrclient, first_set, first_texts, same_vrps):
    cache = start_cache(first_set, "--ignore-expiry")
    same_vrps(rtrclient(cache.port), first_texts)


@pytest.mark.realdata
def test_exports_the_second_set_after_the_file_changed(
    start_cache, wait_until, rtrclient, first_set, second_set, second_texts, same_vrps
):
    cache = start_cache(first_set, "--ignore-expiry")
    cache.replace(second_set)
    wait_until(lambda: rtrclient(cache.port) == second_texts, "rtrclient exports the second set")


def test_exports_the_extremes(start_cache, rtrclient, vrp_file, same_vrps):
    vrps = {
        "0.0.0.0/0-0 AS0",
        "0.0.0.0/0-32 AS4294967295",
        "255.255.255.255/32-32 AS2147483648",
        "::/0-128 AS1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128-128 AS23456",
    }
    cache = start_cache(vrp_file(vrps))
    same_vrps(rtrclient(cache.port), vrps)
