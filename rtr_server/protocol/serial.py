"""Serial numbers: 32 bits that wrap around (RFC 1982; RFC 8210 §2 and §5.1).

The cache never orders serials: it looks for the router's own among those that it still has a diff from.
Order is for a router, which may meet an old Serial Notify.
"""

from __future__ import annotations

SERIAL_BITS = 32
SERIALS = 1 << SERIAL_BITS
HALF = 1 << (SERIAL_BITS - 1)


def add(serial: int, count: int = 1) -> int:
    """The serial ``count`` steps later, 0 to 2^31 - 1 steps; ValueError beyond (RFC 1982 §3.1).

    >>> add(0xFFFFFFFF)
    0
    """
    if not 0 <= count < HALF:
        raise ValueError(f"{count} steps: expected 0 to {HALF - 1}")
    return (serial + count) % SERIALS


def earlier(a: int, b: int) -> bool:
    """Whether serial a comes before b (RFC 1982 §3.2); False both ways when they are 2^31 apart.

    >>> earlier(0xFFFFFFFF, 0), earlier(0, 0x80000000), earlier(0x80000000, 0)
    (True, False, False)
    """
    return 0 < (b - a) % SERIALS < HALF
