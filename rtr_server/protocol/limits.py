"""What one peer may cost: the limits of a session, each with its reason."""

from __future__ import annotations

import msgspec

MAX_ERROR_REPORT = 4_096
"""Octets of a router's Error Report that we wait for: enough for any text worth a log line."""

MAX_EVENTS = 1_000
"""Events kept for an owner that does not drain them."""

JOIN_OCTETS = 4_096
"""Payload up to this size is copied next to its Cache Response and End of Data, to go out in one write."""

STALL_RETRIES = 3
"""A peer that takes nothing for this many Retry intervals is given up (8210bis §9)."""


class Limits(msgspec.Struct, frozen=True):
    """What one peer may cost us; times in seconds, sizes in octets.

    >>> Limits(first_query=5).partial_pdu
    60.0
    """

    first_query: float = 60.0
    """Until the first query in a version that we speak; afterwards a router may be silent for hours."""

    partial_pdu: float = 60.0
    """Until a PDU that has begun is complete: BIRD and rtrlib send each in one segment."""

    notify_interval: float = 60.0
    """Between two Serial Notifies: RFC 8210 §8.2 forbids more than one a minute."""

    response: float = 1_800.0
    """For a whole response: it keeps an old snapshot in memory. 16 MB in this time is 9 kB/s."""

    stall: float | None = None
    """Without progress while we send; None: STALL_RETRIES times the Retry interval that we tell routers."""

    pause_input: int = 1_024
    """Unread queries at which ``wants_data`` turns false: some 85 of them."""

    max_input: int = 65_536
    """Unread queries at which a peer that goes on sending is dropped."""

    refusals: int = 3
    """Error Reports 4 on one connection: a router has no more versions than that to try."""
