"""Times as VRP files write them, to unix seconds."""

from __future__ import annotations

from datetime import UTC, datetime

ABSENT = frozenset({"", "N/A"})
"""What stands where a producer has no time to state; Routinator writes N/A for local exceptions."""


def parse_time(text: str) -> int | None:
    """ISO 8601, T or space between date and time, UTC unless it says otherwise; ValueError if it is none.

    None for what stands for an absent time, "" and "N/A".

    >>> parse_time("2025-07-20T09:31:33Z"), parse_time("2025-07-20 09:31:33"), parse_time("N/A")
    (1753003893, 1753003893, None)
    """
    if text in ABSENT:
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    seconds = int(time.timestamp())
    if seconds < 0:
        raise ValueError(f"time {text!r}: expected one since 1970")
    return seconds
