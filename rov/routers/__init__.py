"""Configurations for routers: origin validation against a cache, or with the VRPs written into them."""

from __future__ import annotations

from rov.routers.configure import ROUTERS, configure
from rov.routers.settings import ROLES, Cache, Neighbor

__all__ = ["ROLES", "ROUTERS", "Cache", "Neighbor", "configure"]
