"""RIB dumps in: who originates what, from MRT and from text, plain or packed, told apart by content."""

from __future__ import annotations

from rov.rib.read import read_table
from rov.rib.table import Peer, RibCounts, RouteColumns, RouteTable

__all__ = ["Peer", "RibCounts", "RouteColumns", "RouteTable", "read_table"]
