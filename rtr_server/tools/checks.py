"""The checks of the probe: what a router can see of RFC 6810, RFC 8210 and draft-ietf-sidrops-8210bis-27.

Numbers are those of the project's conformance sheet, C01 to C58; those missing here need a change of the
data, the cache's own configuration or more than a minute. A check returns a note or None, raises Broken
with what was seen, or Skip. Where RFC 8210 and 8210bis differ, 8210bis is what is checked.
"""

from __future__ import annotations

from rtr_server.tools import check_conduct, check_responses
from rtr_server.tools.probe import Check

CHECKS: list[Check] = sorted([*check_responses.CHECKS, *check_conduct.CHECKS], key=lambda check: check.number)
"""All checks, in the order of their numbers."""


def numbers() -> list[str]:
    """The numbers that there are checks for.

    >>> numbers()[:2]
    ['C01', 'C02']
    """
    return sorted({check.number for check in CHECKS})
