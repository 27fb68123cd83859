"""What a report is about: the verdicts, and whatever belongs beside every figure that is drawn from them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec

from rov.audit.neighbor import Reasons
from rov.audit.paths import PathVerdicts
from rov.audit.verdicts import Verdicts
from rov.reference import Delegations


class Subject(NamedTuple):
    """The verdicts with the names of the files that they come from, and the settings of the audits.

    ``neighbor``: only routes of peers in this AS are there; ``at``: when VRPs are judged for what expires,
    unix seconds, None: they are not; ``paths``: the ASPA verdicts, where they were asked for;
    ``unfiltered``: what the neighbour should have filtered.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> Subject(judge(table, VrpIndex(Snapshot.empty())), ("rib.gz",), "vrps.json").facts()["min_peers"]
    1
    """

    verdicts: Verdicts
    ribs: tuple[str, ...]
    vrps: str
    neighbor: int | None = None
    delegations: Delegations | None = None
    default_routes: bool = False
    at: int | None = None
    paths: PathVerdicts | None = None
    unfiltered: Reasons | None = None

    def facts(self) -> dict[str, Any]:
        """What the figures were drawn from, as plain values; times in unix seconds."""
        snapshot = self.verdicts.index.snapshot
        return {
            "rovkit": version("rovkit"),
            "at": self.at,
            "ribs": list(self.ribs),
            "min_peers": self.verdicts.min_peers,
            "neighbor": self.neighbor,
            "peers": len(self.verdicts.table.peers) - 1,
            "routes": {"ipv4": len(self.verdicts.ipv4), "ipv6": len(self.verdicts.ipv6)},
            "met": msgspec.structs.asdict(self.verdicts.table.counts),
            "warnings": list(self.verdicts.table.warnings),
            "vrps": {
                "file": self.vrps,
                "count": len(snapshot),
                "generated": snapshot.generated,
                "aspas": len(snapshot.aspas),
            },
            "default_routes": self.default_routes,
        }


def called(names: Iterable[str]) -> str:
    """Files as a person calls them, in a line.

    >>> called(["a.gz", "-"])
    'a.gz, standard input'
    """
    return ", ".join("standard input" if name == "-" else name for name in names)
