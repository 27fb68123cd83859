"""BIRD under a filter that we wrote for a customer: it lets in what the list allows, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rov.routers.filters import customer_filter, customer_filters
from tests.interop.processes import wait_until
from tests.interop.test_router_config import Daemon

pytestmark = pytest.mark.interop

ALLOWED = [(64511, "10.0.0.0/16", 20), (64512, "10.1.0.0/16", 16), (64513, "2001:db8::/32", 48)]

ROUTES = {
    "10.0.0.0/16": ([64511], True),
    "10.0.16.0/20": ([64511, 64512], True),
    "10.0.16.0/21": ([64511], False),
    "10.1.0.0/16": ([64511, 64512], True),
    "10.1.0.0/17": ([64511, 64512], False),
    "10.2.0.0/16": ([64511], False),
    "10.0.32.0/20": ([64511, 64599], False),
    "10.0.48.0/20": ([64599, 64511], False),
    "2001:db8:1::/48": ([64511, 64513], True),
    "2001:db8:1:1::/64": ([64511, 64513], False),
}
"""Prefix: the path, the neighbour first, and whether it is let in."""

CONFIG = """log "{directory}/us.log" all;
router id 192.0.2.1;
{filters}
{routes}
"""
STATIC = """protocol static {{ ipv{family} {{ import keep filtered; import filter {{
  {path} if rov_allowed_AS64511() then accept; reject; }}; }}; route {prefix} unreachable; }}
"""


def test_bird_lets_in_what_the_list_allows(tmp_path: Path, program: Callable[[str], str]) -> None:
    filters = customer_filters("bird2", [customer_filter(64511, ALLOWED)])
    routes = "".join(
        STATIC.format(
            family=6 if ":" in prefix else 4,
            path=" ".join(f"bgp_path.prepend({asn});" for asn in reversed(path)),
            prefix=prefix,
        )
        for prefix, (path, _) in ROUTES.items()
    )
    bird = Daemon("us", CONFIG.format(directory=tmp_path, filters=filters, routes=routes), tmp_path, program)
    try:
        allowed = {prefix for prefix, (_, let_in) in ROUTES.items() if let_in}
        wait_until(lambda: bird.prefixes("") == allowed, "what the list allows is there")
        assert bird.prefixes("filtered") == set(ROUTES) - allowed
    finally:
        bird.stop()
