"""RIB dumps in: who originates what, from MRT and from text, plain or packed, told apart by content.

``read_table`` gives the distinct routes of dumps as sorted columns; ``open`` iterates over one dump, row by
row as it has them, with peers, times, paths and communities.
"""

from __future__ import annotations

from rov.rib.columns import Flag
from rov.rib.dump import Attributes, Dump, Ragged, RibBatch
from rov.rib.dump import open_dump as open
from rov.rib.read import read_table
from rov.rib.spool import Spool
from rov.rib.table import Peer, RibCounts, RouteColumns, RouteTable

__all__ = [
    "Attributes",
    "Dump",
    "Flag",
    "Peer",
    "Ragged",
    "RibBatch",
    "RibCounts",
    "RouteColumns",
    "RouteTable",
    "Spool",
    "open",
    "read_table",
]
