"""What keeps the cache from listening; the message names the endpoint, the file or the peer, and says why."""

from __future__ import annotations


class TransportError(Exception):
    """A certificate, a key or a key file cannot be used, or the kernel or an installed package lacks it."""
