"""rtrclient of rtr-tools (RTRlib) as the router: what it exports is exactly what we serve."""

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.realdata]


def test_exports_exactly_the_set(start_cache, rtrclient, first_set, first_texts, same_vrps):
    cache = start_cache(first_set, "--ignore-expiry")
    same_vrps(rtrclient(cache.port), first_texts)


def test_exports_the_second_set_after_the_file_changed(
    start_cache, wait_until, rtrclient, first_set, second_set, second_texts, same_vrps
):
    cache = start_cache(first_set, "--ignore-expiry")
    cache.replace(second_set)
    wait_until(lambda: rtrclient(cache.port) == second_texts, "rtrclient exports the second set")
