"""Which ASes are customer and provider, or peers: CAIDA's as-rel files and their like."""

from __future__ import annotations

import os

from rov._checks import as_path
from rov._rows import asn_of
from rov.errors import ReferenceFileError
from rov.reference.lines import numbered_lines

MAX_RELATIONS = 8 * 2**20
"""Lines of one file: fifteen times those of 2026."""


def read_relations(path: str | os.PathLike[str]) -> frozenset[tuple[int, int]]:
    """Pairs of ASes that have a business with each other, each in both orders.

    A line is AS|AS|KIND with the kind -1 (provider and customer), 0 (peers) or 1 (customer and provider);
    more fields are passed over. ReferenceFileError: a line is none, or there is none.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("# as-rel\\n64496|64497|-1|bgp", file=file, flush=True)
    ...     (64497, 64496) in read_relations(file.name)
    True
    """
    name = as_path(path)
    pairs: set[tuple[int, int]] = set()
    for number, line in numbered_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.strip().split("|")
        first, second = (asn_of(field) for field in [*fields, "", ""][:2])
        if len(fields) < 3 or first is None or second is None or fields[2] not in ("-1", "0", "1"):
            raise ReferenceFileError(name, f"expected AS|AS|-1, 0 or 1, found {line[:60]!r}", number)
        pairs |= {(first, second), (second, first)}
        if len(pairs) > 2 * MAX_RELATIONS:
            raise ReferenceFileError(name, f"more than {MAX_RELATIONS:,} relations", number)
    if not pairs:
        raise ReferenceFileError(name, "expected lines of AS|AS|KIND, found none")
    return frozenset(pairs)
