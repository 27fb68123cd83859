"""Route and aut-num objects of an IRR dump (RFC 2622, RFC 4012), plain or packed.

Objects are separated by blank lines; a line is "name: value", one that begins with a space, a tab or a plus
goes on with the one before; "#" begins a comment, a line that begins with "%" is one. Dumps have bad objects
at all times: those are left out and counted.
"""

from __future__ import annotations

import io
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Set

import msgspec
import numpy as np

from rov._checks import as_paths
from rov._prefix import parse
from rov._rows import asn_of
from rov.columns import VrpColumns
from rov.errors import PrefixError, ReferenceFileError
from rov.index import VrpIndex
from rov.reference.lines import read_octets
from rov.snapshot import Snapshot
from rov.types import IPV4_BITS, IPV6_BITS

MAX_ATTRIBUTES = 100_000
"""Lines of one object: the largest as-sets and aut-nums have some ten thousand."""

MAX_ROUTES = 16 * 2**20
"""Route objects of all files: four times those of all IRRs in 2026."""

_KEPT = frozenset({"origin", "import", "export", "mp-import", "mp-export", "admin-c", "tech-c", "as-name"})

Attributes = dict[str, list[str]]
"""Values by the name of the attribute, in lower case, in the order of the object."""

ROUTES_AND_AUTNUMS: Mapping[str, Set[str]] = {"route": _KEPT, "route6": _KEPT, "aut-num": _KEPT}
"""What is read of a dump unless told: the classes, and the attributes of each."""


class AutNum(msgspec.Struct, frozen=True):
    """What an aut-num says of its AS: whether it states a policy, and whom to ask.

    >>> AutNum(64496, "EXAMPLE", imports=1, exports=1, contacts=("AA1-TEST",)).states_policy
    True
    """

    asn: int
    name: str
    imports: int
    exports: int
    contacts: tuple[str, ...]

    @property
    def states_policy(self) -> bool:
        """At least one import and one export, what the MANRS metric M6 asks for."""
        return self.imports > 0 and self.exports > 0


class Irr:
    """Route objects as indexes that answer as for VRPs, and aut-nums by AS number.

    ``exact`` finds valid what has a route object of its own, ``covering`` also what lies under one of its
    origin; invalid: only objects of other origins are over it. ``routes`` and ``skipped`` count route
    objects and bad objects, ``first_skipped`` names the first bad one, "" if there is none.

    >>> Irr.of([]).routes
    0
    """

    def __init__(self) -> None:
        self.autnums: dict[int, AutNum] = {}
        self.skipped = 0
        self.first_skipped = ""
        self.routes = 0
        self._rows = {4: (array("Q"), array("B"), array("L")), 6: (array("Q"), array("B"), array("L"))}

    @classmethod
    def of(cls, objects: Iterable[tuple[str, int, dict[str, list[str]]]]) -> Irr:
        """From objects as ``objects_of`` gives them.

        >>> route = ("192.0.2.0/24", 1, {"route": ["192.0.2.0/24"], "origin": ["AS64496"]})
        >>> Irr.of([("route", *route[1:])]).exact.validate("192.0.2.0/24", 64496).label
        'valid'
        """
        found = cls()
        for kind, line, attributes in objects:
            found._take(kind, line, attributes)
        found._finish()
        return found

    def _take(self, kind: str, line: int, attributes: dict[str, list[str]]) -> None:
        if kind == "aut-num":
            self._take_autnum(attributes)
            return
        try:
            family, address, length = parse(attributes[kind][0])
            origin = asn_of(attributes.get("origin", [""])[0].split(" ")[0])
            if origin is None or (family == 6) != (kind == "route6"):
                raise PrefixError("no origin, or a prefix of the other family")
        except PrefixError as error:
            self.skipped += 1
            self.first_skipped = self.first_skipped or f"line {line}: {kind}: {error}"
            return
        addresses, lengths, origins = self._rows[family]
        if family == 6:
            addresses.append(address >> 64)
        addresses.append(address & (1 << 64) - 1)
        lengths.append(length)
        origins.append(origin)
        self.routes += 1

    def _take_autnum(self, attributes: dict[str, list[str]]) -> None:
        asn = asn_of(attributes["aut-num"][0])
        if asn is None:
            self.skipped += 1
            return
        count = {name: len(attributes.get(name, ())) for name in _KEPT}
        self.autnums[asn] = AutNum(
            asn,
            attributes.get("as-name", [""])[0],
            count["import"] + count["mp-import"],
            count["export"] + count["mp-export"],
            tuple(dict.fromkeys([*attributes.get("admin-c", ()), *attributes.get("tech-c", ())])),
        )

    def _finish(self) -> None:
        self.exact = VrpIndex(self._snapshot(longer=False))
        self.covering = VrpIndex(self._snapshot(longer=True))

    def _snapshot(self, *, longer: bool) -> Snapshot:
        addresses, lengths, origins = (np.array(column) for column in self._rows[4])
        most = np.full(len(lengths), IPV4_BITS) if longer else lengths
        ipv4 = VrpColumns.ipv4(addresses, lengths, most, origins)
        addresses, lengths, origins = (np.array(column) for column in self._rows[6])
        most = np.full(len(lengths), IPV6_BITS) if longer else lengths
        ipv6 = VrpColumns.ipv6(addresses.reshape(-1, 2), lengths, most, origins)
        return Snapshot.build(ipv4, ipv6)


def read_irr(paths: Iterable[str | os.PathLike[str]]) -> Irr:
    """The route, route6 and aut-num objects of one dump or more; those of all sources count alike.

    ReferenceFileError: a file cannot be read, has none of these objects, or more than can be.
    ArgumentError: no names.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("route: 192.0.2.0/24\\norigin: AS64496\\nsource: TEST", file=file, flush=True)
    ...     read_irr([file.name]).routes
    1
    """
    return Irr.of(found for name in as_paths(paths) for found in read_objects(name))


def read_objects(
    name: str, kept: Mapping[str, Set[str]] = ROUTES_AND_AUTNUMS
) -> Iterator[tuple[str, int, Attributes]]:
    """The objects of a dump, plain or packed, as ``objects_of`` gives them.

    ReferenceFileError: it cannot be read, has none of these classes, or more objects than can be.

    >>> next(read_objects("/nonexistent"))
    Traceback (most recent call last):
    rov.errors.ReferenceFileError: /nonexistent: cannot be read: No such file or directory
    """
    count = 0
    for found in objects_of(io.BytesIO(read_octets(name)), name, kept):
        count += 1
        if count > MAX_ROUTES:
            raise ReferenceFileError(name, f"more than {MAX_ROUTES:,} objects", found[1])
        yield found
    if not count:
        *most, last = kept
        classes = f"{', '.join(most)} or {last}" if most else last
        raise ReferenceFileError(name, f"expected an IRR dump, found no {classes} object")


def objects_of(
    lines: Iterable[bytes], name: str, kept: Mapping[str, Set[str]] = ROUTES_AND_AUTNUMS
) -> Iterator[tuple[str, int, Attributes]]:
    """Each object of the classes in ``kept``: its class, its first line, the values of what is kept of it.

    >>> [*objects_of([b"route: ::/0 # x", b"origin: AS1", b"", b"person: P"], "x")]
    [('route', 1, {'route': ['::/0'], 'origin': ['AS1']})]
    """
    kind, begin, last = "", 0, ""
    attributes: dict[str, list[str]] = {}
    inside = False
    for number, octets in enumerate(lines, 1):
        line = octets.rstrip(b"\r\n")
        if not line.strip():
            if attributes:
                yield kind, begin, attributes
            kind, attributes, inside = "", {}, False
            continue
        if line[:1] in (b"%", b"#"):
            continue
        if not inside:
            inside, begin = True, number
            kind = line.partition(b":")[0].decode("latin-1").strip().lower()
            last = ""
        if kind not in kept:
            continue
        if number - begin > MAX_ATTRIBUTES:
            raise ReferenceFileError(name, f"an object of more than {MAX_ATTRIBUTES:,} lines", number)
        last = _keep(line.decode("utf-8", "replace"), kind, kept[kind], last, attributes)
    if attributes:
        yield kind, begin, attributes


def _keep(line: str, kind: str, kept: Set[str], last: str, attributes: Attributes) -> str:
    """Add a line to what is kept; the name of the attribute that the next line may go on with."""
    if line[0] in " \t+":
        if last:
            attributes[last][-1] = f"{attributes[last][-1]} {line[1:].partition('#')[0].strip()}".strip()
        return last
    name, _, value = line.partition(":")
    name = name.strip().lower()
    if name != kind and name not in kept:
        return ""
    attributes.setdefault(name, []).append(value.partition("#")[0].strip())
    return name
