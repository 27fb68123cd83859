"""The sections about routers' connections: where they are accepted."""

from __future__ import annotations

from rtr_server.config.section import Section
from rtr_server.endpoint import Endpoint


class Listen(Section, frozen=True):
    """``[[listen]]``: an endpoint where routers are served.

    >>> str(Listen(Endpoint("::1", 8323)).address)
    '[::1]:8323'
    """

    address: Endpoint
    """HOST:PORT, an IPv6 address in brackets."""

    optional: bool = False
    """Leave it out, with a warning, where the machine has no such address."""
