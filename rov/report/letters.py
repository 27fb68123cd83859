"""A letter to each network that has invalid routes: which, what is in their way, and what mends each."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rov._checks import as_kind, as_path, shown
from rov._templates import packaged_templates, rendered
from rov.audit.contacts import invalid_routes
from rov.audit.verdicts import Verdicts
from rov.errors import ArgumentError
from rov.reference.contacts import Contacts


def letters(
    verdicts: Verdicts,
    contacts: Contacts,
    *,
    ribs: Sequence[str],
    vrps: str,
    asns: Collection[int] | None = None,
    templates: str | os.PathLike[str] | None = None,
) -> Iterator[tuple[int, str]]:
    """The AS and the text of each letter, ascending by AS; asns: only to these.

    ribs, vrps: what the verdicts were made from, as the letter names it. templates: a directory whose
    letter.txt replaces that of the package. ArgumentError: a fault in it. ExtraError: jinja2 is missing.

    >>> from rov import Snapshot, VrpIndex
    >>> from rov.audit import judge
    >>> from rov.rib import RouteColumns, RouteTable
    >>> table = RouteTable(RouteColumns.empty(4), RouteColumns.empty(6))
    >>> list(letters(judge(table, VrpIndex(Snapshot.empty())), Contacts(), ribs=["rib"], vrps="vrps"))
    []
    """
    as_kind(contacts, Contacts, "contacts")
    own = None if templates is None else Path(as_path(templates))
    if own is not None and not own.is_dir():
        raise ArgumentError(f"templates {shown(str(own))}: expected a directory")
    generated = verdicts.index.snapshot.generated
    moment = (
        "" if generated is None else datetime.fromtimestamp(generated, UTC).strftime("%Y-%m-%d %H:%M UTC")
    )
    with packaged_templates("rov.report") as packaged:
        for asn, routes in invalid_routes(verdicts, asns).items():
            network = contacts.of(asn)
            values = {
                "asn": asn,
                # a name from a dump must not begin a line of its own
                "name": " ".join(network.name.split()),
                "contacts": [contact.email for contact in network.contacts],
                "routes": routes,
                # where files lie here is nothing to the receiver
                "ribs": [os.path.basename(rib) or rib for rib in ribs],
                "vrps": os.path.basename(vrps) or vrps,
                "generated": moment,
            }
            yield asn, rendered("letter.txt", [*([own] if own else []), packaged], values)
