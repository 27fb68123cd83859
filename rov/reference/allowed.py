"""What a customer may announce, from the rows that ``rov filter build`` writes."""

from __future__ import annotations

import os
from typing import Any

from rov._rows import asn_of
from rov.errors import ArgumentError, PrefixError, ReferenceFileError
from rov.reference.rows import rows_of_file
from rov.snapshot import Snapshot
from rov.types import IPV4_BITS, IPV6_BITS, Prefix, Vrp, as_asn

COLUMNS = ("customer", "origin", "prefix", "le", "conflict")

NEEDED = frozenset({"customer", "origin", "prefix", "le"})

MAX_ENTRIES = 1 << 24
"""Of one file: five times all VRPs and route objects that there are."""


def read_allowed(path: str | os.PathLike[str], customer: int) -> Snapshot:
    """The entries of a customer's list as VRPs: prefix, the longest length under it, origin.

    Rows of other customers, and what is in conflict, are passed over. ReferenceFileError: it is no such
    file, a row is bad, or none is of this customer.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("customer,origin,prefix,le\\n64496,64497,192.0.2.0/24,25", file=file, flush=True)
    ...     [str(vrp) for vrp in read_allowed(file.name, 64496).vrps()]
    ['192.0.2.0/24-25 AS64497']
    """
    own = as_asn(customer, "customer", 1)
    found: list[Vrp] = []
    met = False
    for number, row in rows_of_file(path, COLUMNS, NEEDED):
        if asn_of(str(row.get("customer") or "")) != own:
            continue
        met = True
        if not row.get("conflict"):
            found.append(_entry(str(path), number, row))
        if len(found) > MAX_ENTRIES:
            raise ReferenceFileError(str(path), f"more than {MAX_ENTRIES:,} entries", number)
    if not met:
        raise ReferenceFileError(str(path), f"expected entries of customer AS{own}, found none")
    return Snapshot.from_vrps(found)


def _entry(path: str, number: int, row: dict[str, Any]) -> Vrp:
    expected = "expected origin, prefix and le as rov filter build writes them"
    try:
        origin = asn_of(str(row.get("origin") or ""))
        if origin is None:
            raise ValueError(f"origin {row.get('origin')!r}")
        prefix, most = Prefix.parse(str(row.get("prefix"))), int(str(row.get("le")))
        bits = IPV4_BITS if prefix.family == 4 else IPV6_BITS
        if not prefix.length <= most <= bits:
            raise ValueError(f"le {most} of {prefix}")
        return Vrp(prefix, most, origin)
    except (ValueError, PrefixError, ArgumentError) as error:
        raise ReferenceFileError(path, f"{expected}: {error}", number) from error
